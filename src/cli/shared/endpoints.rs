//! The Kubernetes objects Endpoints and EndpointSlice of a service.

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::endpoints::{Endpoint, ServiceRecord};

/// Makes Endpoints of the record of a service, with the age and labels of the service.
pub(in crate::cli) fn of(record: &ServiceRecord, service: Option<&Service>) -> Endpoints {
    let metadata = service.map(|service| service.metadata.clone());
    let metadata = metadata.unwrap_or_default();
    let mut subsets: Vec<EndpointSubset> = Vec::new();
    for endpoint in &record.endpoints {
        let ports = ports_of(endpoint);
        let same = subsets.iter().position(|subset| subset.ports == ports);
        let place = same.unwrap_or_else(|| {
            subsets.push(EndpointSubset {
                ports,
                ..EndpointSubset::default()
            });
            subsets.len() - 1
        });
        let subset = &mut subsets[place];
        let addresses = if endpoint.ready {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        };
        addresses
            .get_or_insert_default()
            .push(address_of(record, endpoint));
    }
    Endpoints {
        metadata: ObjectMeta {
            name: Some(record.name.clone()),
            namespace: Some(record.namespace.clone()),
            labels: metadata.labels,
            creation_timestamp: metadata.creation_timestamp,
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

fn ports_of(endpoint: &Endpoint) -> Option<Vec<EndpointPort>> {
    let ports = endpoint.ports.iter().map(|port| EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.port.into(),
        protocol: Some(port.protocol.clone()),
        ..EndpointPort::default()
    });
    let ports: Vec<EndpointPort> = ports.collect();
    (!ports.is_empty()).then_some(ports)
}

fn address_of(record: &ServiceRecord, endpoint: &Endpoint) -> EndpointAddress {
    EndpointAddress {
        hostname: endpoint.hostname.clone(),
        ip: endpoint.ip.to_string(),
        target_ref: (!endpoint.is_by_hand()).then(|| ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(endpoint.pod.clone()),
            namespace: Some(record.namespace.clone()),
            ..ObjectReference::default()
        }),
        ..EndpointAddress::default()
    }
}

/// Lists the ready addresses as kubectl does: the first three, and the number of the others.
pub(in crate::cli) fn summary(endpoints: &Endpoints) -> String {
    let mut all = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let addresses = subset.addresses.as_deref().unwrap_or_default();
        let Some(ports) = &subset.ports else {
            all.extend(addresses.iter().map(|address| address.ip.clone()));
            continue;
        };
        for port in ports {
            let with_port = |address: &EndpointAddress| format!("{}:{}", address.ip, port.port);
            all.extend(addresses.iter().map(with_port));
        }
    }
    shortened(&all)
}

/// Lists the ports of a slice as kubectl does.
pub(in crate::cli) fn ports_of_slice(slice: &EndpointSlice) -> String {
    let Some(ports) = &slice.ports else {
        return "<unset>".to_owned();
    };
    let number = |port: Option<i32>| port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    let ports: Vec<String> = ports.iter().map(|port| number(port.port)).collect();
    shortened(&ports)
}

/// Lists the addresses of a slice as kubectl does.
pub(in crate::cli) fn ends_of_slice(slice: &EndpointSlice) -> String {
    let all = slice
        .endpoints
        .iter()
        .flatten()
        .flat_map(|it| it.addresses.clone());
    let all: Vec<String> = all.collect();
    match all.is_empty() {
        true => "<unset>".to_owned(),
        false => shortened(&all),
    }
}

fn shortened(all: &[String]) -> String {
    match all.len() {
        0 => "<none>".to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}
