//! `petset delete`

mod kept;
mod selected;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::shared::bare;
use super::shared::files::{self, FileArgs};
use super::shared::grace::GraceArgs;
use super::shared::metadata;
use super::shared::names::{NamedObject, TargetRef};
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::replace::{plan_replacement, replace_pet};
use super::shared::resolve::{Resolved, resolve};
use super::shared::selector;
use super::shared::session::{Session, say};
use super::shared::storage;
use super::shared::volumes::{Removal, VolumeList, remove_volumes};
use super::shared::waiting::{Goal, WaitArgs};
use super::shared::workloads;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::{ORPHAN_FINALIZER, ObjectName, ObjectRef, PURGE_ANNOTATION, Selector, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::store::{Edit, ReclaimPolicy};

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
    /// Sets, pets or pods to delete, such as web or pod/web-0; other objects with their kind, such
    /// as svc/web, or a kind (svc, cm, secret, pvc, pv, sc), then names
    #[arg(
        required_unless_present = "filename",
        conflicts_with = "filename",
        value_name = "SET|PET"
    )]
    targets: Vec<NamedObject>,
    /// Labels of the objects to delete, after a kind: pod -l app=web
    #[arg(
        short = 'l',
        long,
        value_name = "LABELS",
        conflicts_with = "filename",
        value_parser = selector::parse
    )]
    selector: Option<Selector>,
    /// Delete all objects of a kind in the namespace: rs --all
    #[arg(long, conflicts_with_all = ["filename", "selector"])]
    all: bool,
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
    /// Also wait until the set has made a deleted pet again, and is ready
    #[arg(long, conflicts_with = "no_wait")]
    wait_ready: bool,
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
    let every = args.all.then(|| selector::parse("")).transpose()?;
    let doomed = match args.selector.as_ref().or(every.as_ref()) {
        Some(selector) => Doomed::labelled(session, args, selector)?,
        None if args.files.filename.is_empty() => Doomed::named(session, args)?,
        None => Doomed::of_files(session, args)?,
    };
    if args.dry_run.is_on() {
        preview(session, &doomed, args)?;
    } else {
        delete(session, &doomed, args)?;
    }
    doomed.refuse_missing(session)
}

/// The objects to delete, and those that do not exist.
#[derive(Default)]
struct Doomed {
    sets: Vec<ObjectRef>,
    /// Pods without a set.
    bare: Vec<ObjectRef>,
    workloads: Vec<(WorkloadKind, ObjectRef)>,
    /// Pets, which their sets make again.
    pets: Vec<ObjectName>,
    /// Services, config maps and secrets.
    others: Vec<(ObjectKind, ObjectRef)>,
    claims: Vec<ObjectName>,
    volumes: Vec<ObjectName>,
    /// Objects that cannot be read; what is left of them is kept.
    damaged: Vec<(ObjectKind, ObjectRef)>,
    missing: Vec<String>,
}

impl Doomed {
    /// Finds what the words of the command line name. If one does not exist, nothing is deleted.
    fn named(session: &Session, args: &Args) -> Result<Self> {
        let mut doomed = Self::default();
        for NamedObject { kind, name } in NamedObject::all(&args.targets)? {
            match doomed.add(session, kind, &name) {
                Err(error) if args.ignore_not_found && is_not_found(&error) => {}
                other => other.with_context(|| format!("cannot delete {name}"))?,
            }
        }
        Ok(doomed)
    }

    fn add(
        &mut self,
        session: &Session,
        kind: Option<ObjectKind>,
        name: &ObjectName,
    ) -> Result<()> {
        let kind = match kind {
            Some(kind) => kind,
            None => match resolve(session, &TargetRef::Either(name.clone()))? {
                Resolved::Set(_) => ObjectKind::StatefulSet,
                Resolved::Pet(_) => ObjectKind::Pod,
                Resolved::Workload(kind, _) => ObjectKind::Workload(kind),
            },
        };
        let full = ObjectRef::new(session.namespace.clone(), name.clone());
        if !exists(session, kind, &full)? {
            return Err(session.not_found(kind.plural(), name.as_str()).into());
        }
        self.put(session, kind, full)
    }

    /// Finds the objects of manifests. What does not exist is noted, and the rest is deleted.
    fn of_files(session: &Session, args: &Args) -> Result<Self> {
        let mut doomed = Self::default();
        for object in &files::read(session, &args.files.filename)? {
            let full = ObjectRef::of(object.metadata())?;
            let kind = object.kind();
            // A pet of a set is no object of a manifest.
            let fault = session.store.fault_of(kind, &full.namespace, &full.name);
            let there = if kind == ObjectKind::Pod && fault.is_none() {
                bare::find(session, &full.namespace, &full.name)?.is_some()
            } else {
                exists(session, kind, &full)?
            };
            if kind == ObjectKind::PersistentVolumeClaim {
                // Claims hold data: `volume rm` removes them, or `delete pvc`.
            } else if let Some(claim) = claim_that_keeps(session, object, &full)? {
                say(format!(
                    "Kept persistentvolume/{}, to which the claim {claim} is bound.",
                    full.name
                ));
            } else if there {
                doomed.put(session, kind, full)?;
            } else if !args.ignore_not_found {
                doomed
                    .missing
                    .push(format!("{} \"{}\" not found", kind.plural(), full.name));
            }
        }
        Ok(doomed)
    }

    /// Adds an object that exists.
    fn put(&mut self, session: &Session, kind: ObjectKind, full: ObjectRef) -> Result<()> {
        let fault = session.store.fault_of(kind, &full.namespace, &full.name);
        let is_known = || kind == ObjectKind::Pod && bare::find_named(session, &full).is_ok();
        if fault.is_some() && !is_known() {
            self.damaged.push((kind, full));
            return Ok(());
        }
        match kind {
            ObjectKind::StatefulSet => self.sets.push(full),
            ObjectKind::Pod if bare::find(session, &full.namespace, &full.name)?.is_some() => {
                self.bare.push(full);
            }
            ObjectKind::Pod => self.pets.push(full.name),
            ObjectKind::Service
            | ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::Endpoints
            | ObjectKind::EndpointSlice => {
                self.others.push((kind, full));
            }
            ObjectKind::PersistentVolumeClaim => self.claims.push(full.name),
            ObjectKind::Workload(kind) => self.workloads.push((kind, full)),
            ObjectKind::PersistentVolume => self.volumes.push(full.name),
            ObjectKind::StorageClass => self.others.push((kind, full)),
            ObjectKind::ControllerRevision | ObjectKind::Eviction | ObjectKind::Overlay => {}
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty()
            && self.bare.is_empty()
            && self.workloads.is_empty()
            && self.pets.is_empty()
            && self.others.is_empty()
            && self.claims.is_empty()
            && self.volumes.is_empty()
            && self.damaged.is_empty()
    }

    fn refuse_missing(&self, session: &Session) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let root = session.store.layout().root().display();
        let problem = Problem::new(Kind::NotFound, self.missing.join(", "));
        let problem = problem.hint(format!(
            "this is {root}; see what exists with `petset get all -A`"
        ));
        let hint = "with --ignore-not-found it is no error";
        Err(problem.hint(hint).into())
    }
}

/// Returns the claim that is bound to a volume: it keeps the volume, as files keep claims.
fn claim_that_keeps(
    session: &Session,
    object: &Object,
    full: &ObjectRef,
) -> Result<Option<String>> {
    if object.kind() != ObjectKind::PersistentVolume {
        return Ok(None);
    }
    let found: Option<PersistentVolume> = session.store.find(&full.namespace, &full.name)?;
    let used = found.filter(storage::is_in_use);
    Ok(used.as_ref().and_then(storage::claim_of))
}

/// Returns whether an object exists.
fn exists(session: &Session, kind: ObjectKind, full: &ObjectRef) -> Result<bool> {
    let ObjectRef { namespace, name } = full;
    match kind {
        ObjectKind::Pod => {
            let pet = session.store.layout().pet(namespace, name.as_str());
            let wanted = session.store.names(namespace, kind)?;
            Ok(pet.pod().exists() || wanted.contains(name))
        }
        ObjectKind::PersistentVolumeClaim => {
            Ok(VolumeList::of(session)?.find(name.as_str()).is_some())
        }
        ObjectKind::PersistentVolume => Ok(session.volume(name)?.is_some()),
        ObjectKind::StatefulSet
        | ObjectKind::Service
        | ObjectKind::ConfigMap
        | ObjectKind::Secret
        | ObjectKind::Endpoints
        | ObjectKind::EndpointSlice
        | ObjectKind::ControllerRevision
        | ObjectKind::Workload(_)
        | ObjectKind::StorageClass
        | ObjectKind::Eviction
        | ObjectKind::Overlay => Ok(session.store.names(namespace, kind)?.contains(name)),
    }
}

/// Deletes sets and pods, waits for their end, and then deletes what they needed.
fn delete(session: &Session, doomed: &Doomed, args: &Args) -> Result<()> {
    let grace = args.grace.seconds()?;
    if !doomed.sets.is_empty() || !doomed.bare.is_empty() || !doomed.workloads.is_empty() {
        let (sets, workloads, pods) = mark_all(session, doomed, args)?;
        finish(session, sets, doomed, args)?;
        finish_workloads(session, workloads, args)?;
        bare::finish(session, pods, &args.wait)?;
    }
    for name in &doomed.pets {
        replace_pet(session, name, "deleted", grace, args.wait_ready, &args.wait)?;
    }
    // Services and configuration go last, when no pet needs them any more.
    if !doomed.others.is_empty() {
        session.edit("delete", |edit| {
            for (kind, ObjectRef { namespace, name }) in &doomed.others {
                edit.forget(namespace, *kind, name);
            }
            Ok(())
        })?;
    }
    for (kind, full) in &doomed.others {
        render::line(&format!("{}/{} deleted", kind.singular(), full.name))?;
    }
    put_aside(session, doomed)?;
    delete_claims(session, doomed, args)?;
    delete_volumes(session, doomed, args)
}

/// Puts the files of damaged objects out of the way. The supervisor then stops the pets of a set.
fn put_aside(session: &Session, doomed: &Doomed) -> Result<()> {
    if doomed.damaged.is_empty() {
        return Ok(());
    }
    let kept = session.edit("delete", |edit| {
        let all = doomed.damaged.iter();
        let kept = all.map(|(kind, full)| edit.set_aside(&full.namespace, *kind, &full.name));
        Ok(kept.collect::<Vec<_>>())
    })?;
    for ((kind, full), kept) in doomed.damaged.iter().zip(kept) {
        say(format!(
            "{} was damaged; what is left of it is kept as {}",
            full.name,
            kept.display()
        ));
        render::line(&format!("{}/{} deleted", kind.singular(), full.name))?;
    }
    Ok(())
}

/// Marks the sets and the pods without a set for deletion.
fn mark_all(
    session: &Session,
    doomed: &Doomed,
    args: &Args,
) -> Result<(Vec<StatefulSet>, Vec<Workload>, Vec<Pod>)> {
    let grace = args.grace.seconds()?;
    let marked = session.edit("delete", |edit| {
        edit.at_any_cost();
        let sets = doomed.sets.iter().map(|set| mark(edit, set, args));
        let sets: Vec<_> = sets.filter_map(Result::transpose).collect::<Result<_>>()?;
        let pods = doomed
            .bare
            .iter()
            .map(|ObjectRef { namespace, name }| bare::mark(session, edit, namespace, name, grace));
        let pods: Vec<_> = pods.filter_map(Result::transpose).collect::<Result<_>>()?;
        let workloads = doomed.workloads.iter();
        let workloads = workloads.map(|(kind, full)| {
            workloads::mark(edit, *kind, full, |meta| mark_meta(meta, grace, args))
        });
        let workloads = workloads.filter_map(Result::transpose);
        Ok((sets, workloads.collect::<Result<_>>()?, pods))
    });
    marked.context("cannot delete the objects")
}

fn delete_claims(session: &Session, doomed: &Doomed, args: &Args) -> Result<()> {
    // Those without a directory of petset's hold no data that could be lost.
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for name in &doomed.claims {
        match storage::is_own(session, name)? {
            true => own.push(name),
            false => others.push(name.clone()),
        }
    }
    let dry_run = args.dry_run.is_on();
    if !dry_run && !others.is_empty() {
        storage::release_claims(session, &others, &args.wait)?;
    }
    say_deleted(ObjectKind::PersistentVolumeClaim, &others, dry_run)?;
    if own.is_empty() {
        return Ok(());
    }
    let volumes = VolumeList::of(session)?;
    let names = own.into_iter().map(ObjectName::as_str);
    let chosen = names.map(|name| volumes.expect(session, name));
    let how = Removal {
        sure: args.purge || session.store.settings().reclaim_policy == ReclaimPolicy::Delete,
        option: "--purge",
        dry_run: args.dry_run.is_on(),
    };
    remove_volumes(
        session,
        &volumes,
        &chosen.collect::<Result<Vec<_>, _>>()?,
        &how,
    )
}

/// Has volumes that users have made go. The data stay.
fn delete_volumes(session: &Session, doomed: &Doomed, args: &Args) -> Result<()> {
    let dry_run = args.dry_run.is_on();
    if !dry_run && !doomed.volumes.is_empty() {
        storage::release_volumes(session, &doomed.volumes, &args.wait)?;
    }
    say_deleted(ObjectKind::PersistentVolume, &doomed.volumes, dry_run)
}

fn say_deleted(kind: ObjectKind, names: &[ObjectName], dry_run: bool) -> Result<()> {
    let end = if dry_run { " (dry run)" } else { "" };
    names
        .iter()
        .try_for_each(|name| render::line(&format!("{}/{name} deleted{end}", kind.singular())))
}

/// Prints the plans for the deletion of sets and pods, and what else would be deleted.
fn preview(session: &Session, doomed: &Doomed, args: &Args) -> Result<()> {
    let mut plans = Vec::new();
    for ObjectRef { namespace, name } in &doomed.sets {
        let set: Option<StatefulSet> = session.store.find(namespace, name)?;
        if let Some(mut set) = set {
            mark_deleted(&mut set, args)?;
            plans.push(session.plan(set, false)?);
        }
    }
    for ObjectRef { namespace, name } in &doomed.bare {
        if let Some(mut pod) = bare::find(session, namespace, name)? {
            metadata::mark_deleted(&mut pod.metadata, args.grace.seconds()?);
            plans.push(session.plan_pod(pod, session.store.is_stopped())?);
        }
    }
    for pet in &doomed.pets {
        plans.extend(plan_replacement(session, pet)?);
    }
    args.dry_run.show(plans)?;
    if args.dry_run.is_text() {
        let workloads = doomed.workloads.iter();
        let workloads = workloads.map(|(kind, full)| (ObjectKind::Workload(*kind), full.clone()));
        let workloads: Vec<_> = workloads.collect();
        let others = doomed.others.iter().chain(&doomed.damaged);
        for (kind, full) in workloads.iter().chain(others) {
            render::line(&format!(
                "{}/{} deleted (dry run)",
                kind.singular(),
                full.name
            ))?;
        }
        delete_claims(session, doomed, args)?;
        delete_volumes(session, doomed, args)?;
    }
    Ok(())
}

/// Marks a set for deletion; the supervisor stops its pets and then removes it.
fn mark(edit: &mut Edit<'_>, set: &ObjectRef, args: &Args) -> Result<Option<StatefulSet>> {
    let Some(mut set) = edit.find::<StatefulSet>(&set.namespace, &set.name)? else {
        return Ok(None);
    };
    mark_deleted(&mut set, args)?;
    edit.put(&set)?;
    Ok(Some(set))
}

/// Marks an object as being deleted: with what it has made, or without.
fn mark_meta(meta: &mut ObjectMeta, grace: Option<i64>, args: &Args) {
    metadata::mark_deleted(meta, grace);
    if args.cascade == Cascade::Orphan {
        meta.finalizers = Some(vec![ORPHAN_FINALIZER.to_owned()]);
    }
}

/// Marks a set as being deleted, with the options of the deletion.
fn mark_deleted(set: &mut StatefulSet, args: &Args) -> Result<()> {
    mark_meta(&mut set.metadata, args.grace.seconds()?, args);
    if args.purge {
        set.metadata
            .annotations
            .get_or_insert_default()
            .insert(PURGE_ANNOTATION.to_owned(), "true".to_owned());
    }
    Ok(())
}

/// Waits until the sets are gone, and prints what is kept.
fn finish(session: &Session, sets: Vec<StatefulSet>, doomed: &Doomed, args: &Args) -> Result<()> {
    let goals: Vec<Goal> = sets.iter().cloned().map(Goal::Gone).collect();
    session.wait(&goals, &args.wait)?;
    for set in &sets {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        render::line(&format!("statefulset.apps/{name} deleted"))?;
        if args.cascade == Cascade::Orphan {
            continue;
        }
        kept::say_volumes(session, &namespace, set, args.purge)?;
        kept::say_objects(session, &namespace, set, &doomed.others)?;
    }
    Ok(())
}

/// Waits until the workloads are gone, and prints that they are.
fn finish_workloads(session: &Session, workloads: Vec<Workload>, args: &Args) -> Result<()> {
    let goals = workloads.iter().cloned();
    let goals: Vec<Goal> = goals.map(|it| Goal::WorkloadGone(it.into())).collect();
    session.wait(&goals, &args.wait)?;
    for workload in workloads {
        let title = files::title(&Object::Workload(workload.into()));
        render::line(&format!("{title} deleted"))?;
    }
    Ok(())
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Problem>()
        .is_some_and(|problem| problem.kind == Kind::NotFound)
}
