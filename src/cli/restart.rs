//! `petset restart`

use anyhow::Context;
use clap::Args as ClapArgs;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::names::Target;
use super::render;
use super::session::Session;
use super::waiting::{Goal, WaitArgs};
use crate::model::{ObjectName, PetName, SetName, restart};
use crate::problem::Result;
use crate::store;

/// Replace the pets of a set one after the other, or one pet at once
///
/// They come back with their names, addresses and volumes; their init containers run again.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Set or pet to restart, such as web or pod/web-0
    target: Target,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match session.resolve(&args.target)? {
        Named::Set(name) => restart_set(session, &name, &args.wait),
        Named::Pet(name) => replace_pet(session, &name, "restarted", &args.wait),
    }
}

fn restart_set(session: &Session, name: &SetName, wait: &WaitArgs) -> Result<()> {
    let edited = session.edit_set("restart", name, |set| restart(set, Timestamp::now()));
    let (set, _) = edited.with_context(|| format!("cannot restart {name}"))?;
    render::line(&format!("statefulset.apps/{name} restarted"))?;
    session.wait(&[Goal::Settled(set)], wait)
}

/// Asks that one pet be replaced, as `kubectl delete pod` would; one without a set goes for good.
/// `done` is what the result says of it.
pub(crate) fn replace_pet(
    session: &Session,
    name: &ObjectName,
    done: &str,
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
        edit.evict(namespace, name, &uid);
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
                let pet = self
                    .store
                    .layout()
                    .pet(&self.namespace, name.as_str())
                    .pod()
                    .exists();
                match (set, pet) {
                    (None, true) => Ok(Named::Pet(name.clone())),
                    (Some(_), _) => Ok(Named::Set(name.as_str().parse()?)),
                    (None, false) => Err(self.not_found("sets or pets", name.as_str()).into()),
                }
            }
        }
    }
}
