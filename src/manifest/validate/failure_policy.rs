//! What becomes of a job when a pod of it has failed in a certain way (JB32).

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use serde_json::json;

use super::super::fault::Faults;
use super::names::{note, qualified};
use crate::sorted::SortedSet;

const MOST_RULES: usize = 20;
const MOST_PATTERNS: usize = 20;
const MOST_VALUES: usize = 255;

/// Checks the policy of a job.
pub(super) fn failure_policy(
    faults: &mut Faults,
    path: &str,
    policy: &PodFailurePolicy,
    spec: &JobSpec,
) {
    let path = format!("{path}.rules");
    faults.too_many(&path, policy.rules.len(), MOST_RULES);
    for (index, given) in policy.rules.iter().enumerate() {
        rule(faults, &format!("{path}[{index}]"), given, spec);
    }
}

fn rule(faults: &mut Faults, path: &str, rule: &PodFailurePolicyRule, spec: &JobSpec) {
    let at = format!("{path}.action");
    let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
    match rule.action.as_str() {
        action @ "FailIndex" if spec.backoff_limit_per_index.is_none() => {
            let detail = "requires the backoffLimitPerIndex to be set";
            faults.invalid_text(&at, action, detail);
        }
        action => listed(faults, &at, action, &actions),
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(faults, &format!("{path}.onExitCodes"), codes, spec);
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    conditions(faults, &format!("{path}.onPodConditions"), patterns);
    let detail = match (rule.on_exit_codes.is_some(), !patterns.is_empty()) {
        (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
        (true, false) | (false, true) => return,
    };
    faults.add(path, format!("Invalid value: {detail}"));
}

/// Checks text that must be one of `allowed`, all of which are named where it is missing.
fn listed(faults: &mut Faults, path: &str, text: &str, allowed: &[&str]) {
    match text {
        "" => {
            let quoted: Vec<String> = allowed.iter().map(|it| json!(it).to_string()).collect();
            faults.required(path, &format!("valid values: [{}]", quoted.join(" ")));
        }
        text if allowed.contains(&text) => {}
        text => faults.unsupported(path, text, allowed),
    }
}

fn conditions(
    faults: &mut Faults,
    path: &str,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
) {
    faults.too_many(path, patterns.len(), MOST_PATTERNS);
    for (index, pattern) in patterns.iter().enumerate() {
        let kind = &pattern.type_;
        note(
            faults,
            &format!("{path}[{index}].type"),
            kind,
            qualified(kind),
        );
        let status = pattern.status.as_deref().unwrap_or_default();
        let known = ["False", "True", "Unknown"];
        listed(faults, &format!("{path}[{index}].status"), status, &known);
    }
}

fn exit_codes(
    faults: &mut Faults,
    path: &str,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
) {
    listed(
        faults,
        &format!("{path}.operator"),
        &codes.operator,
        &["In", "NotIn"],
    );
    let pod = spec.template.spec.clone().unwrap_or_default();
    let mut containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    if let Some(name) = &codes.container_name
        && containers.all(|container| container.name != *name)
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        faults.invalid_text(&format!("{path}.containerName"), name, detail);
    }
    let path = format!("{path}.values");
    let values = codes.values.as_slice();
    if values.is_empty() {
        faults.invalid(&path, "null", "at least one value is required");
    }
    faults.too_many(&path, values.len(), MOST_VALUES);
    let mut taken = SortedSet::new();
    for (index, value) in values.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if codes.operator == "In" && *value == 0 {
            faults.invalid(&path, value, "must not be 0 for the In operator");
        }
        if !taken.insert(value) {
            faults.add(&path, format!("Duplicate value: {value}"));
        }
    }
    if !values.is_sorted() {
        faults.invalid(&path, json!(values), "must be ordered");
    }
}
