//! Manifests on the command line: `-f FILE|DIR|-`.

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};

use super::egress;
use super::render::{self, Document, Format, List};
use super::session::{Session, say};
use crate::manifest::{self, Warning};
use crate::model::endpoints::{SERVICE_LABEL, has_selector};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{Isolation, Set, Workload};
use crate::problem::{Problem, Result};
use crate::sorted::sort_by_key;

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
    /// Where each file ends.
    ends: Vec<String>,
}

impl Loaded {
    /// Wraps objects that come from no manifest.
    pub(crate) const fn generated(objects: Vec<Object>) -> Self {
        Self {
            objects,
            warnings: Vec::new(),
            ends: Vec::new(),
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
            let message = format!(
                "no objects in the given files: none up to {}",
                self.ends.join(", ")
            );
            let hint = "petset reads StatefulSet, PetSet, Deployment, ReplicaSet, DaemonSet, Job, CronJob, \
                        ReplicationController, Service, Endpoints, EndpointSlice, ConfigMap, \
                        Secret, PersistentVolumeClaim, PersistentVolume, StorageClass, Pod and \
                        List";
            return Err(Problem::invalid(message).hint(hint).into());
        }
        Ok(())
    }
}

/// Reads the objects of the files, without printing warnings or checking them.
pub(crate) fn load(session: &Session, files: &[PathBuf]) -> Result<Loaded> {
    let sources = manifest::sources(files)?;
    let ends = sources.iter();
    let ends = ends.map(|it| format!("{}:{}", it.name, it.text.lines().count().max(1)));
    let ends = ends.collect();
    let loaded = manifest::load(&sources, &session.namespace)?;
    let (mut objects, mut warnings) = (loaded.objects, loaded.warnings);
    warnings.extend(
        objects
            .iter()
            .filter_map(chart_hook_warning)
            .map(Warning::plain),
    );
    objects.retain(|object| chart_hook(object).is_none());
    for object in &objects {
        let unused = unused_endpoints(session, &objects, object)?;
        warnings.extend(unused.map(Warning::plain));
    }
    Ok(Loaded {
        objects,
        warnings,
        ends,
    })
}

/// Reads the objects of the files, prints the warnings, and checks the objects.
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

/// Tells of endpoints that a user wrote for a service which finds its own by a selector.
fn unused_endpoints(
    session: &Session,
    objects: &[Object],
    object: &Object,
) -> Result<Option<String>> {
    let meta = object.metadata();
    let service = match object {
        Object::Endpoints(_) => meta.name.as_ref(),
        Object::EndpointSlice(_) => meta.labels.as_ref().and_then(|it| it.get(SERVICE_LABEL)),
        Object::StatefulSet(_)
        | Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Pod(_)
        | Object::ControllerRevision(_)
        | Object::Workload(_)
        | Object::PersistentVolume(_)
        | Object::StorageClass(_) => None,
    };
    let Some(service) = service else {
        return Ok(None);
    };
    let is_named = |other: &Object| {
        other.kind() == ObjectKind::Service
            && (other.namespace(), other.name()) == (object.namespace(), service)
    };
    let selects = match objects.iter().find(|other| is_named(other)) {
        Some(Object::Service(given)) => has_selector(given),
        Some(_) | None => match (object.namespace().parse(), service.parse()) {
            (Ok(namespace), Ok(name)) => {
                let kept = session.store.find::<Service>(&namespace, &name)?;
                kept.as_ref().is_some_and(has_selector)
            }
            (_, _) => false,
        },
    };
    let text = format!(
        "{} is not used: service {service} leads to the pods that it selects",
        title(object)
    );
    Ok(selects.then_some(text))
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
    if is_runner(object) {
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
    objects.iter().filter_map(|object| {
        let Object::StatefulSet(set) = object else {
            return None;
        };
        Some(set.as_ref())
    })
}

/// Returns the workloads among the objects.
pub(crate) fn workloads(objects: &[Object]) -> impl Iterator<Item = &Workload> {
    objects.iter().filter_map(|object| {
        let Object::Workload(workload) = object else {
            return None;
        };
        Some(workload.as_ref())
    })
}

/// Returns the pods among the objects.
pub(crate) fn pods(objects: &[Object]) -> impl Iterator<Item = &Pod> {
    objects.iter().filter_map(|object| {
        let Object::Pod(pod) = object else {
            return None;
        };
        Some(pod.as_ref())
    })
}

/// Sorts what runs pods last, so that the supervisor finds what they need, and volumes and classes
/// first, for the claims.
pub(crate) fn put_runners_last(objects: &mut [Object]) {
    sort_by_key(objects, |object| {
        (is_runner(object), !is_of_storage(object))
    });
}

/// Returns whether claims look for it.
const fn is_of_storage(object: &Object) -> bool {
    matches!(
        object,
        Object::PersistentVolume(_) | Object::StorageClass(_)
    )
}

fn is_runner(object: &Object) -> bool {
    matches!(
        object,
        Object::StatefulSet(_) | Object::Pod(_) | Object::Workload(_)
    )
}
