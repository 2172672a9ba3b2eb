//! `petset scale`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::shared::names::OwnerArg;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::resolve::{NamedOwner, owner};
use super::shared::session::{Session, say};
use super::shared::waiting::{Goal, WaitArgs};
use super::shared::workload_edits::changed_workload;
use crate::model::kind::WorkloadKind;
use crate::model::rollout::annotation;
use crate::model::workload::edit;
use crate::model::{Change, ObjectName, PRE_SCALE_DOWN_ANNOTATION, Set, SetName, scale_to};
use crate::problem::{Kind, Problem, Result};

/// Set the number of replicas of a set or a workload
///
/// Pets are added from the lowest missing ordinal up, each ready before the next, and removed from
/// the highest down. The volumes of removed pets are kept and used again on scale-up. If the set
/// has the annotation petset.dev/pre-scale-down, that command runs in each pet before it is
/// removed; if it fails, the pet stays until you scale again. Deployments, ReplicaSets and
/// ReplicationControllers choose the pods that go: those that are not ready first, then the
/// youngest.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    owner: OwnerArg,
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
    /// Number of replicas that there have to be now, or nothing is changed
    #[arg(long, value_name = "N", conflicts_with = "delete")]
    current_replicas: Option<u32>,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match owner(session, &args.owner.owner()?)? {
        NamedOwner::Set(name) => scale_set(session, args, &name),
        NamedOwner::Workload(kind, name) => scale_workload(session, args, kind, &name),
    }
}

/// Refuses to change a number that is not the expected one.
fn expect(args: &Args, change: Change<u32>) -> Result<Change<u32>, Problem> {
    match args.current_replicas {
        Some(wanted) if wanted != change.from => {
            let message = format!("Expected replicas to be {wanted}, was {}", change.from);
            Err(Problem::new(Kind::Conflict, message))
        }
        Some(_) | None => Ok(change),
    }
}

fn scale_workload(
    session: &Session,
    args: &Args,
    kind: WorkloadKind,
    name: &ObjectName,
) -> Result<()> {
    if let Some(pet) = &args.delete {
        let message = format!("cannot remove {pet} alone with scale");
        let hint = "a workload makes another pod in the place of one that is deleted: give the                     number of pods with --replicas";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    let replicas = args.replicas.unwrap_or_default();
    let change = |workload: &mut _| expect(args, edit::scale(workload, replicas)?);
    if args.dry_run.is_on() {
        let mut workload = session.expect_workload(kind, name)?;
        changed_workload(&mut workload, change)?;
        return session.show_workload(&args.dry_run, workload, "scaled");
    }
    let edited = session.edit_workload("scale", (kind, name), change);
    let (workload, Change { from, to }) =
        edited.with_context(|| format!("cannot scale {name} to {replicas}"))?;
    let full = workload.full_name();
    if from != to {
        say(format!("Scaling {name} from {from} to {to}."));
    }
    session.wait(&[Goal::WorkloadDone(workload.into())], &args.wait)?;
    render::line(&format!("{full} scaled"))
}

fn scale_set(session: &Session, args: &Args, name: &SetName) -> Result<()> {
    if let Some(pet) = &args.delete {
        return refuse_choice(session, name, pet);
    }
    let replicas = args.replicas.unwrap_or_default();
    if args.dry_run.is_on() {
        let change = |set: &mut StatefulSet| expect(args, scale_to(set, replicas)?).map(drop);
        return session.preview(name, &args.dry_run, change);
    }
    let edited = session.edit_set("scale", name, |set| {
        let change = expect(args, scale_to(set, replicas)?)?;
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
