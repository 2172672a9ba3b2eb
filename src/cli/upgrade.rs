//! `petset upgrade`

mod workload;

use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::shared::compare::Declared;
use super::shared::config::{ChangedConfig, ConfigReaders};
use super::shared::files::{self, FileArgs};
use super::shared::isolation::{self, absolute_program};
use super::shared::merge::merged;
use super::shared::metadata;
use super::shared::names::OwnerRef;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::resolve::{NamedOwner, owner};
use super::shared::rollout_notes::{held_note, say_if_on_delete};
use super::shared::session::{Session, say};
use super::shared::startable::MissingArgs;
use super::shared::storage;
use super::shared::waiting::{Goal, WaitArgs};
use crate::manifest;
use crate::model::object::Object;
use crate::model::parse_duration;
use crate::model::rollout::put_note;
use crate::model::{
    ON_FAILURE_ANNOTATION, ObjectRef, PAUSE_AFTER_ANNOTATION, PROGRESS_DEADLINE_ANNOTATION, Set,
    SetName, Strategy, pod_of, rollout, set_command, set_env, set_image, set_partition,
};
use crate::problem::{Kind, Problem, Result};
use crate::store::Edit;

/// Change the pod template of a set or workload, and replace its pets
///
/// Pets of a set are replaced from the highest ordinal down, each ready before the next. They keep
/// their names, addresses and volumes. With --partition N, pets with an ordinal below N are not
/// replaced.
/// With --filename, the template, the strategy and the configuration of the manifest are used; the
/// number of replicas stays. A Deployment or DaemonSet replaces its pods as its strategy says;
/// --on-failure and --canary are for sets and Deployments.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset upgrade db --image mydb:v2
  petset upgrade etcd --env ETCD_LOG_LEVEL=debug --partition 2
  petset upgrade db --image mydb:v3 --on-failure rollback --progress-deadline 30s
  petset upgrade db --image mydb:v3 --canary 1
  petset upgrade deploy/front --image front:v2 --canary 1
  petset upgrade -f etcd.yaml")]
pub(crate) struct Args {
    /// Set or workload to change, such as web, sts/web or deploy/web
    #[arg(
        required_unless_present = "filename",
        conflicts_with = "filename",
        requires = "change",
        value_name = "SET|WORKLOAD"
    )]
    owner: Option<OwnerRef>,
    /// Name of the set or workload, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    owner_name: Option<OwnerRef>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    change: TemplateArgs,
    #[command(flatten)]
    roll: RollArgs,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// The options that change the template.
#[derive(Debug, ClapArgs)]
#[group(id = "change", multiple = true, conflicts_with = "filename")]
struct TemplateArgs {
    /// New image; for a set with several containers, name the container too
    #[arg(long = "image", value_name = "[CONTAINER=]REF")]
    images: Vec<String>,
    /// Environment variable to set as K=V, or to remove as K-
    #[arg(long = "env", short, value_name = "K=V")]
    envs: Vec<String>,
    /// Container for --env and the new command
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Do not replace pets with an ordinal below N
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// New command, with its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The options of the rollout.
#[derive(Debug, ClapArgs)]
struct RollArgs {
    /// What to do if a pet does not become ready: halt the rollout, or roll back
    ///
    /// The supervisor does the rollback, so it happens even if this command is killed. The exit
    /// code is 6 after a rollback and 5 after a halt.
    #[arg(long, value_name = "halt|rollback")]
    on_failure: Option<OnFailure>,
    /// How long a pet may take to become ready; the default for a rollback is 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    progress_deadline: Option<Duration>,
    /// Replace only the N highest pets, or N pods of a Deployment, until `rollout promote`
    #[arg(long, value_name = "N", conflicts_with_all = ["partition", "pause_after"])]
    canary: Option<u32>,
    /// Pause after N pets have been replaced, until `rollout resume`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pause_after: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnFailure {
    Halt,
    Rollback,
}

impl RollArgs {
    /// Writes the options to the annotations of the set; those of an earlier upgrade are removed.
    fn write_to(&self, session: &Session, set: &mut StatefulSet) -> Result<(), Problem> {
        let Self {
            on_failure,
            progress_deadline,
            canary,
            pause_after,
        } = self;
        let none = on_failure.is_none()
            && progress_deadline.is_none()
            && canary.is_none()
            && pause_after.is_none();
        if !none && session.is_strict(set) {
            let message = "a strict set knows no --on-failure, --progress-deadline, --canary and \
                           --pause-after, as Kubernetes does not";
            return Err(Problem::invalid(message).hint("--partition does what a canary does"));
        }
        if !none && Set::of(set)?.strategy == Strategy::OnDelete {
            let message = "the set's update strategy is OnDelete, so nothing rolls by itself that \
                           could be held, or taken back";
            let hint = "restart the pets you mean, or write `type: RollingUpdate` in the manifest";
            return Err(Problem::new(Kind::Conflict, message).hint(hint));
        }
        self.note_on(&mut set.metadata);
        let pause_after = pause_after.map(|pets| pets.to_string());
        rollout::annotate(set, PAUSE_AFTER_ANNOTATION, pause_after.as_deref());
        canary.map_or(Ok(()), |pets| rollout::set_canary(set, pets))
    }
}

impl RollArgs {
    /// Notes what to do on a failure; what an earlier upgrade noted is removed.
    fn note_on(&self, meta: &mut ObjectMeta) {
        rollout::forget_failure(meta);
        let word = self.on_failure.map(|choice| match choice {
            OnFailure::Halt => "halt",
            OnFailure::Rollback => "rollback",
        });
        let deadline = self.progress_deadline;
        let deadline = deadline.map(|limit| format!("{}ms", limit.as_millis()));
        put_note(meta, ON_FAILURE_ANNOTATION, word);
        put_note(meta, PROGRESS_DEADLINE_ANNOTATION, deadline.as_deref());
    }
}

/// A set as it is stored now.
struct Upgraded {
    set: StatefulSet,
    /// Whether its spec is another one than before.
    changed: bool,
}

impl Args {
    fn owner(&self, session: &Session) -> Result<Option<NamedOwner>> {
        let Some(first) = &self.owner else {
            return Ok(None);
        };
        let named = first.with(self.owner_name.as_ref())?;
        owner(session, &named).map(Some)
    }
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let owner = args.owner(session)?;
    if let Some(NamedOwner::Workload(kind, name)) = &owner {
        return args.run_for_workload(session, (*kind, name));
    }
    if args.dry_run.is_on() {
        return preview(session, args, owner);
    }
    let (sets, readers) = match owner {
        Some(NamedOwner::Set(name)) => (
            vec![change(session, &name, args)?],
            ConfigReaders::default(),
        ),
        Some(NamedOwner::Workload(_, _)) => return Ok(()),
        None => replace(session, args)?,
    };
    for Upgraded { set, changed } in &sets {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let done = if *changed { "upgraded" } else { "unchanged" };
        render::line(&format!("statefulset.apps/{name} {done}"))?;
        say_if_on_delete(set)?;
    }
    let goals: Vec<Goal> = sets
        .iter()
        .map(|one| Goal::Settled(one.set.clone()))
        .collect();
    session.wait(&goals, &args.wait)?;
    readers.say(session)?;
    sets.iter()
        .try_for_each(|one| say_if_held(session, &one.set))
}

/// Says why not all pets have the new template, if a pause or a canary holds them.
fn say_if_held(session: &Session, set: &StatefulSet) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
    let note = session.set(&namespace, &name)?.as_ref().and_then(held_note);
    note.into_iter().for_each(say);
    Ok(())
}

fn preview(session: &Session, args: &Args, owner: Option<NamedOwner>) -> Result<()> {
    if let Some(NamedOwner::Set(name)) = owner {
        return session.preview(&name, &args.dry_run, |set| {
            args.change.make(session, set, args.missing)?;
            args.roll.write_to(session, set)
        });
    }
    let mut plans = Vec::new();
    for new in files::sets(&files::read(session, &args.files.filename)?) {
        let ObjectRef { namespace, name } = ObjectRef::of(&new.metadata)?;
        let old: Option<StatefulSet> = session.store.find(&namespace, &name)?;
        let old = old.ok_or_else(|| session.not_found("statefulsets.apps", name.as_str()))?;
        let mut set = merged(session, &old, new, true)?;
        args.missing.check_set(session, &set, Some(&old))?;
        args.roll.write_to(session, &mut set)?;
        plans.push(session.plan(set, session.store.is_stopped())?);
    }
    args.dry_run.show(plans)
}

impl TemplateArgs {
    const fn is_empty(&self) -> bool {
        self.images.is_empty()
            && self.envs.is_empty()
            && self.partition.is_none()
            && self.command.is_empty()
    }

    /// Changes the pods of a template as the options say.
    fn change_pod(&self, pod: &mut PodSpec) -> Result<(), Problem> {
        let container = self.container.as_deref();
        for image in &self.images {
            set_image(pod, image)?;
        }
        for env in &self.envs {
            set_env(pod, container, env)?;
        }
        if !self.command.is_empty() {
            set_command(pod, container, &absolute_program(self.command.clone())?)?;
        }
        Ok(())
    }

    /// Changes the set as the options say.
    fn make(
        &self,
        session: &Session,
        set: &mut StatefulSet,
        missing: MissingArgs,
    ) -> Result<(), Problem> {
        let old = set.clone();
        let name = set.metadata.name.clone().unwrap_or_default();
        if self.is_empty() {
            let message = format!("no change is given for {name}");
            let hint = format!(
                "give one, such as `petset upgrade {name} --image REF`, --env K=V, --partition N \
                 or -- CMD; `petset restart {name}` replaces the pets as they are"
            );
            return Err(Problem::invalid(message).hint(hint));
        }
        self.change_pod(pod_of(set)?)?;
        if let Some(partition) = self.partition {
            set_partition(set, partition)?;
        }
        match session.is_strict(set) {
            true => manifest::check_update(&old, set, true)?,
            false => manifest::check(set)?,
        }
        missing.check_set(session, set, Some(&old))
    }
}

fn change(session: &Session, name: &SetName, args: &Args) -> Result<Upgraded> {
    let edited = session.edit_set("upgrade", name, |set| {
        let before = set.spec.clone();
        args.change.make(session, set, args.missing)?;
        args.roll.write_to(session, set)?;
        Ok(set.spec != before)
    });
    let (set, changed) = edited.with_context(|| format!("cannot upgrade {name}"))?;
    if !changed {
        say(format!(
            "{name} has this template already; nothing to upgrade."
        ));
    }
    Ok(Upgraded { set, changed })
}

/// Replaces the stored objects by those of the files. Returns the sets, and the pods that go on
/// with other configuration until they are replaced.
fn replace(session: &Session, args: &Args) -> Result<(Vec<Upgraded>, ConfigReaders)> {
    let objects = files::read(session, &args.files.filename)?;
    if files::sets(&objects).next().is_none() {
        let message = "no StatefulSet in the given files";
        return Err(Problem::invalid(message).into());
    }
    let mut changed = ChangedConfig::default();
    let replaced = session.edit("upgrade", |edit| {
        let mut sets = Vec::new();
        for object in &objects {
            changed.note(edit, object)?;
            match object {
                Object::StatefulSet(set) => sets.push(replace_set(session, edit, set, args)?),
                Object::Service(service) => replace_object(edit, service.as_ref())?,
                Object::ConfigMap(map) => replace_object(edit, map.as_ref())?,
                Object::Secret(secret) => replace_object(edit, secret.as_ref())?,
                Object::PersistentVolumeClaim(claim) => replace_object(edit, claim.as_ref())?,
                Object::Pod(pod) => say(format!(
                    "warning: pod/{} is left as it is: `petset apply -f` changes pods",
                    pod.metadata.name.as_deref().unwrap_or_default()
                )),
                Object::Endpoints(endpoints) => replace_object(edit, endpoints.as_ref())?,
                Object::EndpointSlice(slice) => replace_object(edit, slice.as_ref())?,
                Object::PersistentVolume(volume) => {
                    let mut volume = volume.clone();
                    storage::complete(session, &mut volume)?;
                    replace_object(edit, volume.as_ref())?;
                }
                Object::StorageClass(class) => replace_object(edit, class.as_ref())?,
                Object::ControllerRevision(_) | Object::Workload(_) => {}
            }
        }
        Ok(sets)
    });
    let sets = replaced.context("cannot upgrade to the manifests")?;
    Ok((sets, changed.readers(session)?))
}

fn replace_set(
    session: &Session,
    edit: &mut Edit<'_>,
    new: &StatefulSet,
    args: &Args,
) -> Result<Upgraded> {
    let ObjectRef { namespace, name } = ObjectRef::of(&new.metadata)?;
    let found: Option<StatefulSet> = edit.find(&namespace, &name)?;
    let old = found.ok_or_else(|| session.not_found("statefulsets.apps", name.as_str()))?;
    let replicas = |set: &StatefulSet| set.spec.as_ref().and_then(|spec| spec.replicas);
    if replicas(&old) != replicas(new) {
        let (now, file) = (replicas(&old).unwrap_or(1), replicas(new).unwrap_or(1));
        say(format!(
            "note: {name} keeps its {now} replicas, where the file says {file}; change that with \
             `petset scale {name} --replicas {file}`"
        ));
    }
    let mut set = merged(session, &old, new, true)?;
    isolation::refuse_host_paths_of(&set)?;
    args.missing.check_set(session, &set, Some(&old))?;
    let before = set.spec.clone();
    args.roll.write_to(session, &mut set)?;
    if set.spec != before && before == old.spec {
        set.metadata.generation = old.metadata.generation.map(|of| of + 1);
    }
    edit.put(&set)?;
    let changed = set.spec != old.spec;
    Ok(Upgraded { set, changed })
}

fn replace_object<T: Declared>(edit: &mut Edit<'_>, new: &T) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(new.metadata())?;
    let mut object = new.clone();
    metadata::initialize(object.metadata_mut())?;
    if let Some(old) = edit.find::<T>(&namespace, &name)? {
        object.check_update(&old)?;
        object.keep_assigned(&old);
        let (new, old) = (object.metadata_mut(), old.metadata());
        metadata::keep_identity(old, new);
        new.owner_references.clone_from(&old.owner_references);
    }
    edit.put(&object)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_by_itself_says_what_to_change() {
        let parsed = |words: &[&str]| {
            let all = ["petset", "upgrade"].iter().chain(words);
            crate::cli::command().try_get_matches_from(all).is_ok()
        };
        assert!(parsed(&["-f", "web.yaml"]));
        assert!(parsed(&["web", "--env", "A=1"]));
        assert!(!parsed(&["web", "-f", "web.yaml"]));
        assert!(!parsed(&["-f", "web.yaml", "--env", "A=1"]));
        assert!(!parsed(&["--env", "A=1"]));
    }
}
