//! The endpoints of a service: the record that discovery and DNS are made of.
//!
//! The supervisor derives it from the service and the pods that it selects, and stores it; all
//! others only read it.

mod by_hand;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, Pod, Service, ServicePort as WantedPort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use super::address::Block;
use super::pod::is_ready;

pub(crate) use by_hand::{SERVICE_LABEL, add as add_by_hand};

/// The old ways to ask for `publishNotReadyAddresses` (N13).
pub(crate) const TOLERATE_UNREADY: [&str; 2] = [
    "service.alpha.kubernetes.io/tolerate-unready-endpoints",
    "service.beta.kubernetes.io/tolerate-unready-endpoints",
];

/// A service and its endpoints, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceRecord {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) kind: ServiceKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<ServicePort>,
    #[serde(default)]
    pub(crate) publish_not_ready: bool,
    /// How many seconds a client stays with the pet it got (`sessionAffinity: ClientIP`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) affinity: Option<u32>,
    /// One for each address of each pod, in the order of the pods' ordinals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<Endpoint>,
}

/// What the name of a service resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ServiceKind {
    /// Its endpoints, each with a name of its own.
    Headless,
    /// Virtual addresses; as long as there are none, the name stands for the endpoints.
    ClusterIp { addresses: Vec<IpAddr> },
    /// Another name.
    ExternalName { name: String },
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServicePort {
    /// Empty where the port has no name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub(crate) protocol: String,
    pub(crate) port: u16,
    pub(crate) target: TargetPort,
}

/// Which port of a pod a service's port leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum TargetPort {
    Number(u16),
    /// The name of a container's port, whose number may differ from pod to pod.
    Name(String),
}

/// One address of one pod behind a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// Empty where a user wrote the address.
    pub(crate) pod: String,
    /// Only where the pod's subdomain is this service (N11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    pub(crate) ip: IpAddr,
    /// Whether names resolve to it: it is ready and not terminating, or the service publishes
    /// addresses that are not ready (N12).
    pub(crate) ready: bool,
    /// Whether the pod itself is ready.
    #[serde(default)]
    pub(crate) serving: bool,
    #[serde(default)]
    pub(crate) terminating: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<EndpointPort>,
}

/// Where an endpoint listens for a service's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndpointPort {
    /// The service's name for it; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
}

impl ServiceRecord {
    /// Returns the record with the addresses that hold inside the private network: the host's
    /// loopback has one too, and addresses of other machines stay.
    ///
    /// The proxy there leads to pets only. Where users wrote the endpoints, the name stands for
    /// them and not for a virtual address.
    pub(crate) fn inside(mut self, block: Block) -> Self {
        let by_hand = self.endpoints.iter().any(Endpoint::is_by_hand);
        if let ServiceKind::ClusterIp { addresses } = &mut self.kind
            && by_hand
        {
            addresses.clear();
        }
        let own = match &mut self.kind {
            ServiceKind::ClusterIp { addresses } => addresses.as_mut_slice(),
            ServiceKind::Headless | ServiceKind::ExternalName { .. } => &mut [],
        };
        let endpoints = self.endpoints.iter_mut().map(|endpoint| &mut endpoint.ip);
        for address in endpoints.chain(own) {
            let IpAddr::V4(ip) = address else { continue };
            if block.holds(*ip) {
                *ip = block.inside(*ip);
            } else if *ip == Ipv4Addr::LOCALHOST {
                *ip = block.host();
            }
        }
        self
    }

    /// Returns the endpoints that names resolve to.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.ready)
    }

    /// Returns the service's full name, without a final dot.
    pub(crate) fn fqdn(&self, domain: &str) -> String {
        format!("{}.{}.svc.{domain}", self.name, self.namespace)
    }

    /// Returns the full name of an endpoint of this service, without a final dot.
    pub(crate) fn endpoint_fqdn(&self, endpoint: &Endpoint, domain: &str) -> String {
        format!("{}.{}", endpoint.host(), self.fqdn(domain))
    }
}

impl Endpoint {
    /// Returns whether a user wrote the address, which then is that of no pod.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.pod.is_empty()
    }

    /// Returns its label below the service: the hostname, else the address with dashes (N10).
    pub(crate) fn host(&self) -> Cow<'_, str> {
        match &self.hostname {
            Some(hostname) => Cow::Borrowed(hostname),
            None => Cow::Owned(dashed(self.ip)),
        }
    }
}

/// Writes an address as a label; a label may not end in a dash, so `fd00::` becomes `fd00--0`.
pub(super) fn dashed(ip: IpAddr) -> String {
    let mut label = ip.to_string().replace(['.', ':'], "-");
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

/// Returns the endpoints of `service` among `pods`, which may be of any namespace (N05-N14).
///
/// A service without a selector has no endpoints but those that [`add_by_hand`] adds. A pod whose
/// named port is missing is an endpoint without that port, as in Kubernetes.
pub(crate) fn endpoints(service: &Service, pods: &[&Pod]) -> ServiceRecord {
    let none = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let mut record = ServiceRecord {
        namespace: namespace_of(service.metadata.namespace.as_deref()).to_owned(),
        name: service.metadata.name.clone().unwrap_or_default(),
        kind: kind_of(spec),
        ports: spec.ports.iter().flatten().filter_map(port_of).collect(),
        publish_not_ready: publishes_not_ready(service, spec),
        affinity: affinity_of(spec),
        endpoints: Vec::new(),
    };
    if matches!(record.kind, ServiceKind::ExternalName { .. }) {
        return record;
    }
    let mut selected: Vec<&Pod> = pods.to_vec();
    selected.retain(|pod| belongs(&record.namespace, spec, pod));
    selected.sort_by_cached_key(|pod| in_order(pod));
    for pod in selected {
        let found = endpoints_of(&record, pod);
        record.endpoints.extend(found);
    }
    record
}

/// Returns whether a service finds its endpoints by a selector; else users write them.
pub(crate) fn has_selector(service: &Service) -> bool {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| !selector.is_empty())
}

fn namespace_of(namespace: Option<&str>) -> &str {
    namespace
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or("default")
}

fn kind_of(spec: &ServiceSpec) -> ServiceKind {
    if spec.type_.as_deref() == Some("ExternalName") {
        let name = spec.external_name.as_deref().unwrap_or_default();
        let name = name.trim_end_matches('.').to_owned();
        return ServiceKind::ExternalName { name };
    }
    let given = spec
        .cluster_ip
        .iter()
        .chain(spec.cluster_ips.iter().flatten());
    if given.clone().any(|ip| ip == "None") {
        return ServiceKind::Headless;
    }
    let mut addresses = Vec::new();
    for text in given {
        let address = text.parse().ok();
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    ServiceKind::ClusterIp { addresses }
}

fn port_of(port: &WantedPort) -> Option<ServicePort> {
    let number = u16::try_from(port.port).ok()?;
    let target = match &port.target_port {
        Some(IntOrString::Int(target)) if *target != 0 => {
            TargetPort::Number(u16::try_from(*target).ok()?)
        }
        Some(IntOrString::String(name)) if !name.is_empty() => TargetPort::Name(name.clone()),
        Some(_) | None => TargetPort::Number(number),
    };
    Some(ServicePort {
        name: port.name.clone().unwrap_or_default(),
        protocol: protocol_of(port.protocol.as_deref()).to_owned(),
        port: number,
        target,
    })
}

fn protocol_of(protocol: Option<&str>) -> &str {
    protocol
        .filter(|protocol| !protocol.is_empty())
        .unwrap_or("TCP")
}

/// How long a client stays where Kubernetes is told nothing else: three hours.
const AFFINITY: u32 = 10_800;

fn affinity_of(spec: &ServiceSpec) -> Option<u32> {
    let config = spec.session_affinity_config.as_ref();
    let seconds = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| seconds.unwrap_or(AFFINITY))
}

fn publishes_not_ready(service: &Service, spec: &ServiceSpec) -> bool {
    let annotations = service.metadata.annotations.as_ref();
    let tolerates = |key: &&str| {
        let value = annotations.and_then(|annotations| annotations.get(*key));
        value.is_some_and(|value| value == "true")
    };
    spec.publish_not_ready_addresses == Some(true) || TOLERATE_UNREADY.iter().any(tolerates)
}

/// Returns whether the service selects the pod, and the pod can be an endpoint at all (N12).
fn belongs(namespace: &str, spec: &ServiceSpec, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let selector = spec.selector.iter().flatten();
    let mut selector = selector.peekable();
    if selector.peek().is_none() || namespace_of(pod.metadata.namespace.as_deref()) != namespace {
        return false;
    }
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Failed" | "Succeeded"))
        && selector.all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Sorts `web-2` before `web-10`.
fn in_order(pod: &Pod) -> (String, u64) {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

fn endpoints_of(record: &ServiceRecord, pod: &Pod) -> Vec<Endpoint> {
    let serving = is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let endpoint = |ip| Endpoint {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        hostname: hostname_of(record, pod),
        ip,
        ready: record.publish_not_ready || (serving && !terminating),
        serving,
        terminating,
        ports: ports_of(record, pod),
    };
    addresses_of(pod).into_iter().map(endpoint).collect()
}

fn addresses_of(pod: &Pod) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let Some(status) = &pod.status else {
        return addresses;
    };
    let more = status.pod_ips.iter().flatten().map(|ip| &ip.ip);
    for text in status.pod_ip.iter().chain(more) {
        let address = text.parse().ok();
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    addresses
}

/// The pod's hostname, where its subdomain says that it is known by this service (N11).
fn hostname_of(record: &ServiceRecord, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec
        .hostname
        .as_ref()
        .filter(|hostname| !hostname.is_empty())?;
    (spec.subdomain.as_ref() == Some(&record.name)).then(|| hostname.clone())
}

fn ports_of(record: &ServiceRecord, pod: &Pod) -> Vec<EndpointPort> {
    let resolved = record.ports.iter().filter_map(|port| {
        let number = match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => container_port(pod, name, &port.protocol)?,
        };
        Some(EndpointPort {
            name: port.name.clone(),
            protocol: port.protocol.clone(),
            port: number,
        })
    });
    resolved.collect()
}

/// Finds a named port among the containers, then among the sidecars.
fn container_port(pod: &Pod, name: &str, protocol: &str) -> Option<u16> {
    let spec = pod.spec.as_ref()?;
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let mut ports = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten());
    let fits = |port: &&ContainerPort| {
        port.name.as_deref() == Some(name) && protocol_of(port.protocol.as_deref()) == protocol
    };
    let port = ports.find(fits)?;
    u16::try_from(port.container_port).ok()
}

#[cfg(test)]
mod tests;
