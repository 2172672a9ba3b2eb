//! What the tests of names share: services, written in one line each, and a server.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::{Server, Zone};
use crate::model::endpoints::{
    Endpoint, EndpointPort, ServiceKind, ServicePort, ServiceRecord, TargetPort,
};

/// Makes a service of the namespace `testns` with the port http/80.
///
/// `kind` is `headless`, an external name after `->`, or cluster addresses; an endpoint is
/// `host=ip`, or an address alone, with a `?` after it where it is not ready.
pub(super) fn service(name: &str, kind: &str, endpoints: &str) -> ServiceRecord {
    let http = EndpointPort {
        name: "http".to_owned(),
        protocol: "TCP".to_owned(),
        port: 80,
    };
    let ports = vec![ServicePort {
        name: http.name.clone(),
        protocol: http.protocol.clone(),
        port: http.port,
        target: TargetPort::Number(http.port),
    }];
    ServiceRecord {
        namespace: "testns".to_owned(),
        name: name.to_owned(),
        kind: kind_of(kind),
        ports,
        publish_not_ready: false,
        affinity: None,
        endpoints: endpoints
            .split_whitespace()
            .map(|text| endpoint(text, &http))
            .collect(),
    }
}

/// The same without any port.
pub(super) fn portless(name: &str, kind: &str, endpoints: &str) -> ServiceRecord {
    let mut service = service(name, kind, endpoints);
    service.ports.clear();
    for endpoint in &mut service.endpoints {
        endpoint.ports.clear();
    }
    service
}

fn kind_of(text: &str) -> ServiceKind {
    if text == "headless" {
        return ServiceKind::Headless;
    }
    if let Some(name) = text.strip_prefix("->") {
        let name = name.to_owned();
        return ServiceKind::ExternalName { name };
    }
    let addresses = text
        .split_whitespace()
        .map(|ip| ip.parse().unwrap())
        .collect();
    ServiceKind::ClusterIp { addresses }
}

fn endpoint(text: &str, port: &EndpointPort) -> Endpoint {
    let ready = !text.ends_with('?');
    let text = text.trim_end_matches('?');
    let (hostname, ip) = match text.split_once('=') {
        Some((hostname, ip)) => (Some(hostname.to_owned()), ip),
        None => (None, text),
    };
    Endpoint {
        pod: hostname.clone().unwrap_or_else(|| format!("pod-at-{ip}")),
        hostname,
        ip: ip.parse().unwrap(),
        ready,
        serving: ready,
        terminating: false,
        ports: vec![port.clone()],
    }
}

/// The services of the CoreDNS cases.
pub(super) fn coredns() -> Vec<ServiceRecord> {
    let hdls1 =
        "172.0.0.2 172.0.0.3 dup-name=172.0.0.4 dup-name=172.0.0.5 5678:abcd::1 5678:abcd::2";
    vec![
        service("svc1", "10.0.0.1", "ep1a=172.0.0.1"),
        service("svcempty", "10.0.0.1", ""),
        service("svc6", "1234:abcd::1", "ep6=1234:abcd::2"),
        service("hdls1", "headless", hdls1),
        portless("hdlsprtls", "headless", "172.0.0.20"),
        service("svc-dual-stack", "10.0.0.3 10::3", ""),
        service("external", "->ext.interwebs.test", ""),
        service("external-to-service", "->svc1.testns.svc.cluster.local", ""),
    ]
}

/// A headless service `nginx` with this many pets, at the addresses a block gives them.
pub(super) fn pets(count: u32) -> ServiceRecord {
    let pet = |number: u32| {
        let (row, column) = (number / 254 + 1, number % 254 + 1);
        format!("web-{number}=127.5.{row}.{column}")
    };
    let pets: Vec<String> = (0..count).map(pet).collect();
    service("nginx", "headless", &pets.join(" "))
}

/// How long a test waits for what is bound to come.
pub(super) const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

/// A server on a port of its own, and the zone it serves: at first that of the CoreDNS cases.
pub(super) struct Serving {
    pub(super) zone: Arc<RwLock<Zone>>,
    pub(super) server: Server,
}

impl Serving {
    pub(super) fn start() -> Self {
        Self::start_forwarding(&[])
    }

    pub(super) fn start_forwarding(upstreams: &[SocketAddr]) -> Self {
        let zone = Zone::new("cluster.local", coredns()).with_reverse_zone("5.127.in-addr.arpa");
        let zone = Arc::new(RwLock::new(zone));
        let any = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(&[any], Arc::clone(&zone), upstreams).unwrap();
        Self { zone, server }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(super) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(LIMIT).unwrap();
        stream
    }
}

/// A message as it goes over TCP.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

pub(super) fn read_frame(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}
