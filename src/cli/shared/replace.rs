//! Replacing pets: those of a set one after the other, or one alone.

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::bare;
use super::names::TargetRef;
use super::preview::{DryRunArgs, Preview};
use super::render;
use super::resolve::{Resolved, resolve};
use super::rollout_notes::say_if_on_delete;
use super::session::Session;
use super::waiting::{Goal, WaitArgs};
use crate::model::pod::workload_of;
use crate::model::{ObjectName, PetName, SetName, restart};
use crate::problem::Result;
use crate::store::damage::is_damage;
use crate::store::{self, Eviction, PetLayout};

/// How long the supervisor may take to write a damaged record again.
const WRITTEN_AGAIN: Duration = Duration::from_secs(5);

/// Replaces the pets of a set one after the other, or one pet at once.
pub(crate) fn replace_target(
    session: &Session,
    target: &TargetRef,
    dry_run: &DryRunArgs,
    wait: &WaitArgs,
) -> Result<()> {
    match resolve(session, target)? {
        Resolved::Set(name) if dry_run.is_on() => session.preview(&name, dry_run, |set| {
            restart(set, Timestamp::now()).map(drop)
        }),
        Resolved::Set(name) => replace_pets(session, &name, wait),
        Resolved::Workload(kind, name) => session.restart_workload((kind, &name), dry_run, wait),
        Resolved::Pet(name) if dry_run.is_on() => {
            let plan = plan_replacement(session, &name)?;
            dry_run.show(plan.into_iter().collect())
        }
        Resolved::Pet(name) if bare::find(session, &session.namespace, &name)?.is_some() => {
            bare::restart(session, &name, wait)
        }
        Resolved::Pet(name) => replace_pet(session, &name, "restarted", None, true, wait),
    }
}

/// Plans the replacement of one pet. A pet whose set is gone has no plan.
pub(crate) fn plan_replacement(session: &Session, name: &ObjectName) -> Result<Option<Preview>> {
    if let Some(pod) = bare::find(session, &session.namespace, name)? {
        let renewed = bare::renewed(&pod)?;
        return Ok(Some(session.plan_pod(renewed, session.store.is_stopped())?));
    }
    let pod = session.pet(&session.namespace, name)?;
    let pod = pod.ok_or_else(|| session.not_found("pods", name.as_str()))?;
    let Ok(set) = name.as_str().parse::<PetName>() else {
        return Ok(None);
    };
    let set: ObjectName = set.set().as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &set)?;
    let uid = pod.metadata.uid.unwrap_or_default();
    set.map(|set| session.plan_evictions(set, &[uid]))
        .transpose()
}

fn replace_pets(session: &Session, name: &SetName, wait: &WaitArgs) -> Result<()> {
    let edited = session.edit_set("restart", name, |set| restart(set, Timestamp::now()));
    let (set, _) = edited.with_context(|| format!("cannot restart {name}"))?;
    render::line(&format!("statefulset.apps/{name} restarted"))?;
    say_if_on_delete(&set)?;
    session.wait(&[Goal::Settled(set)], wait)
}

/// Replaces one pet, as `kubectl delete pod` does. A pet whose set is gone does not come back.
///
/// `done` is the result's word for it, `grace` the grace period in seconds, if not the pet's own.
/// It waits until the pet is gone, or with `until_ready`, until the set is settled again.
pub(crate) fn replace_pet(
    session: &Session,
    name: &ObjectName,
    done: &str,
    grace: Option<i64>,
    until_ready: bool,
    wait: &WaitArgs,
) -> Result<()> {
    let namespace = &session.namespace;
    let files = session.store.layout().pet(namespace, name.as_str());
    let pod = read_mended(session, &files)?;
    let uid = pod.as_ref().and_then(|pod| pod.metadata.uid.clone());
    let uid = uid.ok_or_else(|| session.not_found("pods", name.as_str()))?;
    let set = name.as_str().parse::<PetName>().ok();
    let set = set.map(|pet| pet.set().as_str().parse::<ObjectName>());
    let set = match set.transpose()? {
        Some(set) => session.store.find::<StatefulSet>(namespace, &set)?,
        None => None,
    };
    session.edit(&format!("restart {name}"), |edit| {
        let uid = uid.clone();
        edit.evict(namespace, name, &Eviction { uid, grace });
        Ok(())
    })?;
    render::line(&format!("pod/{name} {done}"))?;
    let of_workload = pod.filter(|pod| workload_of(&pod.metadata).is_some());
    if let Some(pod) = of_workload {
        // Another one takes its place, under another name.
        return session.wait(&[Goal::PodStopped(pod)], wait);
    }
    let pet = name.clone();
    let goal = set.map(|set| match until_ready {
        true => Goal::Replaced { set, pet, uid },
        false => Goal::PetGone { set, pet, uid },
    });
    session.wait(&goal.into_iter().collect::<Vec<_>>(), wait)
}

/// Reads a pod; one whose record is damaged is written again first.
fn read_mended(session: &Session, files: &PetLayout) -> Result<Option<Pod>> {
    let read = || store::pod_record(files);
    if !read().is_err_and(|error| is_damage(&error)) {
        return Ok(read()?);
    }
    session.wake_supervisor()?;
    let until = Instant::now() + WRITTEN_AGAIN;
    loop {
        store::ask_to_mend(session.store.layout());
        match read() {
            Err(error) if is_damage(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            read => return Ok(read?),
        }
    }
}
