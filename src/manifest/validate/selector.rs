//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::json;

use super::super::fault::Faults;
use super::names::{label_value, note, qualified};

type Labels = BTreeMap<String, String>;

/// Checks a selector, noting what is wrong at `path`.
pub(super) fn selector(faults: &mut Faults, path: &str, selector: &LabelSelector) {
    let at = format!("{path}.matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        note(faults, &at, key, qualified(key));
        note(faults, &at, value, label_value(value));
    }
    let requirements = selector.match_expressions.iter().flatten();
    for (index, requirement) in requirements.enumerate() {
        let at = format!("{path}.matchExpressions[{index}]");
        expression(faults, &at, requirement);
    }
}

fn expression(faults: &mut Faults, path: &str, requirement: &LabelSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let at = format!("{path}.values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            faults.required(&at, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            faults.forbidden(&at, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            let detail = "not a valid selector operator";
            faults.invalid_text(&format!("{path}.operator"), other, detail);
        }
    }
    let key = &requirement.key;
    note(faults, &format!("{path}.key"), key, qualified(key));
    for (index, value) in values.iter().enumerate() {
        note(faults, &format!("{at}[{index}]"), value, label_value(value));
    }
}

/// Returns whether the selector says nothing.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.as_ref().map_or(0, BTreeMap::len);
    labels + selector.match_expressions.as_ref().map_or(0, Vec::len) == 0
}

/// Returns the selector as the API server shows it in a message.
pub(crate) fn shown(selector: &LabelSelector) -> String {
    let mut parts = Vec::new();
    if let Some(labels) = selector.match_labels.as_ref().filter(|map| !map.is_empty()) {
        parts.push(format!("\"matchLabels\":{}", json!(labels)));
    }
    let expressions = selector.match_expressions.iter().flatten();
    let expressions: Vec<String> = expressions.map(shown_expression).collect();
    if !expressions.is_empty() {
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    format!("{{{}}}", parts.join(","))
}

fn shown_expression(requirement: &LabelSelectorRequirement) -> String {
    let (key, operator) = (json!(requirement.key), json!(requirement.operator));
    let values = match requirement.values.as_deref() {
        None | Some([]) => String::new(),
        Some(values) => format!(",\"values\":{}", json!(values)),
    };
    format!("{{\"key\":{key},\"operator\":{operator}{values}}}")
}

/// Returns whether the labels fit the selector.
pub(super) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let of = |key: &str| labels.and_then(|labels| labels.get(key));
    let plain = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    plain.into_iter().all(|(key, value)| of(key) == Some(value))
        && expressions.all(|requirement| {
            let values = requirement.values.as_deref().unwrap_or_default();
            let found = of(&requirement.key);
            match requirement.operator.as_str() {
                "In" => found.is_some_and(|value| values.contains(value)),
                "NotIn" => found.is_none_or(|value| !values.contains(value)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
