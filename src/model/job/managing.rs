//! How many pods of a Job run: what is made and what is deleted (JB06, JB07, JB14, JB22-JB25).

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow::{self, Break, Continue};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::finishing::{all_failures, failures};
use super::{
    BackOffRecord, FAILURES_ANNOTATION, FINALIZER, IGNORED_ANNOTATION, INDEX_ANNOTATION, JobPass,
    finished_at, has_finalizer, index_of,
};
use crate::model::workload::{
    MAX_BATCHED, Random, Told, WorkStep, generated_name, pods, slow_start, younger_first,
};
use crate::sorted::{SortedMap, sort_by};

const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
const MAX_PREFIX: usize = 58;

impl<'a> JobPass<'a> {
    /// Makes or deletes pods; breaks off where the back-off holds the pass up.
    pub(super) fn manage(&mut self, random: &mut Random) -> ControlFlow<()> {
        let active = self.active.len();
        if self.is_suspended() {
            let doomed = self.surplus(active);
            self.dismiss(&doomed);
            return Continue(());
        }
        let wanted = self.wanted_active();
        let mut doomed = self.surplus(active.saturating_sub(wanted));
        doomed.truncate(MAX_BATCHED);
        if !doomed.is_empty() {
            self.dismiss(&doomed);
            return Continue(());
        }
        self.note_active(active);
        let leaving = if self.waits_for_ends() {
            self.terminating
        } else {
            0
        };
        let leaving = usize::try_from(leaving).unwrap_or_default();
        let missing = wanted.saturating_sub(active + leaving);
        if missing == 0 {
            return Continue(());
        }
        let missing = missing.min(MAX_BATCHED);
        match self.makeable(missing) {
            Ok(indexes) => {
                self.note_active(active + indexes.len());
                self.make(&indexes, random);
                Continue(())
            }
            Err(until) => {
                self.wake(until);
                if self.ready > 0 {
                    Break(())
                } else {
                    Continue(())
                }
            }
        }
    }

    fn note_active(&mut self, active: usize) {
        let active = i32::try_from(active).unwrap_or(i32::MAX);
        self.status.active = Some(active).filter(|active| *active > 0);
    }

    /// Returns how many pods are to run (JB06).
    fn wanted_active(&self) -> usize {
        let parallelism = usize::try_from(self.spec.parallelism.unwrap_or(1)).unwrap_or_default();
        match self.spec.completions {
            None if self.succeeded > 0 => self.active.len(),
            None => parallelism,
            Some(completions) => {
                let left = usize::try_from(completions - self.succeeded).unwrap_or_default();
                left.min(parallelism)
            }
        }
    }

    /// Chooses at least so many pods to delete: first those whose index is not wanted or is there
    /// twice (JB23).
    fn surplus(&self, least: usize) -> Vec<&'a Pod> {
        let (mut doomed, mut left) = (Vec::new(), Vec::new());
        if self.is_indexed() {
            let mut by_index: SortedMap<u32, Vec<&Pod>> = SortedMap::new();
            for pod in &self.active {
                match index_of(&pod.metadata).filter(|index| *index < self.completions()) {
                    Some(index) => by_index.entry(index).or_default().push(pod),
                    None => doomed.push(*pod),
                }
            }
            for mut same in by_index.into_values() {
                sort_by(&mut same, |one, two| younger_first(one, two));
                left.extend(same.pop());
                doomed.extend(same);
            }
        } else {
            left.clone_from(&self.active);
        }
        if doomed.len() < least {
            sort_by(&mut left, |one, two| younger_first(one, two));
            left.truncate(least - doomed.len());
            doomed.extend(left);
        }
        doomed
    }

    /// Deletes pods that do not count as failed: their finalizer goes first (JB22, JB23).
    fn dismiss(&mut self, doomed: &[&Pod]) {
        for pod in doomed {
            let name = pods::name_of(&pod.metadata).to_owned();
            if has_finalizer(pod) {
                self.steps.push(WorkStep::FreePod { name: name.clone() });
            }
            self.steps.push(WorkStep::DeletePod { name });
            self.ready -= i32::from(pods::is_ready(pod));
            self.terminating += 1;
        }
        self.note_active(self.active.len() - doomed.len());
        let uids: HashSet<_> = doomed.iter().map(|pod| pod.metadata.uid.clone()).collect();
        self.pods.retain(|pod| !uids.contains(&pod.metadata.uid));
        self.active.retain(|pod| !uids.contains(&pod.metadata.uid));
    }

    /// Returns for which indexes pods can be made now, or until when none can (JB14, JB25, JB28).
    fn makeable(&self, missing: usize) -> Result<Vec<Option<u32>>, Timestamp> {
        let per_index = self.spec.backoff_limit_per_index.is_some();
        if !per_index && let Some(until) = self.back_off.until().filter(|until| *until > self.now) {
            return Err(until);
        }
        if !self.is_indexed() {
            return Ok(vec![None; missing]);
        }
        let active: HashSet<_> = self
            .active
            .iter()
            .filter_map(|pod| index_of(&pod.metadata))
            .collect();
        let given_up = |index: u32| {
            self.failed_indexes
                .as_ref()
                .is_some_and(|all| all.has(index))
        };
        let pending = (0..self.completions()).filter(|index| {
            !self.indexes.has(*index) && !active.contains(index) && !given_up(*index)
        });
        let pending: Vec<_> = pending.take(missing).collect();
        let until = |index: &u32| {
            let failed = self.delayed.get(index).filter(|_| per_index)?;
            let failures = u32::try_from(all_failures(failed) + 1).unwrap_or_default();
            let record = BackOffRecord {
                failures,
                last_failure: finished_at(failed),
            };
            record.until().filter(|until| *until > self.now)
        };
        let now: Vec<_> = pending
            .iter()
            .copied()
            .filter(|index| until(index).is_none())
            .collect();
        match pending.iter().filter_map(until).min() {
            Some(until) if now.is_empty() => Err(until),
            _ => Ok(now.into_iter().map(Some).collect()),
        }
    }

    fn make(&mut self, indexes: &[Option<u32>], random: &mut Random) {
        let mut taken: HashSet<String> = self
            .seen
            .pods
            .iter()
            .map(|pod| pods::name_of(&pod.metadata).to_owned())
            .collect();
        let batches = slow_start(indexes.len()).into_iter().enumerate();
        let batches = batches.flat_map(|(batch, size)| std::iter::repeat_n(batch, size));
        for (index, batch) in indexes.iter().zip(batches) {
            let mut pod = self.pod_for(*index);
            let prefix = self.prefix(*index);
            let name = generated_name(&prefix, random, |name| taken.contains(name));
            taken.insert(name.clone());
            pod.metadata.name = Some(name);
            pod.metadata.generate_name = Some(prefix);
            self.steps.push(WorkStep::CreatePod {
                pod: Box::new(pod),
                batch,
            });
        }
    }

    fn prefix(&self, index: Option<u32>) -> String {
        let job = pods::name_of(&self.job.metadata);
        let end = index.map_or_else(|| "-".to_owned(), |index| format!("-{index}-"));
        let cut = job.len().min(MAX_PREFIX - end.len());
        format!("{}{end}", &job[..cut])
    }

    fn pod_for(&self, index: Option<u32>) -> Pod {
        let mut template = self.spec.template.clone();
        if let Some(index) = index {
            self.put_index(&mut template, index);
        }
        let namespace = self.job.metadata.namespace.as_deref();
        let mut pod = pods::from_template(&template, namespace, self.owner.clone());
        let finalizers = pod.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        pod
    }

    /// Tells a pod its index: annotation, label, host name and variable (JB25).
    fn put_index(&self, template: &mut PodTemplateSpec, index: u32) {
        let meta = template.metadata.get_or_insert_default();
        let annotations = meta.annotations.get_or_insert_default();
        annotations.insert(INDEX_ANNOTATION.to_owned(), index.to_string());
        if self.spec.backoff_limit_per_index.is_some() {
            self.put_failures(annotations, index);
        }
        let labels = meta.labels.get_or_insert_default();
        labels.insert(INDEX_ANNOTATION.to_owned(), index.to_string());
        let spec = template.spec.get_or_insert_default();
        spec.hostname = Some(format!("{}-{index}", pods::name_of(&self.job.metadata)));
        let inits = spec.init_containers.iter_mut().flatten();
        inits.chain(&mut spec.containers).for_each(put_variable);
    }

    /// Notes how often the index failed before (JB28).
    fn put_failures(&self, annotations: &mut BTreeMap<String, String>, index: u32) {
        let before = self.delayed.get(&index).copied();
        let (mut counted, mut ignored) = (0, 0);
        if let Some(before) = before {
            let counts = self.policy_of(before).counts;
            counted = failures(before, FAILURES_ANNOTATION) + i32::from(counts);
            ignored = failures(before, IGNORED_ANNOTATION) + i32::from(!counts);
        }
        annotations.insert(FAILURES_ANNOTATION.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_ANNOTATION.to_owned(), ignored.to_string());
        }
    }

    /// Notes that the Job is suspended, or runs on (JB21).
    pub(super) fn note_suspension(&mut self, suspended: bool) {
        let (status, reason, message, told) = match suspended {
            true => ("True", "JobSuspended", "Job suspended", "Suspended"),
            false => ("False", "JobResumed", "Job resumed", "Resumed"),
        };
        let conditions = self.status.conditions.get_or_insert_default();
        let known = conditions
            .iter_mut()
            .find(|condition| condition.type_ == "Suspended");
        let condition = JobCondition {
            type_: "Suspended".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_probe_time: Some(Time(self.now)),
            last_transition_time: Some(Time(self.now)),
        };
        match known {
            Some(known) if known.status == status => return,
            Some(known) => *known = condition,
            None if suspended => conditions.push(condition),
            None => {
                let is_empty = conditions.is_empty();
                self.status.conditions.take_if(|_| is_empty);
                return;
            }
        }
        self.steps.push(WorkStep::Tell(Told::normal(told, message)));
        self.status.start_time = (!suspended).then_some(Time(self.now));
    }
}

fn put_variable(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables
        .iter()
        .any(|variable| variable.name == INDEX_VARIABLE)
    {
        return;
    }
    let field = ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: format!("metadata.labels['{INDEX_ANNOTATION}']"),
    };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(field),
            ..EnvVarSource::default()
        }),
    });
}
