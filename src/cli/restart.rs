//! `petset restart`

use anyhow::Context;
use clap::Args as ClapArgs;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::shared::bare;
use super::shared::names::Target;
use super::shared::preview::{DryRunArgs, Preview};
use super::shared::render;
use super::shared::session::Session;
use super::shared::waiting::{Goal, WaitArgs};
use super::upgrade::say_if_on_delete;
use crate::model::rollout::annotate;
use crate::model::{ObjectName, PetName, SetName, TOGETHER_ANNOTATION, restart};
use crate::problem::{Problem, Result};
use crate::store::{self, Eviction};

/// Replace the pets of a set one after the other, or one pet at once
///
/// They come back with their names, addresses and volumes; their init containers run again. A pod
/// that belongs to no set is made anew, with its address and claims.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Set, pet or pod to restart, such as web or pod/web-0
    target: Target,
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
    restart_target(session, &args.target, &args.dry_run, &args.wait)
}

/// Replaces the pets of a set one after the other, or one pet at once.
pub(crate) fn restart_target(
    session: &Session,
    target: &Target,
    dry_run: &DryRunArgs,
    wait: &WaitArgs,
) -> Result<()> {
    match session.resolve(target)? {
        Named::Set(name) if dry_run.is_on() => session.preview(&name, dry_run, |set| {
            restart(set, Timestamp::now()).map(drop)
        }),
        Named::Set(name) => restart_set(session, &name, wait),
        Named::Pet(name) if dry_run.is_on() => {
            let plan = plan_restart(session, &name)?;
            dry_run.show(plan.into_iter().collect())
        }
        Named::Pet(name) if session.bare_pod(&session.namespace, &name)?.is_some() => {
            bare::restart(session, &name, wait)
        }
        Named::Pet(name) => replace_pet(session, &name, "restarted", None, wait),
    }
}

/// Stops all pets of a set and starts them together, whatever the set's policy is.
fn restart_together(session: &Session, args: &Args) -> Result<()> {
    let Named::Set(name) = session.resolve(&args.target)? else {
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

/// Plans the replacement of one pet; one without a set has no plan.
pub(crate) fn plan_restart(session: &Session, name: &ObjectName) -> Result<Option<Preview>> {
    if let Some(pod) = session.bare_pod(&session.namespace, name)? {
        let renewed = bare::renewed(&pod)?;
        return Ok(Some(session.plan_pod(renewed, session.store.is_stopped())?));
    }
    let pod = session.pet(&session.namespace, name)?;
    let pod = pod.ok_or_else(|| session.not_found("pods", name.as_str()))?;
    let set = name.as_str().parse::<PetName>()?;
    let set: ObjectName = set.set().as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &set)?;
    let uid = pod.metadata.uid.unwrap_or_default();
    set.map(|set| session.plan_evictions(set, &[uid]))
        .transpose()
}

fn restart_set(session: &Session, name: &SetName, wait: &WaitArgs) -> Result<()> {
    let edited = session.edit_set("restart", name, |set| restart(set, Timestamp::now()));
    let (set, _) = edited.with_context(|| format!("cannot restart {name}"))?;
    render::line(&format!("statefulset.apps/{name} restarted"))?;
    say_if_on_delete(&set)?;
    session.wait(&[Goal::Settled(set)], wait)
}

/// Asks that one pet be replaced, as `kubectl delete pod` would; one without a set goes for good.
/// `done` is what the result says of it, `grace` the seconds that it has to end.
pub(crate) fn replace_pet(
    session: &Session,
    name: &ObjectName,
    done: &str,
    grace: Option<i64>,
    wait: &WaitArgs,
) -> Result<()> {
    let namespace = &session.namespace;
    let pod = session.store.layout().pet(namespace, name.as_str()).pod();
    let pod: Option<Pod> = store::read_json(&pod)?;
    let uid = pod.and_then(|pod| pod.metadata.uid);
    let uid = uid.ok_or_else(|| session.not_found("pods", name.as_str()))?;
    let set = name
        .as_str()
        .parse::<PetName>()
        .ok()
        .map(|pet| pet.set().as_str().to_owned());
    let set = set.unwrap_or_default().parse::<ObjectName>()?;
    let set: Option<StatefulSet> = session.store.find(namespace, &set)?;
    session.edit(&format!("restart {name}"), |edit| {
        let uid = uid.clone();
        edit.evict(namespace, name, &Eviction { uid, grace });
        Ok(())
    })?;
    render::line(&format!("pod/{name} {done}"))?;
    let goal = set.map(|set| Goal::Replaced {
        set,
        pet: name.clone(),
        uid,
    });
    session.wait(&goal.into_iter().collect::<Vec<_>>(), wait)
}

/// What a target turned out to be.
#[derive(Debug)]
pub(crate) enum Named {
    Set(SetName),
    Pet(ObjectName),
}

impl Session {
    /// Finds out whether a bare name is that of a set or of a pet; the set goes first.
    pub(crate) fn resolve(&self, target: &Target) -> Result<Named> {
        match target {
            Target::Set(name) => Ok(Named::Set(name.clone())),
            Target::Pet(name) => Ok(Named::Pet(name.clone())),
            Target::Either(name) => {
                let set = self.store.find::<StatefulSet>(&self.namespace, name)?;
                let pet = self.store.layout().pet(&self.namespace, name.as_str());
                let pet = pet.pod().exists() || self.bare_pod(&self.namespace, name)?.is_some();
                match (set, pet) {
                    (None, true) => Ok(Named::Pet(name.clone())),
                    (Some(_), _) => Ok(Named::Set(name.as_str().parse()?)),
                    (None, false) => Err(self.not_found("sets or pets", name.as_str()).into()),
                }
            }
        }
    }
}
