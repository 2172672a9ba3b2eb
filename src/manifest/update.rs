//! What may change of a set that exists (C32).

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};

use super::validate::validate_stateful_set;
use crate::problem::Problem;

const FORBIDDEN: &str = "updates to statefulset spec for fields other than 'replicas', \
     'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', \
     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Checks a set that was changed by a verb, as the API server would check it.
pub(crate) fn check(set: &StatefulSet) -> Result<(), Problem> {
    let faults = validate_stateful_set(set, true);
    if faults.is_empty() {
        return Ok(());
    }
    let name = set.metadata.name.as_deref().unwrap_or_default();
    Err(Problem::invalid(faults.about("StatefulSet.apps", name)))
}

/// Checks that `new` may take the place of `old`; both are complete.
pub(crate) fn check_update(old: &StatefulSet, new: &StatefulSet) -> Result<(), Problem> {
    let name = |set: &StatefulSet| set.metadata.name.clone().unwrap_or_default();
    let (old_name, new_name) = (name(old), name(new));
    if old_name != new_name {
        let message = format!(
            "the name of the object ({new_name}) does not match the name on the URL ({old_name})"
        );
        return Err(Problem::invalid(message));
    }
    let mut faults = validate_stateful_set(new, true);
    let fixed = |set: &StatefulSet| set.spec.as_ref().map(fixed_part);
    if fixed(old) != fixed(new) {
        faults.forbidden("spec", FORBIDDEN);
    }
    match faults.0.as_slice() {
        [] => Ok(()),
        [only] if only.reason == super::fault::Reason::Ours => {
            Err(Problem::invalid(only.to_string()))
        }
        _ => Err(Problem::invalid(
            faults.about("StatefulSet.apps", &new_name),
        )),
    }
}

/// Returns the spec without what may change.
fn fixed_part(spec: &StatefulSetSpec) -> StatefulSetSpec {
    let StatefulSetSpec {
        min_ready_seconds: _,
        ordinals: _,
        persistent_volume_claim_retention_policy: _,
        pod_management_policy,
        replicas: _,
        revision_history_limit: _,
        selector,
        service_name,
        template: _,
        update_strategy: _,
        volume_claim_templates,
    } = spec.clone();
    StatefulSetSpec {
        pod_management_policy,
        selector,
        service_name: service_name.filter(|name| !name.is_empty()),
        volume_claim_templates: volume_claim_templates.filter(|claims| !claims.is_empty()),
        ..StatefulSetSpec::default()
    }
}
