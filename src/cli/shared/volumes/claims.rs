//! The claims of a set, and who else has them.

use std::fs;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::super::files;
use super::super::session::{Session, say};
use super::pods_and_those_to_come;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{ClaimSeen, ClaimUsers, Claims, Namespace, ObjectRef, Set, printer};
use crate::problem::Result;
use crate::store;
use crate::store::salvage::read_if_whole;

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
        let mut own = store::names_in(&session.store.layout().volumes(namespace))?;
        own.retain(|claim| set.is_own_claim(claim));
        let mut claims = Self::default();
        if own.is_empty() {
            return Ok(claims);
        }
        let (sets, pods) = neighbours(session, namespace)?;
        let users = ClaimUsers::beside(set.name.as_str(), &set.uid, &sets, &pods);
        for claim in own {
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
        let stems: Vec<String> = stems(set, name.as_str()).collect();
        let old: Option<StatefulSet> = session.store.find(&namespace, &name)?;
        let sets = namesakes(session, &namespace, &stems)?;
        let pods = pods_that_name(session, &namespace, &stems)?;
        let before = given[..place].iter().copied();
        let before = before.filter(|other| {
            let there = |stored: &StatefulSet| stored.metadata.name == other.metadata.name;
            other.metadata.namespace == set.metadata.namespace && !sets.iter().any(there)
        });
        let users = ClaimUsers::beside(name.as_str(), "-", sets.iter().chain(before), &pods);
        for warning in users.warnings(set, old.as_ref()) {
            say(format!("warning: {warning}"));
        }
    }
    Ok(())
}

/// Returns the names of the claims of a set, but for the ordinal at their end.
fn stems(set: &StatefulSet, name: &str) -> impl Iterator<Item = String> {
    let spec = set.spec.as_ref();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_ref());
    let names = templates
        .into_iter()
        .flatten()
        .filter_map(|template| template.metadata.name.as_ref());
    names.map(move |template| format!("{template}-{name}"))
}

/// Reads the sets whose claims may have the same names, which the name of a set tells: a command
/// reads no others, however many there are.
fn namesakes(
    session: &Session,
    namespace: &Namespace,
    stems: &[String],
) -> Result<Vec<StatefulSet>> {
    let mut sets = Vec::new();
    for name in session.store.names(namespace, ObjectKind::StatefulSet)? {
        let end = format!("-{name}");
        if stems.iter().any(|stem| stem.ends_with(&end)) {
            sets.extend(session.store.find(namespace, &name)?);
        }
    }
    Ok(sets)
}

/// Reads the pods without a set whose text has such a name; others need not be parsed.
fn pods_that_name(session: &Session, namespace: &Namespace, stems: &[String]) -> Result<Vec<Pod>> {
    let mut pods = Vec::new();
    if stems.is_empty() {
        return Ok(pods);
    }
    let (layout, kind) = (session.store.layout(), ObjectKind::Pod);
    for name in session.store.names(namespace, kind)? {
        let text = store::read(&layout.wanted_object(namespace, kind, &name))?;
        if text.is_some_and(|text| stems.iter().any(|stem| text.contains(stem))) {
            pods.extend(session.store.find(namespace, &name)?);
        }
    }
    Ok(pods)
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
            read_if_whole(&layout.claim(namespace, &claim))?;
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
    let pods = pods_and_those_to_come(session, namespace)?;
    Ok((session.readable(namespace)?, pods))
}
