//! How sets and pets are named on the command line: `web`, `sts/web`, `pod/web-0`.

use std::str::FromStr;

use crate::model::kind::ObjectKind;
use crate::model::{ObjectName, SetName};
use crate::problem::Problem;

/// Returns whether `word` means sets.
pub(crate) fn means_sets(word: &str) -> bool {
    ObjectKind::StatefulSet.is_called(word)
}

/// Returns whether `word` means pets.
pub(crate) fn means_pets(word: &str) -> bool {
    ObjectKind::Pod.is_called(word)
}

/// A set as the command line names it: `web` or `sts/web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetRef(pub(crate) SetName);

impl FromStr for SetRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.split_once('/') {
            None => text.parse().map(Self),
            Some((word, name)) if means_sets(word) => name.parse().map(Self),
            Some((word, _)) => Err(Problem::invalid(format!(
                "{word:?} does not name a set: write web or sts/web"
            ))),
        }
    }
}

/// A set or a pet as the command line names it: `web`, `sts/web`, `web-0` or `pod/web-0`.
///
/// A bare name can be either; the set is tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetRef {
    Set(SetName),
    Pet(ObjectName),
    Either(ObjectName),
}

impl TargetRef {
    /// Returns the name without its kind.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(name) => name.as_str(),
            Self::Pet(name) | Self::Either(name) => name.as_str(),
        }
    }
}

impl FromStr for TargetRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.split_once('/') {
            None => text.parse().map(Self::Either),
            Some((word, name)) if means_sets(word) => name.parse().map(Self::Set),
            Some((word, name)) if means_pets(word) => name.parse().map(Self::Pet),
            Some((word, _)) => {
                let advice = "write web or sts/web for a set, web-0 or pod/web-0 for a pet";
                Err(Problem::invalid(format!(
                    "{word:?} names neither a set nor a pet: {advice}"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_pets_go_by_kubectls_words() {
        assert_eq!("sts/web".parse::<SetRef>().unwrap().0.as_str(), "web");
        assert_eq!("web".parse::<SetRef>().unwrap().0.as_str(), "web");
        assert!("pod/web-0".parse::<SetRef>().is_err());
        assert!(matches!("pod/web-0".parse(), Ok(TargetRef::Pet(_))));
        assert!(matches!("web-0".parse(), Ok(TargetRef::Either(_))));
        assert!("sts/../x".parse::<TargetRef>().is_err());
        assert!("svc/web".parse::<TargetRef>().is_err());
    }
}
