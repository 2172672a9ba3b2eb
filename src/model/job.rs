//! The Job controller: pods that run until enough of them have succeeded (JB04-JB35).

mod back_off;
mod complete;
mod finishing;
mod indexes;
mod managing;
mod policy;
mod tracking;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::set::Selector;
use super::workload::{
    Random, Reconciled, WorkStep, claim, controller_of, owner_reference, pods, wake_by,
};
use crate::problem::Problem;
use crate::sorted::{SortedMap, SortedSet, sort_by_key};

pub use back_off::{BackOffRecord, finished_at};
pub(crate) use complete::{
    complete, complete_spec, forget_selection, label_as_pods, select_own_pods,
};
pub use indexes::Indexes;

/// The finalizer that holds a pod until its end is counted (JB04).
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and label with the index of a pod (JB25).
pub const INDEX_ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation with the number of failures of an index before a pod (JB28).
pub const FAILURES_ANNOTATION: &str = "batch.kubernetes.io/job-index-failure-count";
/// Failures before a pod that a policy ignored (JB28, JB31).
const IGNORED_ANNOTATION: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// The controller that a Job names in `managedBy` where it means this one (JB35).
const CONTROLLER: &str = "kubernetes.io/job-controller";

/// What is seen of a namespace, and what is remembered.
#[derive(Debug, Clone, Default)]
pub struct JobSeen<'a> {
    /// Its pods, whosoever they are.
    pub pods: Vec<&'a Pod>,
    /// The record of the pass before; where it is lost, [`BackOffRecord::of`] the pods.
    pub back_off: BackOffRecord,
}

/// The outcome of a pass; [`WorkStep::Publish`] has the statuses on the way to the last (JB08).
pub type JobReconciled = Reconciled<JobStatus, BackOffRecord>;

/// Lists the steps that bring a Job to its end.
///
/// **Is it over?** It fails when too many pods failed (JB13) or restarted (JB16), when it runs too
/// long (JB19), when a rule of its failure policy says so (JB31), or when its indexes cannot
/// succeed any more (JB28, JB30); it succeeds when enough pods did, or by its success policy (JB10,
/// JB33).
/// Then the pods that still run are deleted; the last condition is written when none is left and
/// all are counted (JB10, JB11).
///
/// **Else** it is kept at as many pods as may run side by side and are still needed (JB06), none
/// while it is suspended (JB22). Surplus pods are deleted before anything is made (JB23); what is
/// missing is made, after a failure only when its back-off is over (JB14).
///
/// **Counting.** A pod that ended is noted in the status, loses its finalizer, and is counted, in
/// this order, so that none is counted twice or never whatever dies in between (JB08).
///
/// A finished Job is never touched again (JB24) but deleted when its time has come (JB20); one that
/// another controller manages is left alone (JB35).
pub fn reconcile(
    job: &Job,
    seen: &JobSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Result<JobReconciled, Problem> {
    let status = job.status.clone().unwrap_or_default();
    let manager = job
        .spec
        .as_ref()
        .and_then(|spec| spec.managed_by.as_deref());
    let nothing = JobReconciled {
        status: status.clone(),
        steps: Vec::new(),
        wake_at: None,
        remembered: BackOffRecord::default(),
    };
    if manager.is_some_and(|manager| manager != CONTROLLER) {
        return Ok(nothing);
    }
    if let Some(end) = finished(&status) {
        return Ok(expire(job, end, nothing, now));
    }
    JobPass::new(job, seen, now)?.run(random)
}

/// Returns whether a pod holds the finalizer of Jobs without a Job to take it off (JB04).
#[must_use]
pub fn is_stranded(pod: &Pod, jobs: &[&Job]) -> bool {
    let owner = controller_of(&pod.metadata);
    let owned = owner.is_some_and(|owner| {
        let mut jobs = jobs.iter();
        owner.kind == "Job" && jobs.any(|job| job.metadata.uid.as_ref() == Some(&owner.uid))
    });
    has_finalizer(pod) && !owned
}

/// Returns the condition that says that a Job is over, if it is.
#[must_use]
pub fn finished(status: &JobStatus) -> Option<&JobCondition> {
    let is_end = |condition: &&JobCondition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    };
    status.conditions.iter().flatten().find(is_end)
}

/// Deletes a Job some time after its end, pods first (JB20).
fn expire(job: &Job, end: &JobCondition, nothing: JobReconciled, now: Timestamp) -> JobReconciled {
    let seconds = job
        .spec
        .as_ref()
        .and_then(|spec| spec.ttl_seconds_after_finished);
    let since = end.last_transition_time.as_ref().map(|time| time.0);
    let (Some(seconds), Some(since)) = (seconds, since) else {
        return nothing;
    };
    if job.metadata.deletion_timestamp.is_some() {
        return nothing;
    }
    match since.checked_add(SignedDuration::from_secs(seconds.into())) {
        Ok(at) if at <= now => JobReconciled {
            steps: vec![WorkStep::Finish],
            ..nothing
        },
        Ok(at) => JobReconciled {
            wake_at: Some(at),
            ..nothing
        },
        Err(_) => nothing,
    }
}

/// How a Job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    is_success: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn failure(reason: &str, message: &str) -> Self {
        Self {
            is_success: false,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn success(reason: &str, message: &str) -> Self {
        Self {
            is_success: true,
            ..Self::failure(reason, message)
        }
    }
}

/// One pass: what it looks at, and the steps it has found so far.
struct JobPass<'a> {
    job: &'a Job,
    spec: JobSpec,
    seen: &'a JobSeen<'a>,
    now: Timestamp,
    owner: OwnerReference,
    /// Its own pods; those with indexes in their order.
    pods: Vec<&'a Pod>,
    active: Vec<&'a Pod>,
    /// Pods whose end was noted and not counted yet, by uid.
    noted: Noted,
    status: JobStatus,
    succeeded: i32,
    failed: i32,
    ready: i32,
    terminating: i32,
    /// Indexes that had succeeded before, and those that have now.
    known_indexes: Indexes,
    indexes: Indexes,
    failed_indexes: Option<Indexes>,
    /// The failed pod of each index that waits for its replacement (JB29).
    delayed: SortedMap<u32, &'a Pod>,
    back_off: BackOffRecord,
    wake_at: Option<Timestamp>,
    steps: Vec<WorkStep>,
}

/// The uids of a status' `uncountedTerminatedPods`.
#[derive(Debug, Clone, Default)]
struct Noted {
    succeeded: SortedSet<String>,
    failed: SortedSet<String>,
}

impl<'a> JobPass<'a> {
    fn new(job: &'a Job, seen: &'a JobSeen<'a>, now: Timestamp) -> Result<Self, Problem> {
        let status = job.status.clone().unwrap_or_default();
        let lists = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let set = |list: Option<Vec<String>>| list.unwrap_or_default().into_iter().collect();
        let mut pass = Self {
            job,
            spec: job.spec.clone().unwrap_or_default(),
            seen,
            now,
            owner: owner_reference(&job.metadata, "batch/v1", "Job"),
            pods: Vec::new(),
            active: Vec::new(),
            noted: Noted {
                succeeded: set(lists.succeeded),
                failed: set(lists.failed),
            },
            status,
            succeeded: 0,
            failed: 0,
            ready: 0,
            terminating: 0,
            known_indexes: Indexes::default(),
            indexes: Indexes::default(),
            failed_indexes: None,
            delayed: SortedMap::new(),
            back_off: seen.back_off,
            wake_at: None,
            steps: Vec::new(),
        };
        pass.claim_pods()?;
        pass.count();
        Ok(pass)
    }

    fn run(mut self, random: &mut Random) -> Result<JobReconciled, Problem> {
        let suspended = self.is_suspended();
        if self.status.start_time.is_none() && !suspended {
            self.status.start_time = Some(Time(self.now));
        }
        let verdict = self.verdict();
        let verdict = match verdict {
            Some(verdict) => {
                self.stop_all();
                Some(verdict)
            }
            None => {
                let managed = self.job.metadata.deletion_timestamp.is_none();
                if managed && self.manage(random).is_break() {
                    return Ok(self.put_off());
                }
                let complete = self.is_complete();
                if managed && !complete {
                    self.note_suspension(suspended);
                }
                let message = "Reached expected number of succeeded pods";
                complete.then(|| Verdict::success("CompletionsReached", message))
            }
        };
        Ok(self.track(verdict))
    }

    /// Says whose the pods are; adopts and releases.
    fn claim_pods(&mut self) -> Result<(), Problem> {
        let selector = Selector::of(&self.spec.selector.clone().unwrap_or_default())?;
        for pod in &self.seen.pods {
            let claimed = claim(&pod.metadata, &self.job.metadata, &selector);
            if let Some(owner) = claimed.new_owner(&self.owner) {
                let name = pods::name_of(&pod.metadata).to_owned();
                self.steps.push(WorkStep::OwnPod { name, owner });
            }
            self.pods.extend(claimed.is_own().then_some(*pod));
        }
        if self.is_indexed() {
            sort_by_key(&mut self.pods, |pod| index_of(&pod.metadata));
        }
        self.active = self
            .pods
            .iter()
            .copied()
            .filter(|pod| pods::is_active(pod))
            .collect();
        Ok(())
    }

    /// Counts what succeeded and failed, with what is not in the status yet.
    fn count(&mut self) {
        let fresh = |noted: &SortedSet<String>, pod: &Pod| {
            has_finalizer(pod) && !noted.contains(pods::uid_of(&pod.metadata)) && self.is_valid(pod)
        };
        let succeeded = self
            .pods
            .iter()
            .copied()
            .filter(|pod| pods::phase(pod) == "Succeeded" && fresh(&self.noted.succeeded, pod));
        let succeeded: Vec<_> = succeeded.collect();
        let failed = self.pods.iter().copied();
        let failed = failed.filter(|pod| self.has_failed(pod) && fresh(&self.noted.failed, pod));
        let failed: Vec<_> = failed.collect();
        let counting = failed
            .iter()
            .filter(|pod| self.policy_of(pod).counts)
            .count();
        let number = |status: Option<i32>, new: usize, noted: &SortedSet<String>| {
            let more = i32::try_from(new + noted.len()).unwrap_or(i32::MAX);
            status.unwrap_or_default().saturating_add(more)
        };
        let (good, bad) = (self.status.succeeded, self.status.failed);
        let counts = (
            number(good, succeeded.len(), &self.noted.succeeded),
            number(bad, counting, &self.noted.failed),
        );
        self.back_off = self.back_off.after(&succeeded, &failed);
        (self.succeeded, self.failed) = counts;
        let count = |is: &dyn Fn(&Pod) -> bool, pods: &[&Pod]| {
            i32::try_from(pods.iter().filter(|pod| is(pod)).count()).unwrap_or(i32::MAX)
        };
        self.ready = count(&pods::is_ready, &self.active);
        let ends = |pod: &Pod| pods::is_terminating(pod) && !pods::has_ended(pod);
        self.terminating = count(&ends, &self.pods);
        if self.is_indexed() {
            self.count_indexes();
        }
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn completions(&self) -> u32 {
        let completions = self.spec.completions.unwrap_or_default();
        u32::try_from(completions).unwrap_or_default()
    }

    /// Returns whether a pod of an indexed Job has an index that is wanted.
    fn is_valid(&self, pod: &Pod) -> bool {
        let index = index_of(&pod.metadata);
        !self.is_indexed() || index.is_some_and(|index| index < self.completions())
    }

    /// Returns whether only a pod that has really ended is replaced and counted (JB17).
    fn waits_for_ends(&self) -> bool {
        self.spec.pod_failure_policy.is_some()
            || self.spec.pod_replacement_policy.as_deref() == Some("Failed")
    }

    /// Returns whether a pod counts as failed; one that is to be deleted does, too (JB17).
    fn has_failed(&self, pod: &Pod) -> bool {
        let phase = pods::phase(pod);
        phase == "Failed"
            || (!self.waits_for_ends() && pods::is_terminating(pod) && phase != "Succeeded")
    }

    /// Returns whether enough pods succeeded, and none is left running (JB06, JB07).
    fn is_complete(&self) -> bool {
        let active = self.status.active.unwrap_or_default();
        match self.spec.completions {
            None => self.succeeded > 0 && active == 0,
            Some(completions) => self.succeeded >= completions && active == 0,
        }
    }

    /// Ends a pass that found nothing to be done before a time.
    ///
    /// The real controller writes a status here that the API server refuses, and so counts a failed
    /// pod when its replacement is made (JB14).
    fn put_off(self) -> JobReconciled {
        JobReconciled {
            status: self.job.status.clone().unwrap_or_default(),
            steps: Vec::new(),
            wake_at: self.wake_at,
            remembered: self.seen.back_off,
        }
    }

    fn wake(&mut self, at: Timestamp) {
        wake_by(&mut self.wake_at, at);
    }
}

/// Returns the index of a pod of an indexed Job.
fn index_of(meta: &ObjectMeta) -> Option<u32> {
    pods::annotation(meta, INDEX_ANNOTATION)?.parse().ok()
}

fn has_finalizer(pod: &Pod) -> bool {
    let mut finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == FINALIZER)
}
