//! Notes on why a new template has not reached all pets although nothing is wrong.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::session::say;
use crate::model::deployment::canaries;
use crate::model::rollout::{self, is_canary};
use crate::model::{PAUSE_AFTER_ANNOTATION, PAUSED_ANNOTATION, Set, Strategy, Workload};
use crate::problem::Result;

/// Says that a new template reaches no pet by itself, where the strategy is `OnDelete` (R07).
pub(crate) fn say_if_on_delete(set: &StatefulSet) -> Result<()> {
    let set = Set::of(set)?;
    if set.strategy == Strategy::OnDelete {
        let name = &set.name;
        say(format!(
            "note: {name} has the update strategy OnDelete: a pet changes when you restart it, \
             such as with `petset restart {name}-{}`",
            set.start
        ));
    }
    Ok(())
}

/// Returns a note on a Deployment whose other pods wait until its canaries are promoted.
pub(crate) fn canary_note(workload: &Workload) -> Option<String> {
    let Workload::Deployment(deployment) = workload else {
        return None;
    };
    let canaries = canaries(deployment)?;
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let (replicas, full) = (replicas.unwrap_or(1), workload.full_name());
    (canaries < replicas).then(|| {
        format!(
            "note: {full} has canaries: {canaries} of {replicas} pods are updated; go on with \
             `petset rollout promote {full}`, or back with `petset rollout undo {full}`"
        )
    })
}

/// Returns a note on a roll-out that a pause or a canary holds.
pub(crate) fn held_note(set: &StatefulSet) -> Option<String> {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let status = set.status.clone().unwrap_or_default();
    if status.update_revision == status.current_revision {
        return None;
    }
    let updated = status.updated_replicas.unwrap_or_default();
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
    let count = format!("{updated} of {} pets are updated", replicas.unwrap_or(1));
    if rollout::annotation(set, PAUSED_ANNOTATION) == Some("true")
        || rollout::annotation(set, PAUSE_AFTER_ANNOTATION).is_some()
    {
        return Some(format!(
            "note: {name} is paused: {count}; go on with `petset rollout resume {name}`"
        ));
    }
    is_canary(set).then(|| {
        format!(
            "note: {name} has canaries: {count}; go on with `petset rollout promote {name}`, or \
             back with `petset rollout undo {name}`"
        )
    })
}
