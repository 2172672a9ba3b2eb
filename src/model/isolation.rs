//! How much a pet is kept apart from the host, as a manifest or the settings ask for it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::problem::Problem;

/// Tells in a set, and in each of its pods, how much it is kept apart.
pub const ISOLATION_ANNOTATION: &str = "petset.dev/isolation";

/// A level of isolation that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// As a container is, where the machine can do that.
    Auto,
    /// As a container is: files, processes and names of its own.
    Full,
    /// Not at all: a plain process of the host.
    #[default]
    None,
}

impl std::str::FromStr for Isolation {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "auto" => Ok(Self::Auto),
            "full" => Ok(Self::Full),
            "none" => Ok(Self::None),
            other => {
                let fault = format!("{other:?} is no isolation: it is auto, full or none");
                Err(Problem::invalid(fault))
            }
        }
    }
}

impl Isolation {
    /// Returns what the annotations of a set ask for, if they say anything.
    pub fn asked(annotations: Option<&BTreeMap<String, String>>) -> Result<Option<Self>, Problem> {
        let asked = annotations.and_then(|notes| notes.get(ISOLATION_ANNOTATION));
        let asked = asked.map(|asked| asked.parse()).transpose();
        asked.map_err(|fault| Problem::invalid(format!("{ISOLATION_ANNOTATION}: {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_asks_for_a_level_and_a_typo_is_refused() {
        let notes = |level: &str| BTreeMap::from([(ISOLATION_ANNOTATION.into(), level.into())]);
        let asked = |level: &str| Isolation::asked(Some(&notes(level)));
        assert_eq!(asked("auto").unwrap(), Some(Isolation::Auto));
        assert_eq!(Isolation::asked(None).unwrap(), None);
        let fault = asked("ful").unwrap_err().to_string();
        assert!(fault.contains("petset.dev/isolation: \"ful\""), "{fault}");
    }
}
