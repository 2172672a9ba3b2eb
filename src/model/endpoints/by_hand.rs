//! Endpoints that users write: where a service without a selector leads.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};

use super::{Endpoint, EndpointPort, ServiceKind, ServiceRecord, protocol_of};

/// The label of an `EndpointSlice` that names its service.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Adds what users wrote to the record of a service that has no selector: the `Endpoints` of its
/// name, and the slices that name it by their label. Other services keep what they select.
pub(crate) fn add<'a>(
    record: &mut ServiceRecord,
    endpoints: Option<&Endpoints>,
    slices: impl Iterator<Item = &'a EndpointSlice>,
) {
    if matches!(record.kind, ServiceKind::ExternalName { .. }) {
        return;
    }
    let subsets = endpoints.and_then(|endpoints| endpoints.subsets.as_ref());
    for subset in subsets.into_iter().flatten() {
        let found = of_subset(subset, record.publish_not_ready);
        record.endpoints.extend(found);
    }
    for slice in slices.filter(|slice| names(slice, &record.name)) {
        let found = of_slice(slice, record.publish_not_ready);
        for endpoint in found {
            // The same may stand in both.
            let same =
                |known: &Endpoint| (known.ip, &known.ports) == (endpoint.ip, &endpoint.ports);
            if !record.endpoints.iter().any(same) {
                record.endpoints.push(endpoint);
            }
        }
    }
}

fn names(slice: &EndpointSlice, service: &str) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(SERVICE_LABEL))
        .is_some_and(|name| name == service)
}

fn of_subset(subset: &EndpointSubset, publish_not_ready: bool) -> Vec<Endpoint> {
    let ports = subset
        .ports
        .iter()
        .flatten()
        .filter_map(|port| port_of(port.name.as_deref(), port.protocol.as_deref(), port.port));
    let ports: Vec<EndpointPort> = ports.collect();
    let endpoint = |address: &EndpointAddress, serving: bool| {
        Some(Endpoint {
            pod: String::new(),
            hostname: address.hostname.clone().filter(|name| !name.is_empty()),
            ip: address.ip.parse().ok()?,
            ready: serving || publish_not_ready,
            serving,
            terminating: false,
            ports: ports.clone(),
        })
    };
    let ready = subset.addresses.iter().flatten();
    let ready = ready.filter_map(|address| endpoint(address, true));
    let other = subset.not_ready_addresses.iter().flatten();
    let other = other.filter_map(|address| endpoint(address, false));
    ready.chain(other).collect()
}

fn of_slice(slice: &EndpointSlice, publish_not_ready: bool) -> Vec<Endpoint> {
    let ports = slice
        .ports
        .iter()
        .flatten()
        .filter_map(|port| port_of(port.name.as_deref(), port.protocol.as_deref(), port.port?));
    let ports: Vec<EndpointPort> = ports.collect();
    let endpoints = slice
        .endpoints
        .iter()
        .flatten()
        .flat_map(|given: &SliceEndpoint| {
            let conditions = given.conditions.clone().unwrap_or_default();
            // What is not known is as good as true.
            let ready = conditions.ready.unwrap_or(true);
            let endpoint = Endpoint {
                pod: String::new(),
                hostname: given.hostname.clone().filter(|name| !name.is_empty()),
                ip: IpAddr::from([0, 0, 0, 0]),
                ready: ready || publish_not_ready,
                serving: conditions.serving.unwrap_or(ready),
                terminating: conditions.terminating.unwrap_or(false),
                ports: ports.clone(),
            };
            // Names are no addresses: Kubernetes leaves slices of them to others.
            let addresses = given.addresses.iter().filter_map(|text| text.parse().ok());
            addresses.map(move |ip| Endpoint {
                ip,
                ..endpoint.clone()
            })
        });
    endpoints.collect()
}

fn port_of(name: Option<&str>, protocol: Option<&str>, number: i32) -> Option<EndpointPort> {
    Some(EndpointPort {
        name: name.unwrap_or_default().to_owned(),
        protocol: protocol_of(protocol).to_owned(),
        port: u16::try_from(number).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::address::Block;
    use crate::model::endpoints::endpoints;

    fn record(service: serde_json::Value) -> ServiceRecord {
        let mut service = service;
        service["metadata"] = json!({"name": "ext", "namespace": "default"});
        endpoints(&serde_json::from_value(service).unwrap(), &[])
    }

    fn shown(record: &ServiceRecord) -> Vec<String> {
        let shown = |endpoint: &Endpoint| {
            let ports = endpoint.ports.iter();
            let ports: Vec<String> = ports.map(|it| format!("{}:{}", it.name, it.port)).collect();
            let host = endpoint.hostname.as_deref().unwrap_or("-");
            let (ip, ready) = (endpoint.ip, endpoint.ready);
            format!("{host} {ip} {} {ready}", ports.join(","))
        };
        record.endpoints.iter().map(shown).collect()
    }

    fn by_hand() -> Endpoints {
        let endpoints = json!({"metadata": {"name": "ext"}, "subsets": [
            {"addresses": [{"ip": "192.0.2.1", "hostname": "one"}],
             "notReadyAddresses": [{"ip": "192.0.2.2"}],
             "ports": [{"name": "db", "port": 5432}]}]});
        serde_json::from_value(endpoints).unwrap()
    }

    fn slice(service: &str) -> EndpointSlice {
        let slice = json!({"metadata": {"name": "s", "labels": {SERVICE_LABEL: service}},
            "addressType": "IPv4", "ports": [{"name": "db", "port": 5432}],
            "endpoints": [{"addresses": ["192.0.2.1"]},
                {"addresses": ["192.0.2.3"], "conditions": {"ready": false}}]});
        serde_json::from_value(slice).unwrap()
    }

    #[test]
    fn a_service_without_a_selector_leads_where_its_user_says() {
        // CF-net-17, CF-net-18, CF-net-19
        let mut record = record(json!({"spec": {"clusterIP": "None"}}));
        let (own, other) = (slice("ext"), slice("other"));
        add(&mut record, Some(&by_hand()), [&own, &other].into_iter());
        let expected = [
            "one 192.0.2.1 db:5432 true",
            "- 192.0.2.2 db:5432 false",
            "- 192.0.2.3 db:5432 false",
        ];
        assert_eq!(shown(&record), expected);
    }

    #[test]
    fn a_service_may_name_also_what_is_not_ready() {
        let spec = json!({"clusterIP": "None", "publishNotReadyAddresses": true});
        let mut record = record(json!({"spec": spec}));
        add(&mut record, Some(&by_hand()), std::iter::empty());
        assert_eq!(record.ready().count(), 2);
    }

    #[test]
    fn addresses_of_other_machines_are_the_same_inside_the_private_network() {
        let mut record = record(json!({"spec": {"clusterIP": "None"}}));
        let ends = json!({"metadata": {"name": "ext"}, "subsets": [
            {"addresses": [{"ip": "127.7.0.9"}, {"ip": "192.0.2.1"}, {"ip": "127.0.0.1"}]}]});
        let ends: Endpoints = serde_json::from_value(ends).unwrap();
        add(&mut record, Some(&ends), std::iter::empty());
        let inside = record.inside(Block::new(7).unwrap());
        let ips: Vec<String> = inside.ready().map(|it| it.ip.to_string()).collect();
        assert_eq!(ips, ["10.7.0.9", "192.0.2.1", "10.7.0.2"]);
    }
}
