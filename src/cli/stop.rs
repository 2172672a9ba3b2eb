//! `petset stop` and `petset start`

use std::cmp::Reverse;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::shared::bare;
use super::shared::preview::{DryRunArgs, Preview};
use super::shared::render;
use super::shared::session::Session;
use super::shared::waiting::{Goal, GoalState, WaitArgs};
use crate::model::bare::has_ended_for_good;
use crate::model::rollout::annotate;
use crate::model::{ObjectRef, TOGETHER_ANNOTATION, Workload};
use crate::problem::Result;
use crate::sorted::sort_by_key;
use crate::supervisor;

/// Stop all pets of the state directory, in reverse order, and keep all objects
///
/// `petset start` starts them again, with the same names, addresses and volumes.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// Stop all pets at the same time instead of in reverse order
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Start all pets after `petset stop` or a reboot
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Start all pets at the same time instead of in order, for members that wait for each other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn stop(session: &Session, args: &StopArgs) -> Result<()> {
    if args.dry_run.is_on() {
        let sets = every_set(session)?.into_iter();
        let plans = sets.map(|set| session.plan_stop(set, true, args.parallel));
        return preview(session, plans, &args.dry_run, true);
    }
    let done = is_stopped(session)?;
    let (sets, mut pods) = session.edit("stop", |edit| {
        edit.at_any_cost();
        match args.parallel {
            true => edit.stop_together(),
            false => edit.set_stopped(true),
        }
        Ok((every_set(session)?, bare::all(session)?))
    })?;
    let (workloads, made) = session.all_of_workloads()?;
    let count = counted(sets.len(), workloads.len(), pods.len());
    pods.extend(made);
    let sets = sets.into_iter().map(Goal::Stopped);
    let pods = pods.into_iter().map(Goal::PodStopped);
    let mut goals: Vec<Goal> = sets.chain(pods).collect();
    // What is said is what the first of them waits for: let that be the slowest.
    sort_by_key(&mut goals, |goal| Reverse(goal.grace_period()));
    session.wait(&goals, &args.wait)?;
    match done {
        true => render::line(&format!("{count} already stopped")),
        false => render::line(&format!("stopped {count}")),
    }
}

pub(crate) fn start(session: &Session, args: &StartArgs) -> Result<()> {
    let change = |mut set: StatefulSet| {
        if args.parallel {
            annotate(&mut set, TOGETHER_ANNOTATION, Some("true"));
        }
        set
    };
    if args.dry_run.is_on() {
        let sets = every_set(session)?.into_iter().map(change);
        let plans = sets.map(|set| session.plan(set, false));
        return preview(session, plans, &args.dry_run, false);
    }
    let done = is_started(session)?;
    let (sets, pods) = session.edit("start", |edit| {
        edit.set_stopped(false);
        let sets: Vec<_> = every_set(session)?.into_iter().map(change).collect();
        if args.parallel {
            sets.iter().try_for_each(|set| edit.put(set))?;
        }
        Ok((sets, to_start(session)?))
    })?;
    let workloads = kept_up(session)?;
    let count = counted(sets.len(), workloads.len(), pods.len());
    let sets = sets.into_iter().map(Goal::Settled);
    let pods = pods.into_iter().map(Goal::PodUp);
    let goals = sets.chain(pods).chain(workloads);
    session.wait(&goals.collect::<Vec<_>>(), &args.wait)?;
    match done {
        true => render::line(&format!("{count} already running")),
        false => render::line(&format!("started {count}")),
    }
}

/// Returns whether there is something, and all of it runs.
fn is_started(session: &Session) -> Result<bool> {
    let layout = session.store.layout();
    // What a set was said to be before the machine was booted is not believed.
    if session.store.is_stopped() || supervisor::lifeline(layout).is_none() {
        return Ok(false);
    }
    let sets = every_set(session)?.into_iter().map(Goal::Settled);
    let pods = to_start(session)?.into_iter().map(Goal::PodUp);
    let workloads = kept_up(session)?;
    let goals: Vec<Goal> = sets.chain(pods).chain(workloads).collect();
    Ok(!goals.is_empty() && are_reached(session, goals))
}

/// Returns whether there is something, and none of it runs, because of an earlier stop.
fn is_stopped(session: &Session) -> Result<bool> {
    let sets = every_set(session)?.into_iter().map(Goal::Stopped);
    let (workloads, made) = session.all_of_workloads()?;
    let pods = bare::all(session)?.into_iter().chain(made);
    let goals: Vec<Goal> = sets.chain(pods.map(Goal::PodStopped)).collect();
    let is_any = !goals.is_empty() || !workloads.is_empty();
    Ok(session.store.is_stopped() && is_any && are_reached(session, goals))
}

fn are_reached(session: &Session, goals: Vec<Goal>) -> bool {
    let reached = |goal: Goal| matches!(session.progress(&goal), Ok(GoalState::Reached));
    goals.into_iter().all(reached)
}

/// Returns the bare pods that have not ended for good.
fn to_start(session: &Session) -> Result<Vec<Pod>> {
    let mut pods = bare::all(session)?;
    let mut fault = None;
    pods.retain(|pod| {
        let pet = ObjectRef::of(&pod.metadata)
            .map_err(Into::into)
            .and_then(|it| session.pet(&it.namespace, &it.name));
        match pet {
            Ok(pet) => !pet.is_some_and(|pet| has_ended_for_good(&pet)),
            Err(error) => {
                fault = Some(error);
                false
            }
        }
    });
    fault.map_or(Ok(pods), Err)
}

/// Returns the workloads that keep up a number of pods.
fn kept_up(session: &Session) -> Result<Vec<Goal>> {
    let mut workloads = session.all_of_workloads()?.0;
    workloads.retain(|it| !matches!(it, Workload::Job(_) | Workload::CronJob(_)));
    let goals = workloads.into_iter();
    Ok(goals.map(|it| Goal::WorkloadDone(it.into())).collect())
}

fn counted(sets: usize, workloads: usize, pods: usize) -> String {
    let of = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let mut parts = vec![of(sets, "set")];
    let others = [(workloads, "workload"), (pods, "pod")];
    parts.extend(
        others
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| of(*count, what)),
    );
    let last = parts.pop().unwrap_or_default();
    match parts.is_empty() {
        true => last,
        false => format!("{} and {last}", parts.join(", ")),
    }
}

fn preview(
    session: &Session,
    plans: impl Iterator<Item = Result<Preview>>,
    dry_run: &DryRunArgs,
    stopped: bool,
) -> Result<()> {
    let pods = bare::all(session)?;
    let pods = pods.into_iter().map(|pod| session.plan_pod(pod, stopped));
    dry_run.show(plans.chain(pods).collect::<Result<Vec<_>>>()?)
}

fn every_set(session: &Session) -> Result<Vec<StatefulSet>> {
    let mut sets: Vec<StatefulSet> = Vec::new();
    for namespace in session.store.namespaces()? {
        sets.extend(session.readable(&namespace)?);
    }
    sets.retain(|set| set.metadata.deletion_timestamp.is_none());
    Ok(sets)
}
