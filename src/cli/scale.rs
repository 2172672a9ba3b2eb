//! `petset scale`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::shared::names::SetArg;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::session::{Session, say};
use super::shared::waiting::{Goal, WaitArgs};
use crate::model::rollout::annotation;
use crate::model::{Change, PRE_SCALE_DOWN_ANNOTATION, Set, SetName, scale_to};
use crate::problem::{Problem, Result};

/// Set the number of replicas of a set
///
/// Pets are added from the lowest missing ordinal up, each ready before the next, and removed from
/// the highest down. The volumes of removed pets are kept and used again on scale-up. If the set
/// has the annotation petset.dev/pre-scale-down, that command runs in each pet before it is
/// removed; if it fails, the pet stays until you scale again.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    set: SetArg,
    /// Number of replicas
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        required_unless_present = "delete"
    )]
    replicas: Option<u32>,
    /// Refused with an explanation: only the highest ordinal can be removed
    #[arg(long, value_name = "PET", conflicts_with = "replicas", hide = true)]
    delete: Option<String>,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let name = args.set.name()?;
    if let Some(pet) = &args.delete {
        return refuse_choice(session, name, pet);
    }
    let replicas = args.replicas.unwrap_or_default();
    if args.dry_run.is_on() {
        let change = |set: &mut StatefulSet| scale_to(set, replicas).map(drop);
        return session.preview(name, &args.dry_run, change);
    }
    let edited = session.edit_set("scale", name, |set| {
        let change = scale_to(set, replicas)?;
        let again = change.from == change.to && rerun_hook(set);
        Ok((change, again))
    });
    let (set, (Change { from, to }, again)) =
        edited.with_context(|| format!("cannot scale {name} to {replicas}"))?;
    if from == to {
        say(format!("{name} has {to} replicas already."));
    } else {
        say(format!("Scaling {name} from {from} to {to}."));
    }
    session.wait(&[Goal::Settled(set)], &args.wait)?;
    let done = match from == to && !again {
        true => "unchanged",
        false => "scaled",
    };
    render::line(&format!("statefulset.apps/{name} {done}"))
}

/// Makes a failed pre-scale-down hook run again, if there is one: it runs once for each generation.
fn rerun_hook(set: &mut StatefulSet) -> bool {
    let has_hook = annotation(set, PRE_SCALE_DOWN_ANNOTATION).is_some();
    if has_hook {
        set.metadata.generation = set.metadata.generation.map(|of| of + 1);
    }
    has_hook
}

/// Explains why a single pet cannot be removed from a set.
fn refuse_choice(session: &Session, name: &SetName, pet: &str) -> Result<()> {
    let set = Set::of(&session.expect_set(name)?)?;
    let message = format!(
        "cannot remove {pet} alone: the pets of a set are numbered without gaps, so that their \
         names can be known from the number of replicas, and only the highest can go"
    );
    let problem = Problem::invalid(message);
    let problem = match set.ordinals().next_back() {
        Some(last) => problem.hint(format!(
            "`petset scale {name} --replicas {}` removes {}",
            set.replicas - 1,
            set.pet_name(last)
        )),
        None => problem,
    };
    let hint = format!("`petset restart {pet}` replaces {pet}, with its name and its volumes");
    Err(problem.hint(hint).into())
}
