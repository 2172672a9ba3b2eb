//! Which ports have to be offered, and the pets behind each, from the service records. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::model::ObjectRef;
use crate::model::endpoints::{ServiceKind, ServicePort, ServiceRecord};
use crate::sorted::SortedMap;

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    /// Anything that cannot be passed on, such as SCTP.
    Other,
}

impl Protocol {
    fn of(name: &str) -> Self {
        match name {
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other => "SCTP",
        })
    }
}

/// One port of one virtual address of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VirtualPort {
    pub(super) service: ObjectRef,
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
}

/// The ready pets behind a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backends {
    /// How long a client stays with the pet it got.
    pub(super) affinity: Option<Duration>,
    pub(super) pets: Vec<SocketAddr>,
}

/// Everything that has to be offered.
pub(super) type Desired = SortedMap<VirtualPort, Backends>;

/// Adds the ports of one service.
pub(super) fn add(desired: &mut Desired, service: &ObjectRef, record: &ServiceRecord) {
    for ip in addresses(record) {
        for port in &record.ports {
            let offered = VirtualPort {
                service: service.clone(),
                protocol: Protocol::of(&port.protocol),
                address: SocketAddr::new(*ip, port.port),
            };
            let affinity = record.affinity.map(|time| Duration::from_secs(time.into()));
            let pets = pets(record, port);
            desired.insert(offered, Backends { affinity, pets });
        }
    }
}

/// Returns the virtual addresses of a service.
pub(super) fn addresses(record: &ServiceRecord) -> &[IpAddr] {
    match &record.kind {
        ServiceKind::ClusterIp { addresses } => addresses,
        ServiceKind::Headless | ServiceKind::ExternalName { .. } => &[],
    }
}

/// Returns where the ready pets listen for a port of the service.
fn pets(record: &ServiceRecord, port: &ServicePort) -> Vec<SocketAddr> {
    let found = record.ready().flat_map(|endpoint| {
        let same = endpoint
            .ports
            .iter()
            .filter(|own| (&own.name, &own.protocol) == (&port.name, &port.protocol));
        same.map(|own| SocketAddr::new(endpoint.ip, own.port))
    });
    found.collect()
}

/// Lists the ports to try when `port` cannot be had: 8080 for 80, and the ones above.
pub(super) fn alternatives(port: u16) -> impl Iterator<Item = u16> {
    const ABOVE: u16 = 8000;
    const TRIES: u16 = 64;
    let first = port.checked_add(ABOVE).unwrap_or_else(|| port - ABOVE);
    // At last, 0 stands for any that is free.
    (0..TRIES)
        .filter_map(move |more| first.checked_add(more))
        .chain([0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoints::{Endpoint, EndpointPort, TargetPort};

    #[test]
    fn a_named_port_leads_to_whatever_number_it_has_in_each_ready_pet() {
        let endpoint = |y: u8, port, ready| Endpoint {
            pod: format!("web-{y}"),
            hostname: None,
            ip: IpAddr::from([127, 5, 1, y]),
            ready,
            serving: ready,
            terminating: false,
            ports: vec![EndpointPort {
                name: "http".to_owned(),
                protocol: "TCP".to_owned(),
                port,
            }],
        };
        let record = ServiceRecord {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            kind: ServiceKind::ClusterIp {
                addresses: vec![IpAddr::from([127, 5, 240, 1])],
            },
            ports: vec![ServicePort {
                name: "http".to_owned(),
                protocol: "TCP".to_owned(),
                port: 80,
                target: TargetPort::Name("web".to_owned()),
            }],
            publish_not_ready: false,
            affinity: Some(60),
            endpoints: vec![
                endpoint(1, 8080, true),
                endpoint(2, 9090, true),
                endpoint(3, 1, false),
            ],
        };
        let web = ObjectRef::new("default".parse().unwrap(), "web".parse().unwrap());
        let mut desired = Desired::new();
        add(&mut desired, &web, &record);
        let (port, backends) = desired.first_key_value().unwrap();
        assert_eq!(port.address.to_string(), "127.5.240.1:80");
        assert_eq!(backends.affinity, Some(Duration::from_secs(60)));
        let pets: Vec<String> = backends.pets.iter().map(SocketAddr::to_string).collect();
        assert_eq!(pets, ["127.5.1.1:8080", "127.5.1.2:9090"]);
    }

    #[test]
    fn a_port_that_cannot_be_had_is_offered_nearby() {
        let first: Vec<u16> = alternatives(80).take(2).collect();
        assert_eq!(first, [8080, 8081]);
        assert_eq!(alternatives(65_535).next(), Some(57_535));
        assert_eq!(alternatives(60_000).last(), Some(0));
    }
}
