//! `petset restart`

use anyhow::Context;
use clap::Args as ClapArgs;

use super::shared::names::{TargetArg, TargetRef};
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::replace::replace_target;
use super::shared::resolve::{Resolved, resolve};
use super::shared::session::Session;
use super::shared::waiting::{Goal, WaitArgs};
use crate::model::rollout::annotate;
use crate::model::{ObjectName, SetName, TOGETHER_ANNOTATION};
use crate::problem::{Problem, Result};
use crate::store::Eviction;

/// Restart the pets of a set one after the other, a single pet, or the pods of a workload
///
/// The new pets have the same names, addresses and volumes, and run their init containers again. A
/// pod without a set is recreated with the same address and claims. The pods of a Deployment or a
/// DaemonSet are replaced by others, as its strategy says.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArg,
    /// Stop all pets of the set and start them at the same time, for members that wait for each
    /// other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let target = args.target.target()?;
    if args.parallel {
        return restart_together(session, args, &target);
    }
    replace_target(session, &target, &args.dry_run, &args.wait)
}

/// Stops all pets of a set and starts them at the same time, whatever its pod management policy is.
fn restart_together(session: &Session, args: &Args, target: &TargetRef) -> Result<()> {
    let Resolved::Set(name) = resolve(session, target)? else {
        let message = format!("{} is no set", target.name());
        return Err(Problem::invalid(message)
            .hint("--parallel is for sets")
            .into());
    };
    let mut set = session.expect_set(&name)?;
    if session.is_strict(&set) {
        let message = format!("{name} is strict: its pets start as its pod management policy says");
        return Err(Problem::invalid(message).into());
    }
    let pets = pets_with_uids(session, &name)?;
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

/// Returns the pets of a set, with their uids.
fn pets_with_uids(session: &Session, set: &SetName) -> Result<Vec<(ObjectName, String)>> {
    let pods = session.pets_of(&session.namespace, set.as_str())?;
    let pets = pods.into_iter().filter_map(|pod| {
        let name: ObjectName = pod.metadata.name?.parse().ok()?;
        Some((name, pod.metadata.uid?))
    });
    Ok(pets.collect())
}
