//! `petset apply` and `petset diff`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;
use similar::TextDiff;

use super::shared::bare;
use super::shared::compare::{Declared, as_given, foresee};
use super::shared::config::ChangedConfig;
use super::shared::declare::{put, wanted_set};
use super::shared::exit::PassedThrough;
use super::shared::files::{self, FileArgs};
use super::shared::isolation::{self, IsolationArgs};
use super::shared::preview::DryRunArgs;
use super::shared::render::{self, Document};
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use super::shared::volumes::{say_found_again, warn_of_shared};
use super::shared::waiting::{Goal, WaitArgs};
use super::shared::workloads;
use crate::model::object::Object;
use crate::model::{ObjectRef, Workload};
use crate::problem::{Problem, Result};
use crate::store::Store;
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
    let readers = changed.readers(session)?;
    session.wait(&Goal::all_of(&objects), &args.wait)?;
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
            Object::Workload(workload) => {
                let word = workloads::foresee(&session.store, workload)?;
                if args.dry_run.is_text() {
                    render::line(&format!("{} {word} (dry run)", files::title(object)))?;
                }
            }
            other if args.dry_run.is_text() => {
                let word = foresee(&session.store, other)?;
                render::line(&format!("{} {word} (dry run)", files::title(other)))?;
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::PersistentVolumeClaim(_)
            | Object::Endpoints(_)
            | Object::EndpointSlice(_)
            | Object::ControllerRevision(_)
            | Object::PersistentVolume(_)
            | Object::StorageClass(_) => {}
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
            Object::Endpoints(given) => live_and_given(&session.store, given.as_ref())?,
            Object::EndpointSlice(slice) => live_and_given(&session.store, slice.as_ref())?,
            Object::Workload(workload) => {
                let (wanted, old) = workloads::wanted(&session.store, workload)?;
                let document = |it: &Workload| Document::of_object(&workloads::as_given(it));
                (old.as_ref().map(document).transpose()?, document(&wanted)?)
            }
            Object::PersistentVolume(volume) => live_and_given(&session.store, volume.as_ref())?,
            Object::StorageClass(class) => live_and_given(&session.store, class.as_ref())?,
            Object::ControllerRevision(_) => continue,
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
