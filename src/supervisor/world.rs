//! The supervisor's copy of the state directory: wanted objects, pets, claims and revisions.
//!
//! It is read once, and then updated file by file.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pets::TrackedPet;
use super::work_queue::WorkloadRef;
use crate::model::endpoints::{ServiceRecord, add_by_hand, endpoints, has_selector};
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::pod::workload_of;
use crate::model::{ClaimUsers, Namespace, ObjectName, ObjectRef, Overlay, Workload, mounts_claim};
use crate::problem::Result;
use crate::sorted::SortedMap;
use crate::store::{Eviction, Kept, Store, is_damaged_status, verify_object};

/// The objects of one namespace.
#[derive(Debug, Default)]
pub(super) struct NamespaceState {
    /// Whether its folders of wanted objects are watched and have been read.
    pub(super) watched: bool,
    pub(super) sets: SortedMap<ObjectName, StatefulSet>,
    pub(super) services: SortedMap<ObjectName, Service>,
    /// Where services without a selector lead, as users wrote it.
    pub(super) endpoints: SortedMap<ObjectName, Endpoints>,
    pub(super) slices: SortedMap<ObjectName, EndpointSlice>,
    /// Claims that users have created, not a set's template.
    pub(super) claims_wanted: SortedMap<ObjectName, PersistentVolumeClaim>,
    /// Pods that users have created, and those that their sets have released.
    pub(super) pods_wanted: SortedMap<ObjectName, Pod>,
    /// Workloads, each with the status that was seen last.
    pub(super) workloads: SortedMap<(WorkloadKind, ObjectName), Workload>,
    /// The templates that daemon sets have had.
    pub(super) daemon_revisions: SortedMap<ObjectName, Vec<ControllerRevision>>,
    /// Requests to replace pets.
    pub(super) evictions: SortedMap<ObjectName, Eviction>,
    /// What is wanted of running pods beside their templates.
    pub(super) overlays: SortedMap<ObjectName, Overlay>,
    pub(super) pets: SortedMap<ObjectName, TrackedPet>,
    pub(super) claims: SortedMap<String, Box<PersistentVolumeClaim>>,
    pub(super) revisions: SortedMap<ObjectName, Vec<ControllerRevision>>,
}

impl NamespaceState {
    /// Returns the pods there are, and those that are to come.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        let wanted = self.pods_wanted.values();
        let to_come = wanted.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        self.pets.values().map(|pet| &*pet.pod).chain(to_come)
    }

    /// Returns who uses claims beside a set.
    pub(super) fn claim_users(&self, set: &ObjectName, uid: &str) -> ClaimUsers<'_> {
        ClaimUsers::beside(set.as_str(), uid, self.sets.values(), self.pods())
    }

    /// Returns where a service leads: to the pods that it selects, or where its user says.
    pub(super) fn record_of(&self, service: &Service, pods: &[&Pod]) -> ServiceRecord {
        let mut record = endpoints(service, pods);
        if !has_selector(service) {
            let own = self.endpoints.get(record.name.as_str());
            add_by_hand(&mut record, own, self.slices.values());
        }
        record
    }

    /// Returns the name of the governing service of a set, if it names only pets that are ready.
    pub(super) fn hiding_service_of(&self, set: &ObjectName) -> Option<String> {
        let service = self.sets.get(set)?.spec.as_ref()?.service_name.as_ref()?;
        let found = self.services.get(service.as_str())?;
        let names_all = found.spec.as_ref()?.publish_not_ready_addresses == Some(true);
        (!names_all).then(|| service.clone())
    }

    /// Returns the workload that controls an object.
    pub(super) fn maker_of(&self, meta: &ObjectMeta) -> Option<&Workload> {
        let (kind, owner) = workload_of(meta)?;
        let found = self.workloads.get(&(kind, owner.name.parse().ok()?))?;
        (found.metadata().uid.as_ref() == Some(&owner.uid)).then_some(found)
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
    pub(super) places: SortedMap<Namespace, NamespaceState>,
    /// The volumes that users have made, each with the claim that it is bound to.
    pub(super) volumes: SortedMap<ObjectName, PersistentVolume>,
    /// The classes of volumes.
    pub(super) classes: SortedMap<ObjectName, StorageClass>,
    /// Whether the folders of both are watched and have been read.
    pub(super) watches_cluster: bool,
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

    /// Makes what pets see of a wanted object what it should be.
    pub(super) fn verify_shown(
        &self,
        store: &Store,
        kind: ObjectKind,
        key: &ObjectRef,
    ) -> Result<()> {
        let (layout, place) = (store.layout(), self.place(&key.namespace));
        match kind {
            ObjectKind::StatefulSet => verify_object(
                layout,
                key,
                place.and_then(|place| place.sets.get(&key.name)),
            ),
            ObjectKind::Service => verify_object(
                layout,
                key,
                place.and_then(|place| place.services.get(&key.name)),
            ),
            ObjectKind::PersistentVolumeClaim
            | ObjectKind::Pod
            | ObjectKind::Eviction
            | ObjectKind::Overlay
            | ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::Endpoints
            | ObjectKind::EndpointSlice
            | ObjectKind::ControllerRevision
            | ObjectKind::Workload(_)
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass => Ok(()),
        }
    }

    /// Reads one wanted object again; returns whether it exists.
    pub(super) fn refresh(
        &mut self,
        store: &Store,
        kind: ObjectKind,
        key: &ObjectRef,
    ) -> Result<bool> {
        let ObjectRef { namespace, name } = key;
        if kind == ObjectKind::PersistentVolume {
            return take(&mut self.volumes, store.find(namespace, name)?, name);
        }
        if kind == ObjectKind::StorageClass {
            return take(&mut self.classes, store.find(namespace, name)?, name);
        }
        let place = self.place_mut(namespace);
        match kind {
            ObjectKind::StatefulSet => take(&mut place.sets, store.find(namespace, name)?, name),
            ObjectKind::Service => take(&mut place.services, store.find(namespace, name)?, name),
            ObjectKind::Endpoints => take(&mut place.endpoints, store.find(namespace, name)?, name),
            ObjectKind::EndpointSlice => {
                take(&mut place.slices, store.find(namespace, name)?, name)
            }
            ObjectKind::PersistentVolumeClaim => {
                take(&mut place.claims_wanted, store.find(namespace, name)?, name)
            }
            ObjectKind::Eviction => {
                take(&mut place.evictions, store.eviction(namespace, name), name)
            }
            ObjectKind::Overlay => take(&mut place.overlays, store.overlay(namespace, name)?, name),
            ObjectKind::Pod => take(&mut place.pods_wanted, store.find(namespace, name)?, name),
            ObjectKind::Workload(kind) => {
                let slot = (kind, name.clone());
                let known = place.workloads.remove(&slot);
                let found = match store.workload(kind, namespace, name) {
                    Ok(found) => found,
                    Err(error) => {
                        place.workloads.extend(known.map(|known| (slot, known)));
                        return Err(error);
                    }
                };
                let Some(found) = found else { return Ok(false) };
                place
                    .workloads
                    .insert(slot, with_status(store, found, known.as_ref())?);
                Ok(true)
            }
            // Runners read these objects: when they start a container, and when they are told to.
            ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::ControllerRevision
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass => Ok(true),
        }
    }

    /// Returns a workload, if it exists.
    pub(super) fn workload(&self, at: &WorkloadRef) -> Option<&Workload> {
        let place = self.place(&at.key.namespace)?;
        place.workloads.get(&(at.kind, at.key.name.clone()))
    }
}

/// Puts the status into a workload that was read: that which is known, or else that of an earlier
/// supervisor. A damaged one is seen anew.
fn with_status(store: &Store, mut found: Workload, known: Option<&Workload>) -> Result<Workload> {
    match known.filter(|known| known.metadata().uid == found.metadata().uid) {
        Some(known) => found.set_status(&known.status_json()?)?,
        None => match store.fill_in_status(&mut found) {
            Err(error) if is_damaged_status(&error) => {}
            filled => filled?,
        },
    }
    Ok(found)
}

/// Reads every workload of a namespace; one that cannot be read does not keep the others back.
pub(super) fn load_workloads(
    store: &Store,
    namespace: &Namespace,
    left_out: &mut Vec<LeftOut>,
) -> Result<SortedMap<(WorkloadKind, ObjectName), Workload>> {
    let mut found = SortedMap::new();
    for kind in WorkloadKind::ALL {
        for name in store.names(namespace, ObjectKind::Workload(kind))? {
            let read = store.workload(kind, namespace, &name);
            match read.and_then(|it| it.map(|it| with_status(store, it, None)).transpose()) {
                Ok(Some(workload)) => drop(found.insert((kind, name), workload)),
                Ok(None) => {}
                Err(error) => left_out.push((ObjectKind::Workload(kind), name, error)),
            }
        }
    }
    Ok(found)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "each arm of the caller's match is a result"
)]
fn take<T>(
    map: &mut SortedMap<ObjectName, T>,
    found: Option<T>,
    name: &ObjectName,
) -> Result<bool> {
    let there = found.is_some();
    match found {
        Some(object) => map.insert(name.clone(), object),
        None => map.remove(name),
    };
    Ok(there)
}

/// A wanted object that cannot be read, and why.
pub(super) type LeftOut = (ObjectKind, ObjectName, anyhow::Error);

/// Reads every wanted object of one kind in a namespace; one that cannot be read does not keep the
/// others back.
pub(super) fn load_wanted<T: Kept>(
    store: &Store,
    namespace: &Namespace,
    left_out: &mut Vec<LeftOut>,
) -> Result<SortedMap<ObjectName, T>> {
    let mut found = SortedMap::new();
    for name in store.names(namespace, T::OBJECT_KIND)? {
        match store.find(namespace, &name) {
            Ok(Some(object)) => drop(found.insert(name, object)),
            Ok(None) => {}
            Err(error) => left_out.push((T::OBJECT_KIND, name, error)),
        }
    }
    Ok(found)
}
