//! Deployments, replica sets, replication controllers and daemon sets.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec,
    DeploymentStrategy, ReplicaSet, RollingUpdateDaemonSet, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::super::fault::Faults;
use super::names::{self, subdomain};
use super::template::{self, Words, fitting_selector};
use super::{at_least_zero, selector};

/// The API server speaks of deployments also where it means replica sets.
const SELECTOR: Words = Words {
    kind: "deployment",
    unusable: "invalid label selector",
};

const TEMPLATE: &str = "spec.template";

/// Checks a completed deployment; `has_selector` says whether a selector was given.
pub(super) fn validate_deployment(deployment: &Deployment, has_selector: bool) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &deployment.metadata, subdomain);
    if let Some(spec) = &deployment.spec {
        check_deployment(&mut faults, spec, has_selector);
    }
    faults
}

fn check_deployment(faults: &mut Faults, spec: &DeploymentSpec, has_selector: bool) {
    at_least_zero(faults, "spec.replicas", spec.replicas.map(i64::from));
    selected_template(faults, &spec.selector, has_selector, &spec.template);
    if let Some(strategy) = &spec.strategy {
        check_strategy(faults, strategy);
    }
    let ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    at_least_zero(faults, "spec.minReadySeconds", Some(ready_seconds.into()));
    let limit = spec.revision_history_limit.map(i64::from);
    at_least_zero(faults, "spec.revisionHistoryLimit", limit);
    let path = "spec.progressDeadlineSeconds";
    at_least_zero(faults, path, spec.progress_deadline_seconds.map(i64::from));
    let deadline = spec.progress_deadline_seconds;
    if let Some(seconds) = deadline.filter(|seconds| *seconds <= ready_seconds) {
        faults.invalid(path, seconds, "must be greater than minReadySeconds");
    }
}

/// Checks a template whose pods stay, and the selector for it.
fn selected_template(
    faults: &mut Faults,
    selector: &LabelSelector,
    has_selector: bool,
    template: &PodTemplateSpec,
) {
    if fitting_selector(faults, selector, has_selector, template, &SELECTOR) {
        template::template(faults, TEMPLATE, template);
        template::stays(faults, TEMPLATE, template, "ReplicaSet");
    }
}

fn check_strategy(faults: &mut Faults, strategy: &DeploymentStrategy) {
    let rolling = strategy.rolling_update.as_ref();
    match (strategy.type_.as_deref().unwrap_or_default(), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            faults.forbidden("spec.strategy.rollingUpdate", detail);
        }
        ("Recreate" | "RollingUpdate", None) => {}
        ("RollingUpdate", Some(rolling)) => check_rolling(faults, rolling),
        (kind, rolling) => {
            let rolling = rolling.map(|it| (&it.max_unavailable, &it.max_surge));
            let shown = shown_strategy(kind, rolling);
            faults.unsupported_value("spec.strategy", shown, &["Recreate", "RollingUpdate"]);
        }
    }
}

/// Shows a strategy as the API server does: with the names that Go gives to the fields.
fn shown_strategy(
    kind: &str,
    rolling: Option<(&Option<IntOrString>, &Option<IntOrString>)>,
) -> String {
    let count = |given: &Option<IntOrString>| given.as_ref().map_or(json!(0), |it| json!(it));
    let rolling = rolling.map_or_else(
        || "null".to_owned(),
        |(unavailable, surge)| {
            let (unavailable, surge) = (count(unavailable), count(surge));
            format!("{{\"MaxUnavailable\":{unavailable},\"MaxSurge\":{surge}}}")
        },
    );
    format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", json!(kind))
}

fn check_rolling(faults: &mut Faults, rolling: &RollingUpdateDeployment) {
    let (unavailable, surge) = (&rolling.max_unavailable, &rolling.max_surge);
    let path = "spec.strategy.rollingUpdate.maxUnavailable";
    whole_or_percent(faults, path, unavailable.as_ref());
    let at = "spec.strategy.rollingUpdate.maxSurge";
    whole_or_percent(faults, at, surge.as_ref());
    if number(unavailable.as_ref()) == 0 && number(surge.as_ref()) == 0 {
        faults.invalid(
            path,
            json!(unavailable),
            "may not be 0 when `maxSurge` is 0",
        );
    }
    not_above_all(faults, path, unavailable.as_ref());
}

/// Checks a number that may be given as a part of all.
fn whole_or_percent(faults: &mut Faults, path: &str, given: Option<&IntOrString>) {
    match given {
        Some(IntOrString::Int(number)) => at_least_zero(faults, path, Some((*number).into())),
        Some(IntOrString::String(text)) if percent(text).is_none() => {
            let detail = "a valid percent string must be a numeric string followed by an ending \
                 '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            faults.invalid_text(path, text, detail);
        }
        Some(IntOrString::String(_)) | None => {}
    }
}

fn not_above_all(faults: &mut Faults, path: &str, given: Option<&IntOrString>) {
    if let Some(IntOrString::String(text)) = given
        && percent(text).is_some_and(|percent| percent > 100)
    {
        faults.invalid_text(path, text, "must not be greater than 100%");
    }
}

/// Returns the number of a percentage; one that is too large for any use counts as the largest.
fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// Returns the number that is given, be it of pods or per cent; of other text, the number it
/// begins with is none.
fn number(given: Option<&IntOrString>) -> i64 {
    match given {
        Some(IntOrString::Int(number)) => (*number).into(),
        Some(IntOrString::String(text)) => {
            let plain = || text.parse().unwrap_or_default();
            percent(text).unwrap_or_else(plain)
        }
        None => 0,
    }
}

/// Checks a completed replica set; `has_selector` says whether a selector was given.
pub(super) fn validate_replica_set(set: &ReplicaSet, has_selector: bool) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &set.metadata, subdomain);
    if let Some(spec) = &set.spec {
        at_least_zero(&mut faults, "spec.replicas", spec.replicas.map(i64::from));
        let ready_seconds = spec.min_ready_seconds.map(i64::from);
        at_least_zero(&mut faults, "spec.minReadySeconds", ready_seconds);
        let template = spec.template.clone().unwrap_or_default();
        selected_template(&mut faults, &spec.selector, has_selector, &template);
    }
    faults
}

/// Checks a completed replication controller.
pub(super) fn validate_replication_controller(controller: &ReplicationController) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &controller.metadata, subdomain);
    let spec = controller.spec.clone().unwrap_or_default();
    let ready_seconds = spec.min_ready_seconds.map(i64::from);
    at_least_zero(&mut faults, "spec.minReadySeconds", ready_seconds);
    let labels = spec.selector.filter(|labels| !labels.is_empty());
    if labels.is_none() {
        faults.required("spec.selector", "");
    }
    at_least_zero(&mut faults, "spec.replicas", spec.replicas.map(i64::from));
    let Some(template) = &spec.template else {
        faults.required(TEMPLATE, "");
        return faults;
    };
    if labels.is_some() {
        let selector = LabelSelector {
            match_labels: labels,
            match_expressions: None,
        };
        template::fits(&mut faults, Some(&selector), template);
    }
    template::template(&mut faults, TEMPLATE, template);
    let without_deadline = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let pod = template.spec.get_or_insert_default();
        (pod.active_deadline_seconds.take(), template)
    };
    let (deadline, template) = without_deadline(template);
    template::stays(&mut faults, TEMPLATE, &template, "ReplicationController");
    if let Some(seconds) = deadline {
        let path = "spec.template.spec.activeDeadlineSeconds";
        faults.invalid(path, seconds, "must not be specified");
    }
    faults
}

/// Checks a completed daemon set; `has_selector` says whether a selector was given.
pub(super) fn validate_daemon_set(set: &DaemonSet, has_selector: bool) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &set.metadata, subdomain);
    if let Some(spec) = &set.spec {
        check_daemon_set(&mut faults, spec, has_selector);
    }
    faults
}

fn check_daemon_set(faults: &mut Faults, spec: &DaemonSetSpec, has_selector: bool) {
    let mut wrong = Faults::default();
    selector::selector(&mut wrong, "spec.selector", &spec.selector);
    if wrong.is_empty() {
        let given = has_selector.then_some(&spec.selector);
        template::fits(faults, given, &spec.template);
    }
    faults.extend(wrong);
    if has_selector && selector::is_empty(&spec.selector) {
        let detail = "empty selector is invalid for daemonset";
        faults.invalid("spec.selector", "{}", detail);
    }
    template::template(faults, TEMPLATE, &spec.template);
    template::stays(faults, TEMPLATE, &spec.template, "DaemonSet");
    let ready_seconds = spec.min_ready_seconds.map(i64::from);
    at_least_zero(faults, "spec.minReadySeconds", ready_seconds);
    if let Some(strategy) = &spec.update_strategy {
        check_update(faults, strategy);
    }
    let limit = spec.revision_history_limit.map(i64::from);
    at_least_zero(faults, "spec.revisionHistoryLimit", limit);
}

fn check_update(faults: &mut Faults, strategy: &DaemonSetUpdateStrategy) {
    let rolling = strategy.rolling_update.as_ref();
    match (strategy.type_.as_deref().unwrap_or_default(), rolling) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => faults.required("spec.updateStrategy.rollingUpdate", ""),
        ("RollingUpdate", Some(rolling)) => check_daemons_roll(faults, rolling),
        (kind, rolling) => {
            let rolling = rolling.map(|it| (&it.max_unavailable, &it.max_surge));
            let shown = shown_strategy(kind, rolling);
            let kinds = ["RollingUpdate", "OnDelete"];
            faults.unsupported_value("spec.updateStrategy", shown, &kinds);
        }
    }
}

fn check_daemons_roll(faults: &mut Faults, rolling: &RollingUpdateDaemonSet) {
    let (unavailable, surge) = (rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref());
    let path = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    let at = "spec.updateStrategy.rollingUpdate.maxSurge";
    whole_or_percent(faults, path, unavailable);
    whole_or_percent(faults, at, surge);
    not_above_all(faults, path, unavailable);
    not_above_all(faults, at, surge);
    match (number(unavailable) != 0, number(surge) != 0) {
        (true, true) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            faults.invalid(at, json!(surge), detail);
        }
        (false, false) => faults.required(path, "cannot be 0 when maxSurge is 0"),
        (true, false) | (false, true) => {}
    }
}
