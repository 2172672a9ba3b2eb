//! Deployments and their ReplicaSets.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{Ground, PATIENCE, TURNS, end, live, set_ready};
use crate::model::deployment::{self, DESIRED_ANNOTATION, SetsSeen, bounds};
use crate::model::replica_set::{self, PodsSeen};
use crate::model::rollout::put_note;
use crate::model::wish::CANARY_ANNOTATION;
use crate::model::workload::{WorkStep, controller_of, pods};

#[test]
fn random_deployments_keep_their_bounds_and_come_to_rest() {
    // DP20-DP25, DP29, DP33, DP40, RS04, RS05
    live(|seed| Front::random(seed).live());
}

struct Front {
    ground: Ground,
    wanted: Deployment,
    sets: Vec<ReplicaSet>,
}

fn image(number: u64) -> String {
    match number {
        0 => "bad".to_owned(),
        good => format!("good{good}"),
    }
}

impl Front {
    fn random(seed: u64) -> Self {
        let mut ground = Ground::of(seed);
        let wanted = json!({"metadata": {"name": "web", "namespace": "d", "uid": "front", "generation": 1},
            "spec": {"replicas": ground.roll(6), "revisionHistoryLimit": ground.roll(4),
                "progressDeadlineSeconds": 600, "strategy": {"type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "c", "image": "good1"}]}}}});
        let wanted = serde_json::from_value(wanted).unwrap();
        Self {
            ground,
            wanted,
            sets: Vec::new(),
        }
    }

    fn live(mut self) {
        for _ in 0..TURNS {
            self.ground.pass_time(1);
            match self.ground.roll(10) {
                0 => self.edit(),
                1 | 2 => self.fault(),
                3..=5 => drop(self.kubelet(2, false)),
                6 => {
                    let limit = usize::try_from(self.ground.roll(3)).unwrap();
                    let _ = self.pass(limit);
                }
                _ => drop(self.pass(usize::MAX) | self.set_passes()),
            }
        }
        self.settle();
    }

    fn edit(&mut self) {
        let ground = &mut self.ground;
        let choice = ground.roll(7);
        let (size, number) = (ground.roll(8), ground.roll(4));
        let spec = self.wanted.spec.as_mut().unwrap();
        match choice {
            0 | 1 => spec.replicas = Some(i32::try_from(size).unwrap()),
            2 | 3 => {
                let pod = spec.template.spec.as_mut().unwrap();
                pod.containers[0].image = Some(image(number));
            }
            6 => {
                let canary = Some(number).filter(|number| *number > 0);
                let text = canary.map(|pods| pods.to_string());
                put_note(
                    &mut self.wanted.metadata,
                    CANARY_ANNOTATION,
                    text.as_deref(),
                );
                return;
            }
            4 => spec.paused = Some(number % 2 == 0),
            _ => {
                let strategy = match number {
                    0 => json!({"type": "Recreate"}),
                    1 => {
                        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}})
                    }
                    _ => {
                        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "25%"}})
                    }
                };
                spec.strategy = serde_json::from_value(strategy).unwrap();
            }
        }
        *self.wanted.metadata.generation.get_or_insert_default() += 1;
    }

    fn fault(&mut self) {
        let count = self.ground.pods.len() as u64;
        if count == 0 {
            return;
        }
        let place = usize::try_from(self.ground.roll(count)).unwrap();
        let (kind, now) = (self.ground.roll(5), self.ground.now);
        let pod = &mut self.ground.pods[place];
        match kind {
            0 => end(pod, "Failed", now),
            1 => set_ready(pod, false, now),
            2 => pod.metadata.deletion_timestamp = Some(Time(now)),
            3 => pod.metadata.labels = None,
            _ => drop(self.ground.pods.remove(place)),
        }
    }

    fn kubelet(&mut self, sides: u64, all: bool) -> bool {
        let before = self.ground.pods.len();
        let mut moved = false;
        for place in 0..before {
            let moves = all || self.ground.once_in(sides);
            let now = self.ground.now;
            let pod = &mut self.ground.pods[place];
            let image = pod.spec.as_ref().unwrap().containers[0].image.clone();
            let waits =
                !pods::has_ended(pod) && !pods::is_ready(pod) && image.as_deref() != Some("bad");
            if moves && waits {
                set_ready(pod, true, now);
                moved = true;
            }
        }
        self.ground.remove_deleted();
        moved || self.ground.pods.len() != before
    }

    /// Makes one pass of the Deployment's controller, of which the first steps are performed.
    fn pass(&mut self, limit: usize) -> bool {
        let seen = SetsSeen {
            sets: self.sets.iter().collect(),
            pods: self.ground.pods.iter().collect(),
        };
        let outcome = deployment::reconcile(&self.wanted, &seen, self.ground.now).unwrap();
        let before = self.sets.clone();
        let active =
            !outcome.steps.is_empty() || self.wanted.status.as_ref() != Some(&outcome.status);
        for step in outcome.steps.into_iter().take(limit) {
            self.perform(step);
            self.check(&before);
        }
        if limit == usize::MAX {
            self.wanted.status = Some(outcome.status);
        }
        active
    }

    fn perform(&mut self, step: WorkStep) {
        let place = |sets: &[ReplicaSet], name: Option<&str>| {
            sets.iter()
                .position(|set| set.metadata.name.as_deref() == name)
        };
        match step {
            WorkStep::CreateSet(mut set) => {
                assert_eq!(
                    place(&self.sets, set.metadata.name.as_deref()),
                    None,
                    "it is there"
                );
                self.ground.admit(&mut set.metadata);
                self.sets.push(*set);
            }
            WorkStep::UpdateSet(mut set) => {
                let place = place(&self.sets, set.metadata.name.as_deref()).unwrap();
                if self.sets[place].spec != set.spec {
                    *set.metadata.generation.get_or_insert_default() += 1;
                }
                set.status.clone_from(&self.sets[place].status);
                self.sets[place] = *set;
            }
            WorkStep::DeleteSet { name } => {
                let set = self.sets.remove(place(&self.sets, Some(&name)).unwrap());
                assert_eq!(size(&set), 0, "a set with pods was forgotten");
                self.ground.pods.retain(|pod| {
                    controller_of(&pod.metadata).map(|owner| &owner.uid)
                        != set.metadata.uid.as_ref()
                });
            }
            WorkStep::Annotate(annotations) => self.wanted.metadata.annotations = Some(annotations),
            WorkStep::Tell(_) => {}
            other => panic!("a Deployment does not {other:?}"),
        }
    }

    /// Checks the promises of a rolling update and of Recreate.
    fn check(&self, before: &[ReplicaSet]) {
        let spec = self.wanted.spec.as_ref().unwrap();
        let replicas = spec.replicas.unwrap();
        let total = |sets: &[ReplicaSet]| sets.iter().map(size).sum::<i32>();
        let recreates = spec.strategy.as_ref().unwrap().type_.as_deref() == Some("Recreate");
        let is_scaling = before.iter().filter(|set| size(set) > 0).any(|set| {
            pods::annotation(&set.metadata, DESIRED_ANNOTATION) != Some(&replicas.to_string())
        });
        if is_scaling || spec.paused == Some(true) {
            return;
        }
        let grown = self.sets.iter().any(|set| {
            let old = before
                .iter()
                .find(|old| old.metadata.uid == set.metadata.uid);
            size(set) > old.map_or(0, size)
        });
        if recreates {
            let others = before.iter().filter(|set| size(set) > 0 || has_pods(set));
            assert!(!grown || others.count() <= 1, "pods of two templates run");
            return;
        }
        let bounds = bounds(spec);
        let most = total(before).max(replicas + bounds.surge);
        assert!(
            total(&self.sets) <= most,
            "more than the surge: {:?}",
            total(&self.sets)
        );
        let sure = |sets: &[ReplicaSet]| {
            sets.iter()
                .map(|set| size(set).min(available(set)))
                .sum::<i32>()
        };
        // A ReplicaSet that has not told yet what became of its pods is believed, there as here.
        if before.iter().any(|set| available(set) > size(set)) {
            return;
        }
        let least = sure(before).min(replicas - bounds.unavailable);
        assert!(sure(&self.sets) >= least, "fewer than have to be available");
    }

    fn set_passes(&mut self) -> bool {
        let mut active = false;
        for place in 0..self.sets.len() {
            active |= self.set_pass(place);
        }
        active
    }

    fn set_pass(&mut self, place: usize) -> bool {
        let set = self.sets[place].clone();
        let pods = self.ground.pods.clone();
        let seen = PodsSeen {
            pods: pods.iter().collect(),
            related: Vec::new(),
        };
        let outcome = replica_set::reconcile(&set, &seen, self.ground.now, &mut self.ground.dice);
        let outcome = outcome.unwrap();
        let active = !outcome.steps.is_empty() || set.status.as_ref() != Some(&outcome.status);
        for step in outcome.steps {
            match step {
                WorkStep::CreatePod { pod, .. } => self.ground.create_pod(*pod),
                WorkStep::DeletePod { name } => self.ground.delete_pod(&name),
                WorkStep::OwnPod { name, owner } => {
                    self.ground.pod(&name).metadata.owner_references =
                        owner.map(|owner| vec![owner]);
                }
                other => panic!("a ReplicaSet does not {other:?}"),
            }
        }
        let own = self.ground.pods.iter().filter(|pod| {
            controller_of(&pod.metadata).map(|owner| &owner.uid) == set.metadata.uid.as_ref()
        });
        let count = own.filter(|pod| pods::is_active(pod)).count();
        assert_eq!(
            i32::try_from(count).unwrap(),
            size(&set),
            "not the wanted number"
        );
        self.sets[place].status = Some(outcome.status);
        active
    }

    /// Ends all faults and waits until nothing moves.
    fn settle(&mut self) {
        let spec = self.wanted.spec.as_mut().unwrap();
        spec.paused = None;
        put_note(&mut self.wanted.metadata, CANARY_ANNOTATION, None);
        spec.template.spec.as_mut().unwrap().containers[0].image = Some("good9".to_owned());
        *self.wanted.metadata.generation.get_or_insert_default() += 1;
        for _ in 0..PATIENCE {
            self.ground.pass_time(1);
            if !(self.pass(usize::MAX) | self.set_passes() | self.kubelet(1, true)) {
                return self.check_rest();
            }
        }
        panic!("it does not come to rest: {:?}", self.wanted.status);
    }

    fn check_rest(&self) {
        let spec = self.wanted.spec.as_ref().unwrap();
        let own: Vec<_> = self.sets.iter().filter(|set| size(set) > 0).collect();
        assert!(own.len() <= 1, "old sets keep pods");
        let replicas = spec.replicas.unwrap();
        let status = self.wanted.status.as_ref().unwrap();
        assert_eq!(status.available_replicas.unwrap_or_default(), replicas);
        assert_eq!(status.updated_replicas.unwrap_or_default(), replicas);
        let limit = usize::try_from(spec.revision_history_limit.unwrap()).unwrap();
        assert!(
            self.sets.len() <= limit + 1,
            "{} sets are remembered",
            self.sets.len()
        );
    }
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().unwrap().replicas.unwrap()
}

fn available(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref();
    status
        .and_then(|status| status.available_replicas)
        .unwrap_or_default()
}

fn has_pods(set: &ReplicaSet) -> bool {
    set.status
        .as_ref()
        .is_some_and(|status| status.replicas > 0)
}
