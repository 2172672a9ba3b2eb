//! The tables of `petset get`: the columns of kubectl (C34, I15-I17, PV29), and more with
//! `-o wide`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::shared::endpoints;
use crate::cli::shared::pods;
use crate::cli::shared::words::{age_of, joined, modes, or_none, ports};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{Namespace, REVISION_LABEL, printer};
use crate::store::{Layout, detours};

mod storage;

use storage::UNSET;

/// Returns the headings of the table of a kind.
pub(super) fn headings(sort: ObjectKind, wide: bool) -> Vec<&'static str> {
    let (narrow, more): (&[&str], &[&str]) = match sort {
        ObjectKind::StatefulSet => (&["NAME", "READY", "AGE"], &["CONTAINERS", "IMAGES"]),
        ObjectKind::Pod => (
            &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            &["IP", "REVISION", "WAITS FOR"],
        ),
        ObjectKind::Service => (
            &[
                "NAME",
                "TYPE",
                "CLUSTER-IP",
                "EXTERNAL-IP",
                "PORT(S)",
                "AGE",
            ],
            &["SELECTOR", "OFFERED AT"],
        ),
        ObjectKind::PersistentVolumeClaim => (
            &[
                "NAME",
                "STATUS",
                "VOLUME",
                "CAPACITY",
                "ACCESS MODES",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "AGE",
            ],
            &["VOLUMEMODE"],
        ),
        ObjectKind::PersistentVolume => (
            &[
                "NAME",
                "CAPACITY",
                "ACCESS MODES",
                "RECLAIM POLICY",
                "STATUS",
                "CLAIM",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "REASON",
                "AGE",
            ],
            &["VOLUMEMODE"],
        ),
        ObjectKind::StorageClass => (
            &[
                "NAME",
                "PROVISIONER",
                "RECLAIMPOLICY",
                "VOLUMEBINDINGMODE",
                "ALLOWVOLUMEEXPANSION",
                "AGE",
            ],
            &[],
        ),
        ObjectKind::Endpoints => (&["NAME", "ENDPOINTS", "AGE"], &[]),
        ObjectKind::EndpointSlice => (&["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"], &[]),
        ObjectKind::ControllerRevision => (&["NAME", "CONTROLLER", "REVISION", "AGE"], &[]),
        ObjectKind::ConfigMap => (&["NAME", "DATA", "AGE"], &[]),
        ObjectKind::Secret => (&["NAME", "TYPE", "DATA", "AGE"], &[]),
        ObjectKind::Workload(kind) => printer::workload_headings(kind),
        ObjectKind::Eviction | ObjectKind::Overlay => (&["NAME", "AGE"], &[]),
    };
    let more = if wide { more } else { &[] };
    narrow.iter().chain(more).copied().collect()
}

/// Returns the heading of a label's column, as kubectl has it: `app.kubernetes.io/name` is `NAME`.
pub(super) fn label_heading(label: &str) -> String {
    let last = label.rsplit('/').next().unwrap_or(label);
    last.to_uppercase()
}

/// Returns the cells of one object's row.
pub(super) fn cells(layout: &Layout, item: &Object, wide: bool, now: Timestamp) -> Vec<String> {
    let name = item.name().to_owned();
    let age = age_of(item.metadata(), now);
    let (mut cells, more) = match item {
        Object::StatefulSet(set) => (vec![name, ready(set), age], more_of_set(set)),
        Object::Pod(pod) => (pet(pod, name, age, now), more_of_pet(layout, pod)),
        Object::Service(service) => {
            let more = more_of_service(layout, service, &name);
            (self::service(service, name, age), more)
        }
        Object::PersistentVolumeClaim(claim) => {
            (self::claim(claim, name, age), more_of_claim(claim))
        }
        Object::EndpointSlice(slice) => {
            let (ports, ends) = (
                endpoints::ports_of_slice(slice),
                endpoints::ends_of_slice(slice),
            );
            let kind = slice.address_type.clone();
            (vec![name, kind, ports, ends, age], Vec::new())
        }
        Object::Endpoints(ends) => (vec![name, endpoints::summary(ends), age], Vec::new()),
        Object::ControllerRevision(revision) => (self::revision(revision, name, age), Vec::new()),
        Object::ConfigMap(map) => {
            let texts = map.data.as_ref().map_or(0, |data| data.len());
            let bytes = map.binary_data.as_ref().map_or(0, |data| data.len());
            (vec![name, (texts + bytes).to_string(), age], Vec::new())
        }
        Object::Secret(secret) => {
            let kind = secret.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
            let count = secret.data.as_ref().map_or(0, |data| data.len());
            (vec![name, kind, count.to_string(), age], Vec::new())
        }
        Object::Workload(workload) => printer::workload_cells(workload, now),
        Object::PersistentVolume(volume) => storage::volume(volume, name, age),
        Object::StorageClass(class) => (storage::class(class, name, age), Vec::new()),
    };
    if wide {
        cells.extend(more);
    }
    cells
}

fn ready(set: &StatefulSet) -> String {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
    let status = set.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas);
    format!("{}/{}", ready.unwrap_or_default(), wanted.unwrap_or(1))
}

fn more_of_set(set: &StatefulSet) -> Vec<String> {
    let pod = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.map_or(&[][..], |pod| &pod.containers);
    let names = containers.iter().map(|container| container.name.as_str());
    let images = containers
        .iter()
        .filter_map(|container| container.image.as_deref());
    vec![joined(names), joined(images)]
}

fn pet(pod: &Pod, name: String, age: String, now: Timestamp) -> Vec<String> {
    let ready = printer::ready_column(pod);
    let status = printer::pod_status_word(pod);
    vec![name, ready, status, printer::restarts(pod, now), age]
}

fn more_of_pet(layout: &Layout, pod: &Pod) -> Vec<String> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let moved = pods::moved_ports(layout, pod);
    let words = |ip: String| std::iter::once(ip).chain(moved).collect::<Vec<_>>();
    let ip = ip.map(|ip| words(ip).join(" "));
    let labels = pod.metadata.labels.as_ref();
    let revision = labels.and_then(|labels| labels.get(REVISION_LABEL).cloned());
    let why = pods::why_not_ready(pod);
    vec![or_none(ip), or_none(revision), or_none(why)]
}

fn service(service: &Service, name: String, age: String) -> Vec<String> {
    let spec = service.spec.clone().unwrap_or_default();
    let kind = spec.type_.clone().unwrap_or_else(|| "ClusterIP".to_owned());
    let external = or_none(spec.external_name.clone());
    let address = or_none(spec.cluster_ip.clone());
    vec![name, kind, address, external, ports(&spec), age]
}

fn more_of_service(layout: &Layout, service: &Service, name: &str) -> Vec<String> {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    let pairs = selector.into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    let namespace = namespace_of(&service.metadata);
    let detours = detours::read(layout, &namespace, name);
    let ports = detours.unwrap_or_default();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    vec![
        joined(pairs.iter().map(String::as_str)),
        or_none(Some(ports.join(",")).filter(|ports| !ports.is_empty())),
    ]
}

fn claim(claim: &PersistentVolumeClaim, name: String, age: String) -> Vec<String> {
    let spec = claim.spec.clone().unwrap_or_default();
    let status = claim.status.clone().unwrap_or_default();
    let phase = if claim.metadata.deletion_timestamp.is_some() {
        "Terminating".to_owned()
    } else {
        status.phase.unwrap_or_else(|| "Pending".to_owned())
    };
    let capacity = status.capacity.unwrap_or_default();
    let capacity = capacity.get("storage").map(|size| size.0.clone());
    vec![
        name,
        phase,
        spec.volume_name.unwrap_or_default(),
        capacity.unwrap_or_default(),
        modes(status.access_modes.as_deref().unwrap_or_default()),
        spec.storage_class_name.unwrap_or_default(),
        UNSET.to_owned(),
        age,
    ]
}

fn more_of_claim(claim: &PersistentVolumeClaim) -> Vec<String> {
    let mode = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.clone());
    vec![mode.unwrap_or_else(|| "Filesystem".to_owned())]
}

fn revision(revision: &ControllerRevision, name: String, age: String) -> Vec<String> {
    let mut owners = revision.metadata.owner_references.iter().flatten();
    let owner = owners.next().map(|owner| {
        let kind = owner.kind.to_lowercase();
        format!("{kind}.apps/{}", owner.name)
    });
    vec![name, or_none(owner), revision.revision.to_string(), age]
}

fn namespace_of(metadata: &ObjectMeta) -> Namespace {
    let namespace = metadata.namespace.as_deref();
    namespace
        .and_then(|name| name.parse().ok())
        .unwrap_or_default()
}
