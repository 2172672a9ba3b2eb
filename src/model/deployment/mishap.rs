//! Going back from a template whose pods do not become available, where that was wished for.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::DeploymentPass;
use super::conditions::{CANARIES, COMPLETE, PROGRESSING};
use super::sets::{available, revision_of};
use crate::model::pet::PetSeen;
use crate::model::rollout::failed_revisions;
use crate::model::workload::{WorkStep, controller_of, pods};

impl DeploymentPass<'_> {
    /// Gives the wanted template up if a pod of it failed and there is one to go back to; returns
    /// whether it does.
    pub(super) fn roll_back(&mut self) -> bool {
        if !self.options.roll_back || self.spec.paused == Some(true) {
            return false;
        }
        self.find_current(false);
        let step = match (self.halted, self.failure(), self.last_good()) {
            (false, Some((from, pod, why)), Some(to)) => WorkStep::RollBack { from, to, pod, why },
            (_, _, _) => return false,
        };
        self.steps.push(step);
        true
    }

    /// Returns the current ReplicaSet, the pod of it that failed, and why.
    fn failure(&self) -> Option<(String, String, String)> {
        let current = self.current()?;
        let name = pods::name_of(&current.metadata).to_owned();
        if self.has_completed(&name) {
            return None;
        }
        let is_own = |pod: &&&Pod| {
            let owner = controller_of(&pod.metadata).map(|owner| &owner.uid);
            owner.is_some() && owner == current.metadata.uid.as_ref()
        };
        let own = self.seen.pods.iter().filter(is_own);
        let own: Vec<PetSeen> = own.map(|pod| PetSeen::of(pod)).collect();
        let mut late = own.iter().filter(|pod| !pod.ready && !pod.terminating);
        let is_over = self.give_up_at().is_some_and(|at| at <= self.now);
        let failed = match is_over {
            true => late.next(),
            false => late.find(|pod| pod.stuck),
        };
        match failed {
            Some(pod) => {
                let why = format!("{} is not ready: {}", pod.name, pod.waiting);
                Some((name, pod.name.clone(), why))
            }
            None if is_over => {
                let why = format!("{name} made no progress in time");
                Some((name, String::new(), why))
            }
            None => None,
        }
    }

    /// Returns whether the rollout to a ReplicaSet was complete before.
    pub(super) fn has_completed(&self, set: &str) -> bool {
        self.conditions.get(PROGRESSING).is_some_and(|condition| {
            let of_set = |message: &str| message.contains(&format!("{set:?}"));
            condition.reason.as_deref() == Some(COMPLETE)
                && condition.message.as_deref().is_some_and(of_set)
        })
    }

    /// Returns when a rollout that is to be taken back has made no progress for too long.
    pub(super) fn give_up_at(&self) -> Option<Timestamp> {
        let deadline = self.options.progress_deadline?;
        let condition = self.conditions.get(PROGRESSING)?;
        if !self.options.roll_back
            || matches!(condition.reason.as_deref(), Some(COMPLETE | CANARIES))
        {
            return None;
        }
        // After the clock was set back the time that has passed is unknown.
        let since = condition.last_update_time.as_ref()?.0;
        let since = Some(since).filter(|since| *since <= self.now)?;
        since
            .checked_add(SignedDuration::try_from(deadline).ok()?)
            .ok()
    }

    /// Returns the ReplicaSet to go back to: the newest that has not failed, one that has pods
    /// which are available before others.
    fn last_good(&self) -> Option<String> {
        let failed = failed_revisions(&self.wanted.metadata);
        let mut old = self.old();
        old.retain(|place| {
            let meta = &self.own[*place].metadata;
            meta.deletion_timestamp.is_none() && !failed.contains(&pods::name_of(meta))
        });
        let best = old.into_iter().max_by_key(|place| {
            let set = &self.own[*place];
            (available(set) > 0, revision_of(set))
        });
        best.map(|place| pods::name_of(&self.own[place].metadata).to_owned())
    }
}
