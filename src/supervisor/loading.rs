//! Reading the records of a namespace. A pod whose record is damaged is made again from what is
//! wanted and from what pets were shown.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::damaged::{DamagedRecords, LostRecord, has_damaged_files};
use super::perform::new_uid;
use super::pets::{Incarnation, TrackedPet};
use super::readiness::withdraw_if_dead;
use super::world::NamespaceState;
use crate::model::pod::{NODE_NAME, mark_terminating, set_of};
use crate::model::{
    ISOLATION_ANNOTATION, Namespace, ObjectName, ObjectRef, PetName, REVISION_LABEL, Set, pod_for,
};
use crate::problem::Result;
use crate::store::damage::is_damage;
use crate::store::salvage::{read_if_whole, salvage};
use crate::store::{
    Layout, is_whole_pod, merge_status, names_in, pod_record, publish_pod, remove_tree,
};

/// How long a pet may take to end whose own grace period is lost, in seconds.
const GRACE: i64 = 30;

/// Reads the claims, revisions and pets of a namespace. A damaged record costs its own object, and
/// is noted in `losses`.
pub(super) fn load_seen(
    layout: &Layout,
    namespace: &Namespace,
    place: &mut NamespaceState,
    losses: &mut DamagedRecords,
) -> Result<()> {
    for file in names_in(&layout.claims(namespace))? {
        let Some(name) = file.strip_suffix(".json") else {
            continue;
        };
        let is_whole = |claim: &PersistentVolumeClaim| claim.metadata.name.as_deref() == Some(name);
        let mut lost = Vec::new();
        if let Some(claim) = salvage(&layout.claim(namespace, name), &mut lost, is_whole)? {
            place.claims.insert(name.to_owned(), Box::new(claim));
        }
        losses.note(lost, || LostRecord::Claim(name.to_owned()));
    }
    let revisions = layout.revisions(namespace, "any");
    for file in names_in(revisions.parent().unwrap_or(&revisions))? {
        let name = file
            .strip_suffix(".json")
            .and_then(|name| name.parse::<ObjectName>().ok());
        let Some(name) = name else { continue };
        let mut lost = Vec::new();
        let path = layout.revisions(namespace, name.as_str());
        let kept = salvage(&path, &mut lost, |_: &Vec<ControllerRevision>| true)?;
        let set = ObjectRef::new(namespace.clone(), name.clone());
        losses.note(lost, || LostRecord::Revisions(set));
        place.revisions.insert(name, kept.unwrap_or_default());
    }
    let revisions = layout.daemon_revisions(namespace, "any");
    for file in names_in(revisions.parent().unwrap_or(&revisions))? {
        let name = file.strip_suffix(".json").and_then(|it| it.parse().ok());
        let Some::<ObjectName>(name) = name else {
            continue;
        };
        let mut lost = Vec::new();
        let path = layout.daemon_revisions(namespace, name.as_str());
        let kept = salvage(&path, &mut lost, |_: &Vec<ControllerRevision>| true)?;
        let set = ObjectRef::new(namespace.clone(), name.clone());
        losses.note(lost, || LostRecord::DaemonRevisions(set));
        place
            .daemon_revisions
            .insert(name, kept.unwrap_or_default());
    }
    for name in names_in(&layout.pets_of(namespace))? {
        let Ok(name) = name.parse::<ObjectName>() else {
            continue;
        };
        let key = ObjectRef::new(namespace.clone(), name);
        match load_pet(layout, place, &key, losses)? {
            Some(pet) => drop(place.pets.insert(key.name, pet)),
            None => remove_ruin(layout, place, &key),
        }
    }
    Ok(())
}

/// Removes what a supervisor that died has left of a pod of a workload. What is left of a pet of a
/// set are its logs, which stay.
fn remove_ruin(layout: &Layout, place: &NamespaceState, key: &ObjectRef) {
    let is_pet = key.name.as_str().parse::<PetName>().is_ok();
    if !is_pet && !place.pods_wanted.contains_key(&key.name) {
        // The next supervisor tries again.
        let _ = remove_tree(layout.pet_of(key).root());
    }
}

fn load_pet(
    layout: &Layout,
    place: &NamespaceState,
    key: &ObjectRef,
    losses: &mut DamagedRecords,
) -> Result<Option<TrackedPet>> {
    let files = layout.pet_of(key);
    let mut lost = Vec::new();
    let pod = salvage(&files.pod(), &mut lost, |pod| is_whole_pod(&files, pod))?;
    let damaged = !lost.is_empty();
    losses.note(lost, || LostRecord::Pod(key.clone()));
    let mut pod = match pod {
        None if damaged => {
            let pod = rebuilt(layout, place, key)?;
            // On a full disk it is written when it changes next.
            let _ = publish_pod(layout, &files, &pod);
            pod
        }
        None => return Ok(None),
        Some(pod) => pod,
    };
    let incarnation = Incarnation::find(layout, key)?;
    if has_damaged_files(&files) {
        losses.unreadable.push(key.clone());
    }
    withdraw_if_dead(layout, &files, &incarnation)?;
    merge_status(&mut pod, read_if_whole(&files.status())?);
    let incarnation = match incarnation {
        Incarnation::OfAnotherBoot if set_of(&pod.metadata).is_none() => since_boot(&pod),
        Incarnation::OfAnotherBoot => {
            // After a reboot pets are recreated in the order of their set.
            pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
            incarnation
        }
        Incarnation::Alive(_) | Incarnation::Done | Incarnation::Died => incarnation,
    };
    Ok(Some(TrackedPet::found(pod, incarnation)))
}

/// Returns the state of a pod without a set after a reboot: unless it had ended, its next runner
/// continues from the last status.
fn since_boot(pod: &Pod) -> Incarnation {
    let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
    match phase {
        Some("Succeeded" | "Failed") => Incarnation::Done,
        Some(_) | None => Incarnation::Died,
    }
}

/// Returns the pod of a damaged record: the one that runs, if enough of it is known, or else one
/// that is to end, so that it is made anew.
fn rebuilt(layout: &Layout, place: &NamespaceState, key: &ObjectRef) -> Result<Pod> {
    let shown = match pod_record(&layout.view().pet_of(key)) {
        Err(error) if is_damage(&error) => None,
        shown => shown?,
    };
    let own = shown
        .as_ref()
        .and_then(|shown| as_wanted(place, key, &shown.metadata));
    match (shown, own) {
        (Some(shown), Some(mut pod)) => {
            carry_over(&shown, &mut pod);
            Ok(pod)
        }
        (shown, _) => unknown(place, key, shown),
    }
}

/// Returns the pod as its set or its user wants it.
fn as_wanted(place: &NamespaceState, key: &ObjectRef, shown: &ObjectMeta) -> Option<Pod> {
    let Some(set) = set_of(shown) else {
        let wanted = place.pods_wanted.get(&key.name)?;
        return (wanted.metadata.uid == shown.uid).then(|| wanted.clone());
    };
    let revision = shown.labels.as_ref()?.get(REVISION_LABEL)?;
    let mut revisions = place.revisions.get(set)?.iter();
    let revision = revisions.find(|it| it.metadata.name.as_ref() == Some(revision))?;
    let pet: PetName = key.name.as_str().parse().ok()?;
    pod_for(place.sets.get(set)?, pet.ordinal(), revision).ok()
}

/// Gives a pod what the one of that name was shown to have.
fn carry_over(shown: &Pod, pod: &mut Pod) {
    let (from, to) = (&shown.metadata, &mut pod.metadata);
    to.uid.clone_from(&from.uid);
    to.labels.clone_from(&from.labels);
    to.generation = from.generation;
    to.creation_timestamp.clone_from(&from.creation_timestamp);
    to.deletion_timestamp.clone_from(&from.deletion_timestamp);
    to.deletion_grace_period_seconds = from.deletion_grace_period_seconds;
    to.owner_references.clone_from(&from.owner_references);
    let level = from.annotations.as_ref();
    if let Some(level) = level.and_then(|notes| notes.get(ISOLATION_ANNOTATION)) {
        let notes = to.annotations.get_or_insert_default();
        notes.insert(ISOLATION_ANNOTATION.to_owned(), level.clone());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.node_name.get_or_insert_with(|| NODE_NAME.to_owned());
    pod.status.clone_from(&shown.status);
}

/// Returns a pod that ends, of which only the name is known, and what it was shown to have.
fn unknown(place: &NamespaceState, key: &ObjectRef, shown: Option<Pod>) -> Result<Pod> {
    let mut pod = shown.unwrap_or_default();
    pod.spec = None;
    let meta = &mut pod.metadata;
    meta.name = Some(key.name.to_string());
    meta.namespace = Some(key.namespace.to_string());
    if meta.uid.is_none() {
        meta.uid = Some(new_uid()?);
        let set = place.sets.get(&key.set_by_name().name);
        let set = set.filter(|_| !place.pods_wanted.contains_key(&key.name));
        let set = set.and_then(|set| Set::of(set).ok());
        meta.owner_references = set.map(|set| vec![set.owner_reference()]);
    }
    mark_terminating(&mut pod, Time(Timestamp::now()), GRACE);
    Ok(pod)
}
