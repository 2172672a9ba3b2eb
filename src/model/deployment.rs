//! The Deployment controller: a ReplicaSet for each template, and the way from one to the next
//! (DP02-DP12, DP20-DP34, DP40-DP47, DP50-DP60, DP70-DP72).

mod bounds;
mod canaries;
mod conditions;
mod history;
mod mishap;
mod rolling;
mod scaling;
mod sets;
mod status;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::set::Selector;
use super::wish::SetOptions;
use super::workload::{Reconciled, WorkStep, claim, controller_of, owner_reference, pods};
use crate::problem::Problem;
use crate::sorted::sort_by_key;
use conditions::Conditions;
use sets::{annotate_size, size};

pub(in crate::model) use bounds::part;
pub use bounds::{RollBounds, bounds};
pub(crate) use canaries::canaries;
pub use conditions::failed_status;
pub(in crate::model) use history::is_own_annotation;
pub use sets::{
    DESIRED_ANNOTATION, HASH_LABEL, HISTORY_ANNOTATION, MAX_ANNOTATION, REVISION_ANNOTATION,
    same_template,
};

/// What is seen of a namespace.
#[derive(Debug, Clone, Default)]
pub struct SetsSeen<'a> {
    /// Its ReplicaSets, whosoever they are.
    pub sets: Vec<&'a ReplicaSet>,
    /// Its pods; only those of old ReplicaSets count, for Recreate (DP40).
    pub pods: Vec<&'a Pod>,
}

/// Lists the steps that bring a Deployment closer to its template and its size.
///
/// **What is its own.** ReplicaSets without a controller that match are adopted, own ones that do
/// not match any more are released (DP11, DP12). The one with the wanted template is the current
/// one (DP10); where there is none it is made, with the next revision (DP02, DP08), and where a
/// foreign one has its name, the hash is counted up (DP12).
///
/// **Then one of these:**
/// 1. A Deployment that is being deleted tells its status only (DP71).
/// 2. A paused one, and one whose size changed, is scaled: all active ReplicaSets in proportion, or
///    the only one (DP42-DP47). Nothing is rolled in such a pass (DP46).
/// 3. *Recreate*: old ReplicaSets go to 0; when no pod of them is left, the current one is filled
///    (DP40).
/// 4. *RollingUpdate*: the current ReplicaSet grows as far as `maxSurge` allows, else the old ones
///    shrink as far as `maxUnavailable` allows, what is not available first (DP20-DP25).
///
/// What petset adds: canaries hold the current ReplicaSet at their number, and where that was
/// wished for, a template whose pod fails is taken back.
///
/// A complete one forgets old ReplicaSets beyond its history limit (DP33). Only the sizes of
/// ReplicaSets are changed: which pod goes is theirs to say (DP32).
pub fn reconcile(
    wanted: &Deployment,
    seen: &SetsSeen<'_>,
    now: Timestamp,
) -> Result<Reconciled<DeploymentStatus>, Problem> {
    let mut pass = DeploymentPass::new(wanted, seen, now)?;
    if wanted.metadata.deletion_timestamp.is_some() {
        pass.find_current(false);
        return Ok(pass.tell_status());
    }
    pass.note_pause();
    if pass.roll_back() {
        return Ok(pass.tell_status());
    }
    Ok(match pass.strategy() {
        _ if pass.spec.paused == Some(true) => pass.keep_size(),
        _ if pass.is_scaled() => pass.keep_size(),
        Rollout::Recreate => pass.recreate(),
        Rollout::RollingUpdate => pass.roll(),
    })
}

/// How a Deployment moves to another template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout {
    Recreate,
    RollingUpdate,
}

/// One pass: what it looks at, and the steps it has found so far.
struct DeploymentPass<'a> {
    wanted: &'a Deployment,
    spec: DeploymentSpec,
    seen: &'a SetsSeen<'a>,
    now: Timestamp,
    owner: OwnerReference,
    /// Its own ReplicaSets, oldest first.
    own: Vec<ReplicaSet>,
    /// Which of its own is the current one.
    current: Option<usize>,
    annotations: BTreeMap<String, String>,
    conditions: Conditions,
    options: SetOptions,
    collisions: Option<i32>,
    /// Something was changed that has to be seen before the pass can go on.
    halted: bool,
    steps: Vec<WorkStep>,
}

impl<'a> DeploymentPass<'a> {
    fn new(
        wanted: &'a Deployment,
        seen: &'a SetsSeen<'a>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let spec = wanted.spec.clone().unwrap_or_default();
        let status = wanted.status.clone().unwrap_or_default();
        let mut pass = Self {
            wanted,
            seen,
            now,
            owner: owner_reference(&wanted.metadata, "apps/v1", "Deployment"),
            own: Vec::new(),
            current: None,
            annotations: wanted.metadata.annotations.clone().unwrap_or_default(),
            conditions: Conditions::of(&status, now),
            options: SetOptions::of_workload(wanted.metadata.annotations.as_ref())?,
            collisions: status.collision_count,
            halted: false,
            steps: Vec::new(),
            spec,
        };
        pass.claim_sets()?;
        Ok(pass)
    }

    /// Says whose the ReplicaSets are; adopts and releases (DP11, DP12).
    fn claim_sets(&mut self) -> Result<(), Problem> {
        let selector = Selector::of(&self.spec.selector)?;
        for set in &self.seen.sets {
            let claimed = claim(&set.metadata, &self.wanted.metadata, &selector);
            let owner = claimed.new_owner(&self.owner);
            if let Some(owner) = owner.clone() {
                let name = pods::name_of(&set.metadata).to_owned();
                self.steps.push(WorkStep::OwnSet { name, owner });
            }
            if claimed.is_own() {
                let mut set = (*set).clone();
                if let Some(owner) = owner.flatten() {
                    set.metadata
                        .owner_references
                        .get_or_insert_default()
                        .push(owner);
                }
                self.own.push(set);
            }
        }
        let key = |set: &ReplicaSet| {
            let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, set.metadata.name.clone())
        };
        sort_by_key(&mut self.own, key);
        Ok(())
    }

    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn strategy(&self) -> Rollout {
        let strategy = self.spec.strategy.as_ref();
        match strategy.and_then(|strategy| strategy.type_.as_deref()) {
            Some("Recreate") => Rollout::Recreate,
            _ => Rollout::RollingUpdate,
        }
    }

    fn bounds(&self) -> RollBounds {
        bounds(&self.spec)
    }

    fn current(&self) -> Option<&ReplicaSet> {
        self.own.get(self.current?)
    }

    /// Returns the places of the ReplicaSets with an earlier template, oldest first.
    fn old(&self) -> Vec<usize> {
        let all = 0..self.own.len();
        all.filter(|place| Some(*place) != self.current).collect()
    }

    /// Replaces all pods at once: the old ones go before the new ones come (DP40).
    fn recreate(mut self) -> Reconciled<DeploymentStatus> {
        self.find_current(false);
        let counted = self.own.clone();
        let mut shrunk = false;
        for place in self.old() {
            shrunk |= !self.halted && self.scale(place, 0);
        }
        if shrunk || self.old_pods_remain() || self.halted {
            return self.tell_progress(&counted);
        }
        if self.current.is_none() {
            self.find_current(true);
        }
        let counted = self.own.clone();
        if let Some(place) = self.current {
            self.scale(place, self.replicas());
        }
        self.forget_old();
        self.tell_progress(&counted)
    }

    /// Returns whether a pod of an earlier template still runs; one that has ended does not.
    fn old_pods_remain(&self) -> bool {
        let old = self.old();
        let status = |place: &usize| self.own[*place].status.clone().unwrap_or_default();
        if old.iter().any(|place| status(place).replicas > 0) {
            return true;
        }
        let uids: Vec<_> = old
            .iter()
            .map(|place| &self.own[*place].metadata.uid)
            .collect();
        self.seen.pods.iter().any(|pod| {
            let owner = controller_of(&pod.metadata).map(|owner| &owner.uid);
            !pods::has_ended(pod)
                && uids
                    .iter()
                    .any(|uid| uid.is_some() && uid.as_ref() == owner)
        })
    }

    /// Changes the size of a ReplicaSet, and tells so; returns whether the size is another (DP60).
    ///
    /// The size is noted in what the pass holds too, so that later steps count it.
    fn scale(&mut self, place: usize, replicas: i32) -> bool {
        let before = size(&self.own[place]);
        if before == replicas {
            return false;
        }
        let limits = (self.replicas(), self.replicas() + self.bounds().surge);
        let set = &mut self.own[place];
        annotate_size(&mut set.metadata, limits);
        set.spec.get_or_insert_default().replicas = Some(replicas);
        let name = pods::name_of(&set.metadata).to_owned();
        let set = Box::new(set.clone());
        self.steps.push(WorkStep::UpdateSet(set));
        let way = if before < replicas { "up" } else { "down" };
        self.tell(format!(
            "Scaled {way} replica set {name} from {before} to {replicas}"
        ));
        true
    }

    fn tell(&mut self, message: String) {
        let told = super::workload::Told::normal("ScalingReplicaSet", message);
        self.steps.push(WorkStep::Tell(told));
    }
}
