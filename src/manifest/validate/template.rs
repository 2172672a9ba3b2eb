//! Pod templates, and the selectors that must fit them.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::super::fault::Faults;
use super::pod::whole_spec;
use super::{names, selector};

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Checks a template of pods.
///
/// The paths of wrong labels lack `metadata`, as the API server's do.
pub(super) fn template(faults: &mut Faults, path: &str, template: &PodTemplateSpec) {
    let meta = template.metadata.clone().unwrap_or_default();
    names::labels(faults, &format!("{path}.labels"), meta.labels.as_ref());
    let annotations = meta.annotations.as_ref();
    names::annotations(faults, &format!("{path}.annotations"), annotations);
    let spec = template.spec.clone().unwrap_or_default();
    let path = format!("{path}.spec");
    whole_spec(faults, &path, &spec);
    if spec
        .ephemeral_containers
        .is_some_and(|list| !list.is_empty())
    {
        let path = format!("{path}.ephemeralContainers");
        faults.forbidden(&path, "ephemeral containers not allowed in pod template");
    }
}

/// Checks that pods of the template stay: they are always restarted and have no deadline.
pub(super) fn stays(faults: &mut Faults, path: &str, template: &PodTemplateSpec, kind: &str) {
    let pod = template.spec.clone().unwrap_or_default();
    if pod.restart_policy.as_deref() != Some("Always") {
        let policy = pod.restart_policy.unwrap_or_default();
        faults.unsupported(&format!("{path}.spec.restartPolicy"), &policy, &["Always"]);
    }
    if pod.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        faults.forbidden(&format!("{path}.spec.activeDeadlineSeconds"), &detail);
    }
}

/// What is told of a selector.
pub(super) struct Words {
    /// The kind whose selector must not be empty.
    pub(super) kind: &'static str,
    /// What is said of a selector that cannot be used.
    pub(super) unusable: &'static str,
}

/// Checks the selector of a spec and that it fits the template. Returns whether it can be used at
/// all: else the API server does not look at the template.
///
/// Whether a selector was given cannot be seen in the typed object: `is_given` says.
pub(super) fn fitting_selector(
    faults: &mut Faults,
    given: &LabelSelector,
    is_given: bool,
    template: &PodTemplateSpec,
    words: &Words,
) -> bool {
    let path = "spec.selector";
    let mut wrong = Faults::default();
    let empty = selector::is_empty(given);
    if !is_given {
        faults.required(path, "");
    } else {
        selector::selector(&mut wrong, path, given);
        if empty {
            let detail = format!("empty selector is invalid for {}", words.kind);
            faults.invalid(path, "{}", &detail);
        }
    }
    if !wrong.is_empty() {
        faults.extend(wrong);
        faults.invalid(path, selector::shown(given), words.unusable);
        return false;
    }
    if !is_given || !empty {
        fits(faults, is_given.then_some(given), template);
    }
    true
}

/// Checks that the labels of the template fit the selector; no selector fits nothing.
pub(super) fn fits(faults: &mut Faults, given: Option<&LabelSelector>, template: &PodTemplateSpec) {
    let meta = template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    if !given.is_some_and(|given| selector::matches(given, labels)) {
        mismatch(faults, template);
    }
}

/// Notes that the labels of the template do not fit.
pub(super) fn mismatch(faults: &mut Faults, template: &PodTemplateSpec) {
    let meta = template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    faults.invalid("spec.template.metadata.labels", json!(labels), MISMATCH);
}
