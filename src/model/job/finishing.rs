//! Whether a Job is over, and how (JB10-JB16, JB28-JB33).

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{
    FAILURES_ANNOTATION, IGNORED_ANNOTATION, Indexes, JobPass, Verdict, finished_at, has_finalizer,
    index_of,
};
use crate::model::workload::{WorkStep, pods};

pub(super) const TARGET: &str = "FailureTarget";
pub(super) const MET: &str = "SuccessCriteriaMet";

impl<'a> JobPass<'a> {
    /// Says how the Job ends, if it does now or was found to before.
    pub(super) fn verdict(&mut self) -> Option<Verdict> {
        self.noted_verdict()
            .or_else(|| self.failed_by_policy())
            .or_else(|| self.exhausted())
            .or_else(|| self.failed_by_indexes())
            .or_else(|| {
                let message = format!("Matched rules at index {}", self.met_rule()?);
                Some(Verdict::success("SuccessPolicy", &message))
            })
    }

    fn noted_verdict(&self) -> Option<Verdict> {
        let noted = |kind: &str| {
            let mut conditions = self.status.conditions.iter().flatten();
            conditions.find(|noted| noted.type_ == kind && noted.status == "True")
        };
        let condition = noted(MET).or_else(|| noted(TARGET))?;
        Some(Verdict {
            is_success: condition.type_ == MET,
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        })
    }

    fn failed_by_policy(&self) -> Option<Verdict> {
        let mut failed = self.pods.iter().filter(|pod| self.has_failed(pod));
        let message = failed.find_map(|pod| self.policy_of(pod).fails_job)?;
        Some(Verdict::failure("PodFailurePolicy", &message))
    }

    /// Too many pods failed, or containers were restarted too often, or it takes too long.
    fn exhausted(&mut self) -> Option<Verdict> {
        let limit = self.spec.backoff_limit.unwrap_or(6);
        if self.failed > limit || self.restarted_too_often(limit) {
            let message = "Job has reached the specified backoff limit";
            return Some(Verdict::failure("BackoffLimitExceeded", message));
        }
        let seconds = self
            .spec
            .active_deadline_seconds
            .filter(|_| !self.is_suspended())?;
        let since = self.status.start_time.as_ref()?.0;
        let deadline = since.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        if deadline > self.now {
            self.wake(deadline);
            return None;
        }
        let message = "Job was active longer than specified deadline";
        Some(Verdict::failure("DeadlineExceeded", message))
    }

    fn restarted_too_often(&self, limit: i32) -> bool {
        let template = self.spec.template.spec.as_ref();
        let policy = template.and_then(|spec| spec.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let running = self.pods.iter().filter(|pod| !pods::has_ended(pod));
        let statuses = running.flat_map(|pod| {
            let status = pod.status.iter();
            status.flat_map(|status| {
                let main = status.container_statuses.iter().flatten();
                main.chain(status.init_container_statuses.iter().flatten())
            })
        });
        let restarts: i32 = statuses
            .map(|status: &ContainerStatus| status.restart_count)
            .sum();
        if limit == 0 {
            restarts > 0
        } else {
            restarts >= limit
        }
    }

    fn failed_by_indexes(&self) -> Option<Verdict> {
        let failed = self.failed_indexes.as_ref()?;
        let most = self
            .spec
            .max_failed_indexes
            .and_then(|most| usize::try_from(most).ok());
        if most.is_some_and(|most| failed.len() > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Verdict::failure("MaxFailedIndexesExceeded", message));
        }
        let over = failed.len() + self.indexes.len() >= self.completions() as usize;
        (!failed.is_empty() && over)
            .then(|| Verdict::failure("FailedIndexes", "Job has failed indexes"))
    }

    /// Finds out which indexes have succeeded and which were given up (JB25, JB28).
    pub(super) fn count_indexes(&mut self) {
        let completions = self.completions();
        let read =
            |text: &Option<String>| Indexes::read(text.as_deref().unwrap_or_default(), completions);
        self.known_indexes = read(&self.status.completed_indexes);
        self.indexes = self.known_indexes.clone();
        let fresh = self
            .pods
            .iter()
            .filter(|pod| has_finalizer(pod) && self.is_valid(pod));
        let fresh: Vec<_> = fresh.copied().collect();
        let index = |pod: &Pod| index_of(&pod.metadata).unwrap_or_default();
        for pod in fresh.iter().filter(|pod| pods::phase(pod) == "Succeeded") {
            self.indexes.add(index(pod));
        }
        self.succeeded = i32::try_from(self.indexes.len()).unwrap_or(i32::MAX);
        let Some(limit) = self.spec.backoff_limit_per_index else {
            return;
        };
        let mut failed = read(&self.status.failed_indexes);
        for pod in fresh.iter().filter(|pod| self.has_failed(pod)) {
            let judgement = self.policy_of(pod);
            let spent = judgement.counts && failures(pod, FAILURES_ANNOTATION) >= limit;
            if judgement.fails_index || spent {
                failed.add(index(pod));
            }
        }
        self.delay(&fresh, &failed);
        self.failed_indexes = Some(failed);
    }

    /// Finds the failed pods that wait for their replacement (JB29).
    fn delay(&mut self, fresh: &[&'a Pod], failed: &Indexes) {
        let active: Vec<_> = self
            .active
            .iter()
            .map(|pod| index_of(&pod.metadata))
            .collect();
        let ended: Vec<_> = fresh
            .iter()
            .copied()
            .filter(|pod| self.has_failed(pod))
            .collect();
        for pod in ended {
            let Some(index) = index_of(&pod.metadata) else {
                continue;
            };
            if self.indexes.has(index) || failed.has(index) || active.contains(&Some(index)) {
                continue;
            }
            let age = |pod: &Pod| (all_failures(pod), finished_at(pod));
            if self
                .delayed
                .get(&index)
                .is_none_or(|known| age(known) <= age(pod))
            {
                self.delayed.insert(index, pod);
            }
        }
    }

    /// Deletes all pods that run; their finalizers go when they are counted.
    pub(super) fn stop_all(&mut self) {
        for pod in std::mem::take(&mut self.active) {
            let name = pods::name_of(&pod.metadata).to_owned();
            self.steps.push(WorkStep::DeletePod { name });
            self.ready -= i32::from(pods::is_ready(pod));
            self.terminating += 1;
        }
        self.status.active = None;
    }
}

/// Returns the number in an annotation of a pod, 0 if there is none.
pub(super) fn failures(pod: &Pod, annotation: &str) -> i32 {
    let number = pods::annotation(&pod.metadata, annotation);
    number
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// Returns how often an index had failed before a pod, ignored failures included.
pub(super) fn all_failures(pod: &Pod) -> i32 {
    failures(pod, FAILURES_ANNOTATION) + failures(pod, IGNORED_ANNOTATION)
}
