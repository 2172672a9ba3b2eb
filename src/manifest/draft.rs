//! One object on its way from text to completeness: decoded, brought up to date, completed and
//! checked.

mod workloads;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::de::DeserializeOwned;

use super::decode::decode;
use super::defaults::{
    complete_set, default_claim, default_class, default_endpoints, default_persistent_volume,
    default_pod, default_secret, default_service, default_slice,
};
use super::fault::Faults;
use super::old::{Era, modernize_pod, modernize_service, modernize_set};
use super::remark::{RemarkKind, Remarks};
use super::{validate, warnings};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::yaml::{Node, Value};

/// The paths in the text of those fields that have another path in the object.
#[derive(Debug, Default)]
pub(super) struct Origins(Vec<(String, String)>);

impl Origins {
    /// Returns the path in the text of a field of the object.
    pub(super) fn in_text(&self, path: &str) -> String {
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
    pub(super) origins: Origins,
    /// Of init containers that stand in an annotation.
    pub(super) annotated: Origins,
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
    pub(super) fn decoded<T: DeserializeOwned>(&mut self) -> Option<T> {
        let object = decode(self.root, &mut self.faults)?;
        self.faults.is_empty().then_some(object)
    }

    /// Returns the whole object; `None` if it cannot be decoded. Faults are noted.
    pub(super) fn object(&mut self, kind: ObjectKind) -> Option<Object> {
        match kind {
            ObjectKind::Workload(kind) => {
                let workload = self.workload(kind)?;
                Some(Object::Workload(Box::new(workload)))
            }
            ObjectKind::PersistentVolume => {
                let mut volume: PersistentVolume = self.decoded()?;
                volume.metadata.namespace = None;
                volume.status = None;
                default_persistent_volume(&mut volume);
                self.faults.extend(validate::validate_volume(&volume));
                Some(Object::PersistentVolume(Box::new(volume)))
            }
            ObjectKind::StorageClass => {
                let mut class: StorageClass = self.decoded()?;
                class.metadata.namespace = None;
                default_class(&mut class);
                self.faults.extend(validate::validate_class(&class));
                Some(Object::StorageClass(Box::new(class)))
            }
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
            ObjectKind::Endpoints => {
                let mut endpoints: Endpoints = self.decoded()?;
                default_endpoints(&mut endpoints);
                self.faults.extend(validate::validate_endpoints(&endpoints));
                Some(Object::Endpoints(Box::new(endpoints)))
            }
            ObjectKind::EndpointSlice => {
                let mut slice: EndpointSlice = self.decoded()?;
                warnings::of_slice(&slice, &mut self.warnings);
                default_slice(&mut slice);
                self.faults.extend(validate::validate_slice(&slice));
                Some(Object::EndpointSlice(Box::new(slice)))
            }
            ObjectKind::ControllerRevision | ObjectKind::Eviction | ObjectKind::Overlay => None,
        }
    }

    fn set(&mut self) -> Option<Object> {
        let mut set: StatefulSet = self.decoded()?;
        modernize_set(&mut set, self.era, &mut self.faults, &mut self.warnings);
        self.faults.is_empty().then_some(())?;
        set.status = None;
        warnings::of_set(&set, &mut self.warnings);
        complete_set(&mut set);
        let defaulted = self.era != Era::Current;
        self.faults = validate::validate_stateful_set(&set, self.has_selector() || defaulted);
        self.set_origins(&set);
        Some(Object::StatefulSet(Box::new(set)))
    }

    /// Returns whether the spec has a selector, which cannot be seen in the typed object.
    pub(super) fn has_selector(&self) -> bool {
        let spec = self.root.entry("spec");
        let given = spec.and_then(|spec| spec.node.entry("selector"));
        given.is_some_and(|entry| !matches!(entry.node.value, Value::Null))
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
        self.template_origins("spec.template");
    }

    /// Notes where the parts of a pod template stand that have another path in faults.
    fn template_origins(&mut self, path: &str) {
        for field in ["labels", "annotations"] {
            let origin = format!("{path}.metadata.{field}");
            self.origins.add(&format!("{path}.{field}"), origin);
        }
        self.annotated_init(&format!("{path}.spec"));
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
