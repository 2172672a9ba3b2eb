//! Which events are meant, and the journals that hold them.

use std::path::PathBuf;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;

use crate::cli::shared::names::TargetRef;
use crate::cli::shared::session::Session;
#[cfg(feature = "live")]
use crate::model::kind::ObjectKind;
use crate::model::pod::controller_of;
use crate::model::{Namespace, ObjectName, Workload};
use crate::problem::Result;
use crate::sorted::sort_by_key;
use crate::store::journal::{self, Event};
use crate::store::names_in;

/// The objects whose events are shown.
#[derive(Debug)]
pub(crate) enum Scope {
    /// All objects of the namespace.
    All,
    /// A set, its pets and claims.
    Set(String),
    /// One object, whose events are in the journals of these owners. Where its uid is known, those
    /// of an earlier object of its name are left out.
    Object {
        object: String,
        uid: Option<String>,
        owners: Vec<String>,
    },
}

impl Scope {
    /// Returns the scope that a command line names; without a target, everything.
    pub(super) fn of(session: &Session, target: Option<&TargetRef>) -> Result<Self> {
        let Some(target) = target else {
            return Ok(Self::All);
        };
        let name: ObjectName = target.name().parse()?;
        if let TargetRef::Workload(kind, name) = target {
            let workload = session.expect_workload(*kind, name)?;
            return Ok(Self::workload(&workload));
        }
        let journal = session
            .store
            .layout()
            .journal(&session.namespace, name.as_str());
        let is_set = || -> Result<bool> {
            let known = session
                .store
                .find::<StatefulSet>(&session.namespace, &name)?;
            // The events of a set that was deleted can still be read.
            Ok(known.is_some() || journal.exists())
        };
        match target {
            TargetRef::Set(_) | TargetRef::Either(_) if is_set()? => {
                Ok(Self::Set(name.to_string()))
            }
            TargetRef::Set(_) => Err(session.not_found("statefulsets.apps", name.as_str()).into()),
            TargetRef::Pet(_) | TargetRef::Workload(..) | TargetRef::Either(_) => {
                Self::of_pet(session, &name)
            }
        }
    }

    fn of_pet(session: &Session, name: &ObjectName) -> Result<Self> {
        let scope = Self::pet(session, name)?;
        let known = session.pet(&session.namespace, name)?.is_some();
        if known || !scope.events(session)?.is_empty() {
            return Ok(scope);
        }
        Err(session.not_found("pods", name.as_str()).into())
    }

    /// Returns the scope of one pet.
    pub(crate) fn pet(session: &Session, name: &ObjectName) -> Result<Self> {
        let pod = session.pet(&session.namespace, name)?;
        let by_name = name
            .as_str()
            .rsplit_once('-')
            .map(|(set, _)| set.to_owned());
        let owner = pod.as_ref().and_then(|pod| controller_of(&pod.metadata));
        let mut owners = vec![name.to_string()];
        owners.extend(owner.map(|owner| owner.name.clone()).or(by_name));
        let uid = pod.as_ref().and_then(|pod| pod.metadata.uid.clone());
        Ok(Self::Object {
            object: format!("pod/{name}"),
            uid,
            owners,
        })
    }

    /// Returns the scope of a set itself, without its pets.
    pub(crate) fn set_alone(name: &str) -> Self {
        Self::Object {
            object: format!("statefulset/{name}"),
            uid: None,
            owners: vec![name.to_owned()],
        }
    }

    /// Returns the scope of a workload itself, without its pods.
    pub(crate) fn workload(workload: &Workload) -> Self {
        let meta = workload.metadata();
        let name = meta.name.clone().unwrap_or_default();
        Self::Object {
            object: format!("{}/{name}", workload.object_kind().folder()),
            uid: meta.uid.clone(),
            owners: vec![name],
        }
    }

    /// Returns the scope of an object of a kind, and of all that had its name before.
    #[cfg(feature = "live")]
    pub(crate) fn named(kind: &str, name: &str) -> Self {
        let owner = name.rsplit_once('-').map(|(owner, _)| owner.to_owned());
        let known = ObjectKind::of_word(kind);
        let kind = known.map_or_else(|| kind.to_owned(), |known| known.folder().to_owned());
        Self::Object {
            object: format!("{kind}/{name}"),
            uid: None,
            owners: [name.to_owned()].into_iter().chain(owner).collect(),
        }
    }

    /// Returns the scope of a claim or a volume: `kind` begins its name in journals. A claim may
    /// have been made for a set.
    pub(crate) fn of_storage(kind: &str, name: &str, set: Option<&str>) -> Self {
        let owners = std::iter::once(name).chain(set);
        Self::Object {
            object: format!("{kind}/{name}"),
            uid: None,
            owners: owners.map(str::to_owned).collect(),
        }
    }

    /// Returns the events of an object that belongs to no namespace, oldest first.
    pub(crate) fn events_in_default(&self, session: &Session) -> Result<Vec<Event>> {
        self.events_in(session, &Namespace::default())
    }

    /// Returns the events, oldest first.
    pub(crate) fn events(&self, session: &Session) -> Result<Vec<Event>> {
        self.events_in(session, &session.namespace)
    }

    /// Returns the events of a namespace, oldest first.
    pub(crate) fn events_in(&self, session: &Session, namespace: &Namespace) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in self.journals(session, namespace)? {
            let found = journal::events(&path);
            let found = found.with_context(|| format!("cannot read {}", path.display()))?;
            events.extend(dated(found));
        }
        if let Self::Object { object, uid, .. } = self {
            let of_other = |event: &Event| {
                let both = event.uid.as_ref().zip(uid.as_ref());
                both.is_some_and(|(its, wanted)| its != wanted)
            };
            events.retain(|(_, event)| event.object == *object && !of_other(event));
        }
        sort_by_key(&mut events, |(time, _)| *time);
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    fn journals(&self, session: &Session, namespace: &Namespace) -> Result<Vec<PathBuf>> {
        let layout = session.store.layout();
        let journal = |owner: &str| layout.journal(namespace, owner);
        Ok(match self {
            Self::Set(set) => vec![journal(set)],
            Self::Object { owners, .. } => owners.iter().map(|owner| journal(owner)).collect(),
            Self::All => {
                let dir = layout.events(namespace);
                let names =
                    names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
                let owners = names.iter().filter_map(|name| name.strip_suffix(".jsonl"));
                owners.map(journal).collect()
            }
        })
    }
}

/// Adds to each event of a journal the time by which it is merged with those of other journals: no
/// earlier than that of the events before it, even where the clock was put back meanwhile.
fn dated(events: Vec<Event>) -> impl Iterator<Item = (Timestamp, Event)> {
    let mut latest = Timestamp::MIN;
    events.into_iter().map(move |event| {
        latest = latest.max(event.time);
        (latest, event)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::Severity;

    #[test]
    fn events_of_one_journal_keep_their_order_whatever_the_clock_did() {
        let at = |second| Event {
            time: Timestamp::from_second(second).unwrap(),
            severity: Severity::Normal,
            reason: "Started".to_owned(),
            object: "pod/a".to_owned(),
            uid: None,
            field: None,
            message: second.to_string(),
            count: 1,
        };
        let mut all: Vec<_> = dated(vec![at(100), at(40), at(110)]).collect();
        all.extend(dated(vec![at(105)]));
        sort_by_key(&mut all, |(time, _)| *time);
        let order: Vec<_> = all
            .iter()
            .map(|(_, event)| event.message.as_str())
            .collect();
        assert_eq!(order, ["100", "40", "105", "110"]);
    }
}
