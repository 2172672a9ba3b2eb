//! `petset pause` and `petset resume`

use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;

use super::shared::names::TargetRef;
use super::shared::overlay::note_of;
use super::shared::pods;
use super::shared::render;
use super::shared::running::pod_of;
use super::shared::session::{Session, say};
use crate::model::pod::is_paused;
use crate::model::{FROZEN_ANNOTATION, ObjectRef, Overlay, is_frozen};
use crate::problem::{Kind, Problem, Result};

/// Stop all processes of pets, as a machine that hangs does
///
/// Every process of every container stops where it is, and what is forked or restarted later does
/// too, until `petset resume`. Connections stay open and are not answered; probes fail by their
/// timeouts, and what a failed liveness probe restarts is paused again. A pet that is deleted,
/// stopped or replaced meanwhile ends as always, and its successor is not paused. To hold the
/// roll-out of a set, see `petset rollout pause`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset pause etcd-1                   the others elect another leader
  petset pause etcd-0 etcd-1            the rest has no majority
  petset resume etcd-0 etcd-1")]
pub(crate) struct PausePetArgs {
    #[command(flatten)]
    pets: PetArgs,
}

/// Let pets go on that were paused
///
/// To let the roll-out of a set go on, see `petset rollout resume`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ResumePetArgs {
    #[command(flatten)]
    pets: PetArgs,
}

#[derive(Debug, ClapArgs)]
struct PetArgs {
    /// Pets, such as web-0
    #[arg(value_name = "POD", required = true)]
    pets: Vec<TargetRef>,
}

pub(crate) fn pause(session: &Session, args: &PausePetArgs) -> Result<()> {
    ask(session, &args.pets, true)
}

pub(crate) fn resume(session: &Session, args: &ResumePetArgs) -> Result<()> {
    ask(session, &args.pets, false)
}

/// Pauses all of them or none, and waits until they are.
fn ask(session: &Session, args: &PetArgs, frozen: bool) -> Result<()> {
    session.store.expect_own()?;
    let (verb, done) = match frozen {
        true => ("pause", "paused"),
        false => ("resume", "resumed"),
    };
    let mut requests: Vec<(ObjectRef, Overlay)> = Vec::new();
    for target in &args.pets {
        let pod = pod_of(session, target)?;
        let key = ObjectRef::of(&pod.metadata)?;
        if frozen {
            refuse_ended(&key, &pod)?;
        }
        if frozen == is_frozen(&pod.metadata) && frozen == is_paused(&pod) {
            say(format!("pod/{} is so already.", key.name));
        }
        let value = frozen.then_some("true");
        requests.push((key, note_of(&pod, FROZEN_ANNOTATION, value)));
    }
    session.edit(verb, |edit| {
        for (key, overlay) in &requests {
            edit.overlay(&key.namespace, &key.name, overlay.clone())?;
        }
        Ok(())
    })?;
    for (key, overlay) in &requests {
        session.wait_for_overlay(key, overlay, |pod| is_paused(pod) == frozen)?;
        render::line(&format!("pod/{} {done}", key.name))?;
    }
    Ok(())
}

fn refuse_ended(key: &ObjectRef, pod: &Pod) -> Result<(), Problem> {
    let why = match pod.metadata.deletion_timestamp {
        Some(_) => "is stopping",
        None if pods::has_ended(pod) => "has ended",
        None => return Ok(()),
    };
    let message = format!("cannot pause {}: it {why}", key.name);
    let hint = format!("look at it with `petset describe pod/{}`", key.name);
    Err(Problem::new(Kind::Conflict, message).hint(hint))
}
