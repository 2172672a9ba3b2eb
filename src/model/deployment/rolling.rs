//! The rolling update: how far the current ReplicaSet may grow, and the old ones shrink
//! (DP20-DP30).

use k8s_openapi::api::apps::v1::DeploymentStatus;

use super::DeploymentPass;
use super::sets::{available, size};
use crate::model::workload::Reconciled;

impl DeploymentPass<'_> {
    /// Takes one step of a rolling update: up if there is room, else down (DP20).
    pub(super) fn roll(mut self) -> Reconciled<DeploymentStatus> {
        self.find_current(true);
        let counted = self.own.clone();
        if !self.halted && !self.grow() && !self.fill_old() && !self.shrink() {
            self.forget_old();
        }
        self.tell_progress(&counted)
    }

    fn grow(&mut self) -> bool {
        let Some(place) = self.current else {
            return false;
        };
        let (replicas, before) = (self.current_share(), size(&self.own[place]));
        let total = self.own.iter().map(size).sum();
        let after = match before.cmp(&replicas) {
            std::cmp::Ordering::Equal => return false,
            std::cmp::Ordering::Greater => replicas,
            std::cmp::Ordering::Less => {
                let grown = self.bounds().grown(self.replicas(), before, total);
                grown.min(replicas)
            }
        };
        before != after && self.scale(place, after)
    }

    /// Takes pods away from old ReplicaSets: what is not available first, then what is more than
    /// has to be available (DP23, DP24).
    fn shrink(&mut self) -> bool {
        let least = self.replicas() - self.bounds().unavailable;
        let total: i32 = self.own.iter().map(size).sum();
        let pending = self.current().map_or(0, |set| size(set) - available(set));
        let most = total - least - pending;
        let mut old = self.old();
        old.retain(|place| size(&self.own[*place]) > 0);
        let kept: i32 = old.iter().map(|place| size(&self.own[*place])).sum();
        let most = most.min(kept - self.old_share());
        if most <= 0 {
            return false;
        }
        let mut shrunk = false;
        let mut left = most;
        for place in &old {
            let set = &self.own[*place];
            let broken = left.min(size(set) - available(set));
            if broken > 0 {
                left -= broken;
                shrunk |= self.scale(*place, size(&self.own[*place]) - broken);
            }
        }
        let ready: i32 = self.own.iter().map(available).sum();
        let kept: i32 = old.iter().map(|place| size(&self.own[*place])).sum();
        let mut left = (ready - least).min(kept - self.old_share());
        for place in &old {
            let fewer = left.min(size(&self.own[*place]));
            if fewer > 0 {
                left -= fewer;
                shrunk |= self.scale(*place, size(&self.own[*place]) - fewer);
            }
        }
        shrunk
    }
}
