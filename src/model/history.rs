//! The revisions of a set: which one is current, which one comes next, which may be forgotten.

use k8s_openapi::api::apps::v1::ControllerRevision;

use super::Ordinal;
use super::pod::controller_of;
use super::revision::{by_age, wanted_revision};
use super::set::{Set, Strategy};
use super::step::{Rules, Seen, Step};
use crate::sorted::{SortedSet, sort_by};

/// The revisions of a set, once the wanted template has one (C27).
#[derive(Debug)]
pub(super) struct History {
    /// The revision that pets below the partition have.
    pub(super) current: String,
    /// The revision of the template as it is wanted now.
    pub(super) update: String,
    /// How many names were taken by another template (C25).
    pub(super) collisions: i32,
    /// The recorded ones, oldest first.
    names: Vec<String>,
}

impl History {
    /// Finds the set's revisions, and adds the steps that record the wanted one.
    ///
    /// A set that is being deleted neither adopts nor records anything.
    pub(super) fn of(want: &Set, seen: &Seen, steps: &mut Vec<Step>) -> Self {
        let status = &seen.status;
        let deleting = want.deletion.is_some();
        let revisions = seen.revisions.iter();
        let mut own: Vec<_> = revisions
            .filter(|revision| match owner_of(revision) {
                Some(uid) => uid == want.uid,
                None => !deleting && want.selector.matches(&labels_of(revision)),
            })
            .collect();
        sort_by(&mut own, |one, two| by_age(one, two));
        let mut history = Self {
            current: status.current_revision.clone().unwrap_or_default(),
            update: status.update_revision.clone().unwrap_or_default(),
            collisions: status.collision_count.unwrap_or(0),
            names: own.iter().map(|revision| name_of(revision)).collect(),
        };
        if !deleting {
            let orphans = own.iter().filter(|revision| owner_of(revision).is_none());
            steps.extend(orphans.map(|revision| Step::AdoptRevision {
                name: name_of(revision),
            }));
            history.record(want, seen, &own, steps);
        }
        history
    }

    /// Makes the wanted template the newest revision: reused, renumbered or new.
    fn record(
        &mut self,
        want: &Set,
        seen: &Seen,
        own: &[&ControllerRevision],
        steps: &mut Vec<Step>,
    ) {
        let number = own.last().map_or(1, |newest| newest.revision + 1);
        let same = |revision: &ControllerRevision| patch_is(revision, want);
        self.update = match own.iter().rposition(|revision| same(revision)) {
            Some(newest) if newest + 1 == own.len() => name_of(own[newest]),
            Some(earlier) => {
                let name = name_of(own[earlier]);
                steps.push(Step::RenumberRevision {
                    name: name.clone(),
                    number,
                });
                name
            }
            None => self.create(want, seen, number, steps),
        };
        if !self.names.contains(&self.current) {
            self.current.clone_from(&self.update);
        }
    }

    /// Records a new revision; a name that another template has is varied (C25).
    fn create(&mut self, want: &Set, seen: &Seen, number: i64, steps: &mut Vec<Step>) -> String {
        loop {
            let wanted = wanted_revision(want, number, self.collisions);
            let name = name_of(&wanted);
            let taken = seen
                .revisions
                .iter()
                .find(|revision| name_of(revision) == name);
            match taken {
                None => {
                    steps.push(Step::CreateRevision(Box::new(wanted)));
                    return name;
                }
                Some(revision) if patch_is(revision, want) => return name,
                Some(_) => self.collisions += 1,
            }
        }
    }

    /// Lists the names of the recorded revisions, oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the revision that a new pet of this ordinal gets (C15).
    ///
    /// Without a `rollingUpdate` block, as many pets stay at the current revision as the status
    /// counts there; a set that mends itself makes every pet new, or it might mend for ever.
    pub(super) fn revision_for(
        &self,
        want: &Set,
        ordinal: Ordinal,
        seen: &Seen,
        rules: Rules,
    ) -> &str {
        let counted = seen.status.current_replicas.unwrap_or(0);
        let counted = if rules.recover_broken {
            0
        } else {
            u32::try_from(counted).unwrap_or(0)
        };
        match want.strategy {
            Strategy::RollingUpdate(None) if ordinal.0 - want.start < counted => &self.current,
            Strategy::RollingUpdate(_) | Strategy::OnDelete => self.target(want, ordinal),
        }
    }

    /// Returns the revision that the pet of this ordinal shall have in the end (C14).
    pub(super) fn target(&self, want: &Set, ordinal: Ordinal) -> &str {
        match want.strategy {
            Strategy::RollingUpdate(Some(roll)) if ordinal.0 - want.start < roll.partition => {
                &self.current
            }
            Strategy::RollingUpdate(_) | Strategy::OnDelete => &self.update,
        }
    }

    /// Lists the steps that forget the oldest unused revisions beyond the limit (C28).
    pub(super) fn forgotten<'a>(
        &'a self,
        want: &Set,
        current: &str,
        pets: impl Iterator<Item = &'a str>,
    ) -> Vec<Step> {
        let Some(limit) = want.history_limit else {
            return Vec::new();
        };
        if self.names.len() <= limit {
            return Vec::new();
        }
        let used: SortedSet<&str> = pets.collect();
        let live = |name: &str| name == current || name == self.update || used.contains(name);
        let unused: Vec<_> = self.names().filter(|name| !live(name)).collect();
        let surplus = unused.len().saturating_sub(limit);
        let oldest = unused.into_iter().take(surplus);
        oldest
            .map(|name| Step::DeleteRevision {
                name: name.to_owned(),
            })
            .collect()
    }
}

fn owner_of(revision: &ControllerRevision) -> Option<&str> {
    let controller = controller_of(&revision.metadata)?;
    Some(&controller.uid)
}

fn name_of(revision: &ControllerRevision) -> String {
    revision.metadata.name.clone().unwrap_or_default()
}

fn labels_of(revision: &ControllerRevision) -> std::collections::BTreeMap<String, String> {
    revision.metadata.labels.clone().unwrap_or_default()
}

fn patch_is(revision: &ControllerRevision, want: &Set) -> bool {
    revision
        .data
        .as_ref()
        .is_some_and(|data| data.0 == want.patch)
}
