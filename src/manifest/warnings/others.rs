//! The fields of claims and services that petset does not act on.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, Service, ServicePort, ServiceSpec,
};

use super::ignored::{Cause, Ignored};
use crate::manifest::remark::Remarks;

const NO_STORAGE: Cause = Cause::always("ignored: a claim is a directory without class or size");
const NO_ROUTING: Cause = Cause::always("ignored: services are seen on this machine only");

/// Remarks on a claim or a template of one; `path` is that of its spec.
pub(in super::super) fn of_claim(path: &str, claim: &PersistentVolumeClaim, remarks: &mut Remarks) {
    let Some(spec) = &claim.spec else { return };
    let PersistentVolumeClaimSpec {
        access_modes: _,
        data_source,
        data_source_ref,
        resources: _,
        selector,
        storage_class_name: _,
        volume_attributes_class_name,
        volume_mode,
        volume_name,
    } = spec;
    let mut ignored = Ignored::below(path);
    for (field, given) in [
        ("dataSource", data_source.is_some()),
        ("dataSourceRef", data_source_ref.is_some()),
        ("selector", selector.is_some()),
        (
            "volumeAttributesClassName",
            volume_attributes_class_name.is_some(),
        ),
        ("volumeMode", volume_mode.as_deref() == Some("Block")),
        ("volumeName", volume_name.is_some()),
    ] {
        ignored.note(field, NO_STORAGE, given);
    }
    ignored.into_remarks(remarks);
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
