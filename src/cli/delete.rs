//! `petset delete`

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::apps::v1::StatefulSet;

use super::shared::bare;
use super::shared::files::{self, FileArgs};
use super::shared::grace::GraceArgs;
use super::shared::metadata;
use super::shared::names::TargetRef;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::replace::{plan_replacement, replace_pet};
use super::shared::resolve::{Resolved, resolve};
use super::shared::session::{Session, say};
use super::shared::waiting::{Goal, WaitArgs};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{Keep, Namespace, ORPHAN_FINALIZER, ObjectName, ObjectRef, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store;
use crate::store::Edit;

/// Stop the pets of a set in reverse order, then delete the set; its volumes are kept
///
/// Each pet is stopped gracefully, and the next one only when it is gone. The command prints the
/// volumes that are kept and how to remove them; --purge removes them too. A pet that is deleted
/// comes back, because its set recreates it; a pod without a set is gone for good.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset delete web
  petset delete -f etcd.yaml --purge
  petset delete pod/web-1 --now")]
pub(crate) struct Args {
    /// Sets, pets or pods to delete, such as web or pod/web-0
    #[arg(
        required_unless_present = "filename",
        conflicts_with = "filename",
        value_name = "SET|PET"
    )]
    targets: Vec<TargetRef>,
    #[command(flatten)]
    files: FileArgs,
    /// Also remove the volumes and their data
    #[arg(long)]
    purge: bool,
    /// Whether the pets are deleted (background), or keep running without their set (orphan)
    #[arg(
        long,
        value_name = "HOW",
        default_value = "background",
        conflicts_with = "purge"
    )]
    cascade: Cascade,
    /// Succeed if an object does not exist
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    grace: GraceArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cascade {
    Background,
    #[value(hide = true)]
    Foreground,
    Orphan,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let grace = args.grace.seconds()?;
    if grace.is_some() && args.cascade == Cascade::Orphan {
        let message = "a grace period is for pets that stop, and with --cascade=orphan none does";
        return Err(Problem::invalid(message).into());
    }
    if !args.files.filename.is_empty() {
        return delete_files(session, args);
    }
    let mut sets = Vec::new();
    let mut pets = Vec::new();
    for target in &args.targets {
        match resolve(session, target) {
            Ok(Resolved::Set(name)) => sets.push(name),
            Ok(Resolved::Pet(name)) => pets.push(name),
            Err(error) if args.ignore_not_found && is_not_found(&error) => {}
            Err(error) => return Err(error.context(format!("cannot delete {}", target.name()))),
        }
    }
    if args.dry_run.is_on() {
        return preview(session, &sets, &pets, args);
    }
    if !sets.is_empty() {
        let deleted = session.edit("delete", |edit| {
            let sets = sets.iter().map(|name| mark(session, edit, name, args));
            sets.filter_map(Result::transpose)
                .collect::<Result<Vec<_>>>()
        });
        let deleted = deleted.context("cannot delete the objects")?;
        finish(session, deleted, args)?;
    }
    let (bare, pets) = divide(session, pets)?;
    bare::delete(session, &bare, grace, &args.wait)?;
    let replaced = |name| replace_pet(session, name, "deleted", grace, &args.wait);
    pets.iter().try_for_each(replaced)
}

/// Divides names into those of bare pods and those of pets of sets.
fn divide(session: &Session, names: Vec<ObjectName>) -> Result<(Vec<ObjectName>, Vec<ObjectName>)> {
    let (mut bare, mut pets) = (Vec::new(), Vec::new());
    for name in names {
        match bare::find(session, &session.namespace, &name)? {
            Some(_) => bare.push(name),
            None => pets.push(name),
        }
    }
    Ok((bare, pets))
}

/// Prints the plans for the deletion of sets and pets.
fn preview(session: &Session, sets: &[SetName], pets: &[ObjectName], args: &Args) -> Result<()> {
    let mut plans = Vec::new();
    for name in sets {
        let mut set = session.expect_set(name)?;
        mark_deleted(&mut set, args)?;
        plans.push(session.plan(set, false)?);
    }
    for pet in pets {
        match bare::find(session, &session.namespace, pet)? {
            Some(mut pod) => {
                metadata::mark_deleted(&mut pod.metadata, args.grace.seconds()?);
                plans.push(session.plan_pod(pod, session.store.is_stopped())?);
            }
            None => plans.extend(plan_replacement(session, pet)?),
        }
    }
    args.dry_run.show(plans)
}

fn delete_files(session: &Session, args: &Args) -> Result<()> {
    let objects = files::read(session, &args.files.filename)?;
    if args.dry_run.is_on() {
        let names =
            files::sets(&objects).filter_map(|set| set.metadata.name.as_ref()?.parse().ok());
        let pods = files::pods(&objects);
        let pods = pods.filter_map(|pod| pod.metadata.name.as_ref()?.parse().ok());
        let (sets, pods): (Vec<_>, Vec<_>) = (names.collect(), pods.collect());
        return preview(session, &sets, &pods, args);
    }
    let deleted = session.edit("delete", |edit| {
        let (mut sets, mut pods) = (Vec::new(), Vec::new());
        for set in files::sets(&objects) {
            let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
            sets.extend(mark_in(session, edit, &namespace, &name, args)?);
        }
        for pod in files::pods(&objects) {
            let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
            pods.extend(bare::mark(
                session,
                edit,
                &namespace,
                &name,
                args.grace.seconds()?,
            )?);
        }
        Ok((sets, pods))
    });
    let (sets, pods) = deleted.context("cannot delete the objects of the manifests")?;
    finish(session, sets, args)?;
    bare::finish(session, pods, &args.wait)?;
    // Services and configuration go last, when no pet needs them any more.
    let removed = session.edit("delete", |edit| forget(edit, &objects))?;
    removed
        .iter()
        .try_for_each(|title| render::line(&format!("{title} deleted")))
}

/// Deletes all objects but sets, pods and claims. Claims hold data: `volume rm` removes them.
fn forget(edit: &mut Edit<'_>, objects: &[Object]) -> Result<Vec<String>> {
    let mut titles = Vec::new();
    for object in objects {
        let kind = match object {
            Object::Service(_) => ObjectKind::Service,
            Object::ConfigMap(_) => ObjectKind::ConfigMap,
            Object::Secret(_) => ObjectKind::Secret,
            Object::PersistentVolumeClaim(_)
            | Object::StatefulSet(_)
            | Object::Pod(_)
            | Object::Endpoints(_)
            | Object::ControllerRevision(_) => continue,
        };
        let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
        edit.forget(&namespace, kind, &name);
        titles.push(files::title(object));
    }
    Ok(titles)
}

fn mark(
    session: &Session,
    edit: &mut Edit<'_>,
    name: &SetName,
    args: &Args,
) -> Result<Option<StatefulSet>> {
    mark_in(
        session,
        edit,
        &session.namespace,
        &name.as_str().parse()?,
        args,
    )
}

/// Marks a set for deletion; the supervisor stops its pets and then removes it.
fn mark_in(
    session: &Session,
    edit: &mut Edit<'_>,
    namespace: &Namespace,
    name: &ObjectName,
    args: &Args,
) -> Result<Option<StatefulSet>> {
    let Some(mut set) = edit.find::<StatefulSet>(namespace, name)? else {
        if args.ignore_not_found || !args.files.filename.is_empty() {
            return Ok(None);
        }
        return Err(session.not_found("statefulsets.apps", name.as_str()).into());
    };
    mark_deleted(&mut set, args)?;
    edit.put(&set)?;
    Ok(Some(set))
}

/// Marks a set as being deleted, with the options of the deletion.
fn mark_deleted(set: &mut StatefulSet, args: &Args) -> Result<()> {
    metadata::mark_deleted(&mut set.metadata, args.grace.seconds()?);
    if args.cascade == Cascade::Orphan {
        set.metadata.finalizers = Some(vec![ORPHAN_FINALIZER.to_owned()]);
    }
    if args.purge {
        set.metadata
            .annotations
            .get_or_insert_default()
            .insert(store::PURGE_ANNOTATION.to_owned(), "true".to_owned());
    }
    Ok(())
}

/// Waits until the sets are gone, and prints which volumes are kept.
fn finish(session: &Session, sets: Vec<StatefulSet>, args: &Args) -> Result<()> {
    let goals: Vec<Goal> = sets.iter().cloned().map(Goal::Gone).collect();
    session.wait(&goals, &args.wait)?;
    for set in &sets {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        render::line(&format!("statefulset.apps/{name} deleted"))?;
        if !args.purge && args.cascade != Cascade::Orphan {
            say_kept(session, &namespace, set)?;
        }
    }
    Ok(())
}

/// Prints the volumes that are kept, and how to remove them.
fn say_kept(session: &Session, namespace: &Namespace, set: &StatefulSet) -> Result<()> {
    let wanted = crate::model::Set::of(set)?;
    let gone = wanted.retention.when_deleted == Keep::Delete;
    let kept: Vec<String> = session.claims_of(namespace, &wanted)?;
    if kept.is_empty() || gone {
        return Ok(());
    }
    let name = &wanted.name;
    let dir = session.store.layout().volumes(namespace);
    say(format!(
        "Kept the volumes {} below {}.",
        kept.join(", "),
        dir.display()
    ));
    say(format!(
        "hint: `petset create` finds them again; `petset volume rm --set {name}` removes them"
    ));
    Ok(())
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Problem>()
        .is_some_and(|problem| problem.kind == Kind::NotFound)
}
