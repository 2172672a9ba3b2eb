//! New templates of workloads.

use anyhow::Context;

use super::{Args, OnFailure, RollArgs, TemplateArgs};
use crate::cli::shared::render;
use crate::cli::shared::rollout_notes::canary_note;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::waiting::Goal;
use crate::cli::shared::workload_edits::changed_workload;
use crate::model::kind::WorkloadKind;
use crate::model::rollout::put_note;
use crate::model::workload::edit::pod_of;
use crate::model::{CANARY_ANNOTATION, ObjectName, Workload};
use crate::problem::{Kind, Problem, Result};

impl Args {
    /// Changes the template of a workload, and waits until its pods have it.
    pub(super) fn run_for_workload(
        &self,
        session: &Session,
        named: (WorkloadKind, &ObjectName),
    ) -> Result<()> {
        upgrade(session, self, named)
    }
}

fn upgrade(
    session: &Session,
    args: &Args,
    (kind, name): (WorkloadKind, &ObjectName),
) -> Result<()> {
    let given_up = session.proof_of_template(&session.expect_workload(kind, name)?)?;
    let change = |workload: &mut Workload| {
        let before = workload.clone();
        args.roll.check_workload(session, workload, &args.change)?;
        args.change.change_pod(pod_of(workload)?)?;
        args.roll.write_to_workload(workload)?;
        given_up.note_on(workload.metadata_mut());
        Ok(!workload.has_same_spec(&before))
    };
    if args.dry_run.is_on() {
        let mut workload = session.expect_workload(kind, name)?;
        changed_workload(&mut workload, change)?;
        return session.show_workload(&args.dry_run, workload, "upgraded");
    }
    let edited = session.edit_workload("upgrade", (kind, name), change);
    let (workload, changed) = edited.with_context(|| format!("cannot upgrade {name}"))?;
    let done = if changed { "upgraded" } else { "unchanged" };
    if !changed {
        say(format!(
            "{name} has this template already; nothing to upgrade."
        ));
    }
    render::line(&format!("{} {done}", workload.full_name()))?;
    session.wait(&[Goal::WorkloadDone(workload.into())], &args.wait)?;
    let note = canary_note(&session.expect_workload(kind, name)?);
    note.into_iter().for_each(say);
    Ok(())
}

impl RollArgs {
    /// Refuses what a workload of this kind, or with this strategy, cannot do.
    fn check_workload(
        &self,
        session: &Session,
        workload: &Workload,
        change: &TemplateArgs,
    ) -> Result<(), Problem> {
        let Self {
            on_failure,
            progress_deadline: _,
            canary,
            pause_after,
        } = self;
        let full = workload.full_name();
        let rolls_back = *on_failure == Some(OnFailure::Rollback);
        let of_sets = [
            ("--partition", change.partition.is_some()),
            ("--pause-after", pause_after.is_some()),
        ];
        let of_deployments = [
            ("--canary", canary.is_some()),
            ("--on-failure rollback", rolls_back),
        ];
        let given = |all: [(&'static str, bool); 2]| {
            let mut given = all.into_iter().filter(|(_, given)| *given);
            given.next().map(|(option, _)| option)
        };
        let refused = given(of_sets).map(|option| (option, "sets"));
        let Workload::Deployment(deployment) = workload else {
            let refused =
                refused.or_else(|| given(of_deployments).map(|it| (it, "sets and Deployments")));
            return refused.map_or(Ok(()), |(option, of)| Err(not_for(option, of, &full)));
        };
        if let Some((option, of)) = refused {
            return Err(not_for(option, of, &full));
        }
        let spec = deployment.spec.as_ref();
        let strategy = spec.and_then(|spec| spec.strategy.as_ref()?.type_.as_deref());
        if canary.is_some() && strategy == Some("Recreate") {
            let message = format!("{full} has no canaries: its strategy is Recreate");
            let hint = "write `type: RollingUpdate` in its manifest";
            return Err(Problem::new(Kind::Conflict, message).hint(hint));
        }
        if given(of_deployments).is_some() && session.has_strict_rules(workload.metadata()) {
            let message = "a strict Deployment knows no --on-failure and --canary, as Kubernetes \
                           does not";
            return Err(Problem::invalid(message));
        }
        Ok(())
    }

    /// Writes the options to a workload; those of an earlier upgrade are removed.
    fn write_to_workload(&self, workload: &mut Workload) -> Result<(), Problem> {
        self.set_deadline(workload)?;
        if let Workload::Deployment(deployment) = workload {
            let meta = &mut deployment.metadata;
            self.note_on(meta);
            if let Some(pods) = self.canary {
                put_note(meta, CANARY_ANNOTATION, Some(&pods.to_string()));
            }
        }
        Ok(())
    }

    /// Sets how long a Deployment may make no progress.
    fn set_deadline(&self, workload: &mut Workload) -> Result<(), Problem> {
        let Some(deadline) = self.progress_deadline else {
            return Ok(());
        };
        if let Workload::Deployment(deployment) = workload {
            let seconds = i32::try_from(deadline.as_secs()).unwrap_or(i32::MAX);
            let spec = deployment.spec.get_or_insert_default();
            spec.progress_deadline_seconds = Some(seconds.max(1));
            return Ok(());
        }
        let message = format!("{} has no progress deadline", workload.full_name());
        Err(Problem::invalid(message).hint("--progress-deadline is for sets and Deployments"))
    }
}

fn not_for(option: &str, of: &str, full: &str) -> Problem {
    let hint =
        format!("its strategy says how pods are replaced; `petset rollout undo {full}` goes back");
    Problem::invalid(format!("{option} is for {of}, and {full} is none of those")).hint(hint)
}
