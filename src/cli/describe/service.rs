//! The description of a service.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cli::shared::pages::Page;
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{NONE, or_none};
use crate::model::{Namespace, ObjectName};
use crate::problem::Result;
use crate::store::detours;

pub(super) fn write(session: &Session, service: &Service, page: &mut Page) -> Result<()> {
    let meta = &service.metadata;
    let name: ObjectName = meta.name.as_deref().unwrap_or_default().parse()?;
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let spec = service.spec.clone().unwrap_or_default();
    let domain = &session.store.settings().cluster_domain;
    page.field(0, "Name", name.as_str());
    page.field(0, "Namespace", namespace.as_str());
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    page.pairs(0, "Selector", "=", spec.selector.as_ref());
    page.field(0, "Type", spec.type_.as_deref().unwrap_or("ClusterIP"));
    page.field(0, "IP", or_none(spec.cluster_ip.clone()));
    if let Some(external) = &spec.external_name {
        page.field(0, "External Name", external);
    }
    page.field(0, "FQDN", format!("{name}.{namespace}.svc.{domain}"));
    for port in spec.ports.iter().flatten() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let named = port.name.as_deref().unwrap_or("<unset>");
        page.field(0, "Port", format!("{named} {}/{protocol}", port.port));
        let target = match &port.target_port {
            Some(IntOrString::Int(target)) => target.to_string(),
            Some(IntOrString::String(target)) => target.clone(),
            None => port.port.to_string(),
        };
        page.field(0, "TargetPort", format!("{target}/{protocol}"));
    }
    let layout = session.store.layout();
    let detours = detours::read(layout, &namespace, name.as_str())?;
    for detour in detours {
        page.field(0, "Offered At", format!("{detour}: {}", detour.why));
    }
    let affinity = spec.session_affinity.as_deref().unwrap_or("None");
    page.field(0, "Session Affinity", affinity);
    let publishes = spec.publish_not_ready_addresses.unwrap_or(false);
    page.field(0, "Publishes Not Ready", publishes.to_string());
    write_endpoints(session, &namespace, &name, domain, page)
}

fn write_endpoints(
    session: &Session,
    namespace: &Namespace,
    name: &ObjectName,
    domain: &str,
    page: &mut Page,
) -> Result<()> {
    let record = session.record(namespace, name)?;
    let Some(record) = record.filter(|record| !record.endpoints.is_empty()) else {
        page.field(0, "Endpoints", NONE);
        return Ok(());
    };
    page.heading(0, "Endpoints");
    page.row(1, &["POD", "IP", "PORTS", "READY", "NAME"]);
    for endpoint in &record.endpoints {
        let ports = endpoint.ports.iter().map(|port| port.port.to_string());
        let ports = or_none(Some(ports.collect::<Vec<_>>().join(",")));
        let ready = if endpoint.ready { "yes" } else { "no" };
        let (ip, name) = (
            endpoint.ip.to_string(),
            record.endpoint_fqdn(endpoint, domain),
        );
        let pod = match endpoint.pod.as_str() {
            "" => NONE,
            pod => pod,
        };
        page.row(1, &[pod, &ip, &ports, ready, &name]);
    }
    Ok(())
}
