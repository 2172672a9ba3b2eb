//! The claims of a set, and who else has them.

use std::fs;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::super::files;
use super::super::session::{Session, say};
use crate::model::object::Object;
use crate::model::{ClaimSeen, ClaimUsers, Claims, Namespace, ObjectRef, Set, printer};
use crate::problem::Result;
use crate::store;

/// The claims that the templates of a set have made, by what becomes of them when they are to go
/// with it.
#[derive(Debug, Default)]
pub(crate) struct OwnClaims {
    /// Nobody else has them.
    pub(crate) free: Vec<String>,
    /// They go with the last pod that uses them; with the name of one.
    pub(crate) in_use: Vec<(String, String)>,
    /// They stay, since another set has them; with its name.
    pub(crate) shared: Vec<(String, String)>,
}

impl OwnClaims {
    /// Reads them, those of pets that were removed long ago too, in order.
    pub(crate) fn of(session: &Session, namespace: &Namespace, set: &Set) -> Result<Self> {
        let (sets, pods) = neighbours(session, namespace)?;
        let users = ClaimUsers::beside(set.name.as_str(), &set.uid, &sets, &pods);
        let mut claims = Self::default();
        for claim in store::names_in(&session.store.layout().volumes(namespace))? {
            if !set.is_own_claim(&claim) {
                continue;
            }
            if let Some(other) = users.set_of(&claim) {
                claims.shared.push((claim, other.to_owned()));
            } else if let Some(pod) = users.pod_of(&claim) {
                claims.in_use.push((claim, pod.to_owned()));
            } else {
                claims.free.push(claim);
            }
        }
        Ok(claims)
    }
}

/// Notes who else has the claims that a set could take along.
pub(crate) fn note_claim_users(
    session: &Session,
    namespace: &Namespace,
    set: &Set,
    claims: &mut Claims,
) -> Result<()> {
    if claims.values().any(ClaimSeen::may_go) {
        let (sets, pods) = neighbours(session, namespace)?;
        ClaimUsers::beside(set.name.as_str(), &set.uid, &sets, &pods).note(claims);
    }
    Ok(())
}

/// Warns of sets that will share data with another set or pod, because their claims have the same
/// name.
pub(crate) fn warn_of_shared(session: &Session, objects: &[Object]) -> Result<()> {
    let given: Vec<&StatefulSet> = files::sets(objects).collect();
    for (place, set) in given.iter().enumerate() {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let (sets, pods) = neighbours(session, &namespace)?;
        let old = sets
            .iter()
            .find(|old| old.metadata.name == set.metadata.name);
        let uid = old.and_then(|old| old.metadata.uid.as_deref());
        let before = given[..place].iter().copied();
        let before = before.filter(|other| {
            let there = |stored: &StatefulSet| stored.metadata.name == other.metadata.name;
            other.metadata.namespace == set.metadata.namespace && !sets.iter().any(there)
        });
        let others = sets.iter().chain(before);
        let users = ClaimUsers::beside(name.as_str(), uid.unwrap_or("-"), others, &pods);
        for warning in users.warnings(set, old) {
            say(format!("warning: {warning}"));
        }
    }
    Ok(())
}

/// How many volumes a sentence names.
const NAMED: usize = 5;

/// Says which volumes a new set finds again, of when they are, and that there is data in them.
pub(crate) fn say_found_again(session: &Session, objects: &[Object]) -> Result<()> {
    for set in files::sets(objects) {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        if session
            .store
            .find::<StatefulSet>(&namespace, &name)?
            .is_some()
        {
            continue;
        }
        let mut found = found_again(session, &namespace, &Set::of(set)?)?;
        let more = found.len().saturating_sub(NAMED);
        found.truncate(NAMED);
        if more > 0 {
            found.push(format!("{more} more"));
        }
        if !found.is_empty() {
            say(format!(
                "Found volumes again, with data in them: {}; a database keeps its old users and \
                 passwords.",
                found.join(", ")
            ));
        }
    }
    Ok(())
}

/// Returns the volumes with data of the pets that a set wants, each with its age.
fn found_again(session: &Session, namespace: &Namespace, set: &Set) -> Result<Vec<String>> {
    let layout = session.store.layout();
    let now = Timestamp::now();
    let mut found = Vec::new();
    for claim in store::names_in(&layout.volumes(namespace))? {
        let wanted = set.ordinal_of_claim(&claim).is_some_and(|it| set.has(it));
        let volume = layout.volume(namespace, &claim);
        let holds = || fs::read_dir(&volume).is_ok_and(|mut it| it.next().is_some());
        if !wanted || !holds() {
            continue;
        }
        let record: Option<PersistentVolumeClaim> =
            store::read_json(&layout.claim(namespace, &claim))?;
        let meta = record.unwrap_or_default().metadata;
        if meta.deletion_timestamp.is_some() {
            continue;
        }
        let made = meta.creation_timestamp.map(|made| made.0);
        let age =
            made.map(|made| format!(" (made {} ago)", printer::age(now.duration_since(made))));
        found.push(format!("{claim}{}", age.unwrap_or_default()));
    }
    Ok(found)
}

/// Reads the sets and the pods of a namespace, those that are still to come included.
fn neighbours(session: &Session, namespace: &Namespace) -> Result<(Vec<StatefulSet>, Vec<Pod>)> {
    let mut pods = session.pets(namespace)?;
    let to_come: Vec<Pod> = session.store.all(namespace)?;
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    pods.extend(to_come.into_iter().filter(stays));
    Ok((session.store.all(namespace)?, pods))
}
