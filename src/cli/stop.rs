//! `petset stop` and `petset start`

use k8s_openapi::api::apps::v1::StatefulSet;

use super::preview::DryRunArgs;
use super::render;
use super::session::Session;
use super::waiting::{Goal, WaitArgs};
use crate::model::TOGETHER_ANNOTATION;
use crate::model::rollout::annotate;
use crate::problem::Result;

/// Stop every pet of the state directory, in reverse order, and keep all that is wanted
///
/// `petset start` brings everything back: the same names, addresses and volumes.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Start again what `petset stop`, or the end of the machine, has stopped
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Start all pets at once instead of in order: for members that wait for each other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn stop(session: &Session, args: &StopArgs) -> Result<()> {
    if args.dry_run.is_on() {
        return preview(session, every_set(session)?, &args.dry_run, true);
    }
    let sets = session.edit("stop", |edit| {
        edit.set_stopped(true);
        every_set(session)
    })?;
    let count = sets.len();
    let goals: Vec<Goal> = sets.into_iter().map(Goal::Stopped).collect();
    session.wait(&goals, &args.wait)?;
    render::line(&format!("stopped {count} sets"))
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
        return preview(session, sets.collect(), &args.dry_run, false);
    }
    let sets = session.edit("start", |edit| {
        edit.set_stopped(false);
        let sets: Vec<_> = every_set(session)?.into_iter().map(change).collect();
        if args.parallel {
            sets.iter().try_for_each(|set| edit.put(set))?;
        }
        Ok(sets)
    })?;
    let count = sets.len();
    let goals: Vec<Goal> = sets.into_iter().map(Goal::Settled).collect();
    session.wait(&goals, &args.wait)?;
    render::line(&format!("started {count} sets"))
}

fn preview(
    session: &Session,
    sets: Vec<StatefulSet>,
    dry_run: &DryRunArgs,
    stopped: bool,
) -> Result<()> {
    let plans = sets.into_iter().map(|set| session.plan(set, stopped));
    dry_run.show(plans.collect::<Result<Vec<_>>>()?)
}

fn every_set(session: &Session) -> Result<Vec<StatefulSet>> {
    let mut sets: Vec<StatefulSet> = Vec::new();
    for namespace in session.store.namespaces()? {
        sets.extend(session.store.all(&namespace)?);
    }
    sets.retain(|set| set.metadata.deletion_timestamp.is_none());
    Ok(sets)
}
