//! The controllers under test, each called with what it would see, and their steps performed.

use jiff::tz::TimeZone;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Node, Pod, ReplicationController};
use petset::model::workload::WorkStep;
use petset::model::{cron_job, daemon_set, deployment, job, replica_set};
use serde_json::Value;

use super::api::Refusal;
use super::*;

/// The first pause of a controller after a failed pass, in milliseconds (RS16).
const FIRST_PAUSE: i64 = 5;

impl World {
    pub(super) fn look(&mut self, kind: Kind, name: &str) {
        let Some(object) = self.get(kind, name).cloned() else {
            return;
        };
        let wake_at = match kind {
            Kind::ReplicaSet => self.look_at_set(name, &object),
            Kind::ReplicationController => self.look_at_controller(name, &object),
            Kind::Deployment => self.look_at_deployment(name, &object),
            Kind::Job => self.look_at_job(name, &object),
            Kind::Pod => self.free_stranded(name, &object),
            Kind::DaemonSet => self.look_at_daemons(name, &object),
            Kind::CronJob => self.look_at_cron(name, &object),
            Kind::Claim | Kind::Volume => {
                self.look_at_storage(kind, name, &object);
                None
            }
            Kind::StatefulSet | Kind::Revision | Kind::Node | Kind::Quota | Kind::Class => None,
        };
        if let Some(at) = wake_at {
            self.plan_at(
                at.max(self.now + SignedDuration::from_millis(1)),
                Due::Look(kind, name.to_owned()),
            );
        }
    }

    fn look_at_set(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let set: ReplicaSet = read(object);
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let seen = replica_set::PodsSeen {
            pods: pods.iter().collect(),
            related: Vec::new(),
        };
        let mut random = self.random.clone();
        let outcome = replica_set::reconcile(&set, &seen, self.now, &mut random).unwrap();
        self.random = random;
        let failure = self.perform(Kind::ReplicaSet, name, &outcome.steps);
        let published = set.status.unwrap_or_default();
        let mut status = outcome.status;
        let failure = failure.as_ref().map(|(step, fault)| (step, fault.as_str()));
        replica_set::note_failure(&mut status, &published, failure, self.now);
        self.write_status(Kind::ReplicaSet, name, &status);
        let pause = self.pause(Kind::ReplicaSet, name, failure.is_some());
        pause.or(outcome.wake_at)
    }

    fn look_at_controller(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let kind = Kind::ReplicationController;
        let controller: ReplicationController = read(object);
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let seen = replica_set::PodsSeen {
            pods: pods.iter().collect(),
            related: Vec::new(),
        };
        let mut random = self.random.clone();
        let outcome =
            replica_set::reconcile_controller(&controller, &seen, self.now, &mut random).unwrap();
        self.random = random;
        let failure = self.perform(kind, name, &outcome.steps);
        self.write_status(kind, name, &outcome.status);
        self.pause(kind, name, failure.is_some())
            .or(outcome.wake_at)
    }

    fn look_at_deployment(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let wanted: Deployment = read(object);
        let sets: Vec<ReplicaSet> = self.typed(Kind::ReplicaSet);
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let seen = deployment::SetsSeen {
            sets: sets.iter().collect(),
            pods: pods.iter().collect(),
        };
        let outcome = deployment::reconcile(&wanted, &seen, self.now).unwrap();
        self.perform(Kind::Deployment, name, &outcome.steps);
        self.write_status(Kind::Deployment, name, &outcome.status);
        outcome.wake_at
    }

    fn look_at_job(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let wanted: Job = read(object);
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let key = wanted.metadata.uid.clone().unwrap_or_default();
        let back_off = self.back_offs.get(&key).copied().unwrap_or_default();
        let seen = job::JobSeen {
            pods: pods.iter().collect(),
            back_off,
        };
        let mut random = self.random.clone();
        let outcome = job::reconcile(&wanted, &seen, self.now, &mut random).unwrap();
        self.random = random;
        self.back_offs.insert(key, outcome.remembered);
        let failure = self.perform(Kind::Job, name, &outcome.steps);
        self.write_status(Kind::Job, name, &outcome.status);
        self.pause(Kind::Job, name, failure.is_some())
            .or(outcome.wake_at)
    }

    fn look_at_daemons(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let wanted: DaemonSet = read(object);
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let nodes: Vec<Node> = self.typed(Kind::Node);
        let revisions: Vec<ControllerRevision> = self.typed(Kind::Revision);
        let key = wanted.metadata.uid.clone().unwrap_or_default();
        let seen = daemon_set::NodesSeen {
            nodes: nodes.iter().collect(),
            pods: pods.iter().collect(),
            revisions: revisions.iter().collect(),
            failed: self.failed_pods.get(&key).cloned().unwrap_or_default(),
        };
        let mut random = self.random.clone();
        let outcome = daemon_set::reconcile(&wanted, &seen, self.now, &mut random).unwrap();
        self.random = random;
        self.failed_pods.insert(key, outcome.remembered);
        let failure = self.perform(Kind::DaemonSet, name, &outcome.steps);
        self.write_status(Kind::DaemonSet, name, &outcome.status);
        self.pause(Kind::DaemonSet, name, failure.is_some())
            .or(outcome.wake_at)
    }

    fn look_at_cron(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let wanted: CronJob = read(object);
        let jobs: Vec<Job> = self.typed(Kind::Job);
        let seen = cron_job::JobsSeen {
            jobs: jobs.iter().collect(),
            zone: Some(TimeZone::UTC),
        };
        let outcome = cron_job::reconcile(&wanted, &seen, self.now);
        let failure = self.perform(Kind::CronJob, name, &outcome.steps);
        let mut status = outcome.status;
        for reference in status.active.iter_mut().flatten() {
            let job = self.get(Kind::Job, reference.name.as_deref().unwrap_or_default());
            let uid = job.and_then(|job| job["metadata"]["uid"].as_str());
            reference.uid = uid.map(str::to_owned);
        }
        self.write_status(Kind::CronJob, name, &status);
        self.pause(Kind::CronJob, name, failure.is_some())
            .or(outcome.wake_at)
    }

    /// Takes the finalizer of Jobs off a pod that has no Job any more.
    fn free_stranded(&mut self, name: &str, object: &Value) -> Option<Timestamp> {
        let pod: Pod = read(object);
        let jobs: Vec<Job> = self.typed(Kind::Job);
        if job::is_stranded(&pod, &jobs.iter().collect::<Vec<_>>()) {
            let step = WorkStep::FreePod {
                name: name.to_owned(),
            };
            self.perform(Kind::Pod, name, &[step]);
        }
        None
    }

    /// Says when to try again after a pass that failed.
    fn pause(&mut self, kind: Kind, name: &str, failed: bool) -> Option<Timestamp> {
        let key = (kind, name.to_owned());
        if !failed {
            self.failures.remove(&key);
            return None;
        }
        let failures = self.failures.entry(key).or_default();
        let pause = FIRST_PAUSE << (*failures).min(17);
        *failures += 1;
        Some(self.now + SignedDuration::from_millis(pause))
    }

    /// Performs steps until one fails; what it belongs to side by side is still tried.
    fn perform(
        &mut self,
        kind: Kind,
        name: &str,
        steps: &[WorkStep],
    ) -> Option<(WorkStep, Refusal)> {
        let mut failure: Option<(WorkStep, Refusal)> = None;
        let batch_of = |step: &WorkStep| {
            let WorkStep::CreatePod { batch, .. } = step else {
                return None;
            };
            Some(*batch)
        };
        for step in steps {
            if let Some((failed, _)) = &failure
                && (batch_of(failed).is_none() || batch_of(failed) != batch_of(step))
            {
                break;
            }
            let outcome = self.take(kind, name, step);
            let fault = outcome.as_ref().err().map(String::as_str);
            let told = match &outcome {
                Ok(Some(renamed)) => renamed.told(None),
                Ok(None) | Err(_) => step.told(fault),
            };
            if let Some(told) = told {
                self.tell(kind, name, &told);
            }
            if let Err(fault) = outcome
                && failure.is_none()
            {
                failure = Some((step.clone(), fault));
            }
        }
        failure
    }

    /// Performs a step; returns it as it was performed, if a made-up name was replaced.
    fn take(
        &mut self,
        kind: Kind,
        name: &str,
        step: &WorkStep,
    ) -> Result<Option<WorkStep>, Refusal> {
        match step {
            WorkStep::CreatePod { pod, batch } => {
                let mut pod = pod.clone();
                let object = write(&*pod);
                let real = self.recorded_name(&object);
                let real = real.unwrap_or_else(|| pod.metadata.name.clone().unwrap());
                pod.metadata.name = Some(real.clone());
                self.create(Kind::Pod, &real, write(&*pod))?;
                return Ok(Some(WorkStep::CreatePod { pod, batch: *batch }));
            }
            WorkStep::DeletePod { name } => self.delete(Kind::Pod, name, "Background", false),
            WorkStep::OwnPod { name, owner } => self.own(Kind::Pod, name, owner.as_ref()),
            WorkStep::FreePod { name } => {
                let mut pod = self.get(Kind::Pod, name).unwrap().clone();
                pod["metadata"]["finalizers"] = Value::Null;
                self.update(Kind::Pod, name, pod);
            }
            WorkStep::CreateSet(set) => {
                let name = set.metadata.name.clone().unwrap();
                self.create(Kind::ReplicaSet, &name, write(&**set))?;
            }
            WorkStep::UpdateSet(set) => {
                let name = set.metadata.name.clone().unwrap();
                self.update(Kind::ReplicaSet, &name, write(&**set));
            }
            WorkStep::DeleteSet { name } => {
                self.delete(Kind::ReplicaSet, name, "Background", false);
            }
            WorkStep::OwnSet { name, owner } => self.own(Kind::ReplicaSet, name, owner.as_ref()),
            WorkStep::CreateRevision(revision) => {
                let name = revision.metadata.name.clone().unwrap();
                self.create(Kind::Revision, &name, write(&**revision))?;
            }
            WorkStep::RenumberRevision { name, number } => {
                let mut revision = self.get(Kind::Revision, name).unwrap().clone();
                revision["revision"] = (*number).into();
                self.update(Kind::Revision, name, revision);
            }
            WorkStep::DeleteRevision { name } => {
                self.delete(Kind::Revision, name, "Background", false);
            }
            WorkStep::OwnRevision { name, owner } => self.own(Kind::Revision, name, owner.as_ref()),
            WorkStep::CreateJob(job) => {
                let name = job.metadata.name.clone().unwrap();
                let mut job = write(&**job);
                defaults::complete(Kind::Job, &mut job);
                self.create(Kind::Job, &name, job)?;
            }
            WorkStep::DeleteJob { name } => self.delete(Kind::Job, name, "Background", false),
            WorkStep::Annotate(annotations) => {
                let mut object = self.get(kind, name).unwrap().clone();
                object["metadata"]["annotations"] = write(annotations);
                self.update(kind, name, object);
            }
            WorkStep::Publish(status) => self.write_status(kind, name, &**status),
            WorkStep::Finish => self.delete(kind, name, "Foreground", false),
            WorkStep::Tell(_) => {}
            WorkStep::RollBack { .. } => panic!("the real controller takes nothing back"),
        }
        Ok(None)
    }

    fn own(&mut self, kind: Kind, name: &str, owner: Option<&impl Serialize>) {
        let mut object = self.get(kind, name).unwrap().clone();
        let owners = owner
            .into_iter()
            .map(|owner| serde_json::to_value(owner).unwrap());
        object["metadata"]["ownerReferences"] = owners.collect();
        self.update(kind, name, object);
    }

    /// Returns the name that the recording has for a pod like this one, if one is left in the step.
    fn recorded_name(&mut self, pod: &Value) -> Option<String> {
        let owner = self.owner_words(pod);
        let annotations = &pod["metadata"]["annotations"];
        let index = annotations["batch.kubernetes.io/job-completion-index"].as_str();
        let index = index.map(|index| index.parse::<i64>().unwrap());
        let image = watch::image(&pod["spec"]);
        let recording = Rc::clone(&self.recording);
        let mut made = recording.steps[self.step].events.iter().filter(|event| {
            event["ev"] == "pod-created"
                && event["owner"] == owner.as_str()
                && event["image"] == image
                && event["index"].as_i64() == index
        });
        let free = made.find(|event| !self.taken.contains(event["pod"].as_str().unwrap()))?;
        let alias = free["pod"].as_str().unwrap();
        let real = recording.real_name("pods", alias)?.clone();
        let prefix = pod["metadata"]["generateName"].as_str().unwrap();
        assert_eq!(
            real.strip_prefix(prefix).map(str::len),
            Some(5),
            "{real} and {prefix}"
        );
        self.taken.insert(alias.to_owned());
        Some(real)
    }
}

impl World {
    /// The DaemonSet controller looks when a node begins or ceases to fit.
    pub(super) fn look_at_node(&mut self) {
        let pods: Vec<Pod> = self.typed(Kind::Pod);
        let pods: Vec<_> = pods.iter().collect();
        let nodes: Vec<Node> = self.typed(Kind::Node);
        for set in self.typed::<DaemonSet>(Kind::DaemonSet) {
            let mut nodes = nodes.iter();
            if nodes.any(|node| daemon_set::node_matters(&set, node, &pods)) {
                self.look_soon(Kind::DaemonSet, &set.metadata.name.unwrap());
            }
        }
    }
}
