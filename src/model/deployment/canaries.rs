//! Canaries: so many pods have the new template, and the others wait until it is promoted.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::sets::{revision_of, size};
use super::{DeploymentPass, Rollout};
use crate::model::rollout::note;
use crate::model::wish::CANARY_ANNOTATION;

/// Returns how many pods of a Deployment may have the new template, if not all may.
#[must_use]
pub(crate) fn canaries(deployment: &Deployment) -> Option<i32> {
    let text = note(&deployment.metadata, CANARY_ANNOTATION)?;
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let count: i32 = text.parse().ok()?;
    Some(count.clamp(0, wanted.unwrap_or(1)))
}

impl DeploymentPass<'_> {
    /// Returns how many pods the current ReplicaSet is to have: all, or as many as there are
    /// canaries while an earlier one has the others.
    pub(super) fn current_share(&self) -> i32 {
        let rolls = self.strategy() == Rollout::RollingUpdate;
        let others = self.old().iter().any(|place| size(&self.own[*place]) > 0);
        let canaries = canaries(self.wanted).filter(|_| rolls && others && !self.options.strict);
        canaries.unwrap_or_else(|| self.replicas())
    }

    /// Returns how many pods the old ReplicaSets are to keep.
    pub(super) fn old_share(&self) -> i32 {
        self.replicas() - self.current_share()
    }

    /// Returns whether the canaries are all that the rollout waits for.
    pub(super) fn is_at_canaries(&self, status: &DeploymentStatus) -> bool {
        let is = |number: Option<i32>, wanted: i32| number.unwrap_or_default() == wanted;
        self.old_share() > 0
            && is(status.updated_replicas, self.current_share())
            && is(status.replicas, self.replicas())
            && is(status.available_replicas, self.replicas())
    }

    /// Gives the newest old ReplicaSet back what it lacks, after there were more canaries.
    pub(super) fn fill_old(&mut self) -> bool {
        let mut old = self.old();
        old.retain(|place| size(&self.own[*place]) > 0);
        let kept: i32 = old.iter().map(|place| size(&self.own[*place])).sum();
        let missing = self.old_share() - kept;
        let newest = old
            .into_iter()
            .max_by_key(|place| revision_of(&self.own[*place]));
        match newest {
            Some(place) if missing > 0 => self.scale(place, size(&self.own[place]) + missing),
            Some(_) | None => false,
        }
    }
}
