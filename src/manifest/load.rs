//! From sources to objects: one document after the other, all faults at once.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};

use super::decode::decode;
use super::defaults::{
    default_claim, default_pod, default_secret, default_service, default_stateful_set,
};
use super::fault::{Faults, Reason};
use super::object::{Object, ObjectKind};
use super::source::Source;
use super::tree::{self, Node, Position, Value};
use crate::model::Namespace;
use crate::problem::{Problem, Result};

/// What the manifests hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Loaded {
    /// The objects, in the order they were found.
    pub(crate) objects: Vec<Object>,
    /// What is not acted on, one line each.
    pub(crate) warnings: Vec<String>,
}

/// Reads all objects of the sources, complete and valid.
///
/// An object without a namespace gets `namespace`. If anything is wrong, nothing is returned
/// but one problem that lists every fault as `file:line:column: path: message`.
pub(crate) fn load(sources: &[Source], namespace: &Namespace) -> Result<Loaded> {
    let mut reading = Reading {
        loaded: Loaded::default(),
        faults: Vec::new(),
        namespace: namespace.as_str(),
    };
    for source in sources {
        reading.source(source);
    }
    if reading.faults.is_empty() {
        return Ok(reading.loaded);
    }
    Err(Problem::invalid(reading.faults.join("\n")).into())
}

struct Reading<'r> {
    loaded: Loaded,
    faults: Vec<String>,
    namespace: &'r str,
}

impl Reading<'_> {
    fn source(&mut self, source: &Source) {
        let documents = tree::read(&source.text);
        for fault in &documents.faults {
            self.fault(&source.name, fault.at, &fault.message);
        }
        for root in documents.roots {
            self.document(&source.name, root);
        }
    }

    fn fault(&mut self, file: &str, at: Position, message: &str) {
        self.faults.push(format!("{file}:{at}: {message}"));
    }

    fn document(&mut self, file: &str, root: Node) {
        let at = root.at;
        if !matches!(root.value, Value::Map(_)) {
            let message = format!("a manifest is a map, not {}", root.value.go_name());
            return self.fault(file, at, &message);
        }
        for key in ["apiVersion", "kind"] {
            if root.text(key).is_none_or(str::is_empty) {
                let name = if key == "kind" { "Kind" } else { key };
                return self.fault(file, at, &format!("Object '{name}' is missing"));
            }
        }
        if root.text("kind").is_some_and(|kind| kind.ends_with("List"))
            && let Some(entry) = root.entry("items")
        {
            if let Value::List(items) = &entry.node.value {
                for item in items.clone() {
                    self.document(file, item);
                }
            }
            return;
        }
        self.object(file, root);
    }

    fn object(&mut self, file: &str, mut root: Node) {
        let version = root.text("apiVersion").unwrap_or_default().to_owned();
        let kind = root.text("kind").unwrap_or_default().to_owned();
        let Some(known) = known(&version, &kind) else {
            let name = root
                .entry("metadata")
                .and_then(|entry| entry.node.text("name"))
                .unwrap_or_default();
            let line = format!("ignored {kind}/{name}: petset runs sets and what belongs to them");
            self.loaded.warnings.push(line);
            return;
        };
        root.set_text(
            "apiVersion",
            if known == ObjectKind::StatefulSet {
                "apps/v1"
            } else {
                "v1"
            },
        );
        root.set_text("kind", known.as_str());
        let mut faults = Faults::default();
        let object = self.typed(known, &root, &mut faults);
        for fault in &faults.0 {
            self.fault(file, root.at, &fault.to_string());
        }
        if let Some(mut object) = object
            && faults.is_empty()
        {
            let namespace = &mut object.metadata_mut().namespace;
            namespace.get_or_insert_with(|| self.namespace.to_owned());
            self.loaded.objects.push(object);
        }
        let _ = Reason::Ours;
    }

    fn typed(&self, kind: ObjectKind, root: &Node, faults: &mut Faults) -> Option<Object> {
        Some(match kind {
            ObjectKind::StatefulSet => {
                let mut set: StatefulSet = decode(root, faults)?;
                default_stateful_set(&mut set);
                Object::StatefulSet(Box::new(set))
            }
            ObjectKind::Service => {
                let mut service: Service = decode(root, faults)?;
                default_service(&mut service);
                Object::Service(Box::new(service))
            }
            ObjectKind::ConfigMap => {
                Object::ConfigMap(Box::new(decode::<ConfigMap>(root, faults)?))
            }
            ObjectKind::Secret => {
                let mut secret: Secret = decode(root, faults)?;
                default_secret(&mut secret);
                Object::Secret(Box::new(secret))
            }
            ObjectKind::PersistentVolumeClaim => {
                let mut claim: PersistentVolumeClaim = decode(root, faults)?;
                default_claim(&mut claim);
                Object::PersistentVolumeClaim(Box::new(claim))
            }
            ObjectKind::Pod => {
                let mut pod: Pod = decode(root, faults)?;
                default_pod(&mut pod);
                Object::Pod(Box::new(pod))
            }
        })
    }
}

fn known(version: &str, kind: &str) -> Option<ObjectKind> {
    match (version, kind) {
        ("apps/v1" | "apps/v1beta1" | "apps/v1beta2", "StatefulSet")
        | ("apps/v1alpha1", "PetSet") => Some(ObjectKind::StatefulSet),
        ("v1", "Service") => Some(ObjectKind::Service),
        ("v1", "ConfigMap") => Some(ObjectKind::ConfigMap),
        ("v1", "Secret") => Some(ObjectKind::Secret),
        ("v1", "PersistentVolumeClaim") => Some(ObjectKind::PersistentVolumeClaim),
        ("v1", "Pod") => Some(ObjectKind::Pod),
        _ => None,
    }
}
