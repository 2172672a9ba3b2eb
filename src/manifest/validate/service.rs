//! Services.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::json;

use super::super::fault::Faults;
use super::names::numbered;
use super::names::{self, label, note, note_required, service_name, subdomain};
use super::one_of;
use super::probe::port;
use crate::sorted::SortedSet;

/// Checks a completed service.
pub(crate) fn validate_service(service: &Service) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &service.metadata, service_name);
    if let Some(spec) = &service.spec {
        check(&mut faults, spec);
    }
    faults
}

fn check(faults: &mut Faults, spec: &ServiceSpec) {
    let kind = spec.type_.as_deref().unwrap_or_default();
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let headless = ip == "None";
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.required("spec.ports", "");
    }
    if matches!(kind, "LoadBalancer" | "NodePort") && headless {
        let value = json!([ip]);
        let detail = format!("may not be set to 'None' for {kind} services");
        faults.invalid("spec.clusterIPs[0]", value[0].clone(), &detail);
    }
    if kind == "ExternalName" {
        external(faults, spec);
    } else if !ip.is_empty() && !headless && ip.parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        faults.invalid_text("spec.clusterIPs[0]", ip, detail);
    }
    let mut names = SortedSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        check_port(faults, &path, port, ports.len() > 1, &mut names);
    }
    unique_ports(faults, ports);
    names::labels(faults, "spec.selector", spec.selector.as_ref());
    let affinity = spec.session_affinity.as_deref();
    one_of(
        faults,
        "spec.sessionAffinity",
        affinity,
        &["ClientIP", "None"],
    );
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(faults, "spec.type", Some(kind), &kinds);
}

fn external(faults: &mut Faults, spec: &ServiceSpec) {
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    if !ip.is_empty() {
        faults.forbidden(
            "spec.clusterIPs",
            "may not be set for ExternalName services",
        );
    }
    let name = spec.external_name.as_deref().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    note_required(faults, "spec.externalName", name, subdomain);
}

fn check_port<'p>(
    faults: &mut Faults,
    path: &str,
    given: &'p ServicePort,
    needs_name: bool,
    names: &mut SortedSet<&'p str>,
) {
    let at = format!("{path}.name");
    match given.name.as_deref().unwrap_or_default() {
        "" if needs_name => faults.required(&at, ""),
        "" => {}
        name => {
            note(faults, &at, name, label(name));
            if !names.insert(name) {
                faults.duplicate(&at, name);
            }
        }
    }
    numbered(faults, &format!("{path}.port"), given.port);
    let protocol = given.protocol.as_deref();
    one_of(
        faults,
        &format!("{path}.protocol"),
        protocol,
        &["SCTP", "TCP", "UDP"],
    );
    if let Some(target) = &given.target_port {
        port(faults, &format!("{path}.targetPort"), target);
    }
}

fn unique_ports(faults: &mut Faults, ports: &[ServicePort]) {
    let mut taken = SortedSet::new();
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !taken.insert((protocol, port.port)) {
            let number = port.port;
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":\"{protocol}\",\"AppProtocol\":null,\"Port\":{number},\
                 \"TargetPort\":0,\"NodePort\":0}}"
            );
            faults.add(
                &format!("spec.ports[{index}]"),
                format!("Duplicate value: {shown}"),
            );
        }
    }
}
