//! What the binder asks for: what is seen is gathered for it, and nothing is done.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::world::{ClusterState, NamespaceState};
use crate::model::binder::{
    BindStep, Provisioning, StorageSeen, is_bound, is_provisioned, look_at_claim, look_at_volume,
};
use crate::model::workload::Told;
use crate::model::{Namespace, ObjectName};
use crate::sorted::{SortedMap, SortedSet, sort_by_key};

/// What one pass asks for.
#[derive(Debug, Default)]
pub(super) struct StoragePlan {
    /// Volumes as they are to be, those without a finalizer that are to go included.
    pub(super) volumes: SortedMap<ObjectName, PersistentVolume>,
    pub(super) claims: Vec<(Namespace, String, ClaimChange)>,
    /// What is told of an object: its kind and name.
    pub(super) told: Vec<(Namespace, String, Told)>,
}

/// What becomes of a claim.
#[derive(Debug)]
pub(super) enum ClaimChange {
    Update(Box<PersistentVolumeClaim>),
    Provision,
}

/// Returns whether a look at a claim can ask for anything: one that has its directory stays as it
/// is.
pub(super) fn is_open(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.deletion_timestamp.is_some() || !is_bound(claim) || !is_provisioned(claim)
}

/// Returns the place of a claim among those that wait: the one that was made first comes first
/// (PV24).
fn place_in_line(claim: &PersistentVolumeClaim) -> impl Ord + use<> {
    let meta = &claim.metadata;
    let made = meta.creation_timestamp.as_ref().map(|made| made.0);
    let name = meta.name.clone().unwrap_or_default();
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let ordinal: u64 = name[stem.len()..].parse().unwrap_or_default();
    (made, stem.to_owned(), ordinal)
}

impl ClusterState {
    /// Gathers what a look at one claim depends on. Without classes, and while it is not to go, it
    /// does not matter who uses it.
    fn storage_for<'a>(
        &'a self,
        namespace: &Namespace,
        claim: &PersistentVolumeClaim,
        volumes: &'a SortedMap<ObjectName, PersistentVolume>,
    ) -> StorageSeen<'a> {
        let depends = !self.classes.is_empty() || claim.metadata.deletion_timestamp.is_some();
        let place = self.place(namespace).filter(|_| depends);
        StorageSeen {
            volumes: volumes.values().collect(),
            claims: Vec::new(),
            classes: self.classes.values().collect(),
            pods: place.into_iter().flat_map(NamespaceState::pods).collect(),
            provisioning: Provisioning::Waited,
        }
    }

    /// Returns whether a new claim gets a directory at once.
    pub(super) fn makes_directory(
        &self,
        namespace: &Namespace,
        claim: &PersistentVolumeClaim,
    ) -> bool {
        let seen = StorageSeen {
            provisioning: Provisioning::Machine,
            ..self.storage_for(namespace, claim, &self.volumes)
        };
        look_at_claim(claim, &seen) == [BindStep::Provision]
    }

    /// Returns the claim that a volume is for, if it is there.
    fn claim_of(&self, volume: &PersistentVolume) -> Option<&PersistentVolumeClaim> {
        let of = volume.spec.as_ref()?.claim_ref.as_ref()?;
        let namespace = of.namespace.as_ref()?.parse().ok()?;
        let claims = &self.place(&namespace)?.claims;
        Some(claims.get(of.name.as_ref()?)?.as_ref())
    }

    /// Has the binder look at all volumes and at the open claims.
    pub(super) fn plan_storage(&self, open: &SortedSet<(Namespace, String)>) -> StoragePlan {
        let mut plan = StoragePlan::default();
        let mut volumes = self.volumes.clone();
        for (name, volume) in &self.volumes {
            let seen = StorageSeen {
                volumes: Vec::new(),
                claims: self.claim_of(volume).into_iter().collect(),
                classes: Vec::new(),
                pods: Vec::new(),
                provisioning: Provisioning::Waited,
            };
            for step in look_at_volume(volume, &seen) {
                match step {
                    BindStep::UpdateVolume(new) => plan.change(&mut volumes, name, *new),
                    BindStep::Tell(told) => {
                        let object = format!("persistentvolume/{name}");
                        plan.told.push((Namespace::default(), object, told));
                    }
                    BindStep::UpdateClaim(_) | BindStep::Provision => {}
                }
            }
        }
        let known = open.iter().filter_map(|(namespace, name)| {
            let claim = self.place(namespace)?.claims.get(name)?;
            Some((namespace, name, claim))
        });
        let mut line: Vec<_> = known.collect();
        sort_by_key(&mut line, |(_, _, claim)| place_in_line(claim));
        for (namespace, name, claim) in line {
            let steps = look_at_claim(claim, &self.storage_for(namespace, claim, &volumes));
            for step in steps {
                plan.add(&mut volumes, (namespace, name), step);
            }
        }
        plan
    }
}

impl StoragePlan {
    /// Adds a step about a claim.
    fn add(
        &mut self,
        volumes: &mut SortedMap<ObjectName, PersistentVolume>,
        (namespace, claim): (&Namespace, &String),
        step: BindStep,
    ) {
        let change = match step {
            BindStep::UpdateVolume(new) => {
                let name = new.metadata.name.as_deref();
                if let Some(Ok(name)) = name.map(str::parse) {
                    self.change(volumes, &name, *new);
                }
                return;
            }
            BindStep::Tell(told) => {
                let object = format!("persistentvolumeclaim/{claim}");
                return self.told.push((namespace.clone(), object, told));
            }
            BindStep::UpdateClaim(new) => ClaimChange::Update(new),
            BindStep::Provision => ClaimChange::Provision,
        };
        self.claims.push((namespace.clone(), claim.clone(), change));
    }

    fn change(
        &mut self,
        volumes: &mut SortedMap<ObjectName, PersistentVolume>,
        name: &ObjectName,
        new: PersistentVolume,
    ) {
        volumes.insert(name.clone(), new.clone());
        self.volumes.insert(name.clone(), new);
    }
}
