//! The ReplicaSets of a Deployment by template: their names, revisions and annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::sets::{
    DESIRED_ANNOTATION, HASH_LABEL, HISTORY_ANNOTATION, MAX_ANNOTATION, REVISION_ANNOTATION,
    annotate_size, revision_of, same_template, size,
};
use super::{DeploymentPass, Rollout};
use crate::model::template_hash::template_hash;
use crate::model::wish::{
    CANARY_ANNOTATION, FAILED_REVISIONS_ANNOTATION, ON_FAILURE_ANNOTATION,
    PROGRESS_DEADLINE_ANNOTATION, ROLLED_BACK_ANNOTATION,
};
use crate::model::workload::{WorkStep, pods};
use crate::sorted::sort_by_key;

/// Annotations of a Deployment that its ReplicaSets do not take over (DP07).
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION_ANNOTATION,
    HISTORY_ANNOTATION,
    DESIRED_ANNOTATION,
    MAX_ANNOTATION,
    "deprecated.deployment.rollback.to",
];

/// Annotations of petset's own that say how a rollout goes: a ReplicaSet has no use for them.
const ROLLOUT_ANNOTATIONS: [&str; 5] = [
    CANARY_ANNOTATION,
    FAILED_REVISIONS_ANNOTATION,
    ON_FAILURE_ANNOTATION,
    PROGRESS_DEADLINE_ANNOTATION,
    ROLLED_BACK_ANNOTATION,
];

const MAX_HISTORY: usize = 2000;
const MAX_NAME: usize = 253;

impl DeploymentPass<'_> {
    /// Finds the ReplicaSet of the wanted template, or makes it; sees to its revision (DP08-DP12).
    pub(super) fn find_current(&mut self, may_create: bool) {
        if self.halted {
            return;
        }
        let template = self.spec.template.clone();
        let is_wanted = |set: &ReplicaSet| {
            let of_set = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
            of_set.is_some_and(|of_set| same_template(of_set, &template))
        };
        self.current = self.own.iter().position(is_wanted);
        let old = self.old();
        let newest = old
            .into_iter()
            .map(|place| revision_of(&self.own[place]))
            .max();
        let revision = newest.unwrap_or_default() + 1;
        match self.current {
            Some(place) => self.keep_current(place, revision),
            None if may_create => self.create_current(&template, revision),
            None => {}
        }
    }

    /// Gives the current ReplicaSet what the Deployment passes on (DP07, DP09, DP15).
    fn keep_current(&mut self, place: usize, revision: i64) {
        let before = self.own[place].clone();
        let min_ready = self.spec.min_ready_seconds.filter(|seconds| *seconds > 0);
        let set = &mut self.own[place];
        pass_on(self.wanted.metadata.annotations.as_ref(), &mut set.metadata);
        renumber(&mut set.metadata, revision);
        let spec = set.spec.get_or_insert_default();
        if spec.min_ready_seconds.unwrap_or_default() != min_ready.unwrap_or_default() {
            spec.min_ready_seconds = min_ready;
        }
        if *set != before {
            let set = Box::new(set.clone());
            self.steps.push(WorkStep::UpdateSet(set));
            self.halted = true;
            return;
        }
        let name = pods::name_of(&set.metadata).to_owned();
        let revision = pods::annotation(&set.metadata, REVISION_ANNOTATION).map(str::to_owned);
        self.note_revision(revision.unwrap_or_default());
        self.conditions.found(self.has_deadline(), &name);
    }

    fn create_current(&mut self, template: &PodTemplateSpec, revision: i64) {
        let set = self.new_set(template, revision);
        let name = pods::name_of(&set.metadata).to_owned();
        let mut sets = self.seen.sets.iter();
        if sets.any(|other| other.metadata.name.as_ref() == Some(&name)) {
            // It is not ours, or it would have been found by its template.
            self.collisions = Some(self.collisions.unwrap_or_default() + 1);
            self.halted = true;
            return;
        }
        let replicas = size(&set);
        self.steps.push(WorkStep::CreateSet(Box::new(set.clone())));
        if replicas > 0 {
            self.tell(format!("Scaled up replica set {name} from 0 to {replicas}"));
        }
        self.own.push(set);
        self.current = Some(self.own.len() - 1);
        self.note_revision(revision.to_string());
        self.conditions.created(self.has_deadline(), &name);
    }

    /// Makes a ReplicaSet for a template, as large as it may be at once (DP02, DP22).
    fn new_set(&self, template: &PodTemplateSpec, revision: i64) -> ReplicaSet {
        let hash = template_hash(template, self.collisions);
        let mut template = template.clone();
        let labels = template
            .metadata
            .get_or_insert_default()
            .labels
            .get_or_insert_default();
        labels.insert(HASH_LABEL.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector = self.spec.selector.clone();
        let wanted = selector.match_labels.get_or_insert_default();
        wanted.insert(HASH_LABEL.to_owned(), hash.clone());
        let total: i32 = self.own.iter().map(size).sum();
        let bounds = self.bounds();
        let replicas = match self.strategy() {
            Rollout::Recreate => self.replicas(),
            Rollout::RollingUpdate => {
                let grown = bounds.grown(self.replicas(), 0, total);
                grown.min(self.current_share())
            }
        };
        let name = pods::name_of(&self.wanted.metadata);
        let cut = name.len().min(MAX_NAME - hash.len() - 1);
        let mut metadata = ObjectMeta {
            name: Some(format!("{}-{hash}", &name[..cut])),
            namespace: self.wanted.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        };
        pass_on(self.wanted.metadata.annotations.as_ref(), &mut metadata);
        renumber(&mut metadata, revision);
        annotate_size(
            &mut metadata,
            (self.replicas(), self.replicas() + bounds.surge),
        );
        ReplicaSet {
            metadata,
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: self.spec.min_ready_seconds.filter(|seconds| *seconds > 0),
                replicas: Some(replicas),
                selector,
                template: Some(template),
            }),
            status: None,
        }
    }

    /// Notes the revision at the Deployment itself (DP08).
    fn note_revision(&mut self, revision: String) {
        let before = self
            .annotations
            .insert(REVISION_ANNOTATION.to_owned(), revision.clone());
        if before != Some(revision) {
            self.steps
                .push(WorkStep::Annotate(self.annotations.clone()));
        }
    }

    /// Deletes empty old ReplicaSets beyond the limit, lowest revision first, once the Deployment
    /// is complete (DP33).
    pub(super) fn forget_old(&mut self) {
        let published = self.wanted.status.clone().unwrap_or_default();
        if self.spec.paused != Some(true) && !self.is_complete(&published) {
            return;
        }
        let Some(limit) = self
            .spec
            .revision_history_limit
            .filter(|limit| *limit < i32::MAX)
        else {
            return;
        };
        let mut alive = self.old();
        alive.retain(|place| self.own[*place].metadata.deletion_timestamp.is_none());
        sort_by_key(&mut alive, |place| revision_of(&self.own[*place]));
        let surplus = alive
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or_default());
        for place in alive.into_iter().take(surplus) {
            let set = &self.own[place];
            let status = set.status.clone().unwrap_or_default();
            let is_observed = set.metadata.generation <= status.observed_generation;
            if size(set) == 0 && status.replicas == 0 && is_observed {
                let name = pods::name_of(&set.metadata).to_owned();
                self.steps.push(WorkStep::DeleteSet { name });
            }
        }
    }
}

/// Copies the annotations of a Deployment to a ReplicaSet, but for those that are its own (DP07).
fn pass_on(annotations: Option<&BTreeMap<String, String>>, meta: &mut ObjectMeta) {
    let passed = annotations.into_iter().flatten();
    let passed = passed.filter(|(key, _)| !is_own_annotation(key));
    let passed = passed.map(|(key, value)| (key.clone(), value.clone()));
    meta.annotations.get_or_insert_default().extend(passed);
}

/// Returns whether an annotation is about the Deployment alone, and none of its templates.
pub(in crate::model) fn is_own_annotation(key: &str) -> bool {
    OWN_ANNOTATIONS.contains(&key) || ROLLOUT_ANNOTATIONS.contains(&key)
}

/// Gives a ReplicaSet a higher revision; the one it had is kept in its history (DP09).
fn renumber(meta: &mut ObjectMeta, revision: i64) {
    let annotations = meta.annotations.get_or_insert_default();
    let before = annotations.get(REVISION_ANNOTATION).cloned();
    let number = match &before {
        Some(text) if text.is_empty() => 0,
        Some(text) => match text.parse::<i64>() {
            Ok(number) => number,
            Err(_) => return,
        },
        None => 0,
    };
    if number >= revision {
        return;
    }
    annotations.insert(REVISION_ANNOTATION.to_owned(), revision.to_string());
    if let Some(before) = before {
        let history = annotations
            .get(HISTORY_ANNOTATION)
            .cloned()
            .unwrap_or_default();
        let history = lengthened(&history, &before);
        annotations.insert(HISTORY_ANNOTATION.to_owned(), history);
    }
}

/// Adds a number to a history; the oldest are left out where it becomes too long.
fn lengthened(history: &str, number: &str) -> String {
    if history.is_empty() {
        return number.to_owned();
    }
    let mut history = history;
    while history.len() + 1 + number.len() > MAX_HISTORY {
        match history.split_once(',') {
            Some((_, rest)) => history = rest,
            None => return number.to_owned(),
        }
    }
    format!("{history},{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_keeps_the_latest_numbers() {
        // DP09
        assert_eq!(lengthened("", "1"), "1");
        assert_eq!(lengthened("1,3", "5"), "1,3,5");
        let long = vec!["123456789"; 200].join(",");
        let longer = lengthened(&long, "7");
        assert!(longer.len() <= MAX_HISTORY && longer.ends_with(",7"));
    }
}
