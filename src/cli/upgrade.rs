//! `petset upgrade`

use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::apps::v1::StatefulSet;

use super::shared::compare::Declared;
use super::shared::config::{ChangedConfig, ConfigReaders};
use super::shared::files::{self, FileArgs};
use super::shared::isolation::{self, absolute_program};
use super::shared::merge::merged;
use super::shared::metadata;
use super::shared::names::{SetRef, named};
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::rollout_notes::{held_note, say_if_on_delete};
use super::shared::session::{Session, say};
use super::shared::startable::MissingArgs;
use super::shared::waiting::{Goal, WaitArgs};
use crate::manifest;
use crate::model::object::Object;
use crate::model::parse_duration;
use crate::model::{
    ON_FAILURE_ANNOTATION, ObjectRef, PAUSE_AFTER_ANNOTATION, PROGRESS_DEADLINE_ANNOTATION, Set,
    SetName, Strategy, rollout, set_command, set_env, set_image, set_partition,
};
use crate::problem::{Kind, Problem, Result};
use crate::store::Edit;

/// Change the pod template of a set, and replace its pets one after the other
///
/// Pets are replaced from the highest ordinal down, each ready before the next. They keep their
/// names, addresses and volumes. With --partition N, pets with an ordinal below N are not replaced.
/// With --filename, the template, the strategy and the configuration of the manifest are used; the
/// number of replicas stays.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset upgrade db --image mydb:v2
  petset upgrade etcd --env ETCD_LOG_LEVEL=debug --partition 2
  petset upgrade db --image mydb:v3 --on-failure rollback --progress-deadline 30s
  petset upgrade db --image mydb:v3 --canary 1
  petset upgrade -f etcd.yaml")]
pub(crate) struct Args {
    /// Set to change, such as web or sts/web
    #[arg(
        required_unless_present = "filename",
        conflicts_with = "filename",
        requires = "change"
    )]
    set: Option<SetRef>,
    /// Name of the set, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    set_name: Option<SetRef>,
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
    /// Replace only the N highest pets, until `rollout promote`
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
        rollout::forget_failure(set);
        let word = on_failure.map(|choice| match choice {
            OnFailure::Halt => "halt",
            OnFailure::Rollback => "rollback",
        });
        let deadline = progress_deadline.map(|limit| format!("{}ms", limit.as_millis()));
        let pause_after = pause_after.map(|pets| pets.to_string());
        rollout::annotate(set, ON_FAILURE_ANNOTATION, word);
        rollout::annotate(set, PROGRESS_DEADLINE_ANNOTATION, deadline.as_deref());
        rollout::annotate(set, PAUSE_AFTER_ANNOTATION, pause_after.as_deref());
        canary.map_or(Ok(()), |pets| rollout::set_canary(set, pets))
    }
}

/// A set as it is stored now.
struct Upgraded {
    set: StatefulSet,
    /// Whether its spec is another one than before.
    changed: bool,
}

impl Args {
    fn set_name(&self) -> Result<Option<&SetName>> {
        Ok(named(self.set.as_ref(), self.set_name.as_ref())?)
    }
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if args.dry_run.is_on() {
        return preview(session, args);
    }
    let (sets, readers) = match args.set_name()? {
        Some(name) => (vec![change(session, name, args)?], ConfigReaders::default()),
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

fn preview(session: &Session, args: &Args) -> Result<()> {
    if let Some(name) = args.set_name()? {
        return session.preview(name, &args.dry_run, |set| {
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
        let container = self.container.as_deref();
        for image in &self.images {
            set_image(set, image)?;
        }
        for env in &self.envs {
            set_env(set, container, env)?;
        }
        if let Some(partition) = self.partition {
            set_partition(set, partition)?;
        }
        if !self.command.is_empty() {
            set_command(set, container, &absolute_program(self.command.clone())?)?;
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
                Object::Endpoints(_) | Object::ControllerRevision(_) => {}
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
