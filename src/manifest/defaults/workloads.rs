//! Deployments, replica sets, replication controllers, daemon sets, jobs and cron jobs.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetUpdateStrategy, Deployment, DeploymentStrategy, ReplicaSet,
};
use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec, PodFailurePolicy};
use k8s_openapi::api::core::v1::{PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{default_pod_spec, fill};
use crate::model::Workload;
use crate::model::job::{complete_spec, label_as_pods, select_own_pods};

/// Counts the templates that a daemon set has had (DS05).
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Completes a workload, and begins its status, which its author cannot know.
pub(crate) fn default_workload(workload: &mut Workload) {
    match workload {
        Workload::Deployment(deployment) => default_deployment(deployment),
        Workload::ReplicaSet(set) => default_replica_set(set),
        Workload::ReplicationController(controller) => default_replication_controller(controller),
        Workload::DaemonSet(set) => default_daemon_set(set),
        Workload::Job(job) => default_job(job),
        Workload::CronJob(job) => default_cron_job(job),
    }
}

/// Completes a workload that comes into being with this uid: as above, and with what the API
/// server adds to a new object of its kind.
pub fn complete_workload(workload: &mut Workload, uid: &str) {
    default_workload(workload);
    match workload {
        Workload::DaemonSet(set) => count_template(set),
        Workload::Job(job) => {
            select_own_pods(job, uid);
            let spec = job.spec.get_or_insert_default();
            label_as_pods(&mut job.metadata, &spec.template);
        }
        Workload::Deployment(_)
        | Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::CronJob(_) => {}
    }
}

/// Completes a deployment (DP01).
fn default_deployment(deployment: &mut Deployment) {
    deployment.status = Some(Default::default());
    let spec = deployment.spec.get_or_insert_default();
    spec.replicas.get_or_insert(1);
    default_strategy(spec.strategy.get_or_insert_default());
    spec.revision_history_limit.get_or_insert(10);
    spec.progress_deadline_seconds.get_or_insert(600);
    default_template(&mut spec.template);
}

fn default_strategy(strategy: &mut DeploymentStrategy) {
    fill(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let quarter = || IntOrString::String("25%".to_owned());
        let rolling = strategy.rolling_update.get_or_insert_default();
        rolling.max_unavailable.get_or_insert_with(quarter);
        rolling.max_surge.get_or_insert_with(quarter);
    }
}

/// Completes a replica set (RS02).
fn default_replica_set(set: &mut ReplicaSet) {
    set.status = Some(Default::default());
    let spec = set.spec.get_or_insert_default();
    spec.replicas.get_or_insert(1);
    default_template(spec.template.get_or_insert_default());
}

/// Completes a replication controller, whose template labels also stand for its own labels and
/// for its selector (RS02).
fn default_replication_controller(controller: &mut ReplicationController) {
    controller.status = Some(Default::default());
    let spec = controller.spec.get_or_insert_default();
    spec.replicas.get_or_insert(1);
    let Some(template) = &mut spec.template else {
        return;
    };
    default_template(template);
    label_as_pods(&mut controller.metadata, template);
    if spec.selector.as_ref().is_none_or(|own| own.is_empty()) {
        let labels = template.metadata.as_ref();
        spec.selector = labels.and_then(|meta| meta.labels.clone());
    }
}

/// Completes a daemon set (DS01).
fn default_daemon_set(set: &mut DaemonSet) {
    set.status = Some(Default::default());
    let spec = set.spec.get_or_insert_default();
    default_update(spec.update_strategy.get_or_insert_default());
    spec.revision_history_limit.get_or_insert(10);
    default_template(&mut spec.template);
}

fn default_update(strategy: &mut DaemonSetUpdateStrategy) {
    fill(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
        rolling.max_surge.get_or_insert(IntOrString::Int(0));
    }
}

/// Completes a job (JB01); its selector is made when its uid is known, by `select_own_pods`.
fn default_job(job: &mut Job) {
    job.status = Some(Default::default());
    let spec = job.spec.get_or_insert_default();
    complete_spec(spec);
    default_job_template(spec);
    label_as_pods(&mut job.metadata, &spec.template);
}

/// Completes what a job and the job template of a cron job have in common.
fn default_job_template(spec: &mut JobSpec) {
    if let Some(PodFailurePolicy { rules }) = &mut spec.pod_failure_policy {
        let patterns = rules
            .iter_mut()
            .flat_map(|rule| &mut rule.on_pod_conditions);
        for pattern in patterns.flatten() {
            fill(&mut pattern.status, "True");
        }
    }
    default_template(&mut spec.template);
}

/// Notes of a new daemon set that its template is the first (DS05).
fn count_template(set: &mut DaemonSet) {
    let notes = set.metadata.annotations.get_or_insert_default();
    notes.insert(TEMPLATE_GENERATION.to_owned(), "1".to_owned());
}

/// Completes a cron job; of the jobs it will make, only the pod template is completed (CJ01).
fn default_cron_job(job: &mut CronJob) {
    job.status = Some(Default::default());
    let spec = &mut job.spec;
    fill(&mut spec.concurrency_policy, "Allow");
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(3);
    spec.failed_jobs_history_limit.get_or_insert(1);
    default_job_template(spec.job_template.spec.get_or_insert_default());
}

fn default_template(template: &mut PodTemplateSpec) {
    default_pod_spec(template.spec.get_or_insert_default());
}
