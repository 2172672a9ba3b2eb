//! Deployments, replica sets, replication controllers, daemon sets, jobs and cron jobs.

use super::Draft;
use crate::manifest::defaults::default_workload;
use crate::manifest::{validate, warnings};
use crate::model::Workload;
use crate::model::job::select_own_pods;
use crate::model::kind::WorkloadKind;

/// Stands for the uid of a job that is not yet made, in what is said of its selector.
const UID: &str = "UID";

impl Draft<'_> {
    /// Returns the whole workload; a job has no selector yet, unless its author chose one.
    pub(super) fn workload(&mut self, kind: WorkloadKind) -> Option<Workload> {
        let mut workload = match kind {
            WorkloadKind::Deployment => Workload::Deployment(self.decoded()?),
            WorkloadKind::ReplicaSet => Workload::ReplicaSet(self.decoded()?),
            WorkloadKind::ReplicationController => Workload::ReplicationController(self.decoded()?),
            WorkloadKind::DaemonSet => Workload::DaemonSet(self.decoded()?),
            WorkloadKind::Job => Workload::Job(self.decoded()?),
            WorkloadKind::CronJob => Workload::CronJob(self.decoded()?),
        };
        self.template_origins(template_path(kind));
        warnings::of_workload(&workload, template_path(kind), &mut self.warnings);
        default_workload(&mut workload);
        let mut made = workload.clone();
        if let Workload::Job(job) = &mut made {
            select_own_pods(job, UID);
        }
        let faults = validate::validate_workload(&made, self.has_selector(), UID);
        self.faults.extend(faults);
        Some(workload)
    }
}

/// Returns where the pod template of a workload stands.
const fn template_path(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::CronJob => "spec.jobTemplate.spec.template",
        WorkloadKind::Deployment
        | WorkloadKind::ReplicaSet
        | WorkloadKind::ReplicationController
        | WorkloadKind::DaemonSet
        | WorkloadKind::Job => "spec.template",
    }
}
