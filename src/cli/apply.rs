//! `petset apply` and `petset diff`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use similar::TextDiff;

use super::create::establish;
use super::shared::bare;
use super::shared::files::{self, FileArgs};
use super::shared::isolation::{self, IsolationArgs};
use super::shared::merge::{bare as stripped, is_same};
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::session::{PassedThrough, Session};
use super::shared::waiting::{Goal, WaitArgs};
use crate::manifest::Object;
use crate::model::ObjectRef;
use crate::problem::{Kind, Problem, Result};
use crate::store::{Edit, Kept, Store};
use crate::yaml;

/// Make everything as the manifests say: create, scale and upgrade what differs
///
/// It may be repeated: what is so already stays as it is. Nothing is deleted that the manifests
/// do not name.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset apply -f etcd.yaml
  petset apply -f etcd.yaml --dry-run")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    isolation: IsolationArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Show how what is wanted now differs from what the manifests say
///
/// The exit code is 0 where nothing differs, 1 where something does.
#[derive(Debug, ClapArgs)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: FileArgs,
}

pub(crate) fn apply(session: &Session, args: &ApplyArgs) -> Result<()> {
    let mut objects = read(session, &args.files)?;
    files::put_runners_last(&mut objects);
    args.isolation.ask(&mut objects);
    let decision = isolation::decide(session, &mut objects)?;
    if args.dry_run.is_on() {
        return preview(session, args, &objects);
    }
    let applied = session.edit("apply", |edit| {
        let mut outcomes = Vec::new();
        for object in &mut objects {
            let word = put(session, edit, object)?;
            outcomes.push(format!("{} {word}", files::title(object)));
        }
        Ok(outcomes)
    });
    let lines = applied.context("cannot apply what was given")?;
    lines.iter().try_for_each(|line| render::line(line))?;
    decision.conclude(session);
    let sets = files::sets(&objects).cloned().map(Goal::Settled);
    let pods = files::pods(&objects).cloned().map(Goal::PodUp);
    let goals: Vec<Goal> = sets.chain(pods).collect();
    session.wait(&goals, &args.wait)
}

fn read(session: &Session, files: &FileArgs) -> Result<Vec<Object>> {
    if files.filename.is_empty() {
        let message = "must specify one of -f and -k";
        let hint = "name the manifest with --filename; petset knows no -k";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    files::read(session, &files.filename)
}

fn preview(session: &Session, args: &ApplyArgs, objects: &[Object]) -> Result<()> {
    let mut plans = Vec::new();
    for object in objects {
        match object {
            Object::StatefulSet(set) => {
                let (wanted, _) = session.wanted(set)?;
                plans.push(session.plan(wanted, session.store.is_stopped())?);
            }
            Object::Pod(_) => {}
            other if args.dry_run.is_text() => {
                let word = foreseen(&session.store, other)?;
                render::line(&format!("{} {word} (dry run)", files::title(other)))?;
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::PersistentVolumeClaim(_) => {}
        }
    }
    for pod in files::pods(objects) {
        plans.push(session.plan_pod(wanted_pod(session, pod)?, session.store.is_stopped())?);
    }
    args.dry_run.show(plans)
}

/// Says what would become of an object that is not a set.
pub(crate) fn foreseen(store: &Store, object: &Object) -> Result<&'static str> {
    let (live, given) = match object {
        Object::Service(service) => sides(store, service.as_ref())?,
        Object::ConfigMap(map) => sides(store, map.as_ref())?,
        Object::Secret(secret) => sides(store, secret.as_ref())?,
        Object::PersistentVolumeClaim(claim) => sides(store, claim.as_ref())?,
        Object::StatefulSet(_) | Object::Pod(_) => return Ok("unchanged"),
    };
    Ok(match live {
        None => "created",
        Some(live) if live == given => "unchanged",
        Some(_) => "configured",
    })
}

/// Returns a pod as it is wanted once a file is applied.
fn wanted_pod(session: &Session, given: &Pod) -> Result<Pod> {
    let ObjectRef { namespace, name } = ObjectRef::of(&given.metadata)?;
    let mut pod = given.clone();
    if let Some(old) = session.bare_pod(&namespace, &name)? {
        bare::merge(&old, &mut pod)?;
        pod.metadata.uid = old.metadata.uid;
    }
    Ok(pod)
}

/// Puts an object in place, and says what that meant.
fn put(session: &Session, edit: &mut Edit<'_>, object: &mut Object) -> Result<&'static str> {
    match object {
        Object::StatefulSet(set) => put_set(session, edit, set.as_mut()),
        Object::Service(service) => put_object(edit, service.as_mut()),
        Object::ConfigMap(map) => put_object(edit, map.as_mut()),
        Object::Secret(secret) => put_object(edit, secret.as_mut()),
        Object::PersistentVolumeClaim(claim) => put_object(edit, claim.as_mut()),
        Object::Pod(pod) => bare::apply(session, edit, pod.as_mut()),
    }
}

fn put_set(session: &Session, edit: &mut Edit<'_>, set: &mut StatefulSet) -> Result<&'static str> {
    let (wanted, old) = session.wanted(set)?;
    *set = wanted;
    let word = match &old {
        None => {
            establish(&mut set.metadata)?;
            "created"
        }
        Some(old) if is_same(old, set)? => return Ok("unchanged"),
        Some(_) => {
            isolation::spare_host_of(set)?;
            "configured"
        }
    };
    edit.put(set)?;
    Ok(word)
}

fn put_object<T: Kept>(edit: &mut Edit<'_>, object: &mut T) -> Result<&'static str> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let word = match edit.find::<T>(&namespace, &name)? {
        None => {
            establish(object.metadata_mut())?;
            "created"
        }
        Some(old) if is_same(&old, object)? => return Ok("unchanged"),
        Some(old) => {
            let (meta, before) = (object.metadata_mut(), old.metadata());
            meta.uid.clone_from(&before.uid);
            meta.creation_timestamp
                .clone_from(&before.creation_timestamp);
            meta.owner_references.clone_from(&before.owner_references);
            "configured"
        }
    };
    edit.put(object)?;
    Ok(word)
}

impl Session {
    /// Returns a set as it is wanted once a file is applied, and as it is wanted now.
    fn wanted(&self, given: &StatefulSet) -> Result<(StatefulSet, Option<StatefulSet>)> {
        let ObjectRef { namespace, name } = ObjectRef::of(&given.metadata)?;
        let Some(old) = self.store.find::<StatefulSet>(&namespace, &name)? else {
            return Ok((given.clone(), None));
        };
        if old.metadata.deletion_timestamp.is_some() {
            let message = format!("{name} is still being deleted");
            let hint = format!("wait for its end with `petset wait {name} --for delete`");
            return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
        }
        Ok((self.merged(&old, given, false)?, Some(old)))
    }
}

pub(crate) fn diff(session: &Session, args: &DiffArgs) -> Result<()> {
    let objects = read(session, &args.files)?;
    let mut differs = false;
    for object in &objects {
        let (live, given) = match object {
            Object::StatefulSet(set) => {
                let (wanted, old) = session.wanted(set)?;
                (old.as_ref().map(stripped).transpose()?, stripped(&wanted)?)
            }
            Object::Service(service) => sides(&session.store, service.as_ref())?,
            Object::ConfigMap(map) => sides(&session.store, map.as_ref())?,
            Object::Secret(secret) => sides(&session.store, secret.as_ref())?,
            Object::PersistentVolumeClaim(claim) => sides(&session.store, claim.as_ref())?,
            Object::Pod(pod) => sides(&session.store, &wanted_pod(session, pod)?)?,
        };
        differs |= show(&files::title(object), live.as_ref(), &given)?;
    }
    if differs {
        return Err(PassedThrough(1).into());
    }
    Ok(())
}

fn sides<T: Kept>(store: &Store, given: &T) -> Result<(Option<Value>, Value)> {
    let ObjectRef { namespace, name } = ObjectRef::of(given.metadata())?;
    let live: Option<T> = store.find(&namespace, &name)?;
    Ok((live.as_ref().map(stripped).transpose()?, stripped(given)?))
}

/// Shows what differs, and says whether anything does.
fn show(title: &str, live: Option<&Value>, given: &Value) -> Result<bool> {
    let old = live.map(yaml::to_string).transpose()?.unwrap_or_default();
    let new = yaml::to_string(given)?;
    if old == new {
        return Ok(false);
    }
    let before = format!("live/{title}");
    let before = if live.is_some() { &before } else { "/dev/null" };
    let diff = TextDiff::from_lines(&old, &new);
    let text = diff
        .unified_diff()
        .header(before, &format!("given/{title}"))
        .to_string();
    render::text(&text)?;
    Ok(true)
}
