//! The edits of verbs to workloads that exist, and what they have made.

use std::cmp::Reverse;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::preview::DryRunArgs;
use super::render;
use super::session::{Session, say};
use super::waiting::{Goal, WaitArgs};
use super::workloads::count_template;
use crate::manifest;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::workload::{edit, is_controlled_by, pods};
use crate::model::{Namespace, ObjectName, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::sorted::sort_by_key;

impl Session {
    /// Returns the workload of this name, which has to exist, with its status.
    pub(crate) fn expect_workload(
        &self,
        kind: WorkloadKind,
        name: &ObjectName,
    ) -> Result<Workload> {
        let found = self.workload(kind, &self.namespace, name)?;
        let plural = ObjectKind::Workload(kind).plural();
        found.ok_or_else(|| self.not_found(plural, name.as_str()).into())
    }

    /// Changes one workload that exists, and returns it as it is now.
    ///
    /// Its generation rises with each change of its spec: it says which change a status is about.
    pub(crate) fn edit_workload<T>(
        &self,
        verb: &str,
        (kind, name): (WorkloadKind, &ObjectName),
        change: impl FnOnce(&mut Workload) -> Result<T, Problem>,
    ) -> Result<(Workload, T)> {
        self.edit(&format!("{verb} {name}"), |edit| {
            let before = self.expect_workload(kind, name)?;
            let mut workload = before.clone();
            let outcome = changed_workload(&mut workload, change)?;
            edit.put_workload(&workload)?;
            Ok((workload, outcome))
        })
    }

    /// Replaces the pods of a workload, as its strategy says.
    pub(crate) fn restart_workload(
        &self,
        (kind, name): (WorkloadKind, &ObjectName),
        dry_run: &DryRunArgs,
        wait: &WaitArgs,
    ) -> Result<()> {
        let change = |workload: &mut Workload| edit::restart(workload, Timestamp::now());
        if dry_run.is_on() {
            let mut workload = self.expect_workload(kind, name)?;
            changed_workload(&mut workload, change)?;
            return self.show_workload(dry_run, workload, "restarted");
        }
        let edited = self.edit_workload("restart", (kind, name), change);
        let (workload, ()) = edited.with_context(|| format!("cannot restart {name}"))?;
        render::line(&format!("{} restarted", workload.full_name()))?;
        self.wait(&[Goal::WorkloadDone(workload.into())], wait)
    }

    /// Returns the ReplicaSets of a Deployment, oldest first.
    pub(crate) fn sets_of_deployment(
        &self,
        deployment: &Workload,
        namespace: &Namespace,
    ) -> Result<Vec<ReplicaSet>> {
        let all = self.workloads(WorkloadKind::ReplicaSet, namespace)?;
        let sets = all.into_iter().filter_map(|workload| match workload {
            Workload::ReplicaSet(set) => Some(set),
            Workload::Deployment(_)
            | Workload::ReplicationController(_)
            | Workload::DaemonSet(_)
            | Workload::Job(_)
            | Workload::CronJob(_) => None,
        });
        let own = sets.filter(|set| is_controlled_by(&set.metadata, deployment.metadata()));
        let mut own: Vec<ReplicaSet> = own.collect();
        sort_by_key(&mut own, |set| {
            let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, set.metadata.name.clone())
        });
        Ok(own)
    }

    /// Chooses one pod of a workload for a verb that is about one: one that runs before others, a
    /// ready one before others, and of those the youngest.
    pub(crate) fn choose_pod(&self, kind: WorkloadKind, name: &ObjectName) -> Result<Pod> {
        let workload = self.expect_workload(kind, name)?;
        let mut made = self.pods_of_workload(&self.namespace, &workload)?;
        sort_by_key(&mut made, |pod| {
            let runs = pods::phase(pod) == "Running" && !pods::is_terminating(pod);
            let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
            Reverse((runs, pods::is_ready(pod), created))
        });
        let (count, mut made) = (made.len(), made.into_iter());
        let Some(pod) = made.next() else {
            let message = format!("{} has no pods", workload.full_name());
            let hint = format!("see why with `petset describe {}`", workload.full_name());
            return Err(Problem::new(Kind::NotFound, message).hint(hint).into());
        };
        if count > 1 {
            let chosen = pods::name_of(&pod.metadata);
            say(format!("Found {count} pods, using pod/{chosen}"));
        }
        Ok(pod)
    }
}

/// Changes a workload and checks it; its generation rises where its spec is another one then.
pub(crate) fn changed_workload<T>(
    workload: &mut Workload,
    change: impl FnOnce(&mut Workload) -> Result<T, Problem>,
) -> Result<T> {
    let before = workload.clone();
    if before.metadata().deletion_timestamp.is_some() {
        let message = format!("{} is being deleted", before.full_name());
        return Err(Problem::new(Kind::Conflict, message).into());
    }
    let outcome = change(workload)?;
    manifest::check_workload_update(&before, workload)?;
    count_template(&before, workload);
    if !workload.has_same_spec(&before) {
        let generation = &mut workload.metadata_mut().generation;
        *generation = Some(generation.unwrap_or_default() + 1);
    }
    Ok(outcome)
}
