//! Counting pods that ended, each once, and the end of a Job (JB08-JB11).

use k8s_openapi::api::batch::v1::{JobCondition, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::finishing::{MET, TARGET};
use super::{JobPass, JobReconciled, Verdict, has_finalizer, index_of};
use crate::model::workload::{Told, WorkStep, pods};
use crate::sorted::SortedSet;

/// The most pods that are noted in a status and not counted yet.
const MAX_NOTED: usize = 500;

impl JobPass<'_> {
    /// Notes pods that ended, takes their finalizers off, counts them, and ends the Job if it is
    /// over and nothing is left.
    pub(super) fn track(mut self, verdict: Option<Verdict>) -> JobReconciled {
        self.status.ready = Some(self.ready);
        self.status.terminating = Some(self.terminating);
        let held: SortedSet<String> = self
            .pods
            .iter()
            .filter(|pod| has_finalizer(pod))
            .map(|pod| pods::uid_of(&pod.metadata).to_owned())
            .collect();
        self.count_noted(|uid| held.contains(uid));
        let freed = self.note_ends(verdict.as_ref());
        self.write_indexes();
        if let Some(verdict) = &verdict {
            let kind = if verdict.is_success { MET } else { TARGET };
            self.put_condition(kind, verdict);
        }
        self.write_noted();
        let noted = self.status.clone();
        let uids: SortedSet<_> = freed
            .iter()
            .map(|pod| pods::uid_of(&pod.metadata))
            .collect();
        self.count_noted(|uid| held.contains(uid) && !uids.contains(uid));
        self.write_noted();
        let counted = self.noted.succeeded.is_empty() && self.noted.failed.is_empty();
        let ended = verdict.filter(|_| counted && self.terminating == 0 && freed.len() < MAX_NOTED);
        let told = ended.map(|verdict| self.finish(&verdict));
        if noted != self.status && Some(&noted) != self.job.status.as_ref() {
            self.steps.push(WorkStep::Publish(Box::new(noted)));
        }
        for pod in &freed {
            let name = pods::name_of(&pod.metadata).to_owned();
            self.steps.push(WorkStep::FreePod { name });
        }
        self.steps.extend(told.map(WorkStep::Tell));
        JobReconciled {
            status: self.status,
            steps: self.steps,
            wake_at: self.wake_at,
            remembered: self.back_off,
        }
    }

    /// Moves to the counters what was noted and is held by no finalizer any more.
    fn count_noted(&mut self, is_held: impl Fn(&str) -> bool) {
        let count = |noted: &mut SortedSet<String>, counter: &mut Option<i32>| {
            let before = noted.len();
            noted.retain(|uid| is_held(uid));
            let more = i32::try_from(before - noted.len()).unwrap_or(i32::MAX);
            if more > 0 {
                *counter = Some(counter.unwrap_or_default().saturating_add(more));
            }
        };
        count(&mut self.noted.succeeded, &mut self.status.succeeded);
        count(&mut self.noted.failed, &mut self.status.failed);
    }

    /// Notes the pods that ended; returns those whose finalizer can go.
    fn note_ends(&mut self, verdict: Option<&Verdict>) -> Vec<Pod> {
        let fails = verdict.is_some_and(|verdict| !verdict.is_success);
        let mut freed = Vec::new();
        let mut new_indexes = 0;
        for pod in self.pods.clone() {
            if !has_finalizer(pod) || !self.is_free(pod, verdict) {
                continue;
            }
            freed.push(pod.clone());
            let uid = pods::uid_of(&pod.metadata).to_owned();
            if pods::phase(pod) == "Succeeded" && !self.noted.failed.contains(&uid) {
                let index = index_of(&pod.metadata).filter(|_| self.is_indexed());
                if !self.is_indexed() {
                    self.noted.succeeded.insert(uid);
                } else if index.is_some_and(|index| !self.known_indexes.has(index)) {
                    new_indexes += 1; // the index itself says that it was counted
                }
            } else if (self.has_failed(pod) || fails)
                && self.is_valid(pod)
                && self.policy_of(pod).counts
            {
                self.noted.failed.insert(uid);
            }
            if new_indexes + self.noted.succeeded.len() + self.noted.failed.len() >= MAX_NOTED {
                break;
            }
        }
        freed
    }

    /// Returns whether nothing has to be learnt from a pod any more (JB29).
    fn is_free(&self, pod: &Pod, verdict: Option<&Verdict>) -> bool {
        let is_deleted = self.job.metadata.deletion_timestamp.is_some();
        if is_deleted || verdict.is_some() || pods::phase(pod) == "Succeeded" {
            return true;
        }
        let waits = index_of(&pod.metadata).and_then(|index| self.delayed.get(&index));
        self.has_failed(pod) && waits.is_none_or(|delayed| delayed.metadata.uid != pod.metadata.uid)
    }

    fn write_indexes(&mut self) {
        if !self.is_indexed() {
            return;
        }
        let succeeded = i32::try_from(self.indexes.len()).ok();
        self.status.succeeded = succeeded.filter(|number| *number > 0);
        self.status.completed_indexes =
            Some(self.indexes.to_string()).filter(|text| !text.is_empty());
        self.status.failed_indexes = self.failed_indexes.as_ref().map(ToString::to_string);
    }

    fn write_noted(&mut self) {
        let list = |noted: &SortedSet<String>| {
            let list: Vec<_> = noted.iter().cloned().collect();
            Some(list).filter(|list| !list.is_empty())
        };
        self.status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: list(&self.noted.succeeded),
            failed: list(&self.noted.failed),
        });
    }

    fn put_condition(&mut self, kind: &str, verdict: &Verdict) {
        let conditions = self.status.conditions.get_or_insert_default();
        if conditions
            .iter()
            .any(|known| known.type_ == kind && known.status == "True")
        {
            return;
        }
        conditions.retain(|known| known.type_ != kind);
        conditions.push(JobCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some(verdict.reason.clone()),
            message: Some(verdict.message.clone()),
            last_probe_time: Some(Time(self.now)),
            last_transition_time: Some(Time(self.now)),
        });
    }

    /// Writes the last condition; returns what is told of it.
    fn finish(&mut self, verdict: &Verdict) -> Told {
        if verdict.is_success {
            self.put_condition("Complete", verdict);
            self.status.completion_time = Some(Time(self.now));
            Told::normal("Completed", "Job completed")
        } else {
            self.put_condition("Failed", verdict);
            Told::warning(&verdict.reason, verdict.message.clone())
        }
    }
}
