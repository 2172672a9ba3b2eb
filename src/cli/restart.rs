//! `petset restart`

use anyhow::Context;
use clap::Args as ClapArgs;

use super::shared::names::TargetRef;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::replace::replace_target;
use super::shared::resolve::{Resolved, resolve};
use super::shared::session::Session;
use super::shared::waiting::{Goal, WaitArgs};
use crate::model::rollout::annotate;
use crate::model::{ObjectName, TOGETHER_ANNOTATION};
use crate::problem::{Problem, Result};
use crate::store::Eviction;

/// Replace the pets of a set one after the other, or one pet at once
///
/// They come back with their names, addresses and volumes; their init containers run again. A pod
/// that belongs to no set is made anew, with its address and claims.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Set, pet or pod to restart, such as web or pod/web-0
    target: TargetRef,
    /// Stop all pets of the set and start them at once: for members that wait for each other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if args.parallel {
        return restart_together(session, args);
    }
    replace_target(session, &args.target, &args.dry_run, &args.wait)
}

/// Stops all pets of a set and starts them together, whatever the set's policy is.
fn restart_together(session: &Session, args: &Args) -> Result<()> {
    let Resolved::Set(name) = resolve(session, &args.target)? else {
        let message = format!("{} is a single pet", args.target.name());
        return Err(Problem::invalid(message)
            .hint("--parallel is for sets")
            .into());
    };
    let mut set = session.expect_set(&name)?;
    if session.is_strict(&set) {
        let message = format!("{name} is strict: its pets start as its pod management policy says");
        return Err(Problem::invalid(message).into());
    }
    let pods = session.pets_of(&session.namespace, name.as_str())?;
    let pets = pods.into_iter().filter_map(|pod| {
        let name: ObjectName = pod.metadata.name?.parse().ok()?;
        Some((name, pod.metadata.uid?))
    });
    let pets: Vec<(ObjectName, String)> = pets.collect();
    if args.dry_run.is_on() {
        annotate(&mut set, TOGETHER_ANNOTATION, Some("true"));
        let uids: Vec<String> = pets.into_iter().map(|(_, uid)| uid).collect();
        return args.dry_run.show(vec![session.plan_evictions(set, &uids)?]);
    }
    let edited = session.edit(&format!("restart {name}"), |edit| {
        let mut set = session.expect_set(&name)?;
        annotate(&mut set, TOGETHER_ANNOTATION, Some("true"));
        edit.put(&set)?;
        for (pet, uid) in &pets {
            let uid = uid.clone();
            edit.evict(&session.namespace, pet, &Eviction { uid, grace: None });
        }
        Ok(set)
    });
    let set = edited.with_context(|| format!("cannot restart {name}"))?;
    render::line(&format!("statefulset.apps/{name} restarted"))?;
    let goals = pets.into_iter().map(|(pet, uid)| Goal::Replaced {
        set: set.clone(),
        pet,
        uid,
    });
    session.wait(&goals.collect::<Vec<_>>(), &args.wait)
}
