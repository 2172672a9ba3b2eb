//! `petset apply` and `petset diff`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use similar::TextDiff;

use super::shared::bare;
use super::shared::cause::note_cause_of_file;
use super::shared::compare::{Applied, Declared, as_given, foresee, is_same};
use super::shared::config::ChangedConfig;
use super::shared::exit::PassedThrough;
use super::shared::files::{self, FileArgs};
use super::shared::isolation::{self, IsolationArgs};
use super::shared::merge::merged;
use super::shared::metadata;
use super::shared::preview::DryRunArgs;
use super::shared::render::{self, Document};
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use super::shared::volumes::{say_found_again, warn_of_shared};
use super::shared::waiting::{Goal, WaitArgs};
use crate::model::ObjectRef;
use crate::model::object::Object;
use crate::problem::{Kind, Problem, Result};
use crate::store::{Edit, Store};
use crate::yaml;

/// Create or change objects so that they match the manifests
///
/// It creates, scales and upgrades as necessary, and leaves objects that match as they are. It
/// deletes nothing.
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
    missing: MissingArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Show how the stored objects differ from the manifests
///
/// The exit code is 0 if nothing differs, and 1 if something does.
#[derive(Debug, ClapArgs)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: FileArgs,
}

pub(crate) fn apply(session: &Session, args: &ApplyArgs) -> Result<()> {
    let mut objects = read(session, &args.files)?;
    files::put_runners_last(&mut objects);
    args.isolation.annotate(&mut objects);
    let decision = isolation::decide(session, &mut objects)?;
    warn_of_shared(session, &objects)?;
    say_found_again(session, &objects)?;
    if args.dry_run.is_on() {
        return preview(session, args, &objects);
    }
    let mut changed = ChangedConfig::default();
    let applied = session.edit("apply", |edit| {
        let mut outcomes = Vec::new();
        for object in &mut objects {
            changed.note(edit, object)?;
            let word = put(session, edit, object, args.missing)?;
            outcomes.push(format!("{} {word}", files::title(object)));
        }
        Ok(outcomes)
    });
    let lines = applied.context("cannot apply the manifests")?;
    lines.iter().try_for_each(|line| render::line(line))?;
    decision.conclude(session);
    let sets = files::sets(&objects).cloned().map(Goal::Settled);
    let pods = files::pods(&objects).cloned().map(Goal::PodUp);
    let goals: Vec<Goal> = sets.chain(pods).collect();
    let readers = changed.readers(session)?;
    session.wait(&goals, &args.wait)?;
    readers.say(session)
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
                let (wanted, old) = wanted_set(session, set)?;
                if let Some(old) = &old {
                    args.missing.check_set(session, &wanted, Some(old))?;
                }
                plans.push(session.plan(wanted, session.store.is_stopped())?);
            }
            Object::Pod(_) => {}
            other if args.dry_run.is_text() => {
                let word = foresee(&session.store, other)?;
                render::line(&format!("{} {word} (dry run)", files::title(other)))?;
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::PersistentVolumeClaim(_)
            | Object::Endpoints(_)
            | Object::ControllerRevision(_) => {}
        }
    }
    for pod in files::pods(objects) {
        let (pod, old) = wanted_pod(session, pod)?;
        if let Some(old) = &old {
            args.missing.check_pod(session, &pod, old)?;
        }
        plans.push(session.plan_pod(pod, session.store.is_stopped())?);
    }
    args.dry_run.show(plans)
}

/// Returns a pod as it would be stored once the file is applied, and as it is now.
fn wanted_pod(session: &Session, given: &Pod) -> Result<(Pod, Option<Pod>)> {
    let ObjectRef { namespace, name } = ObjectRef::of(&given.metadata)?;
    let mut pod = given.clone();
    let old = bare::find(session, &namespace, &name)?;
    if let Some(old) = &old {
        bare::merge(old, &mut pod)?;
        pod.metadata.uid.clone_from(&old.metadata.uid);
    }
    Ok((pod, old))
}

/// Stores an object, and returns what became of it.
fn put(
    session: &Session,
    edit: &mut Edit<'_>,
    object: &mut Object,
    missing: MissingArgs,
) -> Result<Applied> {
    match object {
        Object::StatefulSet(set) => put_set(session, edit, set.as_mut(), missing),
        Object::Service(service) => put_object(edit, service.as_mut()),
        Object::ConfigMap(map) => put_object(edit, map.as_mut()),
        Object::Secret(secret) => put_object(edit, secret.as_mut()),
        Object::PersistentVolumeClaim(claim) => put_object(edit, claim.as_mut()),
        Object::Pod(pod) => bare::apply(session, edit, pod.as_mut(), missing),
        Object::Endpoints(_) | Object::ControllerRevision(_) => Ok(Applied::Unchanged),
    }
}

fn put_set(
    session: &Session,
    edit: &mut Edit<'_>,
    set: &mut StatefulSet,
    missing: MissingArgs,
) -> Result<Applied> {
    let (wanted, old) = wanted_set(session, set)?;
    *set = wanted;
    let word = match &old {
        None => {
            note_cause_of_file(set);
            metadata::initialize(&mut set.metadata)?;
            Applied::Created
        }
        Some(old) if is_same(old, set) => return Ok(Applied::Unchanged),
        Some(old) => {
            isolation::refuse_host_paths_of(set)?;
            missing.check_set(session, set, Some(old))?;
            Applied::Configured
        }
    };
    edit.put(set)?;
    Ok(word)
}

fn put_object<T: Declared>(edit: &mut Edit<'_>, object: &mut T) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let word = match edit.find::<T>(&namespace, &name)? {
        None => {
            metadata::initialize(object.metadata_mut())?;
            Applied::Created
        }
        Some(old) if is_same(&old, object) => return Ok(Applied::Unchanged),
        Some(old) => {
            object.check_update(&old)?;
            let (meta, before) = (object.metadata_mut(), old.metadata());
            metadata::keep_identity(before, meta);
            meta.owner_references.clone_from(&before.owner_references);
            Applied::Configured
        }
    };
    edit.put(object)?;
    Ok(word)
}

/// Returns a set as it would be once the file is applied, and as it is now.
fn wanted_set(
    session: &Session,
    given: &StatefulSet,
) -> Result<(StatefulSet, Option<StatefulSet>)> {
    let ObjectRef { namespace, name } = ObjectRef::of(&given.metadata)?;
    let Some(old) = session.store.find::<StatefulSet>(&namespace, &name)? else {
        return Ok((given.clone(), None));
    };
    if old.metadata.deletion_timestamp.is_some() {
        let message = format!("{name} is still being deleted");
        let hint = format!("wait for its end with `petset wait {name} --for delete`");
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    }
    Ok((merged(session, &old, given, false)?, Some(old)))
}

pub(crate) fn diff(session: &Session, args: &DiffArgs) -> Result<()> {
    let objects = read(session, &args.files)?;
    let mut differs = false;
    for object in &objects {
        let (live, given) = match object {
            Object::StatefulSet(set) => {
                let (wanted, old) = wanted_set(session, set)?;
                sides(old.as_ref(), &wanted)?
            }
            Object::Service(service) => live_and_given(&session.store, service.as_ref())?,
            Object::ConfigMap(map) => live_and_given(&session.store, map.as_ref())?,
            Object::Secret(secret) => live_and_given(&session.store, secret.as_ref())?,
            Object::PersistentVolumeClaim(claim) => live_and_given(&session.store, claim.as_ref())?,
            Object::Pod(pod) => live_and_given(&session.store, &wanted_pod(session, pod)?.0)?,
            Object::Endpoints(_) | Object::ControllerRevision(_) => continue,
        };
        differs |= show(&files::title(object), live.as_ref(), &given)?;
    }
    if differs {
        return Err(PassedThrough(1).into());
    }
    Ok(())
}

/// Returns an object as it is now, if it exists, and as the file has it.
fn live_and_given<T: Declared>(store: &Store, given: &T) -> Result<(Option<Document>, Document)> {
    let ObjectRef { namespace, name } = ObjectRef::of(given.metadata())?;
    sides(store.find(&namespace, &name)?.as_ref(), given)
}

fn sides<T: Declared>(live: Option<&T>, given: &T) -> Result<(Option<Document>, Document)> {
    let document = |object: &T| Document::of(&as_given(object));
    Ok((live.map(document).transpose()?, document(given)?))
}

/// Shows the difference, and returns whether there is one.
fn show(title: &str, live: Option<&Document>, given: &Document) -> Result<bool> {
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
