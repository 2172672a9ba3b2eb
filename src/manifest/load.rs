//! From sources to objects: one document after the other, all faults at once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::draft::{Draft, Origins};
use super::fault::{Fault, FaultKind};
use super::foreign::Foreign;
use super::old::Era;
use super::place::{locate, locate_key};
use super::remark::{Remark, RemarkKind, Warning};
use super::source::Source;
use super::usable::unusable;
use crate::model::Namespace;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::problem::{Problem, Result};
use crate::sorted::SortedMap;
use crate::yaml::{self, Node, Position, Value};

/// The objects of manifests, and the warnings about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LoadedObjects {
    /// The objects, in the order they were found.
    pub(crate) objects: Vec<Object>,
    /// Remarks, such as on fields that are not acted on.
    pub(crate) warnings: Vec<Warning>,
}

/// Reads all objects of the sources, complete and valid.
///
/// An object without a namespace gets `namespace`. If anything is wrong, nothing is returned
/// but one problem that lists every fault as `file:line:column: path: message`.
pub(crate) fn load(sources: &[Source], namespace: &Namespace) -> Result<LoadedObjects> {
    let mut reading = Reading {
        loaded: LoadedObjects::default(),
        faults: Vec::new(),
        untold: 0,
        namespace: namespace.as_str(),
        file: String::new(),
        text: "",
        names: SortedMap::new(),
    };
    for source in sources {
        reading.source(source);
    }
    if reading.faults.is_empty() {
        return Ok(reading.loaded);
    }
    if reading.untold > 0 {
        let untold = format!("... and {} more like these", reading.untold);
        reading.faults.push(untold);
    }
    Err(Problem::invalid(reading.faults.join("\n")).into())
}

/// So many faults are told; each takes a look through the text, and nobody reads more.
const TOLD: usize = 1_000;

struct Reading<'r> {
    loaded: LoadedObjects,
    faults: Vec<String>,
    /// How many more there are.
    untold: usize,
    namespace: &'r str,
    file: String,
    text: &'r str,
    /// The place where each object was first given.
    names: SortedMap<(ObjectKind, String, String), String>,
}

impl<'r> Reading<'r> {
    fn source(&mut self, source: &'r Source) {
        self.file.clone_from(&source.name);
        self.text = &source.text;
        let documents = yaml::read(&source.text);
        for root in documents.roots {
            self.document(root);
        }
        for fault in &documents.faults {
            // A parser may go on for a line before it stops.
            let first = fault.at.line.saturating_sub(1);
            self.fault_in(fault.at, &fault.message, first, fault.at.line);
        }
    }

    fn fault(&mut self, at: Position, message: &str) {
        self.fault_in(at, message, at.line, at.line);
    }

    /// Notes a fault, with a hint if a space that looks like another is in these lines.
    fn fault_in(&mut self, at: Position, message: &str, first: usize, last: usize) {
        if self.is_full() {
            return;
        }
        let hint = yaml::odd_space(self.text, first, last);
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        self.faults
            .push(format!("{}:{at}: {message}{hint}", self.file));
    }

    /// Returns whether no more faults are told, and counts the one that is not.
    fn is_full(&mut self) -> bool {
        let is_full = self.faults.len() >= TOLD;
        self.untold += usize::from(is_full);
        is_full
    }

    fn warn(&mut self, at: Position, message: &str, kind: RemarkKind) {
        let text = format!("{}:{at}: {message}", self.file);
        self.loaded.warnings.push(Warning::new(text, kind));
    }

    fn document(&mut self, root: Node) {
        let at = root.at;
        if !matches!(root.value, Value::Map(_)) {
            let message = format!("a manifest is a map, not {}", root.value.go_name());
            return self.fault_in(at, &message, at.line, usize::MAX);
        }
        for (key, name) in [("apiVersion", "apiVersion"), ("kind", "Kind")] {
            if root.text(key).is_none_or(str::is_empty) {
                let message = format!("Object '{name}' is missing");
                return self.fault_in(at, &message, at.line, usize::MAX);
            }
        }
        let is_list = root.text("kind").is_some_and(|kind| kind.ends_with("List"));
        match root.entry("items").map(|entry| &entry.node.value) {
            Some(Value::List(items)) if is_list => {
                for item in items.clone() {
                    self.document(item);
                }
            }
            Some(Value::Null) | None if root.text("kind") == Some("List") => {}
            Some(_) | None => self.object(root),
        }
    }

    fn object(&mut self, mut root: Node) {
        let version = root.text("apiVersion").unwrap_or_default().to_owned();
        let kind = root.text("kind").unwrap_or_default().to_owned();
        let Some(known) = ObjectKind::of_manifest(&version, &kind) else {
            return self.unknown(&root, &version, &kind);
        };
        if matches!(
            version.as_str(),
            "apps/v1alpha1" | "apps/v1beta1" | "apps/v1beta2"
        ) {
            let at = locate(&root, "apiVersion");
            let message = format!("{kind} {version} is read as StatefulSet apps/v1");
            self.warn(at, &message, RemarkKind::Plain);
        }
        root.set_text("apiVersion", known.api_version());
        root.set_text("kind", known.as_str());
        let mut draft = Draft::new(&root, Era::of(&version));
        let object = draft.object(known);
        let Draft {
            faults,
            origins,
            annotated,
            warnings,
            ..
        } = draft;
        for fault in &faults.0 {
            self.located(&root, &origins, fault);
        }
        let mut warnings: Vec<_> = warnings
            .into_iter()
            .map(|remark| {
                let at = locate_key(&root, &annotated.in_text(&remark.path));
                (at, remark)
            })
            .collect();
        let place = |(at, remark): &(Position, Remark)| {
            let Remark { path, text, .. } = remark.clone();
            (*at, path, text)
        };
        warnings.sort_by_cached_key(place);
        for (at, Remark { path, text, kind }) in warnings {
            self.warn(at, &format!("{path}: {text}"), kind);
        }
        if let Some(object) = object.filter(|_| faults.is_empty()) {
            if let Object::PersistentVolume(volume) = &object
                && let Some((path, why)) = unusable(volume)
            {
                return self.fault(locate_key(&root, &path), &format!("{path}: {why}"));
            }
            self.keep(object, &root);
        }
    }

    /// Keeps an object, unless its name is missing or taken.
    fn keep(&mut self, mut object: Object, root: &Node) {
        let kind = object.kind();
        let meta = object.metadata_mut();
        forget_server(meta);
        let namespace = meta.namespace.take().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| self.namespace.to_owned());
        if kind.is_namespaced() {
            meta.namespace = Some(namespace.clone());
        }
        let Some(name) = meta.name.clone() else {
            let at = locate_key(root, "metadata.generateName");
            let message = "metadata.generateName: petset makes up no names: give a metadata.name";
            return self.fault(at, message);
        };
        let at = locate(root, "metadata.name");
        let place = format!("{}:{at}", self.file);
        let key = (kind, namespace, name);
        if let Some(first) = self.names.get(&key) {
            let (_, _, name) = key;
            let message = format!(
                "metadata.name: {} {name:?} is given twice, first at {first}",
                kind.as_str()
            );
            return self.fault(at, &message);
        }
        self.names.insert(key, place);
        self.loaded.objects.push(object);
    }

    fn located(&mut self, root: &Node, origins: &Origins, fault: &Fault) {
        if self.is_full() {
            return;
        }
        let path = origins.in_text(&fault.path);
        let unknown = fault.kind == FaultKind::UnknownField;
        let at = if unknown {
            locate_key(root, &path)
        } else {
            locate(root, &path)
        };
        self.fault(at, &fault.told());
    }

    fn unknown(&mut self, root: &Node, version: &str, kind: &str) {
        let at = root.entry("kind").map_or(root.at, |entry| entry.node.at);
        if let Foreign::Unknown(meant) = Foreign::of(version, kind) {
            let meant = meant.map(|meant| format!(" (did you mean {meant}?)"));
            let meant = meant.unwrap_or_default();
            let message = format!("no kind {kind:?} is registered for version {version:?}{meant}");
            return self.fault(at, &format!("kind: {message}"));
        }
        let meta = root.entry("metadata");
        let name = meta.and_then(|entry| entry.node.text("name"));
        let name = name.unwrap_or_default();
        let reason = match ObjectKind::meant(version, kind) {
            Some(newer) => format!("petset runs {newer}"),
            None => "petset runs workloads and what belongs to them".to_owned(),
        };
        let message = format!("ignored {kind}/{name}: {reason}");
        self.warn(at, &message, RemarkKind::Plain);
    }
}

/// Drops what only a server writes, so that the output of `kubectl get -o yaml` can be given.
fn forget_server(meta: &mut ObjectMeta) {
    *meta = ObjectMeta {
        annotations: meta.annotations.take(),
        finalizers: meta.finalizers.take(),
        generate_name: meta.generate_name.take(),
        labels: meta.labels.take(),
        name: meta.name.take().filter(|name| !name.is_empty()),
        namespace: meta.namespace.take(),
        ..ObjectMeta::default()
    };
}
