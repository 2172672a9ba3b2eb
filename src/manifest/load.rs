//! From sources to objects: one document after the other, all faults at once.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use super::decode::decode;
use super::defaults::{complete_set, default_claim, default_pod, default_secret, default_service};
use super::fault::{Fault, FaultKind, Faults};
use super::foreign::Foreign;
use super::old::{Era, modernize_pod, modernize_service, modernize_set};
use super::place::{locate, locate_key};
use super::remark::{Remark, RemarkKind, Remarks, Warning};
use super::source::Source;
use super::{validate, warnings};
use crate::model::Namespace;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::problem::{Problem, Result};
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
        namespace: namespace.as_str(),
        file: String::new(),
        text: "",
        names: BTreeMap::new(),
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
    loaded: LoadedObjects,
    faults: Vec<String>,
    namespace: &'r str,
    file: String,
    text: &'r str,
    /// The place where each object was first given.
    names: BTreeMap<(ObjectKind, String, String), String>,
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
        let hint = yaml::odd_space(self.text, first, last);
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        self.faults
            .push(format!("{}:{at}: {message}{hint}", self.file));
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
        meta.namespace = Some(namespace.clone());
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
        let reason = "petset runs sets and what belongs to them";
        let service = meta.and_then(|entry| service_of_endpoints(kind, &entry.node));
        let loss = service.map(|service| format!(", so that {service} will resolve to nothing"));
        let loss = loss.unwrap_or_default();
        let message = format!("ignored {kind}/{name}: {reason}{loss}");
        self.warn(at, &message, RemarkKind::Plain);
    }
}

/// Returns the service whose endpoints an object with this metadata lists by hand, if it does.
fn service_of_endpoints<'n>(kind: &str, metadata: &'n Node) -> Option<&'n str> {
    match kind {
        "Endpoints" => metadata.text("name"),
        "EndpointSlice" => {
            let labels = &metadata.entry("labels")?.node;
            labels.text("kubernetes.io/service-name")
        }
        _ => None,
    }
}

/// The paths in the text of those fields that have another path in the object.
#[derive(Debug, Default)]
struct Origins(Vec<(String, String)>);

impl Origins {
    fn in_text(&self, path: &str) -> String {
        let moved = self.0.iter().find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            let whole = rest.is_empty() || rest.starts_with(['.', '[']);
            whole.then(|| format!("{to}{rest}"))
        });
        moved.unwrap_or_else(|| path.to_owned())
    }

    fn add(&mut self, from: &str, to: impl Into<String>) {
        self.0.push((from.to_owned(), to.into()));
    }
}

/// An object on its way from text to completeness.
pub(super) struct Draft<'d> {
    root: &'d Node,
    era: Era,
    pub(super) faults: Faults,
    origins: Origins,
    /// Of init containers that stand in an annotation.
    annotated: Origins,
    pub(super) warnings: Remarks,
}

impl<'d> Draft<'d> {
    pub(super) fn new(root: &'d Node, era: Era) -> Self {
        Self {
            root,
            era,
            faults: Faults::default(),
            origins: Origins::default(),
            annotated: Origins::default(),
            warnings: Vec::new(),
        }
    }

    /// Decodes; `None` if anything is wrong, which then is all there is to say.
    fn decoded<T: DeserializeOwned>(&mut self) -> Option<T> {
        let object = decode(self.root, &mut self.faults)?;
        self.faults.is_empty().then_some(object)
    }

    pub(super) fn object(&mut self, kind: ObjectKind) -> Option<Object> {
        match kind {
            ObjectKind::StatefulSet => self.set(),
            ObjectKind::Pod => self.pod(),
            ObjectKind::Service => {
                let mut service: Service = self.decoded()?;
                self.origins.add("spec.clusterIPs[0]", "spec.clusterIP");
                self.origins.add("spec.clusterIPs", "spec.clusterIP");
                service.status = None;
                modernize_service(&mut service);
                warnings::of_service(&service, &mut self.warnings);
                default_service(&mut service);
                self.faults.extend(validate::validate_service(&service));
                Some(Object::Service(Box::new(service)))
            }
            ObjectKind::ConfigMap => {
                let map: ConfigMap = self.decoded()?;
                self.faults.extend(validate::validate_config_map(&map));
                Some(Object::ConfigMap(Box::new(map)))
            }
            ObjectKind::Secret => {
                let mut secret: Secret = self.decoded()?;
                let has_data = self.root.entry("data").is_some();
                if !has_data {
                    self.origins.add("data", "stringData");
                }
                default_secret(&mut secret);
                self.faults.extend(validate::validate_secret(&secret));
                Some(Object::Secret(Box::new(secret)))
            }
            ObjectKind::PersistentVolumeClaim => {
                let mut claim: PersistentVolumeClaim = self.decoded()?;
                claim.status = None;
                warnings::of_claim("spec", &claim, &mut self.warnings);
                default_claim(&mut claim);
                self.faults.extend(validate::validate_claim(&claim));
                Some(Object::PersistentVolumeClaim(Box::new(claim)))
            }
            ObjectKind::Endpoints | ObjectKind::ControllerRevision | ObjectKind::Eviction => None,
        }
    }

    fn set(&mut self) -> Option<Object> {
        let mut set: StatefulSet = self.decoded()?;
        modernize_set(&mut set, self.era, &mut self.faults, &mut self.warnings);
        self.faults.is_empty().then_some(())?;
        set.status = None;
        warnings::of_set(&set, &mut self.warnings);
        complete_set(&mut set);
        let given = self
            .root
            .entry("spec")
            .and_then(|spec| spec.node.entry("selector"));
        let given = given.is_some_and(|entry| !matches!(entry.node.value, Value::Null));
        let defaulted = self.era != Era::Current;
        self.faults = validate::validate_stateful_set(&set, given || defaulted);
        self.set_origins(&set);
        Some(Object::StatefulSet(Box::new(set)))
    }

    fn set_origins(&mut self, set: &StatefulSet) {
        let origins = set
            .spec
            .as_ref()
            .map(validate::volume_origins)
            .unwrap_or_default();
        for (index, origin) in origins.into_iter().enumerate() {
            let path = format!("spec.template.spec.volumes[{index}]");
            self.origins.add(&path, origin);
        }
        self.origins
            .add("spec.template.labels", "spec.template.metadata.labels");
        self.origins.add(
            "spec.template.annotations",
            "spec.template.metadata.annotations",
        );
        self.annotated_init("spec.template.spec");
    }

    /// Points faults of init containers to the annotation that holds them.
    fn annotated_init(&mut self, path: &str) {
        let taken = self
            .warnings
            .iter()
            .find(|remark| remark.kind == RemarkKind::InitContainers);
        if let Some(annotation) = taken.map(|remark| remark.path.clone()) {
            let field = format!("{path}.initContainers");
            self.annotated.add(&field, annotation.clone());
            self.origins.add(&field, annotation);
        }
    }

    fn pod(&mut self) -> Option<Object> {
        let mut pod: Pod = self.decoded()?;
        pod.status = None;
        let spec = pod.spec.get_or_insert_default();
        let (faults, remarks) = (&mut self.faults, &mut self.warnings);
        modernize_pod(&mut pod.metadata, spec, self.era, "", faults, remarks);
        self.faults.is_empty().then_some(())?;
        self.annotated_init("spec");
        warnings::of_pod("spec", spec, &mut self.warnings);
        default_pod(&mut pod);
        self.faults = validate::validate_pod(&pod);
        Some(Object::Pod(Box::new(pod)))
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
