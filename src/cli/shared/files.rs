//! Manifests on the command line: `-f FILE|DIR|-`.

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::egress;
use super::render::{self, Document, Format, List};
use super::session::{Session, say};
use crate::manifest::{self, Object};
use crate::model::{Isolation, Set};
use crate::problem::{Problem, Result};

/// The files that a verb reads.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FileArgs {
    /// Manifest to read: a file, a directory, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) filename: Vec<PathBuf>,
}

/// Reads and checks all objects of the files, and says what will not be acted on.
pub(crate) fn read(session: &Session, files: &[PathBuf]) -> Result<Vec<Object>> {
    read_for(session, files, |_| false)
}

/// Does the same for what is about to be created, and says nothing of what isolation settles
/// where all of it `is_isolated`.
pub(crate) fn read_for(
    session: &Session,
    files: &[PathBuf],
    is_isolated: impl FnOnce(&[Object]) -> bool,
) -> Result<Vec<Object>> {
    let sources = manifest::sources(files)?;
    let mut loaded = manifest::load(&sources, &session.namespace)?;
    let root = rustix::process::geteuid().is_root();
    let open = |warning: &&String| !manifest::is_settled(warning, root);
    let settled = !loaded.warnings.iter().all(|it| open(&it)) && is_isolated(&loaded.objects);
    for warning in loaded.warnings.iter().filter(|it| !settled || open(it)) {
        say(format!("warning: {warning}"));
    }
    loaded.objects.retain(is_of_use);
    for object in &loaded.objects {
        check(session, object)?;
    }
    if loaded.objects.is_empty() {
        let message = "no objects in what was given with --filename";
        let hint = "petset reads StatefulSet, PetSet, Service, ConfigMap, Secret, \
                    PersistentVolumeClaim, Pod and List";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    Ok(loaded.objects)
}

/// On a pod that a chart brings along to be run at a certain time, such as for a test of it.
const CHART_HOOK: &str = "helm.sh/hook";

/// Tells whether petset acts on an object. Charts bring pods along that test them, and those are
/// passed over as other kinds are.
fn is_of_use(object: &Object) -> bool {
    let Object::Pod(pod) = object else {
        return true;
    };
    let notes = pod.metadata.annotations.as_ref();
    let Some(hook) = notes.and_then(|notes| notes.get(CHART_HOOK)) else {
        return true;
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    say(format!(
        "warning: ignored Pod/{name}: its annotation {CHART_HOOK} ({hook}) leaves it to Helm to \
         run it; take the annotation away to run it"
    ));
    false
}

fn check(session: &Session, object: &Object) -> Result<(), Problem> {
    let (given, wished) = (object.namespace(), session.namespace.as_str());
    if session.namespace_given && given != wished {
        let message = format!(
            "the namespace from the provided object {given:?} does not match the namespace {wished:?}"
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

/// Returns the name of an object as results show it: `statefulset.apps/web`.
pub(crate) fn title(object: &Object) -> String {
    let kind = object.kind().qualified().to_lowercase();
    format!("{kind}/{}", object.name())
}

/// Shows objects in full, or by their names.
pub(crate) fn show_all(objects: &[Object], format: Format) -> Result<()> {
    let documents = objects
        .iter()
        .map(|object| Document::of(&object.to_json()?));
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
        | Object::PersistentVolumeClaim(_) => None,
    })
}

/// Puts what runs last, so that what it needs is there when the supervisor sees it.
pub(crate) fn put_runners_last(objects: &mut [Object]) {
    objects.sort_by_key(|object| matches!(object, Object::StatefulSet(_) | Object::Pod(_)));
}
