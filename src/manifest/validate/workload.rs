//! Workloads of all kinds.

use super::super::fault::Faults;
use super::cron_job::validate_cron_job;
use super::job::validate_job;
use super::replicas::{
    validate_daemon_set, validate_deployment, validate_replica_set, validate_replication_controller,
};
use crate::model::Workload;

/// Checks a completed workload.
///
/// Whether a selector was given cannot be seen in typed objects: `has_selector` says. A job has
/// this uid, and the selector that was made of it.
pub(crate) fn validate_workload(workload: &Workload, has_selector: bool, uid: &str) -> Faults {
    match workload {
        Workload::Deployment(deployment) => validate_deployment(deployment, has_selector),
        Workload::ReplicaSet(set) => validate_replica_set(set, has_selector),
        Workload::ReplicationController(controller) => validate_replication_controller(controller),
        Workload::DaemonSet(set) => validate_daemon_set(set, has_selector),
        Workload::Job(job) => validate_job(job, uid),
        Workload::CronJob(job) => validate_cron_job(job),
    }
}
