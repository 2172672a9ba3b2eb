//! How pets are isolated from the host.
//!
//! The level is decided when a set is created and written to its annotation, so it never changes.

use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::session::{Session, say};
use crate::model::object::Object;
use crate::model::rollout::{note, put_note};
use crate::model::{
    HOST_PATHS_ANNOTATION, HostPath, ISOLATION_ANNOTATION, Isolation, ObjectRef, host_paths,
};
use crate::problem::{Kind, Problem, Result};
use crate::store::Ability;
use crate::supervisor::way_out;

/// The options `--isolation` and `--host-paths`.
#[derive(Debug, ClapArgs)]
pub(crate) struct IsolationArgs {
    /// How pets are isolated from the host: `full` (like a container), `none`, or `auto` (full if
    /// this machine supports it)
    ///
    /// The default is the annotation petset.dev/isolation of the manifest, else `isolation` in
    /// petset.toml, else auto. The level of a set never changes.
    #[arg(long, value_name = "LEVEL", value_parser = ["auto", "full", "none"])]
    isolation: Option<String>,
    /// Allow commands and hooks without isolation to use mount paths, which are the host's then
    ///
    /// This sets the annotation petset.dev/host-paths.
    #[arg(long)]
    host_paths: bool,
}

impl IsolationArgs {
    /// Writes the options to the annotations of sets and pods.
    pub(crate) fn annotate(&self, objects: &mut [Object]) {
        for (meta, _) in running(objects) {
            if let Some(level) = &self.isolation {
                put_note(meta, ISOLATION_ANNOTATION, Some(level));
            }
            if self.host_paths {
                put_note(meta, HOST_PATHS_ANNOTATION, Some("true"));
            }
        }
    }
}

/// Returns whether all sets and pods have the level `full`, now that it is decided.
pub(crate) fn are_isolated(decided: &mut [Object]) -> bool {
    running(decided).all(|(meta, _)| {
        let level = Isolation::asked(meta.annotations.as_ref());
        level.is_ok_and(|level| level == Some(Isolation::Full))
    })
}

/// Returns the metadata and the pod spec of each object that runs pods, or is one.
fn running(objects: &mut [Object]) -> impl Iterator<Item = (&mut ObjectMeta, Option<PodSpec>)> {
    objects.iter_mut().filter_map(|object| match object {
        Object::StatefulSet(_) | Object::Pod(_) | Object::Workload(_) => {
            let spec = object.pod_spec().cloned();
            Some((object.metadata_mut(), spec))
        }
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::EndpointSlice(_)
        | Object::ControllerRevision(_)
        | Object::PersistentVolume(_)
        | Object::StorageClass(_) => None,
    })
}

fn template(spec: Option<&StatefulSetSpec>) -> Option<&PodSpec> {
    spec.and_then(|spec| spec.template.spec.as_ref())
}

/// The result of deciding the levels of sets and pods.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    ability: Option<Ability>,
    /// Whether a set with the level `auto` got `none`.
    fell_back: bool,
}

/// Decides the level of each new set and pod, and writes it to the annotation.
///
/// Refuses a level that this machine does not support, and mount paths that would be the host's.
pub(crate) fn decide(session: &Session, objects: &mut [Object]) -> Result<Decision> {
    let mut decision = Decision::default();
    for object in objects {
        if !exists(session, object)? {
            for (meta, spec) in running(std::slice::from_mut(object)) {
                decision.decide(session, meta, spec.as_ref())?;
            }
        }
    }
    Ok(decision)
}

/// Returns whether a set or pod exists already; `true` for objects of other kinds.
fn exists(session: &Session, object: &Object) -> Result<bool> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let store = &session.store;
    Ok(match object {
        Object::StatefulSet(_) => store.find::<StatefulSet>(&namespace, &name)?.is_some(),
        Object::Pod(_) => store.find::<Pod>(&namespace, &name)?.is_some(),
        Object::Workload(workload) => store
            .workload(workload.kind(), &namespace, &name)?
            .is_some(),
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::EndpointSlice(_)
        | Object::ControllerRevision(_)
        | Object::PersistentVolume(_)
        | Object::StorageClass(_) => true,
    })
}

impl Decision {
    fn decide(
        &mut self,
        session: &Session,
        meta: &mut ObjectMeta,
        spec: Option<&PodSpec>,
    ) -> Result<()> {
        let asked = Isolation::asked(meta.annotations.as_ref())?;
        let asked = asked.unwrap_or(session.store.settings().isolation);
        let (level, why) = match asked {
            Isolation::None => (asked, None),
            Isolation::Full => {
                if let Some(lack) = self.lack(session) {
                    return Err(cannot(meta, &lack).into());
                }
                (asked, None)
            }
            Isolation::Auto => match self.lack(session) {
                None => (Isolation::Full, None),
                Some(lack) => {
                    self.fell_back = true;
                    (Isolation::None, Some(lack))
                }
            },
        };
        put_note(meta, ISOLATION_ANNOTATION, Some(&level.to_string()));
        refuse_host_paths(meta, spec, why.as_deref())
    }

    /// Returns why this machine cannot isolate pets; `None` where it can.
    fn lack(&mut self, session: &Session) -> Option<String> {
        let layout = session.store.layout();
        let tried = || Ability::of_this_machine(layout);
        self.ability.get_or_insert_with(tried).lack.clone()
    }

    /// Says once that pets run without isolation, and caches the result of the trial.
    pub(crate) fn conclude(&self, session: &Session) {
        let layout = session.store.layout();
        let Some(ability) = &self.ability else {
            return;
        };
        let known = Ability::known(layout);
        if let Some(lack) = ability.lack.as_ref().filter(|_| self.fell_back)
            && known.as_ref() != Some(ability)
        {
            say(format!(
                "note: pets run without isolation, on this machine's own files and network: {lack}"
            ));
            say(format!("hint: {}; see `petset doctor`", way_out()));
        }
        ability.keep(layout);
    }
}

fn cannot(meta: &ObjectMeta, lack: &str) -> Problem {
    let name = meta.name.as_deref().unwrap_or_default();
    let message = format!("{name} asks for isolation full, and this machine cannot: {lack}");
    Problem::new(Kind::Failed, message)
        .hint(way_out())
        .hint("`petset doctor` tries each part of it")
        .hint("--isolation auto runs pets without isolation if it must")
}

/// Refuses host paths as [`refuse_host_paths`] does, for a set that is changed.
pub(crate) fn refuse_host_paths_of(set: &StatefulSet) -> Result<()> {
    refuse_host_paths(&set.metadata, template(set.spec.as_ref()), None)
}

/// Refuses a set or pod without isolation whose commands or hooks name their mount paths, which
/// would be the host's. `why` is the reason why this machine cannot isolate pets, if that is why.
pub(crate) fn refuse_host_paths(
    meta: &ObjectMeta,
    spec: Option<&PodSpec>,
    why: Option<&str>,
) -> Result<()> {
    let none = note(meta, ISOLATION_ANNOTATION) == Some("none");
    if !none || note(meta, HOST_PATHS_ANNOTATION) == Some("true") {
        return Ok(());
    }
    let found = spec.map(host_paths).unwrap_or_default();
    let Some(HostPath { container, path }) = found.first() else {
        return Ok(());
    };
    let cause = match why {
        Some(lack) => format!("this machine cannot isolate pets ({lack})"),
        None => "it has no isolation".to_owned(),
    };
    let message = format!(
        "container {container} names its mount path {path}, which would be the host's: {cause}"
    );
    let remedy = match why {
        Some(_) => format!("isolation mounts volumes there; {}", way_out()),
        None => "--isolation full mounts volumes there".to_owned(),
    };
    Err(Problem::invalid(message)
        .hint(remedy)
        .hint("`petset doctor` says what this machine can do")
        .hint("PETSET_MOUNT_<VOLUME> says where a volume is without isolation")
        .hint("--host-paths allows paths of the host")
        .into())
}

/// Keeps the level of an existing object, and says so if a file asks for another.
pub(crate) fn keep_level(old: &ObjectMeta, new: &mut ObjectMeta) {
    let Some(level) = note(old, ISOLATION_ANNOTATION) else {
        return;
    };
    let asked = note(new, ISOLATION_ANNOTATION);
    if let Some(asked) = asked.filter(|asked| *asked != level && *asked != "auto") {
        let name = new.name.as_deref().unwrap_or_default();
        say(format!(
            "note: {name} keeps its isolation {level}, where {asked} is asked for now; to change \
             that, delete it and create it again"
        ));
    }
    put_note(new, ISOLATION_ANNOTATION, Some(level));
}

/// Makes a relative program path absolute, since pets run in another directory.
///
/// Refuses it in a working directory that is gone.
pub(crate) fn absolute_program(mut command: Vec<String>) -> Result<Vec<String>, Problem> {
    let relative = |program: &&mut String| program.contains('/') && !program.starts_with('/');
    let Some(program) = command.first_mut().filter(relative) else {
        return Ok(command);
    };
    let here = std::env::current_dir().map_err(|error| {
        let gone = format!("{program} cannot be found: the working directory is gone ({error})");
        Problem::invalid(gone).hint("change to a directory that exists: cd \"$PWD\", or cd ~")
    })?;
    let path = here.join(program.as_str());
    if path.exists() {
        let plain = path.components().collect::<std::path::PathBuf>();
        *program = plain.display().to_string();
    }
    Ok(command)
}
