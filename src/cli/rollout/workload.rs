//! The rollouts of Deployments and DaemonSets.

use std::time::Instant;

use anyhow::Context;
use k8s_openapi::api::apps::v1::ControllerRevision;

use super::{
    HistoryArgs, PauseArgs, PromoteArgs, RestartArgs, ResumeArgs, RolloutVerb, StatusArgs,
    UndoArgs, fault_of_canary, no_revision, show_history, unproved,
};
use crate::cli::shared::pages;
use crate::cli::shared::render;
use crate::cli::shared::session::Session;
use crate::cli::shared::waiting::Goal;
use crate::cli::shared::watcher::Watcher;
use crate::cli::shared::workload_edits::changed_workload;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::rollout::{Standing, failed_revisions, put_note};
use crate::model::workload::past::{
    PastTemplate, no_history, past_of_revisions, past_of_sets, past_to_undo, undo,
};
use crate::model::workload::{edit, workload_standing};
use crate::model::{CANARY_ANNOTATION, ObjectName, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::supervisor;

/// The workload that a verb is about.
type Named<'a> = (WorkloadKind, &'a ObjectName);

impl RolloutVerb {
    /// Does what the verb says to a workload.
    pub(super) fn run_for_workload(
        &self,
        session: &Session,
        kind: WorkloadKind,
        name: &ObjectName,
    ) -> Result<()> {
        let named = (kind, name);
        match self {
            Self::Status(args) => status(session, args, named),
            Self::History(args) => history(session, args, named),
            Self::Undo(args) => roll_back(session, args, named),
            Self::Restart(args) => restart(session, args, named),
            Self::Pause(args) => pause(session, args, named),
            Self::Resume(args) => resume(session, args, named),
            Self::Promote(args) => promote(session, args, named),
        }
    }
}

/// Prints how far the rollout is whenever that changes, until it is done.
fn status(session: &Session, args: &StatusArgs, (kind, name): Named<'_>) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let layout = session.store.layout();
    let mut watcher = Watcher::for_reader()?;
    let namespace = &session.namespace;
    let wanted = layout.wanted_kind(namespace, ObjectKind::Workload(kind));
    let statuses = layout.workload_statuses(namespace, kind);
    watcher.watch([&wanted, &statuses, &layout.pets_of(namespace)])?;
    watcher.guard(supervisor::lifeline(layout));
    let mut said = String::new();
    loop {
        let workload = session.expect_workload(kind, name)?;
        let Standing { line, done } = workload_standing(&workload)?;
        if line != said {
            render::line(&line)?;
            said = line;
        }
        if done || !args.watch {
            return Ok(());
        }
        // It fails when the user alone can help.
        session.progress(&Goal::WorkloadDone(workload.clone().into()))?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let message = "timed out waiting for the condition";
            let full = workload.full_name();
            let hint = format!("see how far it is with `petset describe {full}`");
            return Err(Problem::new(Kind::TimedOut, message).hint(hint).into());
        }
        watcher.wait(deadline)?;
        if watcher.supervisor_ended() {
            supervisor::nudge(layout)?;
            watcher.guard(supervisor::lifeline(layout));
        }
    }
}

/// Lists the names of the ReplicaSets whose template was given up, or halts now.
fn failed(session: &Session, workload: &Workload) -> Result<Vec<String>> {
    let mut meta = workload.metadata().clone();
    session.proof_of_template(workload)?.note_on(&mut meta);
    let names = failed_revisions(&meta).into_iter().map(str::to_owned);
    Ok(names.collect())
}

fn history(session: &Session, args: &HistoryArgs, (kind, name): Named<'_>) -> Result<()> {
    let workload = session.expect_workload(kind, name)?;
    let past = past_of(session, &workload)?;
    let full = workload.full_name();
    let Some(number) = args.revision.filter(|number| *number > 0) else {
        render::line(&format!("{full} "))?;
        let failed = failed(session, &workload)?;
        let rows = past.iter().map(|one| {
            let cause = one.cause.clone().unwrap_or_else(|| "<none>".to_owned());
            let mark = match failed.contains(&one.name) {
                true => " (failed)",
                false => "",
            };
            vec![one.number.to_string(), format!("{cause}{mark}")]
        });
        return show_history(rows.collect());
    };
    let found = past.iter().find(|one| one.number == number);
    let found = found.ok_or_else(|| no_revision(&full))?;
    render::line(&format!("{full} with revision #{number}"))?;
    render::line(&pages::template(&found.template))
}

/// Returns the revisions of a workload, lowest number first.
fn past_of(session: &Session, workload: &Workload) -> Result<Vec<PastTemplate>> {
    let namespace = &session.namespace;
    match workload.kind() {
        WorkloadKind::Deployment => {
            let sets = session.sets_of_deployment(workload, namespace)?;
            Ok(past_of_sets(workload, &sets))
        }
        WorkloadKind::DaemonSet => {
            let items = session.items(ObjectKind::ControllerRevision, namespace)?;
            let revisions = items.into_iter().filter_map(|item| {
                if let Object::ControllerRevision(revision) = item {
                    return Some(*revision);
                }
                None
            });
            let revisions: Vec<ControllerRevision> = revisions.collect();
            Ok(past_of_revisions(workload, &revisions)?)
        }
        WorkloadKind::ReplicaSet
        | WorkloadKind::ReplicationController
        | WorkloadKind::Job
        | WorkloadKind::CronJob => Err(no_history(workload).into()),
    }
}

fn roll_back(session: &Session, args: &UndoArgs, (kind, name): Named<'_>) -> Result<()> {
    let mut workload = session.expect_workload(kind, name)?;
    let full = workload.full_name();
    let past = past_of(session, &workload)?;
    let to = past_to_undo(&past, args.to_revision).map_err(|problem| {
        problem.hint(format!(
            "see which there are with `petset rollout history {full}`"
        ))
    })?;
    if args.dry_run.is_on() {
        changed_workload(&mut workload, |workload| undo(workload, to))?;
        return session.show_workload(&args.dry_run, workload, "rolled back");
    }
    let given_up = session.proof_of_template(&workload)?;
    let edited = session.edit_workload("rollout undo", (kind, name), |workload| {
        let differed = undo(workload, to)?;
        given_up.note_on(workload.metadata_mut());
        Ok(differed)
    });
    let (workload, differed) = edited.with_context(|| format!("cannot take {name} back"))?;
    if !differed {
        return render::line(&format!(
            "{full} skipped rollback (current template already matches revision {})",
            to.number
        ));
    }
    render::line(&format!("{full} rolled back"))?;
    session.wait(&[Goal::WorkloadDone(workload.into())], &args.wait)
}

fn restart(session: &Session, args: &RestartArgs, (kind, name): Named<'_>) -> Result<()> {
    session.restart_workload((kind, name), &args.dry_run, &args.wait)
}

fn pause(session: &Session, args: &PauseArgs, (kind, name): Named<'_>) -> Result<()> {
    if args.dry_run.is_on() {
        let mut workload = session.expect_workload(kind, name)?;
        changed_workload(&mut workload, |workload| edit::pause(workload, true))?;
        return session.show_workload(&args.dry_run, workload, "paused");
    }
    let edited = session.edit_workload("rollout pause", (kind, name), |workload| {
        edit::pause(workload, true)
    });
    let (workload, ()) = edited.with_context(|| format!("cannot pause {name}"))?;
    render::line(&format!("{} paused", workload.full_name()))
}

fn resume(session: &Session, args: &ResumeArgs, (kind, name): Named<'_>) -> Result<()> {
    if args.dry_run.is_on() {
        let mut workload = session.expect_workload(kind, name)?;
        changed_workload(&mut workload, |workload| edit::pause(workload, false))?;
        return session.show_workload(&args.dry_run, workload, "resumed");
    }
    let edited = session.edit_workload("rollout resume", (kind, name), |workload| {
        edit::pause(workload, false)
    });
    let (workload, ()) = edited.with_context(|| format!("cannot resume {name}"))?;
    render::line(&format!("{} resumed", workload.full_name()))?;
    session.wait(&[Goal::WorkloadDone(workload.into())], &args.wait)
}

fn promote(session: &Session, args: &PromoteArgs, (kind, name): Named<'_>) -> Result<()> {
    let before = session.expect_workload(kind, name)?;
    if !args.force {
        refuse_bad_canaries(session, &before)?;
    }
    let change = |workload: &mut Workload| {
        let meta = workload.metadata_mut();
        let canaries = meta
            .annotations
            .as_ref()
            .and_then(|all| all.get(CANARY_ANNOTATION));
        if canaries.is_none() {
            let full = workload.full_name();
            let message =
                format!("{full} has no canaries: all of its pods may have the new template");
            return Err(Problem::new(Kind::Conflict, message));
        }
        put_note(meta, CANARY_ANNOTATION, None);
        Ok(())
    };
    let ResumeArgs { dry_run, wait, .. } = &args.resume;
    if dry_run.is_on() {
        let mut workload = before;
        changed_workload(&mut workload, change)?;
        return session.show_workload(dry_run, workload, "promoted");
    }
    let edited = session.edit_workload("rollout promote", (kind, name), change);
    let (workload, ()) = edited.with_context(|| format!("cannot promote {name}"))?;
    render::line(&format!("{} promoted", workload.full_name()))?;
    session.wait(&[Goal::WorkloadDone(workload.into())], wait)
}

/// Refuses to promote while a canary is not ready, or crashed less than a minute ago.
fn refuse_bad_canaries(session: &Session, workload: &Workload) -> Result<()> {
    let canaries = session.current_pods_of(&session.namespace, workload)?;
    for pod in &canaries {
        if let Some(why) = fault_of_canary(pod) {
            let pod = pod.metadata.name.as_deref().unwrap_or_default();
            let full = workload.full_name();
            return Err(unproved(pod, &why, &full).into());
        }
    }
    Ok(())
}
