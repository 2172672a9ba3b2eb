//! The conditions of a Deployment while a pass works on them (DP52, DP57).

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::model::workload::WorkStep;

pub(super) const PROGRESSING: &str = "Progressing";
/// All pods have the wanted template.
pub(super) const COMPLETE: &str = "NewReplicaSetAvailable";
/// As many pods have the wanted template as there are canaries.
pub(super) const CANARIES: &str = "CanariesAvailable";

/// The ReplicaSet of the wanted template could not be made.
const FAILED_CREATE: &str = "ReplicaSetCreateError";

/// Returns the status of a Deployment a step of which failed with a message: as it was, but for the
/// condition that a ReplicaSet could not be made (DP53).
#[must_use]
pub fn failed_status(
    before: &Deployment,
    step: &WorkStep,
    why: &str,
    now: Timestamp,
) -> Option<DeploymentStatus> {
    let deadline = before.spec.as_ref()?.progress_deadline_seconds;
    let has_deadline = deadline.is_some_and(|seconds| seconds < i32::MAX);
    let (WorkStep::CreateSet(_), true) = (step, has_deadline) else {
        return before.status.clone();
    };
    let status = before.status.clone().unwrap_or_default();
    let mut conditions = Conditions::of(&status, now);
    let message = step.told(Some(why)).map(|told| told.message);
    conditions.set(
        PROGRESSING,
        "False",
        FAILED_CREATE,
        message.unwrap_or_default(),
    );
    Some(DeploymentStatus {
        conditions: Some(conditions.all),
        ..status
    })
}

/// The conditions of a status while a pass works on them.
pub(super) struct Conditions {
    pub(super) all: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    pub(super) fn of(status: &DeploymentStatus, now: Timestamp) -> Self {
        Self {
            all: status.conditions.clone().unwrap_or_default(),
            now,
        }
    }

    pub(super) fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.all.iter().find(|condition| condition.type_ == kind)
    }

    pub(super) fn remove(&mut self, kind: &str) {
        self.all.retain(|condition| condition.type_ != kind);
    }

    /// Sets a condition; one that has the same status and reason stays as it is (DP57).
    pub(super) fn set(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let before = self.get(kind);
        let same = |before: &&DeploymentCondition| before.status == status;
        if before
            .filter(same)
            .is_some_and(|before| before.reason.as_deref() == Some(reason))
        {
            return;
        }
        self.replace(kind, status, reason, message);
    }

    pub(super) fn replace(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let before = self.get(kind).filter(|before| before.status == status);
        let since = before.and_then(|before| before.last_transition_time.clone());
        let condition = DeploymentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: Some(Time(self.now)),
            last_transition_time: Some(since.unwrap_or(Time(self.now))),
        };
        self.remove(kind);
        self.all.push(condition);
    }

    /// Notes that a ReplicaSet was made for the template (DP52).
    pub(super) fn created(&mut self, judged: bool, set: &str) {
        if judged {
            let message = format!("Created new replica set {set:?}");
            self.set(PROGRESSING, "True", "NewReplicaSetCreated", message);
        }
    }

    /// Notes that there was a ReplicaSet for the template when progress was first looked at.
    pub(super) fn found(&mut self, judged: bool, set: &str) {
        if judged && self.get(PROGRESSING).is_none() {
            let message = format!("Found new replica set {set:?}");
            self.set(PROGRESSING, "True", "FoundNewReplicaSet", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replica_set_that_cannot_be_made_is_told() {
        // DP53
        let web = json!({"metadata": {"name": "web"}, "spec": {"progressDeadlineSeconds": 600,
            "selector": {}, "template": {}}, "status": {"replicas": 2}});
        let web: Deployment = serde_json::from_value(web).unwrap();
        let set = json!({"metadata": {"name": "web-1"}});
        let create = WorkStep::CreateSet(serde_json::from_value(set).unwrap());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let status = failed_status(&web, &create, "the disk is full", now).unwrap();
        assert_eq!(status.replicas, Some(2));
        let condition = &status.conditions.unwrap()[0];
        let (state, reason) = (&condition.status, condition.reason.as_deref().unwrap());
        assert_eq!((state.as_str(), reason), ("False", "ReplicaSetCreateError"));
        let message = "Failed to create new replica set \"web-1\": the disk is full";
        assert_eq!(condition.message.as_deref(), Some(message));
        let told = create.told(Some("the disk is full")).unwrap();
        assert_eq!(
            (told.reason.as_str(), told.message.as_str()),
            (reason, message)
        );
        // The failure of another step says nothing.
        let other = WorkStep::DeleteSet {
            name: "web-1".to_owned(),
        };
        assert_eq!(failed_status(&web, &other, "why", now), web.status);
    }
}
