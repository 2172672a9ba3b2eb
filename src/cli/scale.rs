//! `petset scale`

use anyhow::Context;
use clap::Args as ClapArgs;

use super::names::SetRef;
use super::render;
use super::session::{Session, say};
use super::waiting::{Goal, WaitArgs};
use crate::model::{Change, scale_to};
use crate::problem::Result;

/// Change how many pets a set runs
///
/// Pets are added from the lowest missing ordinal up, each ready before the next, and removed
/// from the highest down. The volumes of removed pets stay, and are found again on scale-up.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Set to change, such as web or sts/web
    set: SetRef,
    /// Number of pets to run
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    replicas: u32,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let SetRef(name) = &args.set;
    let edited = session.edit_set("scale", name, |set| scale_to(set, args.replicas));
    let (set, Change { from, to }) =
        edited.with_context(|| format!("cannot scale {name} to {}", args.replicas))?;
    if from == to {
        say(format!("{name} has {to} replicas already."));
    } else {
        say(format!("Scaling {name} from {from} to {to}."));
    }
    session.wait(&[Goal::Settled(set)], &args.wait)?;
    render::line(&format!("statefulset.apps/{name} scaled"))
}
