//! The environment of the command: where the pets and services are.

use crate::cli::shared::session::Session;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::problem::Result;
use crate::store::network;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};

/// Returns the variables for the sets and services of the session's namespace.
pub(super) fn of(session: &Session) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for set in session.items(ObjectKind::StatefulSet, &session.namespace)? {
        if let Object::StatefulSet(set) = set {
            all.extend(of_set(session, &set)?);
        }
    }
    for service in session.items(ObjectKind::Service, &session.namespace)? {
        if let Object::Service(service) = service {
            all.extend(of_service(&service));
        }
    }
    Ok(all)
}

fn of_set(session: &Session, set: &StatefulSet) -> Result<Vec<(String, String)>> {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let prefix = word(name);
    let mut all = Vec::new();
    let mut peers = Vec::new();
    for pod in session.known_pets_of(&session.namespace, name)? {
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let Some(address) = address else { continue };
        peers.push(match first_port(session, &pod, &pod_name) {
            Some(port) => format!("{address}:{port}"),
            None => address.clone(),
        });
        all.push((format!("{}_ADDRESS", word(&pod_name)), address));
    }
    all.push((format!("{prefix}_PEERS"), peers.join(",")));
    Ok(all)
}

/// Returns the first port of a pet, as the host reaches it.
fn first_port(session: &Session, pod: &Pod, name: &str) -> Option<String> {
    let containers = pod.spec.as_ref()?.containers.iter();
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.next()?.container_port.to_string();
    let files = session.store.layout().pet(&session.namespace, name);
    let moved = network::moved_ports(&files).unwrap_or_default();
    let other = moved.iter().find_map(|pair| {
        let (inside, outside) = pair.split_once('=')?;
        (inside == port).then(|| outside.to_owned())
    });
    Some(other.unwrap_or(port))
}

fn of_service(service: &Service) -> Vec<(String, String)> {
    let name = word(service.metadata.name.as_deref().unwrap_or_default());
    let spec = service.spec.clone().unwrap_or_default();
    let host = spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None");
    let Some(host) = host else { return Vec::new() };
    let ports = spec.ports.unwrap_or_default();
    let port = ports.first().map(|port| port.port.to_string());
    let port = port.map(|port| (format!("{name}_SERVICE_PORT"), port));
    [(format!("{name}_SERVICE_HOST"), host)]
        .into_iter()
        .chain(port)
        .collect()
}

/// Returns a name as part of a variable: `my-db` is `MY_DB`.
fn word(name: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(letter).collect()
}
