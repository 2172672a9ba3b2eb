//! Calling the controller of a workload: what it is to see is gathered, and nothing is done.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use super::world::NamespaceState;
use super::zones::zone;
use crate::model::Workload;
use crate::model::cron_job::{self, JobsSeen};
use crate::model::daemon_set::{self, NodesSeen};
use crate::model::deployment::{self, SetsSeen};
use crate::model::job::{self, BackOffRecord, JobSeen};
use crate::model::node::this_node;
use crate::model::replica_set::{self, PodsSeen};
use crate::model::workload::{Reconciled, is_controlled_by};
use crate::problem::Problem;

impl Supervisor {
    /// Makes a pass for a workload. The outcome has the workload with the status to publish.
    pub(super) fn pass(
        &mut self,
        at: &WorkloadRef,
        wanted: &Workload,
        now: Timestamp,
    ) -> Result<Reconciled<Workload>, Problem> {
        let place = self.world.place(&at.key.namespace);
        let pets = place.into_iter().flat_map(|place| place.pets.values());
        let pods: Vec<&Pod> = pets.map(|pet| &*pet.pod).collect();
        let random = &mut self.work.random;
        // There is one node: who else is on it makes no difference between pods (RS13).
        let of_pods = |pods| PodsSeen {
            pods,
            related: Vec::new(),
        };
        match wanted {
            Workload::ReplicaSet(set) => {
                let seen = of_pods(pods);
                let outcome = replica_set::reconcile(set, &seen, now, random)?;
                Ok(with(outcome, |status| {
                    let (status, set) = (Some(status), set.clone());
                    Workload::ReplicaSet(ReplicaSet { status, ..set })
                }))
            }
            Workload::ReplicationController(set) => {
                let seen = of_pods(pods);
                let outcome = replica_set::reconcile_controller(set, &seen, now, random)?;
                Ok(with(outcome, |status| {
                    let (status, set) = (Some(status), set.clone());
                    Workload::ReplicationController(ReplicationController { status, ..set })
                }))
            }
            Workload::Deployment(deployment) => {
                let sets = replica_sets(place);
                let outcome = deployment::reconcile(deployment, &SetsSeen { sets, pods }, now)?;
                Ok(with(outcome, |status| {
                    let (status, deployment) = (Some(status), deployment.clone());
                    Workload::Deployment(Deployment {
                        status,
                        ..deployment
                    })
                }))
            }
            Workload::Job(job) => {
                let uid = job.metadata.uid.clone().unwrap_or_default();
                let own = || {
                    let all = pods.iter().copied();
                    let own = all.filter(|pod| is_controlled_by(&pod.metadata, &job.metadata));
                    BackOffRecord::of(&own.collect::<Vec<_>>())
                };
                let known = self.work.back_offs.get(&uid).copied();
                let back_off = known.unwrap_or_else(own);
                let seen = JobSeen { pods, back_off };
                let outcome = job::reconcile(job, &seen, now, random)?;
                self.work.back_offs.insert(uid, outcome.remembered);
                Ok(with(outcome, |status| {
                    let (status, job) = (Some(status), job.clone());
                    Workload::Job(Job { status, ..job })
                }))
            }
            Workload::CronJob(cron) => {
                let seen = JobsSeen {
                    jobs: jobs(place),
                    zone: zone(cron.spec.time_zone.as_deref()),
                };
                let outcome = cron_job::reconcile(cron, &seen, now);
                Ok(with(outcome, |status| {
                    let (status, cron) = (Some(status), cron.clone());
                    Workload::CronJob(CronJob { status, ..cron })
                }))
            }
            Workload::DaemonSet(set) => {
                let labels = &self.store.settings().node_labels;
                let node = this_node(std::env::consts::ARCH, "", labels);
                let uid = set.metadata.uid.clone().unwrap_or_default();
                let revisions = place
                    .into_iter()
                    .flat_map(|it| it.daemon_revisions.values());
                let seen = NodesSeen {
                    nodes: vec![&node],
                    pods,
                    revisions: revisions.flatten().collect(),
                    failed: self.work.failed_pods.get(&uid).cloned().unwrap_or_default(),
                };
                let outcome = daemon_set::reconcile(set, &seen, now, random)?;
                let failed = outcome.remembered.clone();
                self.work.failed_pods.insert(uid, failed);
                Ok(with(outcome, |status| {
                    let (status, set) = (Some(status), set.clone());
                    Workload::DaemonSet(DaemonSet { status, ..set })
                }))
            }
        }
    }
}

/// Returns the replica sets of a namespace.
pub(super) fn replica_sets(place: Option<&NamespaceState>) -> Vec<&ReplicaSet> {
    let all = place.into_iter().flat_map(|place| place.workloads.values());
    let sets = all.filter_map(|it| match it {
        Workload::ReplicaSet(set) => Some(set),
        Workload::Deployment(_)
        | Workload::ReplicationController(_)
        | Workload::DaemonSet(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => None,
    });
    sets.collect()
}

/// Returns the jobs of a namespace.
fn jobs(place: Option<&NamespaceState>) -> Vec<&Job> {
    let all = place.into_iter().flat_map(|place| place.workloads.values());
    let jobs = all.filter_map(|it| match it {
        Workload::Job(job) => Some(job),
        Workload::Deployment(_)
        | Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::DaemonSet(_)
        | Workload::CronJob(_) => None,
    });
    jobs.collect()
}

/// Puts a status into its workload.
fn with<S, M>(outcome: Reconciled<S, M>, fill: impl FnOnce(S) -> Workload) -> Reconciled<Workload> {
    Reconciled {
        status: fill(outcome.status),
        steps: outcome.steps,
        wake_at: outcome.wake_at,
        remembered: (),
    }
}
