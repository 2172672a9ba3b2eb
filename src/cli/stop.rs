//! `petset stop` and `petset start`

use k8s_openapi::api::apps::v1::StatefulSet;

use super::render;
use super::session::Session;
use super::waiting::{Goal, WaitArgs};
use crate::problem::Result;

/// Stop every pet of the state directory, in reverse order, and keep all that is wanted
///
/// `petset start` brings everything back: the same names, addresses and volumes.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

/// Start again what `petset stop`, or the end of the machine, has stopped
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn stop(session: &Session, args: &StopArgs) -> Result<()> {
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
    let sets = session.edit("start", |edit| {
        edit.set_stopped(false);
        every_set(session)
    })?;
    let count = sets.len();
    let goals: Vec<Goal> = sets.into_iter().map(Goal::Settled).collect();
    session.wait(&goals, &args.wait)?;
    render::line(&format!("started {count} sets"))
}

fn every_set(session: &Session) -> Result<Vec<StatefulSet>> {
    let mut sets: Vec<StatefulSet> = Vec::new();
    for namespace in session.store.namespaces()? {
        sets.extend(session.store.all(&namespace)?);
    }
    sets.retain(|set| set.metadata.deletion_timestamp.is_none());
    Ok(sets)
}
