//! Jobs.

use k8s_openapi::api::batch::v1::{Job, JobSpec, SuccessPolicy, SuccessPolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::super::fault::Faults;
use super::at_least_zero;
use super::failure_policy::failure_policy;
use super::names::{self, label, note, subdomain};
use super::selector;
use super::template::{self, mismatch};

/// The most pods of an indexed job that run at once, and the most of its indexes that may fail.
const MOST_INDEXES: i32 = 100_000;
/// The same for jobs with more completions than the above and a limit per index.
const MOST_OF_MANY: i32 = 10_000;
const MOST_RULES: usize = 20;
const LONGEST_INDEXES: usize = 64 * 1024;
const LONGEST_MANAGER: usize = 63;

/// Checks a completed job of this uid, whose selector has been made.
pub(super) fn validate_job(job: &Job, uid: &str) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &job.metadata, subdomain);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let spec = job.spec.clone().unwrap_or_default();
    generated(&mut faults, &spec, name, uid);
    own_spec(&mut faults, &spec);
    if let Some(completions) = spec.completions.filter(|number| *number > 0)
        && is_indexed(&spec)
    {
        let last = format!("{name}-{}", completions - 1);
        if !label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            faults.invalid_text("metadata.name", name, &detail);
        }
    }
    faults
}

/// Checks the spec of a job that exists, with its selector.
fn own_spec(faults: &mut Faults, spec: &JobSpec) {
    job_spec(faults, "spec", spec);
    let mut wrong = Faults::default();
    let nothing = LabelSelector::default();
    let given = spec.selector.as_ref();
    match given {
        Some(given) => selector::selector(&mut wrong, "spec.selector", given),
        None => faults.required("spec.selector", ""),
    }
    let meta = spec.template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    let fits = given.is_some() && selector::matches(given.unwrap_or(&nothing), labels);
    if wrong.is_empty() && !fits {
        mismatch(faults, &spec.template);
    }
    faults.extend(wrong);
}

/// Checks that the labels by which a job knows its pods are those that were made for it (JB36).
fn generated(faults: &mut Faults, spec: &JobSpec, name: &str, uid: &str) {
    let Some(given) = spec.selector.as_ref().filter(|_| !is_manual(spec)) else {
        return;
    };
    let meta = spec.template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    let expected = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    for (key, value) in expected {
        let path = format!("spec.template.metadata.labels[{key}]");
        let detail = format!("must be '{value}'");
        match labels.and_then(|labels| labels.get(key)) {
            None => faults.required(&path, &detail),
            Some(found) if found != value => faults.invalid(&path, json!(labels), &detail),
            Some(_) => {}
        }
    }
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    if !selector::matches(given, Some(&expected.into())) {
        let detail = "`selector` not auto-generated";
        faults.invalid("spec.selector", selector::shown(given), detail);
    }
}

fn is_manual(spec: &JobSpec) -> bool {
    spec.manual_selector == Some(true)
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// Checks what a job and the job template of a cron job have in common.
pub(super) fn job_spec(faults: &mut Faults, path: &str, spec: &JobSpec) {
    for (field, number) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        (
            "ttlSecondsAfterFinished",
            spec.ttl_seconds_after_finished.map(i64::from),
        ),
        (
            "backoffLimitPerIndex",
            spec.backoff_limit_per_index.map(i64::from),
        ),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        at_least_zero(faults, &format!("{path}.{field}"), number);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let at = format!("{path}.backoffLimitPerIndex");
        faults.required(&at, "when maxFailedIndexes is specified");
    }
    if let Some(manager) = &spec.managed_by {
        managed_by(faults, &format!("{path}.managedBy"), manager);
    }
    completion_mode(faults, path, spec);
    if let Some(policy) = &spec.pod_failure_policy {
        failure_policy(faults, &format!("{path}.podFailurePolicy"), policy, spec);
    }
    if let Some(policy) = &spec.success_policy {
        success_policy(faults, &format!("{path}.successPolicy"), policy, spec);
    }
    replacement(faults, &format!("{path}.podReplacementPolicy"), spec);
    let path = format!("{path}.template");
    template::template(faults, &path, &spec.template);
    restart_policy(faults, &format!("{path}.spec.restartPolicy"), spec);
}

fn completion_mode(faults: &mut Faults, path: &str, spec: &JobSpec) {
    match spec.completion_mode.as_deref() {
        Some("Indexed") => indexed(faults, path, spec),
        Some("NonIndexed") | None => {
            for (field, number) in [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ] {
                if let Some(number) = number {
                    let path = format!("{path}.{field}");
                    faults.invalid(&path, number, "requires indexed completion mode");
                }
            }
        }
        Some(other) => {
            let path = format!("{path}.completionMode");
            faults.unsupported(&path, other, &["NonIndexed", "Indexed"]);
        }
    }
}

fn indexed(faults: &mut Faults, path: &str, spec: &JobSpec) {
    let completions = spec.completions;
    if completions.is_none() {
        let path = format!("{path}.completions");
        faults.required(&path, "when completion mode is Indexed");
    }
    let parallel = format!("{path}.parallelism");
    let failed = format!("{path}.maxFailedIndexes");
    let above = |number: Option<i32>, most: i32| number.filter(|number| *number > most);
    if let Some(number) = above(spec.parallelism, MOST_INDEXES) {
        let detail =
            format!("must be less than or equal to {MOST_INDEXES} when completion mode is Indexed");
        faults.invalid(&parallel, number, &detail);
    }
    let most = completions.unwrap_or(i32::MAX);
    if let Some(number) = above(spec.max_failed_indexes, most) {
        faults.invalid(&failed, number, "must be less than or equal to completions");
    }
    if let Some(number) = above(spec.max_failed_indexes, MOST_INDEXES) {
        let detail = format!("must be less than or equal to {MOST_INDEXES}");
        faults.invalid(&failed, number, &detail);
    }
    if above(completions, MOST_INDEXES).is_none() || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {MOST_INDEXES}");
        faults.required(&failed, &detail);
    }
    let detail = format!(
        "must be less than or equal to {MOST_OF_MANY} when completions are above {MOST_INDEXES} \
         and used with backoff limit per index"
    );
    for (path, number) in [
        (&parallel, spec.parallelism),
        (&failed, spec.max_failed_indexes),
    ] {
        if let Some(number) = above(number, MOST_OF_MANY) {
            faults.invalid(path, number, &detail);
        }
    }
}

fn managed_by(faults: &mut Faults, path: &str, manager: &str) {
    match manager.split_once('/') {
        _ if manager.is_empty() => faults.required(path, ""),
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            note(faults, path, host, subdomain(host));
        }
        Some(_) | None => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            faults.invalid_text(path, manager, detail);
        }
    }
    faults.too_long(path, manager, LONGEST_MANAGER);
}

fn replacement(faults: &mut Faults, path: &str, spec: &JobSpec) {
    let Some(policy) = spec.pod_replacement_policy.as_deref() else {
        return;
    };
    let known: &[&str] = match spec.pod_failure_policy {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    if !known.contains(&policy) {
        faults.unsupported(path, policy, known);
    }
}

fn restart_policy(faults: &mut Faults, path: &str, spec: &JobSpec) {
    let pod = spec.template.spec.as_ref();
    let policy = pod.and_then(|pod| pod.restart_policy.as_deref());
    match policy.unwrap_or_default() {
        "" | "Always" => {
            faults.required(path, "valid values: \"OnFailure\", \"Never\"");
        }
        "Never" => {}
        policy @ "OnFailure" => {
            if spec.pod_failure_policy.is_some() {
                let detail = "only \"Never\" is supported when podFailurePolicy is specified";
                faults.invalid_text(path, policy, detail);
            }
        }
        other => faults.unsupported(path, other, &["OnFailure", "Never"]),
    }
}

fn success_policy(faults: &mut Faults, path: &str, policy: &SuccessPolicy, spec: &JobSpec) {
    if !is_indexed(spec) {
        let shown = |rule: &SuccessPolicyRule| {
            let (indexes, count) = (json!(rule.succeeded_indexes), json!(rule.succeeded_count));
            format!("{{\"SucceededIndexes\":{indexes},\"SucceededCount\":{count}}}")
        };
        let rules: Vec<String> = policy.rules.iter().map(shown).collect();
        let shown = format!("{{\"Rules\":[{}]}}", rules.join(","));
        return faults.invalid(path, shown, "requires indexed completion mode");
    }
    let path = format!("{path}.rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        faults.required(&path, detail);
    }
    faults.too_many(&path, policy.rules.len(), MOST_RULES);
    for (index, rule) in policy.rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        success_rule(faults, &path, rule, spec.completions.unwrap_or_default());
    }
}

fn success_rule(faults: &mut Faults, path: &str, rule: &SuccessPolicyRule, completions: i32) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        faults.required(path, detail);
    }
    let mut total = None;
    if let Some(text) = &rule.succeeded_indexes {
        let path = format!("{path}.succeededIndexes");
        faults.too_long(&path, text, LONGEST_INDEXES);
        let number = number_of_indexes(text, completions);
        total = Some(number.as_ref().map_or(0, |number| *number));
        if let Err(why) = number {
            let detail = format!("error parsing succeededIndexes: {why}");
            faults.invalid_text(&path, text, &detail);
        }
    }
    let Some(count) = rule.succeeded_count else {
        return;
    };
    let path = format!("{path}.succeededCount");
    at_least_zero(faults, &path, Some(count.into()));
    if count > completions {
        let detail = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        faults.invalid(&path, count, &detail);
    }
    if let Some(total) = total.filter(|total| i64::from(count) > *total) {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        faults.invalid(&path, count, &detail);
    }
}

/// Counts the indexes in a list such as `0,2-4`, all of them below `completions`.
fn number_of_indexes(text: &str, completions: i32) -> Result<i64, String> {
    let (mut total, mut previous) = (0, None);
    let parts = text.split(',').filter(|_| !text.is_empty());
    for part in parts {
        let (first, last) = interval(part, completions)?;
        if let Some(previous) = previous.filter(|previous| *previous >= first) {
            return Err(disorder(previous, first));
        }
        total += last - first + 1;
        previous = Some(last);
    }
    Ok(total)
}

fn interval(text: &str, completions: i32) -> Result<(i64, i64), String> {
    let index = |text: &str| {
        let wrong = |_| format!("cannot convert string to integer for index: {text:?}");
        let number: i64 = text.parse().map_err(wrong)?;
        match number < i64::from(completions) {
            true => Ok(number),
            false => Err(format!("too large index: {text:?}")),
        }
    };
    let ends: Vec<&str> = text.split('-').collect();
    match ends.as_slice() {
        [only] => {
            let number = index(only)?;
            Ok((number, number))
        }
        [first, last] => {
            let (first, last) = (index(first)?, index(last)?);
            if first >= last {
                return Err(disorder(first, last));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at \
             most two parts separated by '-'"
        )),
    }
}

fn disorder(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}
