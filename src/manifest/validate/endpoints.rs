//! Endpoints that users write.
//!
//! Unlike the API server, which wants them to be of other machines, petset takes loopback
//! addresses: what listens there is what most services without a selector are for.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort as SlicePort, EndpointSlice};

use super::super::fault::Faults;
use super::names::{self, label, note, numbered, subdomain};
use super::one_of;
use crate::sorted::SortedSet;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;

/// Checks completed endpoints.
pub(crate) fn validate_endpoints(endpoints: &Endpoints) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &endpoints.metadata, subdomain);
    for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let path = format!("subsets[{index}]");
        let ready = subset.addresses.as_deref().unwrap_or_default();
        let other = subset.not_ready_addresses.as_deref().unwrap_or_default();
        if ready.is_empty() && other.is_empty() {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            faults.required(&path, detail);
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", other)] {
            for (index, given) in addresses.iter().enumerate() {
                address(&mut faults, &format!("{path}.{field}[{index}]"), given);
            }
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        for (index, given) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            port(&mut faults, &path, given, ports.len() > 1);
        }
    }
    faults
}

fn address(faults: &mut Faults, path: &str, given: &EndpointAddress) {
    let at = format!("{path}.ip");
    match given.ip.parse::<IpAddr>() {
        Err(_) => {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            faults.invalid_text(&at, &given.ip, detail);
        }
        Ok(ip) => ordinary(faults, &at, ip),
    }
    let name = given.hostname.as_deref().unwrap_or_default();
    if !name.is_empty() {
        note(faults, &format!("{path}.hostname"), name, label(name));
    }
    if let Some(node) = given.node_name.as_deref() {
        note(faults, &format!("{path}.nodeName"), node, subdomain(node));
    }
}

/// Checks that an address is one of a machine.
fn ordinary(faults: &mut Faults, path: &str, ip: IpAddr) {
    let (link_local, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (
            ip.is_unicast_link_local(),
            ip.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    let details = [
        (ip.is_unspecified(), "may not be unspecified (0.0.0.0)"),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ];
    for (_, detail) in details.into_iter().filter(|(wrong, _)| *wrong) {
        faults.invalid_text(path, &ip.to_string(), detail);
    }
}

fn port(faults: &mut Faults, path: &str, port: &EndpointPort, needs_name: bool) {
    let at = format!("{path}.name");
    match port.name.as_deref().unwrap_or_default() {
        "" if needs_name => faults.required(&at, ""),
        "" => {}
        name => note(faults, &at, name, label(name)),
    }
    numbered(faults, &format!("{path}.port"), port.port);
    let protocol = port.protocol.as_deref();
    one_of(faults, &format!("{path}.protocol"), protocol, &PROTOCOLS);
}

/// Checks a completed slice.
pub(crate) fn validate_slice(slice: &EndpointSlice) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &slice.metadata, subdomain);
    let kinds = ["FQDN", "IPv4", "IPv6"];
    one_of(
        &mut faults,
        "addressType",
        Some(&slice.address_type),
        &kinds,
    );
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    faults.too_many("endpoints", endpoints.len(), MOST_ENDPOINTS);
    for (index, given) in endpoints.iter().enumerate() {
        let path = format!("endpoints[{index}]");
        endpoint(&mut faults, &path, given, &slice.address_type);
    }
    let ports = slice.ports.as_deref().unwrap_or_default();
    faults.too_many("ports", ports.len(), MOST_PORTS);
    let mut taken = SortedSet::new();
    for (index, given) in ports.iter().enumerate() {
        slice_port(&mut faults, &format!("ports[{index}]"), given, &mut taken);
    }
    faults
}

fn endpoint(faults: &mut Faults, path: &str, given: &Endpoint, kind: &str) {
    let at = format!("{path}.addresses");
    if given.addresses.is_empty() {
        faults.required(&at, "must contain at least 1 address");
    }
    faults.too_many(&at, given.addresses.len(), MOST_ADDRESSES);
    for (index, text) in given.addresses.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match (kind, text.parse::<IpAddr>()) {
            ("IPv4", Ok(ip @ IpAddr::V4(_))) | ("IPv6", Ok(ip @ IpAddr::V6(_))) => {
                ordinary(faults, &at, ip);
            }
            ("IPv4" | "IPv6", _) => {
                let detail = format!("must be a valid {kind} address");
                faults.invalid_text(&at, text, &detail);
            }
            ("FQDN", _) => note(faults, &at, text, subdomain(text)),
            (_, _) => {}
        }
    }
    let name = given.hostname.as_deref().unwrap_or_default();
    if !name.is_empty() {
        note(faults, &format!("{path}.hostname"), name, label(name));
    }
}

fn slice_port<'p>(
    faults: &mut Faults,
    path: &str,
    port: &'p SlicePort,
    taken: &mut SortedSet<&'p str>,
) {
    let at = format!("{path}.name");
    let name = port.name.as_deref().unwrap_or_default();
    if !name.is_empty() {
        note(faults, &at, name, label(name));
    }
    if !taken.insert(name) {
        faults.duplicate(&at, name);
    }
    let protocol = port.protocol.as_deref();
    one_of(faults, &format!("{path}.protocol"), protocol, &PROTOCOLS);
    if let Some(number) = port.port {
        numbered(faults, &format!("{path}.port"), number);
    }
}
