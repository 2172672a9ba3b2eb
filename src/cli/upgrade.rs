//! `petset upgrade`

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::create::establish;
use super::files::{self, FileArgs};
use super::names::SetRef;
use super::render;
use super::session::{Session, say};
use super::waiting::{Goal, WaitArgs};
use crate::manifest::{self, Object};
use crate::model::{Set, SetName, Strategy, set_command, set_env, set_image, set_partition};
use crate::problem::{Problem, Result};
use crate::store::{Edit, Kept, identity};

/// Change what the pets of a set run, one pet after the other
///
/// Pets are replaced from the highest ordinal down, each ready before the next; they keep their
/// names, addresses and volumes. With --partition N, pets with an ordinal below N stay as they
/// are. With --filename the manifest's template, strategy and configuration replace the present
/// ones; the number of replicas stays.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset upgrade db --image mydb:v2
  petset upgrade etcd --env ETCD_LOG_LEVEL=debug --partition 2
  petset upgrade -f etcd.yaml")]
pub(crate) struct Args {
    /// Set to change, such as web or sts/web
    #[arg(
        required_unless_present = "filename",
        conflicts_with = "filename",
        requires = "change"
    )]
    set: Option<SetRef>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What to change of a set's template.
#[derive(Debug, ClapArgs)]
#[group(id = "change", multiple = true, conflicts_with = "filename")]
struct ChangeArgs {
    /// New image; with several containers, of which one
    #[arg(long = "image", value_name = "[CONTAINER=]REF")]
    images: Vec<String>,
    /// Environment variable to set, or to remove with K-
    #[arg(long = "env", short, value_name = "K=V")]
    envs: Vec<String>,
    /// Container that --env and the new command are for
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Leave pets below this ordinal as they are
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// New command, with its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl ChangeArgs {
    const fn is_empty(&self) -> bool {
        self.images.is_empty()
            && self.envs.is_empty()
            && self.partition.is_none()
            && self.command.is_empty()
    }
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let sets = match &args.set {
        Some(SetRef(name)) => vec![change(session, name, &args.change)?],
        None => replace(session, &args.files)?,
    };
    for set in &sets {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        render::line(&format!("statefulset.apps/{name} upgraded"))?;
        if Set::of(set)?.strategy == Strategy::OnDelete {
            say(format!(
                "note: {name} has the update strategy OnDelete: a pet changes when you restart \
                 it, such as with `petset restart {name}-0`"
            ));
        }
    }
    let goals: Vec<Goal> = sets.into_iter().map(Goal::Settled).collect();
    session.wait(&goals, &args.wait)
}

fn change(session: &Session, name: &SetName, args: &ChangeArgs) -> Result<StatefulSet> {
    if args.is_empty() {
        let message = format!("nothing is given that is to change in {name}");
        let hint = format!(
            "say what, such as `petset upgrade {name} --image REF`, --env K=V, --partition N or \
             -- CMD; `petset restart {name}` replaces the pets as they are"
        );
        return Err(Problem::invalid(message).hint(hint).into());
    }
    let container = args.container.as_deref();
    let edited = session.edit_set("upgrade", name, |set| {
        let before = set.clone();
        for image in &args.images {
            set_image(set, image)?;
        }
        for env in &args.envs {
            set_env(set, container, env)?;
        }
        if let Some(partition) = args.partition {
            set_partition(set, partition)?;
        }
        if !args.command.is_empty() {
            set_command(set, container, &args.command)?;
        }
        manifest::check(set)?;
        Ok(*set == before)
    });
    let (set, unchanged) = edited.with_context(|| format!("cannot upgrade {name}"))?;
    if unchanged {
        say(format!("{name} is so already; nothing to upgrade."));
    }
    Ok(set)
}

/// Puts what the files say in place of what is there.
fn replace(session: &Session, args: &FileArgs) -> Result<Vec<StatefulSet>> {
    let objects = files::read(session, &args.filename)?;
    if files::sets(&objects).next().is_none() {
        let message = "no StatefulSet in what was given with --filename";
        return Err(Problem::invalid(message).into());
    }
    let replaced = session.edit("upgrade", |edit| {
        let mut sets = Vec::new();
        for object in &objects {
            match object {
                Object::StatefulSet(set) => sets.push(replace_set(session, edit, set)?),
                Object::Service(service) => replace_object(edit, service.as_ref())?,
                Object::ConfigMap(map) => replace_object(edit, map.as_ref())?,
                Object::Secret(secret) => replace_object(edit, secret.as_ref())?,
                Object::PersistentVolumeClaim(claim) => replace_object(edit, claim.as_ref())?,
                Object::Pod(_) => {}
            }
        }
        Ok(sets)
    });
    replaced.context("cannot upgrade to what was given")
}

fn replace_set(session: &Session, edit: &mut Edit<'_>, new: &StatefulSet) -> Result<StatefulSet> {
    let (namespace, name) = identity(&new.metadata)?;
    let found: Option<StatefulSet> = edit.find(&namespace, &name)?;
    let old = found.ok_or_else(|| session.not_found("statefulsets.apps", name.as_str()))?;
    let mut set = new.clone();
    let replicas = |set: &StatefulSet| set.spec.as_ref().and_then(|spec| spec.replicas);
    if replicas(&old) != replicas(new) {
        let (now, file) = (replicas(&old).unwrap_or(1), replicas(new).unwrap_or(1));
        say(format!(
            "note: {name} keeps its {now} replicas, where the file says {file}; change that with \
             `petset scale {name} --replicas {file}`"
        ));
    }
    if let Some(spec) = &mut set.spec {
        spec.replicas = replicas(&old);
    }
    manifest::check_update(&old, &set)?;
    let changed = set.spec != old.spec;
    set.metadata.uid.clone_from(&old.metadata.uid);
    set.metadata
        .creation_timestamp
        .clone_from(&old.metadata.creation_timestamp);
    set.metadata.generation = old.metadata.generation.map(|of| of + i64::from(changed));
    edit.put(&set)?;
    Ok(set)
}

fn replace_object<T: Kept>(edit: &mut Edit<'_>, new: &T) -> Result<()> {
    let (namespace, name) = identity(new.metadata())?;
    let mut object = new.clone();
    establish(object.metadata_mut())?;
    if let Some(old) = edit.find::<T>(&namespace, &name)? {
        let (new, old) = (object.metadata_mut(), old.metadata());
        new.uid.clone_from(&old.uid);
        new.creation_timestamp.clone_from(&old.creation_timestamp);
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
