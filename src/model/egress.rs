//! Whether a pet with a network of its own may connect to addresses outside of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::problem::Problem;

/// Tells in a set, and in each of its pods, whether they may leave their private network.
pub const EGRESS_ANNOTATION: &str = "petset.dev/egress";

/// The destinations outside that a pet on a private network reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// All that the host reaches, and the host itself, where the machine can do that.
    #[default]
    Auto,
    /// Nothing but the private network.
    None,
}

impl std::str::FromStr for Egress {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            other => {
                let fault = format!("{other:?} is no egress: it is auto or none");
                Err(Problem::invalid(fault))
            }
        }
    }
}

impl Egress {
    /// The word that stands for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
        }
    }

    /// Returns the egress of a pod with these annotations, which were checked when it was made.
    #[must_use]
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let asked = Self::asked(annotations);
        asked.ok().flatten().unwrap_or_default()
    }

    /// Returns the egress that the annotations of a set or a pod ask for, if they name one.
    pub fn asked(annotations: Option<&BTreeMap<String, String>>) -> Result<Option<Self>, Problem> {
        let asked = annotations.and_then(|notes| notes.get(EGRESS_ANNOTATION));
        let asked = asked.map(|asked| asked.parse()).transpose();
        asked.map_err(|fault: Problem| Problem::invalid(format!("{EGRESS_ANNOTATION}: {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_asks_for_egress_and_a_typo_is_refused() {
        let notes = |word: &str| BTreeMap::from([(EGRESS_ANNOTATION.into(), word.into())]);
        let asked = |word: &str| Egress::asked(Some(&notes(word)));
        assert_eq!(asked("none").unwrap(), Some(Egress::None));
        assert_eq!(asked("auto").unwrap(), Some(Egress::Auto));
        assert_eq!(Egress::asked(None).unwrap(), None);
        let fault = asked("off").unwrap_err().to_string();
        assert!(fault.contains("petset.dev/egress: \"off\""), "{fault}");
    }
}
