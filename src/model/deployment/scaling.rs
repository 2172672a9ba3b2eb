//! The size of a Deployment: of its only ReplicaSet, or of several in proportion (DP42-DP47).

use std::cmp::Reverse;

use k8s_openapi::api::apps::v1::{DeploymentStatus, ReplicaSet};

use super::sets::{DESIRED_ANNOTATION, MAX_ANNOTATION, annotate_size, available, size};
use super::{DeploymentPass, Rollout};
use crate::model::workload::{Reconciled, WorkStep, pods};
use crate::sorted::sort_by_key;

impl DeploymentPass<'_> {
    /// Returns whether the size of the Deployment changed since a ReplicaSet was scaled (DP43).
    ///
    /// With Recreate and several active ReplicaSets nothing could be scaled, and the real
    /// controller waits for ever: here they are replaced, which brings the size along.
    pub(super) fn is_scaled(&mut self) -> bool {
        self.find_current(false);
        let replicas = self.replicas();
        let mut active = self.own.iter().filter(|set| size(set) > 0);
        let differs = active.any(|set| desired(set).is_some_and(|desired| desired != replicas));
        let several = self.own.iter().filter(|set| size(set) > 0).count() > 1;
        let is_stuck = several && self.strategy() == Rollout::Recreate && !self.is_saturated();
        !self.halted && differs && !is_stuck
    }

    /// Scales without rolling.
    pub(super) fn keep_size(mut self) -> Reconciled<DeploymentStatus> {
        self.find_current(false);
        if self.halted {
            return self.tell_status();
        }
        let counted = self.own.clone();
        self.resize();
        if self.spec.paused == Some(true) {
            self.forget_old();
        }
        self.tell_status_of(&counted)
    }

    fn resize(&mut self) {
        let replicas = self.replicas();
        let places = 0..self.own.len();
        let active: Vec<_> = places.filter(|place| size(&self.own[*place]) > 0).collect();
        let latest = self.current.or(self.own.len().checked_sub(1));
        match (active.as_slice(), latest) {
            (&[], None) => {}
            (&[only], _) | (&[], Some(only)) => {
                self.scale(only, replicas);
            }
            _ if self.is_saturated() => {
                let current = self.current;
                for place in active.into_iter().filter(|place| Some(*place) != current) {
                    self.scale(place, 0);
                }
            }
            _ if self.strategy() == Rollout::RollingUpdate => self.spread(active),
            _ => {}
        }
    }

    /// Returns whether the current ReplicaSet alone is what is wanted.
    fn is_saturated(&self) -> bool {
        let replicas = self.replicas();
        self.current().is_some_and(|set| {
            size(set) == replicas && desired(set) == Some(replicas) && available(set) == replicas
        })
    }

    /// Scales all active ReplicaSets in proportion; what is left over goes to the largest (DP44).
    fn spread(&mut self, mut active: Vec<usize>) {
        let surge = self.bounds().surge;
        let allowed = if self.replicas() > 0 {
            self.replicas() + surge
        } else {
            0
        };
        let total: i32 = active.iter().map(|place| size(&self.own[*place])).sum();
        let change = allowed - total;
        match change {
            1.. => sort_by_key(&mut active, |place| {
                Reverse((size(&self.own[*place]), *place))
            }),
            ..0 => sort_by_key(&mut active, |place| {
                (Reverse(size(&self.own[*place])), *place)
            }),
            0 => {}
        }
        let (mut sizes, mut added) = (Vec::new(), 0);
        for place in &active {
            let part = self.share(&self.own[*place], change, added);
            sizes.push(size(&self.own[*place]) + part);
            added += part;
        }
        if let Some(largest) = sizes.first_mut() {
            *largest = (*largest + change - added).max(0);
        }
        for (place, size) in active.into_iter().zip(sizes) {
            self.resize_noted(place, size);
        }
    }

    /// Scales a ReplicaSet; its notes of the Deployment's size are renewed even where it keeps its
    /// own.
    fn resize_noted(&mut self, place: usize, replicas: i32) {
        if self.scale(place, replicas) {
            return;
        }
        let limits = (self.replicas(), self.replicas() + self.bounds().surge);
        let set = &mut self.own[place];
        if annotate_size(&mut set.metadata, limits) {
            let set = Box::new(set.clone());
            self.steps.push(WorkStep::UpdateSet(set));
        }
    }

    /// Returns how much of a change falls to a ReplicaSet, after `added` fell to others.
    fn share(&self, set: &ReplicaSet, change: i32, added: i32) -> i32 {
        if size(set) == 0 || change == 0 || change == added {
            return 0;
        }
        let fraction = self.fraction(set);
        let left = change - added;
        if change > 0 {
            fraction.min(left)
        } else {
            fraction.max(left)
        }
    }

    fn fraction(&self, set: &ReplicaSet) -> i32 {
        let size = size(set);
        if self.replicas() == 0 {
            return -size;
        }
        let most = f64::from(self.replicas() + self.bounds().surge);
        let annotated = number(set, MAX_ANNOTATION).filter(|most| *most != 0);
        let published = self
            .wanted
            .status
            .as_ref()
            .and_then(|status| status.replicas);
        let before = annotated.or(published).unwrap_or_default();
        if before == 0 {
            return 0;
        }
        let grown = (f64::from(size) * most / f64::from(before)).round() as i32;
        grown - size
    }
}

fn desired(set: &ReplicaSet) -> Option<i32> {
    number(set, DESIRED_ANNOTATION)
}

fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    pods::annotation(&set.metadata, annotation)?.parse().ok()
}
