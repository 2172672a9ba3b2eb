//! Whether a workload has come to what its spec asks for, as `kubectl rollout status` judges it.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, DeploymentCondition, DeploymentStatus};

use crate::model::deployment::canaries;
use crate::model::{Workload, job};

/// How far a workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkProgress {
    /// It is as its spec says, or has nothing to do.
    Done,
    /// What it waits for: a sentence without its full stop.
    Waiting(String),
    /// It does not come to that without a change by the user, and why.
    Failed(String),
}

/// Returns how many pods a workload keeps; `None` of those whose pods come to an end.
#[must_use]
pub(crate) fn wanted_pods(workload: &Workload) -> Option<i32> {
    match workload {
        Workload::ReplicaSet(set) => set.spec.as_ref()?.replicas,
        Workload::ReplicationController(set) => set.spec.as_ref()?.replicas,
        Workload::Deployment(deployment) => deployment.spec.as_ref()?.replicas,
        Workload::DaemonSet(set) => Some(set.status.as_ref()?.desired_number_scheduled),
        Workload::Job(_) | Workload::CronJob(_) => None,
    }
}

/// Returns how far a workload is, by its status. What an earlier generation came to says nothing.
#[must_use]
pub(crate) fn progress(workload: &Workload) -> WorkProgress {
    let name = workload.metadata().name.clone().unwrap_or_default();
    let unseen = || WorkProgress::Waiting(format!("{name}: not looked at yet"));
    if observed(workload).is_some_and(|seen| Some(seen) < workload.metadata().generation) {
        return unseen();
    }
    let of_pods = |wanted: Option<i32>, there: i32, available: Option<i32>| {
        let (wanted, available) = (wanted.unwrap_or(1), available.unwrap_or_default());
        match there == wanted && available == wanted {
            true => WorkProgress::Done,
            false => WorkProgress::Waiting(ready(&name, available.min(wanted), wanted)),
        }
    };
    match workload {
        Workload::ReplicaSet(set) => {
            let (spec, status) = (
                set.spec.clone().unwrap_or_default(),
                set.status.clone().unwrap_or_default(),
            );
            of_pods(spec.replicas, status.replicas, status.available_replicas)
        }
        Workload::ReplicationController(set) => {
            let (spec, status) = (
                set.spec.clone().unwrap_or_default(),
                set.status.clone().unwrap_or_default(),
            );
            of_pods(spec.replicas, status.replicas, status.available_replicas)
        }
        Workload::Deployment(deployment) => of_deployment(&name, deployment),
        Workload::DaemonSet(set) => of_daemon_set(&name, set),
        Workload::Job(job) => {
            let status = job.status.clone().unwrap_or_default();
            let suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
            match job::finished(&status) {
                Some(end) if end.type_ == "Complete" => WorkProgress::Done,
                Some(end) => {
                    let why = end.message.clone().unwrap_or_default();
                    WorkProgress::Failed(format!("{name} has failed: {why}"))
                }
                None if suspended => WorkProgress::Done,
                None => {
                    let wanted = job.spec.as_ref().and_then(|spec| spec.completions);
                    let (wanted, done) =
                        (wanted.unwrap_or(1), status.succeeded.unwrap_or_default());
                    WorkProgress::Waiting(format!("{name}: {done} of {wanted} completed"))
                }
            }
        }
        Workload::CronJob(_) => WorkProgress::Done,
    }
}

/// Returns the generation that the status is about; `None` for kinds whose status does not say it.
fn observed(workload: &Workload) -> Option<i64> {
    let unseen = Some(0);
    match workload {
        Workload::ReplicaSet(set) => set
            .status
            .as_ref()
            .map_or(unseen, |it| it.observed_generation),
        Workload::ReplicationController(set) => set
            .status
            .as_ref()
            .map_or(unseen, |it| it.observed_generation),
        Workload::Deployment(set) => set
            .status
            .as_ref()
            .map_or(unseen, |it| it.observed_generation),
        Workload::DaemonSet(set) => set
            .status
            .as_ref()
            .map_or(unseen, |it| it.observed_generation),
        Workload::Job(_) | Workload::CronJob(_) => return None,
    }
    .or(unseen)
}

fn ready(name: &str, available: i32, wanted: i32) -> String {
    format!("{name}: {available} of {wanted} ready")
}

/// Returns the condition of a Deployment that has taken too long (DP54).
pub(super) fn missed_deadline(status: &DeploymentStatus) -> Option<&DeploymentCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| {
        condition.type_ == "Progressing"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })
}

fn of_deployment(name: &str, deployment: &Deployment) -> WorkProgress {
    let spec = deployment.spec.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    if let Some(late) = missed_deadline(&status) {
        let why = late.message.clone().unwrap_or_default();
        return WorkProgress::Failed(format!("{name} exceeded its progress deadline: {why}"));
    }
    let number = |count: Option<i32>| count.unwrap_or_default();
    let (wanted, updated) = (spec.replicas.unwrap_or(1), number(status.updated_replicas));
    let (all, available) = (number(status.replicas), number(status.available_replicas));
    if spec.paused == Some(true) || (updated == wanted && all == wanted && available == wanted) {
        return WorkProgress::Done;
    }
    let share = canaries(deployment);
    if share.is_some_and(|share| updated == share && all == wanted && available == wanted) {
        return WorkProgress::Done;
    }
    let wanted = share.unwrap_or(wanted);
    if updated < wanted || all <= updated {
        let available = available.min(updated);
        return WorkProgress::Waiting(ready(name, available, wanted));
    }
    let old = all - updated;
    let text = match old {
        1 => format!("{name}: 1 old pod is still to stop"),
        old => format!("{name}: {old} old pods are still to stop"),
    };
    WorkProgress::Waiting(text)
}

fn of_daemon_set(name: &str, set: &DaemonSet) -> WorkProgress {
    let status = set.status.clone().unwrap_or_default();
    let strategy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    let is_rolled = strategy.and_then(|it| it.type_.as_deref()) != Some("OnDelete");
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let available = status.number_available.unwrap_or_default();
    match available == wanted && (updated == wanted || !is_rolled) {
        true => WorkProgress::Done,
        false => WorkProgress::Waiting(ready(name, available.min(updated), wanted)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::kind::WorkloadKind;

    fn told(kind: WorkloadKind, spec: &Value, status: &Value) -> String {
        let template = json!({"spec": {"containers": []}});
        let mut object = json!({
            "metadata": {"name": "x", "generation": 2},
            "spec": {"selector": {}, "template": template}, "status": status,
        });
        for (key, value) in spec.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        match progress(&Workload::from_json(kind, &object).unwrap()) {
            WorkProgress::Done => "done".to_owned(),
            WorkProgress::Waiting(text) => text,
            WorkProgress::Failed(text) => format!("failed: {text}"),
        }
    }

    #[test]
    fn a_replica_set_is_done_when_as_many_pods_as_it_wants_are_available() {
        let set = |status| told(WorkloadKind::ReplicaSet, &json!({"replicas": 2}), &status);
        assert_eq!(set(json!(null)), "x: not looked at yet");
        let old = json!({"replicas": 2, "availableReplicas": 2, "observedGeneration": 1});
        assert_eq!(set(old), "x: not looked at yet");
        let one = json!({"replicas": 2, "availableReplicas": 1, "observedGeneration": 2});
        assert_eq!(set(one), "x: 1 of 2 ready");
        let three = json!({"replicas": 3, "availableReplicas": 3, "observedGeneration": 2});
        assert_eq!(set(three), "x: 2 of 2 ready");
        let two = json!({"replicas": 2, "availableReplicas": 2, "observedGeneration": 2});
        assert_eq!(set(two), "done");
    }

    #[test]
    fn a_deployment_is_done_when_all_pods_have_its_template_or_it_is_paused() {
        let spec = json!({"replicas": 2});
        let of = |status: Value| told(WorkloadKind::Deployment, &spec, &status);
        let counts = |updated: i32, all: i32, available: i32| {
            json!({"observedGeneration": 2, "updatedReplicas": updated, "replicas": all,
                   "availableReplicas": available})
        };
        assert_eq!(of(counts(1, 3, 2)), "x: 1 of 2 ready");
        assert_eq!(of(counts(2, 3, 2)), "x: 1 old pod is still to stop");
        assert_eq!(of(counts(2, 2, 1)), "x: 1 of 2 ready");
        assert_eq!(of(counts(2, 2, 2)), "done");
        let paused = json!({"replicas": 2, "paused": true});
        assert_eq!(
            told(WorkloadKind::Deployment, &paused, &counts(0, 2, 2)),
            "done"
        );
        let late = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing",
            "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]});
        assert_eq!(of(late), "failed: x exceeded its progress deadline: late");
    }

    #[test]
    fn a_job_is_done_when_it_is_complete_or_suspended() {
        let spec = json!({"completions": 2});
        let of = |status: Value| told(WorkloadKind::Job, &spec, &status);
        let end = |kind: &str| {
            json!({"succeeded": 1, "conditions":
                [{"type": kind, "status": "True", "message": "why"}]})
        };
        assert_eq!(of(json!({"succeeded": 1})), "x: 1 of 2 completed");
        assert_eq!(of(end("Complete")), "done");
        assert_eq!(of(end("Failed")), "failed: x has failed: why");
        let suspended = json!({"suspend": true});
        assert_eq!(told(WorkloadKind::Job, &suspended, &json!({})), "done");
    }

    #[test]
    fn a_daemon_set_is_done_when_each_node_has_a_pod_of_its_template() {
        let of = |spec: &Value, updated: i32| {
            let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 1,
                "currentNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": 1,
                "numberAvailable": 1, "updatedNumberScheduled": updated});
            told(WorkloadKind::DaemonSet, spec, &status)
        };
        assert_eq!(of(&json!({}), 0), "x: 0 of 1 ready");
        assert_eq!(
            of(&json!({"updateStrategy": {"type": "OnDelete"}}), 0),
            "done"
        );
        assert_eq!(of(&json!({}), 1), "done");
    }
}
