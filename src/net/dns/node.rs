//! One service, indexed so that a question costs the same however many endpoints it has.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::net::record::{ServiceKind, ServiceRecord};

/// A service and the names below it, in lower case.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) record: ServiceRecord,
    /// What the service's own name resolves to.
    pub(super) addresses: Vec<IpAddr>,
    /// What it answers to SRV: each port of each address.
    pub(super) entries: Vec<Entry>,
    /// The same by `_port._protocol`, for ports that have a name.
    named: HashMap<String, Vec<Entry>>,
    /// Which of the record's ready endpoints go by a host name.
    hosts: HashMap<String, Vec<usize>>,
}

/// One port of one address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The endpoint in the record; none for the service's own addresses.
    pub(super) endpoint: Option<usize>,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

impl Node {
    pub(super) fn new(record: ServiceRecord) -> Self {
        let mut node = Self {
            addresses: Vec::new(),
            entries: Vec::new(),
            named: HashMap::new(),
            hosts: HashMap::new(),
            record,
        };
        node.index_hosts();
        match &node.record.kind {
            ServiceKind::ExternalName { .. } => {}
            ServiceKind::ClusterIp { addresses } if !addresses.is_empty() => {
                node.addresses.clone_from(addresses);
                node.index_own_ports();
            }
            ServiceKind::ClusterIp { .. } | ServiceKind::Headless => node.index_endpoints(),
        }
        node
    }

    fn index_hosts(&mut self) {
        let endpoints = &self.record.endpoints;
        for (index, endpoint) in endpoints.iter().enumerate() {
            if !endpoint.ready {
                continue;
            }
            let same = self.hosts.entry(endpoint.host().to_ascii_lowercase());
            let same = same.or_default();
            if !same.iter().any(|&other| endpoints[other].ip == endpoint.ip) {
                same.push(index);
            }
        }
    }

    fn index_own_ports(&mut self) {
        let ports = self.record.ports.clone();
        for port in &ports {
            for ip in self.addresses.clone() {
                let port_number = port.port;
                self.add(
                    &port.name,
                    &port.protocol,
                    Entry {
                        endpoint: None,
                        ip,
                        port: port_number,
                    },
                );
            }
        }
    }

    fn index_endpoints(&mut self) {
        let mut ready: Vec<usize> = self.hosts.values().flatten().copied().collect();
        ready.sort_unstable();
        for index in ready {
            let endpoint = &self.record.endpoints[index];
            let ip = endpoint.ip;
            self.addresses.push(ip);
            for port in endpoint.ports.clone() {
                let entry = Entry {
                    endpoint: Some(index),
                    ip,
                    port: port.port,
                };
                self.add(&port.name, &port.protocol, entry);
            }
        }
    }

    fn add(&mut self, port: &str, protocol: &str, entry: Entry) {
        self.entries.push(entry);
        if !port.is_empty() {
            self.named
                .entry(key(port, protocol))
                .or_default()
                .push(entry);
        }
    }

    /// Whether the service's own name exists: a headless one without a ready endpoint does not.
    pub(super) fn is_there(&self) -> bool {
        match &self.record.kind {
            ServiceKind::ExternalName { name } => name.parse::<IpAddr>().is_err(),
            ServiceKind::ClusterIp { addresses } if !addresses.is_empty() => true,
            ServiceKind::ClusterIp { .. } | ServiceKind::Headless => !self.addresses.is_empty(),
        }
    }

    /// Returns the entries of `_port._protocol`, given in lower case.
    pub(super) fn port(&self, port: &str, protocol: &str) -> Option<&[Entry]> {
        self.named
            .get(&format!("{port}.{protocol}"))
            .map(Vec::as_slice)
    }

    /// Whether a named port has this protocol, given as `_tcp`.
    pub(super) fn has_protocol(&self, protocol: &str) -> bool {
        let mut names = self.named.keys();
        names.any(|name| {
            name.rsplit_once('.')
                .is_some_and(|(_, last)| last == protocol)
        })
    }

    /// Returns which endpoints go by a host name, given in lower case.
    pub(super) fn host(&self, host: &str) -> Option<&[usize]> {
        self.hosts.get(host).map(Vec::as_slice)
    }

    /// Returns each port of some endpoints.
    pub(super) fn entries_of(&self, endpoints: &[usize]) -> Vec<Entry> {
        let entries = endpoints.iter().flat_map(|&index| {
            let endpoint = &self.record.endpoints[index];
            let entry = move |port: u16| Entry {
                endpoint: Some(index),
                ip: endpoint.ip,
                port,
            };
            endpoint.ports.iter().map(move |port| entry(port.port))
        });
        entries.collect()
    }

    /// Lists the labels that exist right below the service, sorted.
    pub(super) fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = self
            .named
            .keys()
            .chain(self.hosts.keys())
            .map(String::as_str)
            .collect();
        labels.sort_unstable();
        labels
    }
}

fn key(port: &str, protocol: &str) -> String {
    format!("_{port}._{protocol}").to_ascii_lowercase()
}
