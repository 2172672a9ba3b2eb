//! The status of a Deployment: its numbers and conditions (DP50-DP59).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DeploymentStatus, ReplicaSet, ReplicaSetStatus};

use super::conditions::{CANARIES, COMPLETE, PROGRESSING};
use super::sets::{available, size};
use super::{DeploymentPass, canaries};
use crate::model::workload::{Reconciled, pods};

const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const UPDATED: &str = "ReplicaSetUpdated";

impl DeploymentPass<'_> {
    pub(super) fn has_deadline(&self) -> bool {
        let deadline = self.spec.progress_deadline_seconds;
        deadline.is_some_and(|seconds| seconds < i32::MAX)
    }

    /// Notes that the Deployment is paused, or not any more (DP47).
    pub(super) fn note_pause(&mut self) {
        let reason = self
            .conditions
            .get(PROGRESSING)
            .and_then(|before| before.reason.clone());
        let reason = reason.unwrap_or_default();
        if !self.has_deadline() || reason == TIMED_OUT {
            return;
        }
        let is_paused = self.spec.paused == Some(true);
        let message = |what: &str| format!("Deployment is {what}");
        if is_paused && reason != PAUSED {
            self.conditions
                .set(PROGRESSING, "Unknown", PAUSED, message("paused"));
        } else if !is_paused && (reason == PAUSED || self.has_lost_canaries(&reason)) {
            self.conditions.set(
                PROGRESSING,
                "Unknown",
                "DeploymentResumed",
                message("resumed"),
            );
        }
    }

    /// Returns whether the canaries were promoted, or taken back.
    fn has_lost_canaries(&self, reason: &str) -> bool {
        reason == CANARIES && canaries(self.wanted).is_none()
    }

    /// Returns whether a status tells that all pods are current and available (DP58).
    pub(super) fn is_complete(&self, status: &DeploymentStatus) -> bool {
        let is_all = |number: Option<i32>| number.unwrap_or_default() == self.replicas();
        is_all(status.updated_replicas)
            && is_all(status.replicas)
            && is_all(status.available_replicas)
            && status.observed_generation >= self.wanted.metadata.generation
    }

    pub(super) fn tell_status(self) -> Reconciled<DeploymentStatus> {
        let counted = self.own.clone();
        self.tell_status_of(&counted)
    }

    /// Ends the pass with numbers and availability, without judging progress.
    pub(super) fn tell_status_of(self, counted: &[ReplicaSet]) -> Reconciled<DeploymentStatus> {
        if self.halted {
            return self.put_off();
        }
        let status = self.count(counted);
        self.end(status, None)
    }

    /// Ends a pass that changed something which has to be seen first; the numbers stay.
    fn put_off(self) -> Reconciled<DeploymentStatus> {
        let status = self.wanted.status.clone().unwrap_or_default();
        let status = DeploymentStatus {
            collision_count: self.collisions,
            ..status
        };
        let now = self.now;
        self.end(status, Some(now))
    }

    /// Ends the pass with a status that judges the progress of a rollout (DP52-DP56).
    ///
    /// `counted` are the ReplicaSets before they were scaled in this pass, but with the one that
    /// was made.
    pub(super) fn tell_progress(mut self, counted: &[ReplicaSet]) -> Reconciled<DeploymentStatus> {
        if self.halted {
            return self.put_off();
        }
        let status = self.count(counted);
        if !self.has_deadline() {
            self.conditions.remove(PROGRESSING);
        }
        let reason = self
            .conditions
            .get(PROGRESSING)
            .and_then(|before| before.reason.clone());
        let is_settled = status.replicas == status.updated_replicas
            && reason.as_deref() == Some(COMPLETE)
            && !self.has_begun_untold();
        if self.has_deadline() && !is_settled {
            self.judge(&status);
        }
        self.pass_on_failure(counted);
        let deadline = self.deadline().into_iter().chain(self.give_up_at()).min();
        let deadline = deadline.filter(|_| !self.is_complete(&status));
        self.end(status, deadline)
    }

    fn judge(&mut self, status: &DeploymentStatus) {
        let subject = match self.current() {
            Some(set) => format!("ReplicaSet {:?}", pods::name_of(&set.metadata)),
            None => format!("Deployment {:?}", pods::name_of(&self.wanted.metadata)),
        };
        let published = self.wanted.status.clone().unwrap_or_default();
        if self.is_complete(status) {
            let message = format!("{subject} has successfully progressed.");
            self.conditions.set(PROGRESSING, "True", COMPLETE, message);
        } else if self.is_at_canaries(status) {
            let message = format!("{subject} has its canaries.");
            self.conditions.set(PROGRESSING, "True", CANARIES, message);
        } else if has_progressed(&published, status) || self.has_begun_untold() {
            let message = format!("{subject} is progressing.");
            self.conditions
                .replace(PROGRESSING, "True", UPDATED, message);
        } else if self.deadline().is_some_and(|deadline| deadline < self.now) {
            let message = format!("{subject} has timed out progressing.");
            self.conditions
                .set(PROGRESSING, "False", TIMED_OUT, message);
        }
    }

    /// Returns whether the end of an earlier rollout is all that is told, although another one has
    /// begun: who made its ReplicaSet died before it could say so. Without this the time of that
    /// rollout would never begin.
    fn has_begun_untold(&self) -> bool {
        let (Some(current), Some(told)) = (self.current(), self.conditions.get(PROGRESSING)) else {
            return false;
        };
        let made = current.metadata.creation_timestamp.as_ref();
        let is_later = made.is_some_and(|made| Some(made) > told.last_update_time.as_ref());
        told.reason.as_deref() == Some(COMPLETE)
            && !self.has_completed(pods::name_of(&current.metadata))
            && (is_later || self.options.roll_back)
    }

    /// Returns when a rollout without further progress has taken too long (DP54).
    fn deadline(&self) -> Option<Timestamp> {
        let condition = self.conditions.get(PROGRESSING)?;
        if matches!(
            condition.reason.as_deref(),
            Some(COMPLETE | TIMED_OUT | CANARIES)
        ) {
            return None;
        }
        let since = condition.last_update_time.as_ref()?.0;
        let seconds = self.spec.progress_deadline_seconds?;
        since
            .checked_add(SignedDuration::from_secs(seconds.into()))
            .ok()
    }

    /// Takes over what keeps a ReplicaSet from making pods, the current one first (DP59).
    fn pass_on_failure(&mut self, counted: &[ReplicaSet]) {
        let current = self.current.and_then(|place| counted.get(place));
        let conditions = |set: &ReplicaSet| {
            let status = set.status.clone().unwrap_or_default();
            status.conditions.unwrap_or_default()
        };
        let all = current.into_iter().chain(counted).flat_map(conditions);
        let failure = all.into_iter().find(|condition| condition.type_ == FAILURE);
        match failure {
            Some(failure) => {
                let (reason, message) = (failure.reason.unwrap_or_default(), failure.message);
                self.conditions.set(
                    FAILURE,
                    &failure.status,
                    &reason,
                    message.unwrap_or_default(),
                );
            }
            None => self.conditions.remove(FAILURE),
        }
    }

    /// Counts pods as the ReplicaSets tell them (DP50), and judges availability (DP51).
    fn count(&self, counted: &[ReplicaSet]) -> DeploymentStatus {
        let status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
        let sum = |number: &dyn Fn(&ReplicaSetStatus) -> i32| -> i32 {
            counted.iter().map(|set| number(&status(set))).sum()
        };
        let ready = sum(&|status| status.ready_replicas.unwrap_or_default());
        let available: i32 = counted.iter().map(available).sum();
        let unavailable = counted.iter().map(size).sum::<i32>() - available;
        let updated = self.current.and_then(|place| counted.get(place));
        let some = |number: i32| Some(number).filter(|number| *number > 0);
        let is_untold = |set: &ReplicaSet| {
            let status = status(set);
            status.terminating_replicas.is_none() && status.observed_generation.is_some()
        };
        let terminating = sum(&|status| status.terminating_replicas.unwrap_or_default());
        DeploymentStatus {
            observed_generation: self.wanted.metadata.generation,
            replicas: some(sum(&|status| status.replicas)),
            updated_replicas: updated.and_then(|set| some(status(set).replicas)),
            ready_replicas: some(ready),
            available_replicas: some(available),
            unavailable_replicas: some(unavailable),
            terminating_replicas: Some(terminating).filter(|_| !counted.iter().any(is_untold)),
            collision_count: self.collisions,
            conditions: None,
        }
    }

    fn end(
        mut self,
        mut status: DeploymentStatus,
        wake_at: Option<Timestamp>,
    ) -> Reconciled<DeploymentStatus> {
        if !self.halted {
            let least = self.replicas() - self.bounds().unavailable;
            let (state, reason, has) = match status.available_replicas.unwrap_or_default() >= least
            {
                true => ("True", "MinimumReplicasAvailable", "has"),
                false => ("False", "MinimumReplicasUnavailable", "does not have"),
            };
            let message = format!("Deployment {has} minimum availability.");
            self.conditions.set(AVAILABLE, state, reason, message);
        }
        status.conditions = Some(self.conditions.all).filter(|all| !all.is_empty());
        let after = |at: Timestamp| at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at);
        Reconciled {
            status,
            steps: self.steps,
            wake_at: wake_at.map(after),
            remembered: (),
        }
    }
}

/// Returns whether a rollout came on between two statuses (DP54).
fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let number = |number: Option<i32>| number.unwrap_or_default();
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}
