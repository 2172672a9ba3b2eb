//! The CronJob controller: Jobs at the times of a schedule (CJ01-CJ18).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::job::finished;
use super::schedule::Schedule;
use super::workload::{Reconciled, Told, WorkStep, is_controlled_by, owner_reference, pods};
use crate::sorted::sort_by_key;

/// The annotation of a Job with the time for which it was made (CJ04).
pub const SCHEDULED_ANNOTATION: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// How long after its time a Job is made (CJ05).
const DELAY: SignedDuration = SignedDuration::from_millis(100);
/// So many times may be missed without a word (CJ08).
const MANY_MISSED: i64 = 100;

/// What is seen of a namespace.
#[derive(Debug, Clone)]
pub struct JobsSeen<'a> {
    /// Its Jobs, whosoever they are.
    pub jobs: Vec<&'a Job>,
    /// The time zone of the CronJob, or the controller's own if it names none; none if nobody knows
    /// the name (CJ06).
    pub zone: Option<TimeZone>,
}

/// Lists the steps of a CronJob, and says when its next time is.
///
/// **What is over.** Finished Jobs beyond the limits are deleted, oldest first, good and bad ones
/// apart (CJ14). Those that ended leave the list of active ones, and so do those that are gone
/// (CJ13); the last success is noted (CJ07).
///
/// **What is due.** Of the times since the last one only the latest counts (CJ08), and that not if
/// it is longer ago than the deadline (CJ09), nor while the CronJob is suspended (CJ16). With
/// `Forbid` nothing is started while a Job is active (CJ11), with `Replace` that Job is deleted
/// (CJ12). A Job is named after its time, so that no time has two (CJ04).
///
/// The performer gives the references in `status.active` the uids of the Jobs that it made.
#[must_use]
pub fn reconcile(cron: &CronJob, seen: &JobsSeen<'_>, now: Timestamp) -> Reconciled<CronJobStatus> {
    let mut pass = CronPass::new(cron, seen, now);
    pass.clean_up();
    pass.look_at_jobs();
    let wake_at = pass.start();
    Reconciled {
        status: pass.status,
        steps: pass.steps,
        wake_at,
        remembered: (),
    }
}

struct CronPass<'a> {
    cron: &'a CronJob,
    spec: CronJobSpec,
    seen: &'a JobsSeen<'a>,
    now: Timestamp,
    own: Vec<&'a Job>,
    status: CronJobStatus,
    steps: Vec<WorkStep>,
}

/// The times of a schedule since one.
struct Missed {
    /// Since when times count.
    since: Timestamp,
    /// The latest that has passed.
    latest: Option<Timestamp>,
    count: i64,
}

impl<'a> CronPass<'a> {
    fn new(cron: &'a CronJob, seen: &'a JobsSeen<'a>, now: Timestamp) -> Self {
        let is_own = |job: &&&Job| is_controlled_by(&job.metadata, &cron.metadata);
        Self {
            cron,
            spec: cron.spec.clone(),
            seen,
            now,
            own: seen.jobs.iter().filter(is_own).copied().collect(),
            status: cron.status.clone().unwrap_or_default(),
            steps: Vec::new(),
        }
    }

    fn tell(&mut self, told: Told) {
        self.steps.push(WorkStep::Tell(told));
    }

    /// Deletes finished Jobs beyond the limits (CJ14, CJ15).
    fn clean_up(&mut self) {
        let limits = [
            ("Complete", self.spec.successful_jobs_history_limit),
            ("Failed", self.spec.failed_jobs_history_limit),
        ];
        for (end, limit) in limits {
            let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
                continue;
            };
            let ended = self
                .own
                .iter()
                .copied()
                .filter(|job| ended_as(job) == Some(end) && !is_going(job));
            let mut ended: Vec<_> = ended.collect();
            sort_by_key(&mut ended, |job| {
                let status = job.status.as_ref();
                let start = status.and_then(|status| status.start_time.as_ref());
                (
                    start.is_none(),
                    start.map(|time| time.0),
                    job.metadata.name.clone(),
                )
            });
            let surplus = ended.len().saturating_sub(limit);
            for job in ended.into_iter().take(surplus) {
                self.delete(pods::name_of(&job.metadata));
            }
        }
    }

    fn delete(&mut self, name: &str) {
        self.drop_active(name);
        self.steps.push(WorkStep::DeleteJob {
            name: name.to_owned(),
        });
    }

    fn drop_active(&mut self, name: &str) {
        let is_it = |reference: &ObjectReference| reference.name.as_deref() == Some(name);
        let active = self.status.active.get_or_insert_default();
        active.retain(|reference| !is_it(reference));
        self.status.active.take_if(|active| active.is_empty());
    }

    fn is_active(&self, job: &ObjectMeta) -> bool {
        let mut active = self.status.active.iter().flatten();
        active.any(|reference| {
            let same = reference.uid.is_none() || reference.uid == job.uid;
            reference.name == job.name && same
        })
    }

    /// Notes what became of the Jobs (CJ07, CJ13).
    fn look_at_jobs(&mut self) {
        for job in self.own.clone() {
            let (name, active) = (pods::name_of(&job.metadata), self.is_active(&job.metadata));
            let Some(end) = ended_as(job) else {
                // The API server of a cluster forgets a Job that is deleted at once.
                if !active && !is_going(job) {
                    let message =
                        format!("Saw a job that the controller did not create or forgot: {name}");
                    self.tell(Told::warning("UnexpectedJob", message));
                }
                continue;
            };
            if active {
                self.drop_active(name);
                let message = format!("Saw completed job: {name}, condition: {end}");
                self.tell(Told::normal("SawCompletedJob", message));
            }
            let completed = job
                .status
                .as_ref()
                .and_then(|status| status.completion_time.clone());
            if end == "Complete" && completed > self.status.last_successful_time {
                self.status.last_successful_time = completed;
            }
        }
        for reference in self.status.active.clone().into_iter().flatten() {
            let name = reference.name.unwrap_or_default();
            if !self
                .own
                .iter()
                .any(|job| job.metadata.name.as_ref() == Some(&name))
            {
                self.drop_active(&name);
                self.tell(Told::normal(
                    "MissingJob",
                    format!("Active job went missing: {name}"),
                ));
            }
        }
    }

    /// Starts a Job if one is due; returns when the next one is.
    fn start(&mut self) -> Option<Timestamp> {
        if self.cron.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let Some(zone) = self.seen.zone.clone() else {
            let zone = self.spec.time_zone.clone().unwrap_or_default();
            let message = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
            self.tell(Told::warning("UnknownTimeZone", message));
            return None;
        };
        if self.spec.suspend == Some(true) {
            return None;
        }
        let schedule = match Schedule::parse(&self.spec.schedule) {
            Ok(schedule) => schedule,
            Err(fault) => {
                let message = format!("unparseable schedule: {:?} : {fault}", self.spec.schedule);
                self.tell(Told::warning("UnparseableSchedule", message));
                return None;
            }
        };
        self.start_at(&schedule, &zone);
        self.next(&schedule, &zone)
    }

    fn start_at(&mut self, schedule: &Schedule, zone: &TimeZone) {
        let missed = self.missed(schedule, zone, self.spec.starting_deadline_seconds);
        let Some(due) = missed.latest else {
            return;
        };
        if missed.count > MANY_MISSED {
            let message = "too many missed start times. Set or decrease \
                           .spec.startingDeadlineSeconds or check clock skew";
            self.tell(Told::warning("TooManyMissedTimes", message));
        }
        let deadline = self
            .spec
            .starting_deadline_seconds
            .map(SignedDuration::from_secs);
        if deadline.is_some_and(|deadline| self.now.duration_since(due) > deadline) {
            let time = due.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let message = format!("Missed scheduled time to start a job: {time}");
            self.tell(Told::warning("MissSchedule", message));
            return;
        }
        let name = format!(
            "{}-{}",
            pods::name_of(&self.cron.metadata),
            due.as_second() / 60
        );
        let last = self.status.last_schedule_time.as_ref().map(|time| time.0);
        let named = ObjectMeta {
            name: Some(name),
            ..ObjectMeta::default()
        };
        let mut active = self.status.active.iter().flatten();
        if last == Some(due) || active.any(|reference| reference.name == named.name) {
            return;
        }
        let is_busy = self.status.active.is_some();
        match self.spec.concurrency_policy.as_deref() {
            Some("Forbid") if is_busy => {
                let message = "Not starting job because prior execution is running and \
                               concurrency policy is Forbid";
                self.tell(Told::normal("JobAlreadyActive", message));
                return;
            }
            Some("Replace") => {
                for reference in self.status.active.clone().into_iter().flatten() {
                    self.delete(&reference.name.unwrap_or_default());
                }
            }
            _ => {}
        }
        self.create(named, due, zone);
    }

    /// Makes the Job of a time; one of its own by that name was made before a crash, and is taken
    /// up again.
    fn create(&mut self, mut named: ObjectMeta, due: Timestamp, zone: &TimeZone) {
        let mut all = self.seen.jobs.iter();
        match all.find(|job| job.metadata.name == named.name) {
            None => self
                .steps
                .push(WorkStep::CreateJob(Box::new(self.job(&named, due, zone)))),
            Some(job)
                if self
                    .own
                    .iter()
                    .any(|own| own.metadata.uid == job.metadata.uid) =>
            {
                named.uid.clone_from(&job.metadata.uid);
            }
            Some(_) => return,
        }
        self.status
            .active
            .get_or_insert_default()
            .push(ObjectReference {
                api_version: Some("batch/v1".to_owned()),
                kind: Some("Job".to_owned()),
                name: named.name,
                namespace: self.cron.metadata.namespace.clone(),
                uid: named.uid,
                ..ObjectReference::default()
            });
        self.status.last_schedule_time = Some(Time(due));
    }

    fn job(&self, named: &ObjectMeta, due: Timestamp, zone: &TimeZone) -> Job {
        let template = self.spec.job_template.clone();
        let meta = template.metadata.unwrap_or_default();
        let mut annotations = meta.annotations.unwrap_or_default();
        let time = due.to_zoned(zone.clone());
        let offset = if time.offset().is_zero() {
            "%Y-%m-%dT%H:%M:%SZ"
        } else {
            "%Y-%m-%dT%H:%M:%S%:z"
        };
        let time = time.strftime(offset).to_string();
        annotations.insert(SCHEDULED_ANNOTATION.to_owned(), time);
        let owner = owner_reference(&self.cron.metadata, "batch/v1", "CronJob");
        Job {
            metadata: ObjectMeta {
                name: named.name.clone(),
                namespace: self.cron.metadata.namespace.clone(),
                labels: meta.labels,
                annotations: Some(annotations),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: template.spec,
            status: None,
        }
    }

    /// Finds the latest time that has passed since the last one, or since the creation (CJ10).
    fn missed(&self, schedule: &Schedule, zone: &TimeZone, deadline: Option<i64>) -> Missed {
        let created = self.cron.metadata.creation_timestamp.as_ref();
        let last = self.status.last_schedule_time.as_ref().or(created);
        let last = last.map_or(self.now, |time| time.0);
        let deadline = deadline.and_then(|seconds| {
            self.now
                .checked_sub(SignedDuration::from_secs(seconds))
                .ok()
        });
        let since = deadline.map_or(last, |deadline| deadline.max(last));
        let none = Missed {
            since,
            latest: None,
            count: 0,
        };
        let Some(first) = after(schedule, since, zone).filter(|first| *first <= self.now) else {
            return none;
        };
        let Some(second) = after(schedule, first, zone).filter(|second| *second <= self.now) else {
            return Missed {
                latest: Some(first),
                ..none
            };
        };
        let between = second.duration_since(first).as_secs().max(1);
        let count = self.now.duration_since(first).as_secs() / between + 1;
        // From near the end on each is looked at, as they need not be equally far apart.
        let near = SignedDuration::from_secs((count - 2) * between);
        let near = first.checked_add(near).unwrap_or(first);
        let next = |at: &Timestamp| after(schedule, *at, zone);
        let times = std::iter::successors(next(&near), next);
        let latest = times.take_while(|at| *at <= self.now).last();
        Missed {
            latest,
            count,
            ..none
        }
    }

    fn next(&self, schedule: &Schedule, zone: &TimeZone) -> Option<Timestamp> {
        let missed = self.missed(schedule, zone, None);
        let base = match missed.latest {
            Some(latest) => latest,
            None if missed.count == 0 => missed.since,
            None => self.now,
        };
        after(schedule, base, zone)?.checked_add(DELAY).ok()
    }
}

/// Returns the first time of a schedule after a moment.
fn after(schedule: &Schedule, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let next = schedule.next_after(&moment.to_zoned(zone.clone()))?;
    Some(next.timestamp())
}

/// Returns how a Job ended: `Complete` or `Failed`.
/// Returns whether a Job is being deleted.
const fn is_going(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

fn ended_as(job: &Job) -> Option<&str> {
    let end = finished(job.status.as_ref()?)?;
    Some(&end.type_)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cron(change: Value, last: &str) -> CronJob {
        let mut cron = json!({"metadata": {"name": "tick", "namespace": "d", "uid": "u",
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false,
                "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}},
            "status": {"lastScheduleTime": last}});
        for (field, value) in change.as_object().unwrap() {
            cron["spec"][field] = value.clone();
        }
        serde_json::from_value(cron).unwrap()
    }

    fn made(cron: &CronJob, now: &str) -> (Vec<String>, Vec<String>) {
        let seen = JobsSeen {
            jobs: Vec::new(),
            zone: Some(TimeZone::UTC),
        };
        let outcome = reconcile(cron, &seen, now.parse().unwrap());
        let (mut jobs, mut told) = (Vec::new(), Vec::new());
        for step in outcome.steps {
            if let WorkStep::CreateJob(job) = &step {
                jobs.push(job.metadata.name.clone().unwrap());
            } else {
                told.extend(step.told(None).map(|told| told.reason));
            }
        }
        (jobs, told)
    }

    #[test]
    fn only_the_latest_missed_time_is_made_up_for() {
        // CJ08-CJ10
        let last = "2026-01-01T00:00:00Z";
        let missed = |change: Value, now: &str| made(&cron(change, last), now);
        let names = |minute: i64| vec![format!("tick-{}", 29_453_760 + minute)];
        let none = Vec::<String>::new;
        assert_eq!(missed(json!({}), "2026-01-01T00:00:59Z"), (none(), none()));
        assert_eq!(
            missed(json!({}), "2026-01-01T00:01:00Z"),
            (names(1), none())
        );
        assert_eq!(
            missed(json!({}), "2026-01-01T00:05:30Z"),
            (names(5), none())
        );
        let many = vec!["TooManyMissedTimes".to_owned()];
        assert_eq!(
            missed(json!({}), "2026-01-01T03:00:30Z"),
            (names(180), many)
        );
        let deadline = json!({"startingDeadlineSeconds": 10});
        assert_eq!(
            missed(deadline.clone(), "2026-01-01T03:00:30Z"),
            (none(), none())
        );
        assert_eq!(
            missed(deadline, "2026-01-01T03:00:05Z"),
            (names(180), none())
        );
        let suspended = json!({"suspend": true});
        assert_eq!(missed(suspended, "2026-01-01T03:00:05Z"), (none(), none()));
    }

    #[test]
    fn a_time_that_has_come_is_treated_as_the_policy_says() {
        // CJ11
        // CF-apps-02, CF-apps-03, CF-apps-05
        let last = "2026-01-01T00:00:00Z";
        let running: Job = {
            let of = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
                "uid": "u", "controller": true}]);
            let job = json!({"metadata": {"name": "tick-29453760", "namespace": "d", "uid": "j",
                "ownerReferences": of}, "spec": {"template": {}}, "status": {"active": 1}});
            serde_json::from_value(job).unwrap()
        };
        let steps = |change: Value| -> Vec<String> {
            let mut cron = cron(change, last);
            let active = json!([{"name": "tick-29453760", "uid": "j"}]);
            let status = cron.status.get_or_insert_default();
            status.active = serde_json::from_value(active).unwrap();
            let seen = JobsSeen {
                jobs: vec![&running],
                zone: Some(TimeZone::UTC),
            };
            let outcome = reconcile(&cron, &seen, "2026-01-01T00:01:00Z".parse().unwrap());
            let named = |step: &WorkStep| {
                if let WorkStep::CreateJob(job) = step {
                    return Some(format!("+{}", job.metadata.name.as_ref()?));
                }
                if let WorkStep::DeleteJob { name } = step {
                    return Some(format!("-{name}"));
                }
                step.told(None).map(|told| told.reason)
            };
            outcome.steps.iter().filter_map(named).collect()
        };
        let next = "+tick-29453761";
        assert_eq!(steps(json!({"concurrencyPolicy": "Allow"})), [next]);
        let replaced = steps(json!({"concurrencyPolicy": "Replace"}));
        assert_eq!(replaced, ["-tick-29453760", next]);
        let forbidden = steps(json!({"concurrencyPolicy": "Forbid"}));
        assert_eq!(forbidden, ["JobAlreadyActive"]);
        assert_eq!(steps(json!({"suspend": true})), Vec::<String>::new());
    }

    #[test]
    fn a_job_that_is_being_deleted_is_deleted_once_and_told_of_no_more() {
        // CJ12, CJ14
        let cron = cron(
            json!({"successfulJobsHistoryLimit": 0}),
            "2026-01-01T00:01:00Z",
        );
        let steps = |ended: bool, deleted: Option<&str>| -> usize {
            let of = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick",
                "uid": "u", "controller": true}]);
            let end = json!([{"type": "Complete", "status": "True"}]);
            let job = json!({"metadata": {"name": "one", "uid": "j", "ownerReferences": of,
                    "deletionTimestamp": deleted}, "spec": {"template": {}},
                "status": {"conditions": ended.then_some(end)}});
            let job: Job = serde_json::from_value(job).unwrap();
            let seen = JobsSeen {
                jobs: vec![&job],
                zone: Some(TimeZone::UTC),
            };
            let now = "2026-01-01T00:01:30Z".parse().unwrap();
            reconcile(&cron, &seen, now).steps.len()
        };
        assert_eq!((steps(true, None), steps(false, None)), (1, 1));
        let since = Some("2026-01-01T00:01:20Z");
        assert_eq!((steps(true, since), steps(false, since)), (0, 0));
    }

    #[test]
    fn an_unknown_zone_and_an_unreadable_schedule_are_told() {
        // CJ06, CJ13
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let cron = cron(json!({"schedule": "* *"}), "2026-01-01T00:00:00Z");
        let reasons = |zone: Option<TimeZone>| -> Vec<String> {
            let outcome = reconcile(
                &cron,
                &JobsSeen {
                    jobs: Vec::new(),
                    zone,
                },
                now,
            );
            let told = outcome.steps.iter().filter_map(|step| step.told(None));
            told.map(|told| told.reason).collect()
        };
        assert_eq!(reasons(None), ["UnknownTimeZone"]);
        assert_eq!(reasons(Some(TimeZone::UTC)), ["UnparseableSchedule"]);
    }
}
