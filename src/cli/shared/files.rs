//! Manifests on the command line: `-f FILE|DIR|-`.

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::egress;
use super::render::{self, Document, Format, List};
use super::session::{Session, say};
use crate::manifest::{self, Warning};
use crate::model::object::Object;
use crate::model::{Isolation, Set};
use crate::problem::{Problem, Result};

/// The files that a verb reads.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FileArgs {
    /// Manifest to read: a file, a directory, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) filename: Vec<PathBuf>,
}

/// The objects of manifests, and warnings about what petset ignores in them.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) objects: Vec<Object>,
    warnings: Vec<Warning>,
}

impl Loaded {
    /// Wraps objects that come from no manifest.
    pub(crate) const fn generated(objects: Vec<Object>) -> Self {
        Self {
            objects,
            warnings: Vec::new(),
        }
    }

    /// Prints the warnings, without those that isolation settles if every pod `is_isolated`.
    pub(crate) fn warn(&self, is_isolated: bool) {
        let settled = |warning: &Warning| is_isolated && warning.is_settled_by_isolation();
        for warning in self.warnings.iter().filter(|it| !settled(it)) {
            say(format!("warning: {}", warning.text));
        }
    }

    /// Refuses objects that this command cannot act on, and manifests without objects.
    pub(crate) fn check(&self, session: &Session) -> Result<()> {
        for object in &self.objects {
            check(session, object)?;
        }
        if self.objects.is_empty() {
            let message = "no objects in the given files";
            let hint = "petset reads StatefulSet, PetSet, Service, ConfigMap, Secret, \
                        PersistentVolumeClaim, Pod and List";
            return Err(Problem::invalid(message).hint(hint).into());
        }
        Ok(())
    }
}

/// Reads the objects of the files, without printing warnings or checking them.
pub(crate) fn load(session: &Session, files: &[PathBuf]) -> Result<Loaded> {
    let sources = manifest::sources(files)?;
    let loaded = manifest::load(&sources, &session.namespace)?;
    let (mut objects, mut warnings) = (loaded.objects, loaded.warnings);
    warnings.extend(
        objects
            .iter()
            .filter_map(chart_hook_warning)
            .map(Warning::plain),
    );
    objects.retain(|object| chart_hook(object).is_none());
    Ok(Loaded { objects, warnings })
}

/// Reads all objects of the files, prints the warnings, and checks the objects.
pub(crate) fn read(session: &Session, files: &[PathBuf]) -> Result<Vec<Object>> {
    let loaded = load(session, files)?;
    loaded.warn(false);
    loaded.check(session)?;
    Ok(loaded.objects)
}

/// The annotation of a pod that Helm runs at a certain time, such as a chart's test.
const CHART_HOOK: &str = "helm.sh/hook";

/// Returns the value of the Helm hook annotation of a pod. petset ignores such pods.
fn chart_hook(object: &Object) -> Option<&String> {
    let Object::Pod(pod) = object else {
        return None;
    };
    pod.metadata.annotations.as_ref()?.get(CHART_HOOK)
}

fn chart_hook_warning(object: &Object) -> Option<String> {
    let hook = chart_hook(object)?;
    Some(format!(
        "ignored Pod/{}: its annotation {CHART_HOOK} ({hook}) leaves it to Helm to run it; remove \
         the annotation to run it",
        object.name()
    ))
}

fn check(session: &Session, object: &Object) -> Result<(), Problem> {
    let (given, wanted) = (object.namespace(), session.namespace.as_str());
    if session.namespace_given && given != wanted {
        let message = format!(
            "the namespace from the provided object {given:?} does not match the namespace {wanted:?}"
        );
        return Err(Problem::invalid(message).hint(format!("pass -n {given}, or leave it out")));
    }
    if let Object::StatefulSet(set) = object {
        Set::of(set)?;
    }
    if matches!(object, Object::StatefulSet(_) | Object::Pod(_)) {
        Isolation::asked(object.metadata().annotations.as_ref())?;
    }
    egress::check(object)
}

/// Returns the name of an object as kubectl prints it: `statefulset.apps/web`.
pub(crate) fn title(object: &Object) -> String {
    object.full_name()
}

/// Prints objects in full, or their names.
pub(crate) fn show_all(objects: &[Object], format: Format) -> Result<()> {
    let documents = objects.iter().map(Document::of_object);
    let documents = documents.collect::<Result<Vec<_>>>()?;
    match format {
        Format::Json if documents.len() == 1 => render::json(&documents[0]),
        Format::Json => render::json(&List::plain(documents)),
        Format::Yaml => documents
            .iter()
            .enumerate()
            .try_for_each(|(place, document)| {
                if place > 0 {
                    render::line("---")?;
                }
                render::yaml(document)
            }),
        Format::Name | Format::Wide => objects
            .iter()
            .try_for_each(|object| render::line(&title(object))),
    }
}

/// Returns the sets among the objects.
pub(crate) fn sets(objects: &[Object]) -> impl Iterator<Item = &StatefulSet> {
    objects.iter().filter_map(|object| match object {
        Object::StatefulSet(set) => Some(set.as_ref()),
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::ControllerRevision(_)
        | Object::Pod(_) => None,
    })
}

/// Returns the pods among the objects.
pub(crate) fn pods(objects: &[Object]) -> impl Iterator<Item = &Pod> {
    objects.iter().filter_map(|object| match object {
        Object::Pod(pod) => Some(pod.as_ref()),
        Object::StatefulSet(_)
        | Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::ControllerRevision(_) => None,
    })
}

/// Sorts sets and pods last, so that the supervisor finds what they need.
pub(crate) fn put_runners_last(objects: &mut [Object]) {
    objects.sort_by_key(|object| matches!(object, Object::StatefulSet(_) | Object::Pod(_)));
}
