//! The quality-of-service class of a pod, by what its containers ask for and may use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use super::quantity::Quantity;
use crate::sorted::SortedMap;

/// Returns `Guaranteed`, `Burstable` or `BestEffort`, as the API server does (V59).
#[must_use]
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let whole = spec.resources.as_ref();
    let own = spec.init_containers.iter().flatten();
    let own = own.chain(&spec.containers);
    let own = own.map(|container: &Container| container.resources.as_ref());
    let all: Vec<Option<&ResourceRequirements>> = match whole {
        Some(_) => vec![whole],
        None => own.collect(),
    };
    let asks = |of: &Option<&ResourceRequirements>| {
        of.is_some_and(|of| !positive(of.requests.as_ref()).is_empty())
            || of.is_some_and(|of| !positive(of.limits.as_ref()).is_empty())
    };
    if !all.iter().any(asks) {
        return "BestEffort";
    }
    let even = |of: &Option<&ResourceRequirements>| {
        let Some(of) = of else { return false };
        let limits = positive(of.limits.as_ref());
        let requests = positive(of.requests.as_ref());
        // What is not asked for is the limit (V57).
        limits.len() == 2
            && requests
                .iter()
                .all(|(name, asked)| limits.get(name) == Some(asked))
    };
    match all.iter().all(even) {
        true => "Guaranteed",
        false => "Burstable",
    }
}

/// Returns how much processor time and memory is named: nothing else counts, and zero does not.
fn positive(map: Option<&BTreeMap<String, Written>>) -> SortedMap<&str, i128> {
    let counted = map.into_iter().flatten().filter_map(|(name, written)| {
        let amount: Quantity = written.0.parse().ok()?;
        let counts = matches!(name.as_str(), "cpu" | "memory") && amount.nanos() > 0;
        counts.then_some((name.as_str(), amount.nanos()))
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(containers: Value) -> &'static str {
        let spec: PodSpec = serde_json::from_value(json!({"containers": containers})).unwrap();
        qos_class(&spec)
    }

    #[test]
    fn v59_a_pod_has_a_quality_of_service_class() {
        let full = json!({"cpu": "10m", "memory": "20Mi"});
        let same = json!({"cpu": "0.01", "memory": "20480Ki"});
        let container = |resources: Value| json!({"name": "c", "resources": resources});
        let even = container(json!({"requests": full, "limits": same}));
        let limited = container(json!({"limits": full}));
        let asking = container(json!({"requests": {"cpu": "10m"}}));
        let nothing = container(json!({"requests": {"ephemeral-storage": "1Gi", "cpu": "0"}}));
        for (containers, wanted) in [
            (json!([even]), "Guaranteed"),
            (json!([limited]), "Guaranteed"),
            (json!([even, limited]), "Guaranteed"),
            (json!([even, nothing]), "Burstable"),
            (json!([asking]), "Burstable"),
            (
                json!([container(
                    json!({"requests": {"cpu": "5m"}, "limits": full})
                )]),
                "Burstable",
            ),
            (
                json!([container(json!({"limits": {"memory": "1Gi"}}))]),
                "Burstable",
            ),
            (json!([nothing]), "BestEffort"),
            (json!([{"name": "c"}]), "BestEffort"),
        ] {
            assert_eq!(class(containers.clone()), wanted, "{containers}");
        }
    }
}
