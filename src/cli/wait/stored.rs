//! Waiting for claims and volumes.

use std::str::FromStr;

use super::super::shared::names::TargetRef;
use super::super::shared::session::Session;
use super::condition::{Condition, lacks_condition};
use crate::model::ObjectName;
use crate::model::kind::ObjectKind;
use crate::problem::{Kind, Problem, Result};

/// What is waited for, as the command line names it.
#[derive(Debug, Clone)]
pub(super) enum WaitTarget {
    Target(TargetRef),
    Stored(ObjectKind, ObjectName),
}

/// Returns the kind that a word means, if it is that of claims or of volumes.
fn stored(word: &str) -> Option<ObjectKind> {
    let kinds = [
        ObjectKind::PersistentVolumeClaim,
        ObjectKind::PersistentVolume,
    ];
    ObjectKind::of_word(word).filter(|kind| kinds.contains(kind))
}

impl WaitTarget {
    /// Returns what words name: `web pvc/data`, or `pvc data logs`.
    pub(super) fn all(words: &[Self]) -> Result<Vec<Self>, Problem> {
        if let [Self::Target(TargetRef::Either(kind)), rest @ ..] = words
            && let Some(kind) = stored(kind.as_str()).filter(|_| !rest.is_empty())
        {
            let name = |word: &Self| match word {
                Self::Target(TargetRef::Either(name)) => Ok(Self::Stored(kind, name.clone())),
                Self::Target(_) | Self::Stored(..) => {
                    let message = "a name after a kind has no kind of its own";
                    Err(Problem::invalid(message))
                }
            };
            return rest.iter().map(name).collect();
        }
        let mut plain = Vec::new();
        let mut all = Vec::new();
        for word in words {
            match word {
                Self::Target(target) => plain.push(target.clone()),
                Self::Stored(..) => all.push(word.clone()),
            }
        }
        let plain = TargetRef::all(&plain)?;
        all.extend(plain.into_iter().map(Self::Target));
        Ok(all)
    }
}

impl FromStr for WaitTarget {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if let Some((word, name)) = text.split_once('/')
            && let Some(kind) = stored(word)
        {
            return Ok(Self::Stored(kind, name.parse()?));
        }
        text.parse().map(Self::Target)
    }
}

/// Returns the uid of a claim or a volume. For `--for delete` it need not exist.
pub(super) fn uid_of(
    session: &Session,
    kind: ObjectKind,
    name: &ObjectName,
    condition: &Condition,
) -> Result<Option<String>> {
    let found = session.item(kind, &session.namespace, name)?;
    if found.is_none() && !matches!(condition, Condition::Delete) {
        return Err(session.not_found(kind.plural(), name.as_str()).into());
    }
    Ok(found.and_then(|found| found.metadata().uid.clone()))
}

/// Returns what a claim or a volume still lacks; `None` if the condition is met.
pub(super) fn progress(
    session: &Session,
    (kind, name, uid): (ObjectKind, &ObjectName, Option<&String>),
    condition: &Condition,
) -> Result<Option<String>> {
    let found = session.item(kind, &session.namespace, name)?;
    let Some(item) = found.filter(|it| it.metadata().uid.as_ref() == uid) else {
        return match condition {
            Condition::Delete => Ok(None),
            Condition::Ready | Condition::Settled | Condition::Is(_) | Condition::Has { .. } => {
                let message = format!("{name} was deleted meanwhile");
                Err(Problem::new(Kind::Conflict, message).into())
            }
        };
    };
    match condition {
        Condition::Delete => Ok(Some(match item.metadata().deletion_timestamp {
            Some(_) => format!("{name} is being deleted"),
            None => format!("{name} is not being deleted"),
        })),
        Condition::Is(condition) => condition.progress(&item),
        Condition::Has { name, status } => lacks_condition(&item, name, status),
        Condition::Ready | Condition::Settled => "jsonpath={.status.phase}=Bound"
            .parse::<Condition>()
            .map(|bound| match bound {
                Condition::Is(bound) => bound.progress(&item),
                Condition::Ready
                | Condition::Settled
                | Condition::Delete
                | Condition::Has { .. } => Ok(None),
            })?,
    }
}
