//! The fields of claims and services that petset does not act on.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Service, ServicePort, ServiceSpec,
};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::ignored::{Cause, Ignored};
use crate::manifest::remark::{Remark, Remarks};
use crate::model::endpoints::SERVICE_LABEL;
use crate::model::quantity::Quantity;

const NO_STORAGE: Cause =
    Cause::always("ignored: the volume of a claim is a directory, of any size");
const NO_ROUTING: Cause = Cause::always("ignored: services are seen on this machine only");

/// Remarks on a claim or a template of one; `path` is that of its spec.
pub(in super::super) fn of_claim(path: &str, claim: &PersistentVolumeClaim, remarks: &mut Remarks) {
    let Some(spec) = &claim.spec else { return };
    let PersistentVolumeClaimSpec {
        access_modes: _,
        data_source,
        data_source_ref,
        resources,
        selector: _,
        storage_class_name: _,
        volume_attributes_class_name,
        volume_mode,
        volume_name: _,
    } = spec;
    let mut ignored = Ignored::below(path);
    for (field, given) in [
        ("dataSource", data_source.is_some()),
        ("dataSourceRef", data_source_ref.is_some()),
        (
            "volumeAttributesClassName",
            volume_attributes_class_name.is_some(),
        ),
        ("volumeMode", volume_mode.as_deref() == Some("Block")),
    ] {
        ignored.note(field, NO_STORAGE, given);
    }
    ignored.into_remarks(remarks);
    let requests = resources.as_ref().and_then(|it| it.requests.as_ref());
    let size = requests.and_then(|requests| requests.get("storage"));
    let size = size.and_then(|size| size.0.parse::<Quantity>().ok());
    // PV27
    if let Some(size) = size.filter(|size| size.nanos() % 1_000_000_000 != 0) {
        let text = format!("fractional byte value \"{size}\" is invalid, must be an integer");
        let path = format!("{path}.resources.requests[storage]");
        remarks.push(Remark::new(path, text));
    }
}

/// Remarks on a service.
pub(in super::super) fn of_service(service: &Service, remarks: &mut Remarks) {
    let Some(spec) = &service.spec else { return };
    let ServiceSpec {
        allocate_load_balancer_node_ports,
        cluster_ip: _,
        cluster_ips: _,
        external_ips,
        external_name: _,
        external_traffic_policy,
        health_check_node_port,
        internal_traffic_policy: _,
        ip_families,
        ip_family_policy: _,
        load_balancer_class,
        load_balancer_ip,
        load_balancer_source_ranges,
        ports,
        publish_not_ready_addresses: _,
        selector: _,
        session_affinity: _,
        session_affinity_config: _,
        traffic_distribution,
        type_: _,
    } = spec;
    let mut ignored = Ignored::below("spec");
    let families = ip_families.as_deref().unwrap_or_default();
    for (field, given) in [
        (
            "allocateLoadBalancerNodePorts",
            allocate_load_balancer_node_ports.is_some(),
        ),
        ("externalIPs", external_ips.is_some()),
        ("externalTrafficPolicy", external_traffic_policy.is_some()),
        ("healthCheckNodePort", health_check_node_port.is_some()),
        ("loadBalancerClass", load_balancer_class.is_some()),
        ("loadBalancerIP", load_balancer_ip.is_some()),
        (
            "loadBalancerSourceRanges",
            load_balancer_source_ranges.is_some(),
        ),
        ("trafficDistribution", traffic_distribution.is_some()),
        ("ipFamilies", families.iter().any(|family| family != "IPv4")),
    ] {
        ignored.note(field, NO_ROUTING, given);
    }
    for (index, port) in ports.iter().flatten().enumerate() {
        let ServicePort {
            app_protocol: _,
            name: _,
            node_port,
            port: _,
            protocol: _,
            target_port: _,
        } = port;
        let path = format!("ports[{index}].nodePort");
        ignored.note(&path, NO_ROUTING, node_port.is_some_and(|port| port != 0));
    }
    ignored.into_remarks(remarks);
}

const NO_NAMES: &str = "ignored: petset leads services to addresses only";

/// Remarks on a slice of endpoints.
pub(in super::super) fn of_slice(slice: &EndpointSlice, remarks: &mut Remarks) {
    let labels = slice.metadata.labels.as_ref();
    if labels.is_none_or(|labels| !labels.contains_key(SERVICE_LABEL)) {
        let text = format!("no service leads there: the label {SERVICE_LABEL} names the service");
        remarks.push(Remark::new("metadata.labels", text));
    }
    if slice.address_type == "FQDN" {
        remarks.push(Remark::new("addressType", NO_NAMES));
    }
}
