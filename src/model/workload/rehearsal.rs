//! The plan of a Deployment or ReplicaSet: every step to the wanted state, if nothing goes wrong.
//!
//! The steps are those of the controllers, performed on values: a pod that is made becomes ready,
//! one that is deleted is gone. A pod that is stuck now stays stuck.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::past::{past_of_sets, undo};
use super::{Random, WorkStep, controller_of, pods};
use crate::model::deployment::{self, REVISION_ANNOTATION, SetsSeen, canaries};
use crate::model::object::Workload;
use crate::model::pet::PetSeen;
use crate::model::plan::{Plan, Planned};
use crate::model::replica_set::{self, PodsSeen};
use crate::model::rollout::forget_failure;
use crate::problem::Problem;

/// Passes after which a plan is cut off: more than any Deployment needs.
const PASSES: usize = 10_000;

/// Lists the steps that bring a Deployment or ReplicaSet to what it wants; nothing for other kinds.
///
/// `sets` and `pods` are those of its namespace.
///
/// # Errors
///
/// Its controller refuses it.
pub fn plan_workload(
    want: &Workload,
    sets: &[ReplicaSet],
    pods: &[Pod],
    now: Timestamp,
) -> Result<Option<Plan>, Problem> {
    let (wanted, sets) = match want {
        Workload::Deployment(deployment) => (Some(deployment.clone()), sets.to_vec()),
        Workload::ReplicaSet(set) => (None, vec![set.clone()]),
        Workload::ReplicationController(_)
        | Workload::DaemonSet(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => return Ok(None),
    };
    let mut world = WorkloadRehearsal {
        wanted,
        sets,
        pods: pods.to_vec(),
        now,
        made: 0,
        random: Random::seeded(1),
        steps: Vec::new(),
    };
    let halts = world.live()?;
    let meta = want.metadata();
    Ok(Some(Plan {
        set: String::new(),
        pod: None,
        workload: Some(want.full_name()),
        namespace: meta.namespace.clone().unwrap_or_default(),
        steps: world.steps,
        halts,
    }))
}

/// What is seen, changed by each step as if nothing went wrong.
struct WorkloadRehearsal {
    wanted: Option<Deployment>,
    sets: Vec<ReplicaSet>,
    pods: Vec<Pod>,
    now: Timestamp,
    made: u32,
    random: Random,
    steps: Vec<Planned>,
}

impl WorkloadRehearsal {
    /// Makes passes until nothing moves any more; returns what holds the rest.
    fn live(&mut self) -> Result<Option<String>, Problem> {
        for _ in 0..PASSES {
            let moved = self.pass_of_deployment()?;
            let (moved_pods, wake_at) = self.passes_of_sets()?;
            if moved | moved_pods | self.end_deleted() || self.start_pods() {
                continue;
            }
            match wake_at {
                Some(at) if at > self.now => self.now = at,
                Some(_) | None => return Ok(self.held()),
            }
        }
        Ok(Some("it does not come to rest".to_owned()))
    }

    /// Returns why not all is as it is wanted although nothing is left to do.
    fn held(&self) -> Option<String> {
        let stuck = self.pods.iter().map(PetSeen::of).find(|pod| {
            let set = self.sets.iter().any(|set| set.metadata.uid == pod.owner);
            set && pod.stuck && !pod.ready
        });
        if let Some(pod) = stuck {
            return Some(format!("{} is not ready: {}", pod.name, pod.waiting));
        }
        let deployment = self.wanted.as_ref()?;
        let spec = deployment.spec.as_ref()?;
        if spec.paused == Some(true) {
            return Some("it is paused".to_owned());
        }
        let held = canaries(deployment).filter(|count| Some(*count) < spec.replicas);
        held.map(|count| format!("the other pods are kept back by its canaries, which are {count}"))
    }

    fn admit(&mut self, meta: &mut ObjectMeta) {
        self.made += 1;
        meta.uid = Some(format!("planned-{}", self.made));
        meta.generation = Some(1);
        meta.creation_timestamp = Some(Time(self.now));
    }

    fn say(&mut self, step: &'static str, object: &str, text: String) {
        self.steps.push(Planned {
            step,
            object: object.to_owned(),
            text,
        });
    }

    fn pass_of_deployment(&mut self) -> Result<bool, Problem> {
        let Some(wanted) = &self.wanted else {
            return Ok(false);
        };
        let seen = SetsSeen {
            sets: self.sets.iter().collect(),
            pods: self.pods.iter().collect(),
        };
        let outcome = deployment::reconcile(wanted, &seen, self.now)?;
        let mut moved = wanted.status.as_ref() != Some(&outcome.status);
        for step in outcome.steps {
            moved |= self.perform_of_deployment(step);
        }
        if let Some(wanted) = &mut self.wanted {
            wanted.status = Some(outcome.status);
        }
        Ok(moved)
    }

    /// Performs a step of the Deployment; returns whether it changed anything.
    fn perform_of_deployment(&mut self, step: WorkStep) -> bool {
        match step {
            WorkStep::CreateSet(mut set) => {
                self.admit(&mut set.metadata);
                let name = pods::name_of(&set.metadata).to_owned();
                let number = pods::annotation(&set.metadata, REVISION_ANNOTATION);
                let text = format!(
                    "make replica set {name} for revision {}",
                    number.unwrap_or("1")
                );
                self.sets.push(*set);
                self.say("createReplicaSet", &name, text);
            }
            WorkStep::UpdateSet(mut set) => {
                let mut there = self.sets.iter_mut();
                let there = there.find(|there| there.metadata.name == set.metadata.name);
                if let Some(there) = there {
                    set.status.clone_from(&there.status);
                    *set.metadata.generation.get_or_insert_default() += 1;
                    *there = *set;
                }
            }
            WorkStep::DeleteSet { name } => {
                self.sets
                    .retain(|set| set.metadata.name.as_ref() != Some(&name));
                self.say(
                    "deleteReplicaSet",
                    &name,
                    format!("forget replica set {name}"),
                );
            }
            WorkStep::OwnSet { name, owner } => {
                let mut there = self.sets.iter_mut();
                let there = there.find(|set| set.metadata.name.as_ref() == Some(&name));
                if let Some(set) = there {
                    set.metadata.owner_references = owner.map(|owner| vec![owner]);
                }
            }
            WorkStep::Annotate(annotations) => {
                if let Some(wanted) = &mut self.wanted {
                    wanted.metadata.annotations = Some(annotations);
                }
            }
            WorkStep::RollBack { to, why, .. } => {
                self.say("rollBack", &to, format!("go back to {to}: {why}"));
                self.take_back(&to);
            }
            WorkStep::CreatePod { .. }
            | WorkStep::DeletePod { .. }
            | WorkStep::OwnPod { .. }
            | WorkStep::FreePod { .. }
            | WorkStep::CreateRevision(_)
            | WorkStep::RenumberRevision { .. }
            | WorkStep::DeleteRevision { .. }
            | WorkStep::OwnRevision { .. }
            | WorkStep::CreateJob(_)
            | WorkStep::DeleteJob { .. }
            | WorkStep::Publish(_)
            | WorkStep::Finish
            | WorkStep::Tell(_) => return false,
        }
        true
    }

    /// Wants the template of an earlier ReplicaSet again.
    fn take_back(&mut self, to: &str) {
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        let mut workload = Workload::Deployment(wanted);
        let past = past_of_sets(&workload, &self.sets);
        if let Some(past) = past.iter().find(|past| past.name == to) {
            // A paused one, which cannot go back, has no such step.
            let _ = undo(&mut workload, past);
        }
        forget_failure(workload.metadata_mut());
        if let Workload::Deployment(wanted) = workload {
            self.wanted = Some(wanted);
        }
    }

    /// Makes a pass for each ReplicaSet of its own; says whether any moved, and when to look again.
    fn passes_of_sets(&mut self) -> Result<(bool, Option<Timestamp>), Problem> {
        let (mut moved, mut wake_at) = (false, None);
        for place in 0..self.sets.len() {
            let set = self.sets[place].clone();
            let owner = controller_of(&set.metadata).map(|owner| &owner.uid);
            let own = self.wanted.as_ref();
            if own.is_some_and(|own| owner.is_none() || own.metadata.uid.as_ref() != owner) {
                continue;
            }
            let seen = PodsSeen {
                pods: self.pods.iter().collect(),
                related: Vec::new(),
            };
            let outcome = replica_set::reconcile(&set, &seen, self.now, &mut self.random)?;
            moved |= !outcome.steps.is_empty() || set.status.as_ref() != Some(&outcome.status);
            wake_at = wake_at.into_iter().chain(outcome.wake_at).min();
            self.perform_of_set(pods::name_of(&set.metadata), outcome.steps);
            self.sets[place].status = Some(outcome.status);
        }
        Ok((moved, wake_at))
    }

    fn perform_of_set(&mut self, set: &str, steps: Vec<WorkStep>) {
        let (mut started, mut stopped) = (0, Vec::new());
        for step in steps {
            if let WorkStep::CreatePod { mut pod, .. } = step {
                self.admit(&mut pod.metadata);
                self.pods.push(*pod);
                started += 1;
            } else if let WorkStep::DeletePod { name } = step {
                let now = Time(self.now);
                if let Some(pod) = self.pod(&name) {
                    pod.metadata.deletion_timestamp = Some(now);
                    stopped.push(name);
                }
            } else if let WorkStep::OwnPod { name, owner } = step
                && let Some(pod) = self.pod(&name)
            {
                pod.metadata.owner_references = owner.map(|owner| vec![owner]);
            }
        }
        if started > 0 {
            self.say(
                "startPods",
                set,
                format!("start {} of {set}", count(started)),
            );
        }
        for name in stopped {
            self.say("stopPod", &name, format!("stop {name}"));
        }
    }

    fn pod(&mut self, name: &str) -> Option<&mut Pod> {
        let mut all = self.pods.iter_mut();
        all.find(|pod| pod.metadata.name.as_deref() == Some(name))
    }

    fn end_deleted(&mut self) -> bool {
        let before = self.pods.len();
        self.pods
            .retain(|pod| pod.metadata.deletion_timestamp.is_none());
        self.pods.len() != before
    }

    /// Lets the pods of the ReplicaSets become ready; says whether any did.
    fn start_pods(&mut self) -> bool {
        let mut any = false;
        for place in 0..self.sets.len() {
            let (uid, now) = (self.sets[place].metadata.uid.clone(), self.now);
            let waits = |pod: &&mut Pod| {
                let of_set = controller_of(&pod.metadata).map(|owner| &owner.uid) == uid.as_ref();
                let seen = PetSeen::of(pod);
                of_set && !pods::has_ended(pod) && !pods::is_ready(pod) && !seen.stuck
            };
            let mut started = 0;
            for pod in self.pods.iter_mut().filter(waits) {
                set_ready(pod, now);
                started += 1;
            }
            if started > 0 {
                let name = pods::name_of(&self.sets[place].metadata).to_owned();
                let are = if started == 1 { "is" } else { "are" };
                let text = format!("wait until {} of {name} {are} ready", count(started));
                self.say("awaitPods", &name, text);
                any = true;
            }
        }
        any
    }
}

fn count(pods: usize) -> String {
    match pods {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    }
}

fn set_ready(pod: &mut Pod, now: Timestamp) {
    let status: &mut PodStatus = pod.status.get_or_insert_default();
    status.phase = Some("Running".to_owned());
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "Ready");
    conditions.push(PodCondition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn front(strategy: &Value, annotations: &Value) -> Workload {
        let front = json!({"metadata": {"name": "front", "namespace": "d", "uid": "u",
                "generation": 1, "annotations": annotations},
            "spec": {"replicas": 2, "strategy": strategy, "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": {"app": "front"}},
                "template": {"metadata": {"labels": {"app": "front"}},
                    "spec": {"containers": [{"name": "c", "image": "v1"}]}}}});
        Workload::Deployment(serde_json::from_value(front).unwrap())
    }

    /// The plan's texts, with `@` for the hash of the template and `*` for what is made up.
    fn texts(want: &Workload, sets: &[ReplicaSet], there: &[Pod]) -> (Vec<String>, Option<String>) {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let plan = plan_workload(want, sets, there, now).unwrap().unwrap();
        (
            plan.steps.into_iter().map(|step| step.text).collect(),
            plan.halts,
        )
    }

    fn of_one(texts: &[String]) -> Vec<String> {
        let short = |word: &str| match word.matches('-').count() {
            1 if word.starts_with("front-") && word != "front-old" => "NEW".to_owned(),
            2 if word.starts_with("front-") && !word.starts_with("front-old") => "A-POD".to_owned(),
            _ => word.to_owned(),
        };
        let line = |text: &String| text.split(' ').map(short).collect::<Vec<_>>().join(" ");
        texts.iter().map(line).collect()
    }

    /// A world in which the earlier template runs.
    fn old_world() -> (Vec<ReplicaSet>, Vec<Pod>) {
        let owner = |kind: &str, name: &str, uid: &str| {
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid,
                "controller": true}])
        };
        let labels = json!({"app": "front", "pod-template-hash": "old"});
        let set = json!({"metadata": {"name": "front-old", "namespace": "d", "uid": "s",
                "generation": 1, "labels": labels, "ownerReferences": owner("Deployment", "front", "u"),
                "annotations": {"deployment.kubernetes.io/revision": "1",
                    "deployment.kubernetes.io/desired-replicas": "2",
                    "deployment.kubernetes.io/max-replicas": "3"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "v0"}]}}},
            "status": {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                "fullyLabeledReplicas": 2, "observedGeneration": 1}});
        let pod = |name: &str| {
            json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": labels,
                    "creationTimestamp": "2025-12-01T00:00:00Z",
                    "ownerReferences": owner("ReplicaSet", "front-old", "s")},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True",
                    "lastTransitionTime": "2025-12-01T00:00:00Z"}]}})
        };
        let pods = ["front-old-a", "front-old-b"];
        let pods = pods.map(|name| serde_json::from_value(pod(name)).unwrap());
        (vec![serde_json::from_value(set).unwrap()], pods.to_vec())
    }

    #[test]
    fn a_new_deployment_is_planned() {
        let (steps, halts) = texts(&front(&Value::Null, &Value::Null), &[], &[]);
        let planned = [
            "make replica set NEW for revision 1",
            "start 2 pods of NEW",
            "wait until 2 pods of NEW are ready",
        ];
        assert_eq!(
            (of_one(&steps), halts),
            (planned.map(str::to_owned).to_vec(), None)
        );
    }

    #[test]
    fn a_roll_is_planned_within_its_bounds() {
        let (sets, there) = old_world();
        let strategy = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        let (steps, halts) = texts(&front(&strategy, &Value::Null), &sets, &there);
        let steps = of_one(&steps);
        assert_eq!(halts, None);
        assert_eq!(
            steps[..4],
            [
                "make replica set NEW for revision 2",
                "start 1 pod of NEW",
                "wait until 1 pod of NEW is ready",
                "stop front-old-a",
            ]
        );
        assert_eq!(steps.last().unwrap(), "stop front-old-b", "{steps:?}");
    }

    #[test]
    fn a_plan_ends_at_the_canaries() {
        let (sets, there) = old_world();
        let canary = json!({"petset.dev/canary": "1"});
        let strategy = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        let (steps, halts) = texts(&front(&strategy, &canary), &sets, &there);
        assert_eq!(steps.len(), 4, "{steps:?}");
        assert!(halts.unwrap().contains("canaries"));
    }
}
