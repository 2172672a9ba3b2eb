//! Label selectors as kubectl reads them: `app=web,tier!=cache,env in (a,b),!old`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::model::Selector;
use crate::problem::Problem;

/// Reads a selector.
pub(crate) fn parse(text: &str) -> Result<Selector, Problem> {
    let terms = split(text)
        .into_iter()
        .filter(|term| !term.trim().is_empty());
    let terms: Result<Vec<_>, _> = terms.map(|term| requirement(term.trim())).collect();
    Selector::of(&LabelSelector {
        match_expressions: Some(terms?),
        match_labels: None,
    })
}

/// Returns whether an object has the labels that a selector asks for.
pub(crate) fn selects(selector: &Selector, labels: Option<&BTreeMap<String, String>>) -> bool {
    selector.matches(&labels.cloned().unwrap_or_default())
}

/// Splits at commas that are not within parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(term: &str) -> Result<LabelSelectorRequirement, Problem> {
    if let Some((key, value)) = term.split_once("!=") {
        return of(term, key, "NotIn", vec![value]);
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return of(term, key, "In", vec![value]);
    }
    if let Some((lead, values)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
        let values = values.split(',').collect();
        let words: Vec<&str> = lead.split_whitespace().collect();
        return match words.as_slice() {
            [key, "in"] => of(term, key, "In", values),
            [key, "notin"] => of(term, key, "NotIn", values),
            _ => Err(fault(term)),
        };
    }
    match term.strip_prefix('!') {
        Some(key) => of(term, key, "DoesNotExist", Vec::new()),
        None => of(term, term, "Exists", Vec::new()),
    }
}

fn of(
    term: &str,
    key: &str,
    operator: &str,
    values: Vec<&str>,
) -> Result<LabelSelectorRequirement, Problem> {
    let key = key.trim();
    let safe = |text: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        text.chars().all(letter)
    };
    let values: Vec<String> = values.iter().map(|value| value.trim().to_owned()).collect();
    if key.is_empty() || !safe(key) || !values.iter().all(|value| safe(value)) {
        return Err(fault(term));
    }
    Ok(LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then_some(values),
    })
}

fn fault(term: &str) -> Problem {
    let forms = "app=web, app!=web, 'app in (a,b)', 'app notin (a,b)', app, or '!app'";
    Problem::invalid(format!("{term:?} is not a label selector: write {forms}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        parse(selector)
            .unwrap()
            .matches(&labels.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        let web = [("app", "web"), ("tier", "db")];
        for selector in [
            "",
            "app=web",
            "app==web",
            "app=web,tier=db",
            "app != kctl",
            "app in (web, kctl)",
            "app notin (a,b),tier",
            "!old",
            "other!=x",
        ] {
            assert!(matches(selector, &web), "{selector}");
        }
        for selector in [
            "app=kctl",
            "app!=web",
            "old",
            "!app",
            "app in (a,b)",
            "app=web,tier=x",
        ] {
            assert!(!matches(selector, &web), "{selector}");
        }
        for bad in ["=", "app=a b", "app within (a)", "a b", "!"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
