//! How sets and pets are named on the command line: `web`, `sts/web`, `pod/web-0`.

use std::str::FromStr;

use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{ObjectName, SetName};
use crate::problem::Problem;

/// Returns whether `word` means sets.
pub(crate) fn means_sets(word: &str) -> bool {
    ObjectKind::of_word(word) == Some(ObjectKind::StatefulSet)
}

/// Returns a word without a slash as a name. A word for a kind may have capitals and a group, as
/// in `StatefulSet web`, which no name has.
fn plain(word: &str) -> &str {
    let capital = |letter: char| letter.is_ascii_uppercase() || letter == '.';
    let kind = ObjectKind::of_word(word).filter(|_| word.contains(capital));
    match kind {
        Some(kind) => kind.folder(),
        None => word,
    }
}

/// A set as the command line names it: `web` or `sts/web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetRef(SetName);

impl SetRef {
    /// Returns the set that one or two words name: `web`, `sts/web`, or `sts` and `web`.
    pub(crate) fn with<'a>(&'a self, second: Option<&'a Self>) -> Result<&'a SetName, Problem> {
        match second {
            None => Ok(&self.0),
            Some(name) if means_sets(self.0.as_str()) => Ok(&name.0),
            Some(_) if ObjectKind::of_word(self.0.as_str()).is_some() => {
                Err(not_a_set(self.0.as_str()))
            }
            Some(name) => Err(only_one("set", self.0.as_str(), name.0.as_str())),
        }
    }
}

impl FromStr for SetRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.split_once('/') {
            None => plain(text).parse().map(Self),
            Some((word, name)) if means_sets(word) => name.parse().map(Self),
            Some((word, _)) => Err(not_a_set(word)),
        }
    }
}

/// Returns the set that up to two words name, if any does.
pub(crate) fn named<'a>(
    set: Option<&'a SetRef>,
    second: Option<&'a SetRef>,
) -> Result<Option<&'a SetName>, Problem> {
    set.map(|set| set.with(second)).transpose()
}

fn not_a_set(word: &str) -> Problem {
    Problem::invalid(format!(
        "{word:?} does not name a set: write web or sts/web"
    ))
}

fn only_one(what: &str, first: &str, second: &str) -> Problem {
    let message = format!("this command takes one {what}, and {first} and {second} are two");
    Problem::invalid(message)
}

/// What makes pods, as the command line names it: `web`, `sts/web` or `deploy/web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnerRef {
    Either(SetName),
    Set(SetName),
    Workload(WorkloadKind, ObjectName),
}

impl OwnerRef {
    /// Returns what one or two words name: `web`, `deploy/web`, or `deploy` and `web`.
    pub(crate) fn with(&self, second: Option<&Self>) -> Result<Self, Problem> {
        match (self, second) {
            (_, None) => Ok(self.clone()),
            (Self::Either(kind), Some(Self::Either(name)))
                if ObjectKind::of_word(kind.as_str()).is_some() =>
            {
                format!("{kind}/{name}").parse()
            }
            (_, Some(second)) => Err(only_one("set or workload", self.name(), second.name())),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Either(name) | Self::Set(name) => name.as_str(),
            Self::Workload(_, name) => name.as_str(),
        }
    }
}

impl FromStr for OwnerRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let Some((word, name)) = text.split_once('/') else {
            return plain(text).parse().map(Self::Either);
        };
        let kind = ObjectKind::of_word(word);
        if kind == Some(ObjectKind::StatefulSet) {
            return name.parse().map(Self::Set);
        }
        if let Some(ObjectKind::Workload(kind)) = kind {
            return Ok(Self::Workload(kind, name.parse()?));
        }
        Err(not_a_set(word))
    }
}

/// The one set or workload that a verb is about: `web`, `sts/web`, `deploy/web` or `deploy web`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OwnerArg {
    /// Set or workload, such as web, sts/web or deploy/web
    #[arg(value_name = "SET|WORKLOAD")]
    owner: OwnerRef,
    /// Name of the set or workload, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    owner_name: Option<OwnerRef>,
}

impl OwnerArg {
    /// Returns what is named.
    pub(crate) fn owner(&self) -> Result<OwnerRef, Problem> {
        self.owner.with(self.owner_name.as_ref())
    }
}

/// The one set, workload or pet that a verb is about: `web`, `pod/web-0` or `deploy web`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TargetArg {
    /// Pet, set or workload, such as web-0, pod/web-0, sts/web or job/load
    #[arg(value_name = "POD|SET|WORKLOAD")]
    target: TargetRef,
    /// Name of the pet, set or workload, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    target_name: Option<TargetRef>,
}

impl TargetArg {
    /// Returns what is named.
    pub(crate) fn target(&self) -> Result<TargetRef, Problem> {
        self.target.with(self.target_name.as_ref())
    }
}

/// A set, a pet or a workload as the command line names it: `web`, `sts/web`, `pod/web-0` or
/// `job/load`.
///
/// A bare name can be that of each; the set is tried first, then the pet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetRef {
    Set(SetName),
    Pet(ObjectName),
    Workload(WorkloadKind, ObjectName),
    Either(ObjectName),
}

impl TargetRef {
    /// Returns the name without its kind.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(name) => name.as_str(),
            Self::Pet(name) | Self::Workload(_, name) | Self::Either(name) => name.as_str(),
        }
    }

    /// Returns what one or two words name: `web`, `pod/web-0`, or `pod` and `web-0`.
    pub(crate) fn with(&self, second: Option<&Self>) -> Result<Self, Problem> {
        let words = [Some(self), second].map(Option::<&Self>::cloned);
        let words: Vec<Self> = words.into_iter().flatten().collect();
        match Self::all(&words)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(only_one(
                "set, workload or pet",
                self.name(),
                second.map_or("", Self::name),
            )),
        }
    }

    /// Returns what words name: `web sts/db pod/web-0`, or `pod web-0 web-1`.
    pub(crate) fn all(words: &[Self]) -> Result<Vec<Self>, Problem> {
        let (Some(Self::Either(kind)), true) = (words.first(), words.len() > 1) else {
            return Ok(words.to_vec());
        };
        let kind = kind.as_str();
        if ObjectKind::of_word(kind).is_none() {
            return Ok(words.to_vec());
        }
        let full = |word: &Self| match word {
            Self::Either(name) => format!("{kind}/{name}").parse(),
            Self::Set(name) => Err(kind_twice(kind, name.as_str())),
            Self::Pet(name) | Self::Workload(_, name) => Err(kind_twice(kind, name.as_str())),
        };
        words[1..].iter().map(full).collect()
    }
}

fn kind_twice(kind: &str, name: &str) -> Problem {
    let message = format!("{name} has a kind of its own, and {kind} before it");
    Problem::invalid(message)
}

impl FromStr for TargetRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let Some((word, name)) = text.split_once('/') else {
            return plain(text).parse().map(Self::Either);
        };
        match ObjectKind::of_word(word) {
            Some(ObjectKind::StatefulSet) => name.parse().map(Self::Set),
            Some(ObjectKind::Pod) => name.parse().map(Self::Pet),
            Some(ObjectKind::Workload(kind)) => Ok(Self::Workload(kind, name.parse()?)),
            Some(
                ObjectKind::Service
                | ObjectKind::ConfigMap
                | ObjectKind::Secret
                | ObjectKind::PersistentVolumeClaim
                | ObjectKind::Endpoints
                | ObjectKind::EndpointSlice
                | ObjectKind::ControllerRevision
                | ObjectKind::PersistentVolume
                | ObjectKind::StorageClass
                | ObjectKind::Eviction
                | ObjectKind::Overlay,
            )
            | None => {
                let advice = "write web or sts/web for a set, web-0 or pod/web-0 for a pet";
                Err(Problem::invalid(format!(
                    "{word:?} names neither a set nor a pet: {advice}"
                )))
            }
        }
    }
}

/// An object of any kind that users make, as the command line names it: `web`, `svc/web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedObject {
    /// `None` for a bare name, which is that of a set or a pet.
    pub(crate) kind: Option<ObjectKind>,
    pub(crate) name: ObjectName,
}

impl NamedObject {
    /// Returns what words name: `web svc/web`, or `svc web db`.
    pub(crate) fn all(words: &[Self]) -> Result<Vec<Self>, Problem> {
        let kind = words.first().filter(|word| word.kind.is_none());
        let Some(kind) = kind.filter(|word| ObjectKind::of_word(word.name.as_str()).is_some())
        else {
            return Ok(words.to_vec());
        };
        if words.len() == 1 {
            return Ok(words.to_vec());
        }
        let kind = kind.name.as_str();
        let full = |word: &Self| match word.kind {
            None => format!("{kind}/{}", word.name).parse(),
            Some(_) => Err(kind_twice(kind, word.name.as_str())),
        };
        words[1..].iter().map(full).collect()
    }
}

impl FromStr for NamedObject {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let Some((word, name)) = text.split_once('/') else {
            let name = plain(text).parse()?;
            return Ok(Self { kind: None, name });
        };
        let made = |kind: &ObjectKind| match kind {
            ObjectKind::StatefulSet
            | ObjectKind::Pod
            | ObjectKind::Service
            | ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::Endpoints
            | ObjectKind::EndpointSlice
            | ObjectKind::Workload(_)
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass
            | ObjectKind::PersistentVolumeClaim => true,
            ObjectKind::ControllerRevision | ObjectKind::Eviction | ObjectKind::Overlay => false,
        };
        let kind = ObjectKind::of_word(word).filter(made).ok_or_else(|| {
            let kinds = "sts, pod, svc, cm, secret, pvc, pv, sc, endpoints and endpointslice";
            Problem::invalid(format!(
                "{word:?} is no kind of objects that users make: there are {kinds}"
            ))
        })?;
        let name = name.parse()?;
        Ok(Self {
            kind: Some(kind),
            name,
        })
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

    #[test]
    fn a_kind_and_a_name_are_two_words_or_one() {
        let targets = |line: &str| {
            let words = line.split(' ').map(|word| word.parse().unwrap());
            TargetRef::all(&words.collect::<Vec<_>>())
        };
        let pets = ["web-0", "web-1"].map(|name| TargetRef::Pet(name.parse().unwrap()));
        assert_eq!(targets("pod web-0 web-1").unwrap(), pets);
        assert_eq!(targets("Pods web-0 web-1").unwrap(), pets);
        let set = TargetRef::Set("web".parse().unwrap());
        assert_eq!(targets("statefulset.apps web").unwrap(), [set]);
        assert_eq!(targets("web db").unwrap().len(), 2);
        assert!(matches!(
            &targets("pod").unwrap()[..],
            [TargetRef::Either(_)]
        ));
        assert!(targets("svc web").is_err());
        assert!(targets("pod sts/web").is_err());
        let set = |first: &str, second: &str| {
            let (first, second): (SetRef, SetRef) = (first.parse()?, second.parse()?);
            first.with(Some(&second)).cloned()
        };
        assert_eq!(set("StatefulSet", "web").unwrap().as_str(), "web");
        assert!(set("pod", "web").is_err());
        assert!(set("web", "db").is_err());
    }
}
