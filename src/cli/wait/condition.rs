//! The conditions of `petset wait --for`, in the words of petset and kubectl.

use std::str::FromStr;

use crate::cli::shared::render::Document;
use crate::model::object::Object;
use crate::problem::{Problem, Result};

/// A condition to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// All pets are ready.
    Ready,
    /// The state of the set is as its spec says.
    Settled,
    /// The object is gone.
    Delete,
    /// A field has a value.
    Is(FieldCondition),
    /// A condition of the status has this status, `True` if no other was named.
    Has { name: String, status: String },
}

/// A field of the object, and its value; `None` for any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldCondition {
    path: String,
    pointer: String,
    value: Option<String>,
}

impl FromStr for Condition {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "ready" | "condition=ready" | "condition=ready=true" => Ok(Self::Ready),
            "settled" => Ok(Self::Settled),
            "delete" | "deleted" => Ok(Self::Delete),
            _ => {
                if let Some(condition) = text.strip_prefix("jsonpath=") {
                    return FieldCondition::parse(condition).map(Self::Is);
                }
                let named = text.strip_prefix("condition=").unwrap_or_default();
                let (name, status) = named.split_once('=').unwrap_or((named, "True"));
                if !name.is_empty() && name.chars().all(char::is_alphanumeric) {
                    let (name, status) = (name.to_owned(), status.to_owned());
                    return Ok(Self::Has { name, status });
                }
                Err(Problem::invalid(format!(
                    "{text:?} cannot be waited for: write ready, settled, delete, \
                     condition=Complete, or jsonpath={{PATH}}=VALUE"
                )))
            }
        }
    }
}

/// Returns what is still missing until an object has a condition; `None` if it has it.
pub(super) fn lacks_condition(item: &Object, name: &str, status: &str) -> Result<Option<String>> {
    let found = Document::of_object(item)?.condition(name);
    let has = found
        .as_deref()
        .is_some_and(|found| found.eq_ignore_ascii_case(status));
    let now = found.unwrap_or_else(|| "not there".to_owned());
    Ok((!has).then(|| format!("{}: condition {name} is {now}", item.full_name())))
}

impl FieldCondition {
    /// Reads `{.status.readyReplicas}=3`, with or without the braces.
    fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim_matches('\'');
        let (path, value) = match text.strip_prefix('{') {
            Some(inner) => {
                let (path, rest) = inner.split_once('}').ok_or_else(|| fault(text))?;
                (path, rest.trim_start_matches('\'').strip_prefix('='))
            }
            None => match text.split_once('=') {
                Some((path, value)) => (path, Some(value)),
                None => (text, None),
            },
        };
        let fields = path.strip_prefix('.').ok_or_else(|| fault(text))?;
        let fields = fields.replace('[', ".").replace(']', "");
        let plain = |part: &str| {
            part.chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        };
        if !fields
            .split('.')
            .all(|part| !part.is_empty() && plain(part))
        {
            return Err(fault(text));
        }
        Ok(Self {
            path: path.to_owned(),
            pointer: format!("/{}", fields.replace('.', "/")),
            value: value.map(|value| value.trim_matches(['\'', '"']).to_owned()),
        })
    }

    /// Returns what is still missing; `None` if the condition is met.
    pub(super) fn progress(&self, item: &Object) -> Result<Option<String>> {
        let found = Document::of_object(item)?.text_at(&self.pointer);
        let is = match (&found, &self.value) {
            (Some(found), Some(wanted)) => found == wanted,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        };
        let now = found.unwrap_or_else(|| "not there".to_owned());
        Ok((!is).then(|| format!("{}: {} is {now}", item.full_name(), self.path)))
    }
}

fn fault(text: &str) -> Problem {
    Problem::invalid(format!(
        "{text:?} is not a path and a value such as {{.status.readyReplicas}}=3"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_in_kubectls_words_too() {
        for (text, condition) in [
            ("ready", Condition::Ready),
            ("condition=Ready", Condition::Ready),
            ("settled", Condition::Settled),
            ("delete", Condition::Delete),
        ] {
            assert_eq!(text.parse::<Condition>().unwrap(), condition);
        }
        let Condition::Is(condition) = "jsonpath={.status.x[0].y}=3".parse().unwrap() else {
            panic!("it is a field")
        };
        let has = |name: &str, status: &str| Condition::Has {
            name: name.to_owned(),
            status: status.to_owned(),
        };
        assert_eq!("condition=Complete".parse(), Ok(has("Complete", "True")));
        assert_eq!(
            "condition=Progressing=False".parse(),
            Ok(has("Progressing", "False"))
        );
        assert_eq!(condition.pointer, "/status/x/0/y");
        assert_eq!(condition.value.as_deref(), Some("3"));
        for bad in [
            "",
            "condition=",
            "condition=a b",
            "jsonpath=",
            "jsonpath={status}",
            "jsonpath={.a",
        ] {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
    }
}
