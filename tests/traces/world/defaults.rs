//! What the API server makes of a set that it is given.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

/// Reads a set, and fills in what it leaves out as the manifest reader does (C29).
///
/// Only `maxUnavailable` depends on a feature gate: without it the field is dropped (R15).
pub(super) fn complete(set: Value, gate: bool) -> StatefulSet {
    let mut set: StatefulSet = serde_json::from_value(set).expect("the recording has a set here");
    set.metadata.namespace = Some("default".to_owned());
    petset::complete_set(&mut set);
    let strategy = set
        .spec
        .as_mut()
        .and_then(|spec| spec.update_strategy.as_mut());
    if let Some(rolling) = strategy.and_then(|strategy| strategy.rolling_update.as_mut()) {
        let bound = rolling.max_unavailable.take();
        rolling.max_unavailable = gate.then(|| bound.unwrap_or(IntOrString::Int(1)));
    }
    set
}
