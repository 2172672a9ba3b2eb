//! The revisions of a DaemonSet (DS04, DS18).

use std::collections::HashSet;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use super::DaemonPass;
use crate::model::REVISION_LABEL;
use crate::model::canonical::patch_of;
use crate::model::template_hash::template_hash;
use crate::model::workload::{WorkStep, claim, pods};
use crate::problem::Problem;
use crate::sorted::sort_by_key;

impl<'a> DaemonPass<'a> {
    /// Finds the revision of the template, or makes it; returns its hash and the other revisions.
    ///
    /// None is returned where its name is that of another template: then the hash was counted up.
    pub(super) fn find_revision(
        &mut self,
    ) -> Result<Option<(String, Vec<&'a ControllerRevision>)>, Problem> {
        let patch = patch_of(&self.spec.template);
        let (mut current, mut old): (Option<&ControllerRevision>, Vec<_>) = (None, Vec::new());
        for revision in self.claim_revisions() {
            if revision.data.as_ref().is_some_and(|data| data.0 == patch) {
                let before = current.replace(revision);
                if let Some(before) = before.filter(|before| before.revision > revision.revision) {
                    current = Some(before);
                }
            } else {
                old.push(revision);
            }
        }
        let number = old
            .iter()
            .map(|revision| revision.revision)
            .max()
            .unwrap_or_default()
            + 1;
        if let Some(current) = current {
            if current.revision < number {
                let name = pods::name_of(&current.metadata).to_owned();
                self.steps.push(WorkStep::RenumberRevision { name, number });
            }
            let hash = pods::label(&current.metadata, REVISION_LABEL).unwrap_or_default();
            return Ok(Some((hash.to_owned(), old)));
        }
        let hash = template_hash(&self.spec.template, self.collisions);
        let revision = self.new_revision(&hash, number, RawExtension(patch));
        let mut all = self.seen.revisions.iter();
        if all.any(|known| known.metadata.name == revision.metadata.name) {
            self.collisions = Some(self.collisions.unwrap_or_default() + 1);
            return Ok(None);
        }
        self.steps
            .push(WorkStep::CreateRevision(Box::new(revision)));
        Ok(Some((hash, old)))
    }

    fn claim_revisions(&mut self) -> Vec<&'a ControllerRevision> {
        let mut own = Vec::new();
        for revision in &self.seen.revisions {
            let claimed = claim(&revision.metadata, &self.set.metadata, &self.selector);
            if let Some(owner) = claimed.new_owner(&self.owner) {
                let name = pods::name_of(&revision.metadata).to_owned();
                self.steps.push(WorkStep::OwnRevision { name, owner });
            }
            own.extend(claimed.is_own().then_some(*revision));
        }
        own
    }

    fn new_revision(&self, hash: &str, number: i64, data: RawExtension) -> ControllerRevision {
        let template = self.spec.template.metadata.as_ref();
        let mut labels = template
            .and_then(|meta| meta.labels.clone())
            .unwrap_or_default();
        labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", pods::name_of(&self.set.metadata))),
                namespace: self.set.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: self.set.metadata.annotations.clone(),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            data: Some(data),
            revision: number,
        }
    }

    /// Deletes old revisions beyond the limit that no pod has, lowest number first.
    pub(super) fn forget(&mut self, mut old: Vec<&ControllerRevision>) {
        let limit = usize::try_from(self.spec.revision_history_limit.unwrap_or(10));
        let mut surplus = old.len().saturating_sub(limit.unwrap_or_default());
        let all = self.by_node.values().flatten();
        let live: HashSet<_> = all
            .filter_map(|pod| pods::label(&pod.metadata, REVISION_LABEL).map(str::to_owned))
            .collect();
        sort_by_key(&mut old, |revision| revision.revision);
        for revision in old {
            let hash = pods::label(&revision.metadata, REVISION_LABEL).unwrap_or_default();
            if surplus > 0 && !live.contains(hash) {
                surplus -= 1;
                let name = pods::name_of(&revision.metadata).to_owned();
                self.steps.push(WorkStep::DeleteRevision { name });
            }
        }
    }
}
