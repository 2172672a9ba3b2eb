//! Requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

use super::super::fault::Faults;
use super::names::{note, qualified};
use crate::model::quantity::Quantity;

type Amounts = BTreeMap<String, Amount>;

/// Checks the resources of a container.
pub(super) fn resources(faults: &mut Faults, path: &str, wanted: &ResourceRequirements) {
    let none = Amounts::new();
    let limits = wanted.limits.as_ref().unwrap_or(&none);
    let requests = wanted.requests.as_ref().unwrap_or(&none);
    for (name, amount) in limits {
        resource(faults, &format!("{path}.limits[{name}]"), name, amount);
    }
    for (name, amount) in requests {
        resource(faults, &format!("{path}.requests[{name}]"), name, amount);
        let Some(limit) = limits.get(name) else {
            continue;
        };
        let (Ok(request), Ok(limit)) = (amount.0.parse::<Quantity>(), limit.0.parse::<Quantity>())
        else {
            continue;
        };
        if request.nanos() > limit.nanos() {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            let shown = request.to_string();
            faults.invalid_text(&format!("{path}.requests"), &shown, &detail);
        }
    }
}

fn resource(faults: &mut Faults, path: &str, name: &str, amount: &Amount) {
    resource_name(faults, path, name);
    let Ok(amount) = amount.0.parse::<Quantity>() else {
        return;
    };
    if amount.nanos() < 0 {
        let detail = "must be greater than or equal to 0";
        faults.invalid_text(path, &amount.to_string(), detail);
    }
}

fn resource_name(faults: &mut Faults, path: &str, name: &str) {
    let complaints = qualified(name);
    if !complaints.is_empty() {
        return note(faults, path, name, complaints);
    }
    if name.contains('/') {
        return;
    }
    let for_containers =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if for_containers {
        return;
    }
    if !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        faults.invalid_text(path, name, detail);
    }
    let detail = "must be a standard resource for containers";
    faults.invalid_text(path, name, detail);
}

/// Returns whether a resource has a meaning somewhere else, in quotas for instance.
fn is_standard(name: &str) -> bool {
    let plain = name
        .strip_prefix("requests.")
        .or_else(|| name.strip_prefix("limits."))
        .unwrap_or(name);
    matches!(
        plain,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "persistentvolumeclaims"
            | "configmaps"
            | "services.nodeports"
            | "services.loadbalancers"
    )
}
