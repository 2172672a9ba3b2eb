//! Cron jobs.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};

use super::super::fault::{FaultKind, Faults};
use super::super::zone::{self, ZoneFound};
use super::job::job_spec;
use super::names::{self, subdomain};
use super::{at_least_zero, one_of, selector};
use crate::model::schedule::Schedule;

/// The name of a job that a cron job makes has 11 characters more (CJ03).
const LONGEST_NAME: usize = 52;

/// Checks a completed cron job.
pub(super) fn validate_cron_job(job: &CronJob) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &job.metadata, subdomain);
    cron_spec(&mut faults, &job.spec);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if name.len() > LONGEST_NAME {
        let detail = format!("must be no more than {LONGEST_NAME} characters");
        faults.invalid_text("metadata.name", name, &detail);
    }
    faults
}

fn cron_spec(faults: &mut Faults, spec: &CronJobSpec) {
    match spec.schedule.as_str() {
        "" => faults.required("spec.schedule", ""),
        text => schedule(faults, text),
    }
    let path = "spec.startingDeadlineSeconds";
    at_least_zero(faults, path, spec.starting_deadline_seconds);
    if let Some(name) = &spec.time_zone {
        time_zone(faults, name);
    }
    let policy = spec.concurrency_policy.as_deref();
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(faults, "spec.concurrencyPolicy", policy, &policies);
    let made = spec.job_template.spec.clone().unwrap_or_default();
    let path = "spec.jobTemplate.spec";
    job_spec(faults, path, &made);
    if let Some(given) = &made.selector {
        let detail = "`selector` will be auto-generated";
        faults.invalid(&format!("{path}.selector"), selector::shown(given), detail);
    }
    if made.manual_selector == Some(true) {
        let path = format!("{path}.manualSelector");
        faults.unsupported_value(&path, true, &["nil", "false"]);
    }
    for (field, number) in [
        (
            "successfulJobsHistoryLimit",
            spec.successful_jobs_history_limit,
        ),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        at_least_zero(faults, &format!("spec.{field}"), number.map(i64::from));
    }
}

fn schedule(faults: &mut Faults, text: &str) {
    let path = "spec.schedule";
    let has_zone = text.starts_with("TZ=") || text.starts_with("CRON_TZ=");
    let fields = match text.split_once(' ') {
        Some((_, fields)) if has_zone => fields.trim(),
        Some(_) | None => text,
    };
    if let Err(why) = Schedule::parse(fields) {
        faults.invalid_text(path, text, &why);
    }
    if text.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        faults.invalid_text(path, text, detail);
    }
}

fn time_zone(faults: &mut Faults, name: &str) {
    let path = "spec.timeZone";
    if name.is_empty() {
        let detail = "timeZone must be nil or non-empty string";
        return faults.invalid_text(path, name, detail);
    }
    let unknown = format!("unknown time zone {name}");
    if !name.split('/').all(is_part) {
        return faults.invalid_text(path, name, &unknown);
    }
    if name.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in \
             https://www.iana.org/time-zones";
        faults.invalid_text(path, name, detail);
    }
    if name == "Local" {
        return;
    }
    match zone::find(name) {
        ZoneFound::Known => {}
        ZoneFound::Unknown => faults.invalid_text(path, name, &unknown),
        ZoneFound::NoZones => {
            let message = format!(
                "Invalid value: {name:?}: this machine knows no time zones but UTC: install its \
                 package tzdata"
            );
            faults.push(path, message, FaultKind::Ours);
        }
    }
}

/// Returns whether the text can be a part of the name of a time zone.
fn is_part(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    !matches!(text, "." | "..")
        && !text.starts_with('-')
        && (1..=14).contains(&text.len())
        && text.bytes().all(allowed)
}
