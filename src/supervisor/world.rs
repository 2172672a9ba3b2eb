//! The supervisor's copy of the state directory: wanted objects, pets, claims and revisions.
//!
//! It is read once, and then updated file by file.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pets::{Incarnation, TrackedPet};
use super::readiness::withdraw_if_dead;
use crate::model::kind::ObjectKind;
use crate::model::{ClaimUsers, Namespace, ObjectName, ObjectRef, bare, mounts_claim};
use crate::problem::Result;
use crate::store::{Eviction, Kept, Layout, Store, merge_status, names_in, read_json};

/// The objects of one namespace.
#[derive(Debug, Default)]
pub(super) struct NamespaceState {
    /// Whether its folders of wanted objects are watched and have been read.
    pub(super) watched: bool,
    pub(super) sets: BTreeMap<ObjectName, StatefulSet>,
    pub(super) services: BTreeMap<ObjectName, Service>,
    /// Claims that users have created, not a set's template.
    pub(super) claims_wanted: BTreeMap<ObjectName, PersistentVolumeClaim>,
    /// Pods that users have created, and those that their sets have released.
    pub(super) pods_wanted: BTreeMap<ObjectName, Pod>,
    /// Requests to replace pets.
    pub(super) evictions: BTreeMap<ObjectName, Eviction>,
    pub(super) pets: BTreeMap<ObjectName, TrackedPet>,
    pub(super) claims: BTreeMap<String, PersistentVolumeClaim>,
    pub(super) revisions: BTreeMap<ObjectName, Vec<ControllerRevision>>,
}

impl NamespaceState {
    /// Returns the pods there are, and those that are to come.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        let wanted = self.pods_wanted.values();
        let to_come = wanted.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        self.pets.values().map(|pet| &pet.pod).chain(to_come)
    }

    /// Returns who uses claims beside a set.
    pub(super) fn claim_users(&self, set: &ObjectName, uid: &str) -> ClaimUsers<'_> {
        ClaimUsers::beside(set.as_str(), uid, self.sets.values(), self.pods())
    }

    /// Returns the name of the governing service of a set, if it names only pets that are ready.
    pub(super) fn hiding_service_of(&self, set: &ObjectName) -> Option<String> {
        let service = self.sets.get(set)?.spec.as_ref()?.service_name.as_ref()?;
        let found = self.services.get(service.as_str())?;
        let names_all = found.spec.as_ref()?.publish_not_ready_addresses == Some(true);
        (!names_all).then(|| service.clone())
    }

    /// Returns the name of a pod that uses a claim.
    pub(super) fn user_of(&self, claim: &str) -> Option<&str> {
        let mut users = self
            .pods()
            .filter(|pod| mounts_claim(pod.spec.as_ref(), claim));
        users.next()?.metadata.name.as_deref()
    }
}

/// The objects of all namespaces.
#[derive(Debug, Default)]
pub(super) struct ClusterState {
    pub(super) places: BTreeMap<Namespace, NamespaceState>,
    /// Whether `petset stop` is in force.
    pub(super) stopped: bool,
    /// It was said with `--parallel`.
    pub(super) stops_together: bool,
}

impl ClusterState {
    pub(super) fn place(&self, namespace: &Namespace) -> Option<&NamespaceState> {
        self.places.get(namespace)
    }

    pub(super) fn place_mut(&mut self, namespace: &Namespace) -> &mut NamespaceState {
        self.places.entry(namespace.clone()).or_default()
    }

    pub(super) fn pet_mut(&mut self, key: &ObjectRef) -> Option<&mut TrackedPet> {
        self.places.get_mut(&key.namespace)?.pets.get_mut(&key.name)
    }

    /// Returns all pets, with their keys.
    pub(super) fn pets(&self) -> impl Iterator<Item = (ObjectRef, &TrackedPet)> {
        let pets = |(namespace, place): (&Namespace, _)| {
            let namespace = namespace.clone();
            let place: &NamespaceState = place;
            place
                .pets
                .iter()
                .map(move |(name, pet)| (ObjectRef::new(namespace.clone(), name.clone()), pet))
        };
        self.places
            .iter()
            .flat_map(move |entry| pets(entry).collect::<Vec<_>>())
    }

    /// Returns the keys of all sets.
    pub(super) fn set_keys(&self) -> Vec<ObjectRef> {
        let keys = self.places.iter().flat_map(|(namespace, place)| {
            place
                .sets
                .keys()
                .map(move |name| ObjectRef::new(namespace.clone(), name.clone()))
        });
        keys.collect()
    }

    /// Reads one wanted object again; returns whether it exists.
    pub(super) fn refresh(
        &mut self,
        store: &Store,
        kind: ObjectKind,
        key: &ObjectRef,
    ) -> Result<bool> {
        let ObjectRef { namespace, name } = key;
        let place = self.place_mut(namespace);
        match kind {
            ObjectKind::StatefulSet => take(&mut place.sets, store.find(namespace, name)?, name),
            ObjectKind::Service => take(&mut place.services, store.find(namespace, name)?, name),
            ObjectKind::PersistentVolumeClaim => {
                take(&mut place.claims_wanted, store.find(namespace, name)?, name)
            }
            ObjectKind::Eviction => {
                take(&mut place.evictions, store.eviction(namespace, name), name)
            }
            ObjectKind::Pod => take(&mut place.pods_wanted, store.find(namespace, name)?, name),
            // Runners read these objects: when they start a container, and when they are told to.
            ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::Endpoints
            | ObjectKind::ControllerRevision => Ok(true),
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "each arm of the caller's match is a result"
)]
fn take<T>(map: &mut BTreeMap<ObjectName, T>, found: Option<T>, name: &ObjectName) -> Result<bool> {
    let there = found.is_some();
    match found {
        Some(object) => map.insert(name.clone(), object),
        None => map.remove(name),
    };
    Ok(there)
}

/// Reads the claims, revisions and pets of a namespace.
pub(super) fn load_seen(
    layout: &Layout,
    namespace: &Namespace,
    place: &mut NamespaceState,
) -> io::Result<()> {
    for file in names_in(&layout.claims(namespace))? {
        let Some(name) = file.strip_suffix(".json") else {
            continue;
        };
        if let Some(claim) = read_json(&layout.claim(namespace, name))? {
            place.claims.insert(name.to_owned(), claim);
        }
    }
    let revisions = layout.revisions(namespace, "any");
    for file in names_in(revisions.parent().unwrap_or(&revisions))? {
        let name = file
            .strip_suffix(".json")
            .and_then(|name| name.parse::<ObjectName>().ok());
        let Some(name) = name else { continue };
        let kept = read_json(&layout.revisions(namespace, name.as_str()))?;
        place.revisions.insert(name, kept.unwrap_or_default());
    }
    for name in names_in(&layout.pets_of(namespace))? {
        let Ok(name) = name.parse::<ObjectName>() else {
            continue;
        };
        if let Some(pet) = load_pet(layout, namespace, &name)? {
            place.pets.insert(name, pet);
        }
    }
    Ok(())
}

fn load_pet(
    layout: &Layout,
    namespace: &Namespace,
    name: &ObjectName,
) -> io::Result<Option<TrackedPet>> {
    let files = layout.pet(namespace, name.as_str());
    let Some(mut pod) = read_json::<Pod>(&files.pod())? else {
        return Ok(None);
    };
    let incarnation = Incarnation::find(&files)?;
    withdraw_if_dead(layout, &files, &incarnation)?;
    merge_status(&mut pod, read_json(&files.status())?);
    let incarnation = match incarnation {
        Incarnation::OfAnotherBoot if bare::is_bare(&pod) => since_boot(&pod),
        Incarnation::OfAnotherBoot => {
            // After a reboot pets are recreated in the order of their set.
            pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
            incarnation
        }
        Incarnation::Alive(_) | Incarnation::Done | Incarnation::Died => incarnation,
    };
    Ok(Some(TrackedPet::found(pod, incarnation)))
}

/// Returns the state of a bare pod after a reboot: unless it had ended, its next runner continues
/// from the last status.
fn since_boot(pod: &Pod) -> Incarnation {
    let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
    match phase {
        Some("Succeeded" | "Failed") => Incarnation::Done,
        Some(_) | None => Incarnation::Died,
    }
}

/// Reads every wanted object of one kind in a namespace.
pub(super) fn load_wanted<T: Kept>(
    store: &Store,
    namespace: &Namespace,
) -> Result<BTreeMap<ObjectName, T>> {
    let mut found = BTreeMap::new();
    for name in store.names(namespace, T::OBJECT_KIND)? {
        match store.find(namespace, &name) {
            Ok(Some(object)) => drop(found.insert(name, object)),
            Ok(None) => {}
            // A file that cannot be read must not block the other objects.
            Err(error) => super::log::log(&format!("{namespace}/{name} is left out: {error:#}")),
        }
    }
    Ok(found)
}
