//! How much the pets of a set are kept apart from the host: decided when the set is created, and
//! written down in it, so that it never changes by itself.

use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::session::{Session, say};
use crate::manifest::Object;
use crate::model::rollout::{annotate, annotation};
use crate::model::{HOST_PATHS_ANNOTATION, HostPath, ISOLATION_ANNOTATION, Isolation, host_paths};
use crate::problem::{Kind, Problem, Result};
use crate::store::identity;
use crate::supervisor::{Ability, way_out};

/// What the command line asks for.
#[derive(Debug, ClapArgs)]
pub(crate) struct IsolationArgs {
    /// How much pets are kept apart from the host: as containers are (full), not at all (none),
    /// or full where this machine can (auto)
    ///
    /// Without it: what the manifest's annotation petset.dev/isolation says, else `isolation` in
    /// petset.toml, else auto. A set keeps its level for life.
    #[arg(long, value_name = "LEVEL", value_parser = ["auto", "full", "none"])]
    isolation: Option<String>,
    /// Without isolation, let commands and hooks use their mount paths on the host itself
    ///
    /// It becomes the annotation petset.dev/host-paths.
    #[arg(long)]
    host_paths: bool,
}

impl IsolationArgs {
    /// Notes in the sets what the command line asks for.
    pub(crate) fn ask(&self, objects: &mut [Object]) {
        for set in sets_of(objects) {
            if let Some(level) = &self.isolation {
                annotate(set, ISOLATION_ANNOTATION, Some(level));
            }
            if self.host_paths {
                annotate(set, HOST_PATHS_ANNOTATION, Some("true"));
            }
        }
    }
}

fn sets_of(objects: &mut [Object]) -> impl Iterator<Item = &mut StatefulSet> {
    objects.iter_mut().filter_map(|object| match object {
        Object::StatefulSet(set) => Some(set.as_mut()),
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Pod(_) => None,
    })
}

/// What was found out about this machine on the way to a decision.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    ability: Option<Ability>,
    /// A set that left it to petset has to do without isolation.
    fell_back: bool,
}

/// Decides for each set that does not exist yet, and notes it there. Refused is what the machine
/// cannot do, and what would touch the host's own files.
pub(crate) fn decide(session: &Session, objects: &mut [Object]) -> Result<Decision> {
    let mut decision = Decision::default();
    for set in sets_of(objects) {
        let (namespace, name) = identity(&set.metadata)?;
        if session
            .store
            .find::<StatefulSet>(&namespace, &name)?
            .is_none()
        {
            decision.decide(session, set)?;
        }
    }
    Ok(decision)
}

impl Decision {
    fn decide(&mut self, session: &Session, set: &mut StatefulSet) -> Result<()> {
        let asked = Isolation::asked(set.metadata.annotations.as_ref())?;
        let asked = asked.unwrap_or(session.store.settings().isolation);
        let (level, why) = match asked {
            Isolation::None => (asked, None),
            Isolation::Full => {
                if let Some(lack) = self.lack(session) {
                    return Err(cannot(set, &lack).into());
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
        annotate(set, ISOLATION_ANNOTATION, Some(&level.to_string()));
        spare_host(set, why.as_deref())
    }

    /// Tells why this machine cannot isolate pets; nothing where it can.
    fn lack(&mut self, session: &Session) -> Option<String> {
        let layout = session.store.layout();
        let tried = || Ability::of_this_machine(layout);
        self.ability.get_or_insert_with(tried).lack.clone()
    }

    /// Says once that pets do without isolation, and spares the next command the trial.
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

fn cannot(set: &StatefulSet, lack: &str) -> Problem {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let message = format!("{name} asks for isolation full, and this machine cannot: {lack}");
    Problem::new(Kind::Failed, message)
        .hint(way_out())
        .hint("`petset doctor` tries each part of it")
        .hint("--isolation auto runs pets as plain processes where it must be")
}

/// Refuses a set without isolation whose commands or hooks name their mount paths: they would
/// touch the host's own files. `why` tells what made it do without, if that was not asked for.
pub(crate) fn spare_host(set: &StatefulSet, why: Option<&str>) -> Result<()> {
    let none = annotation(set, ISOLATION_ANNOTATION) == Some("none");
    if !none || annotation(set, HOST_PATHS_ANNOTATION) == Some("true") {
        return Ok(());
    }
    let spec = set.spec.as_ref();
    let spec = spec.and_then(|spec| spec.template.spec.as_ref());
    let found = spec.map(host_paths).unwrap_or_default();
    let Some(HostPath { container, path }) = found.first() else {
        return Ok(());
    };
    let cause = match why {
        Some(lack) => format!("this machine cannot isolate pets ({lack})"),
        None => "the set does without isolation".to_owned(),
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
        .hint("--host-paths if the host's own is meant")
        .into())
}

/// Lets a set that exists keep its level, whatever a file says, and says so where that matters.
pub(crate) fn keep(old: &StatefulSet, new: &mut StatefulSet) {
    let Some(level) = annotation(old, ISOLATION_ANNOTATION) else {
        return;
    };
    let wish = annotation(new, ISOLATION_ANNOTATION);
    if let Some(wish) = wish.filter(|wish| *wish != level && *wish != "auto") {
        let name = new.metadata.name.as_deref().unwrap_or_default();
        say(format!(
            "note: {name} keeps its isolation {level}, where {wish} is asked for now; to change \
             that, delete it and create it again"
        ));
    }
    annotate(new, ISOLATION_ANNOTATION, Some(level));
}

/// Lists what a pet may use of the programs that were named on the command line: one with a
/// relative path is meant from here, not from where the pet works.
pub(crate) fn from_here(mut command: Vec<String>) -> Vec<String> {
    let here = std::env::current_dir();
    if let (Some(program), Ok(here)) = (command.first_mut(), here) {
        let path = here.join(program.as_str());
        if program.contains('/') && !program.starts_with('/') && path.is_file() {
            let plain = path.components().collect::<std::path::PathBuf>();
            *program = plain.display().to_string();
        }
    }
    command
}
