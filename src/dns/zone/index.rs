//! The names of all services and pets, and the records of each.
//!
//! A name below the domain reads from the right: `svc`, the namespace, the service, and then a
//! host (`web-0`) or a port (`_http._tcp`). Looking it up takes a few steps through hash maps;
//! only the records that are asked for are made.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::answer::{Answer, DnsRecord, Question, RecordData, RecordType, ResponseCode, TTL};
use super::arpa::{self, Arpa};
use super::rows::ZoneQuestion;
use super::service::{Moved, ServiceIndex};
use crate::model::endpoints::{ServiceKind, ServiceRecord};
use crate::sorted::{SortedSet, sort_by_key};

/// The host's own loopback, as a private network knows it.
const HOST: &str = "host.petset.internal";

/// A DNS zone: the names of the services and endpoints of one state directory.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(super) domain: String,
    serial: u32,
    loaded: bool,
    pub(super) servers: Vec<IpAddr>,
    reverse_zones: Vec<String>,
    /// Where [`HOST`] is, in a network that knows it.
    host: Option<IpAddr>,
    /// By `service.namespace`, in lower case.
    pub(super) services: HashMap<String, ServiceIndex>,
    /// How many services each namespace has.
    pub(super) namespaces: HashMap<String, usize>,
    owners: HashMap<IpAddr, Vec<Owner>>,
}

/// The owner of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    /// Its key.
    service: Arc<str>,
    /// The endpoint in its record; none where it is the service's own address.
    endpoint: Option<usize>,
}

impl Zone {
    /// Makes the zone of `domain` out of all services there are.
    pub(crate) fn new(domain: &str, records: impl IntoIterator<Item = ServiceRecord>) -> Self {
        let mut zone = Self::unloaded(domain);
        zone.load(records);
        zone
    }

    /// Makes a zone that answers SERVFAIL until it is loaded, because an absence that is not
    /// certain must not be reported as one (N37).
    pub(crate) fn unloaded(domain: &str) -> Self {
        Self {
            domain: domain.trim_end_matches('.').to_ascii_lowercase(),
            serial: 0,
            loaded: false,
            servers: Vec::new(),
            reverse_zones: Vec::new(),
            host: None,
            services: HashMap::new(),
            namespaces: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// Sets the addresses of the name server `ns.dns` itself.
    #[must_use]
    pub(crate) fn with_servers(mut self, servers: impl IntoIterator<Item = IpAddr>) -> Self {
        self.servers = servers.into_iter().collect();
        self
    }

    /// Sets the address at which a private network has the host: its name is [`HOST`].
    #[must_use]
    pub(crate) fn with_host(mut self, ip: IpAddr) -> Self {
        self.host = Some(ip);
        self
    }

    /// Adds a zone of reverse names, such as `5.127.in-addr.arpa`, in which an unknown address does
    /// not exist. In other zones this server is not the one to deny it.
    #[must_use]
    pub(crate) fn with_reverse_zone(mut self, zone: &str) -> Self {
        let zone = zone.trim_end_matches('.').to_ascii_lowercase();
        self.reverse_zones.push(zone);
        self
    }

    /// Returns the domain, in lower case and without a final dot.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns whether a name that is missing does not exist.
    pub(super) const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Adds the services that exist; from now on a name that is missing does not exist.
    pub(crate) fn load(&mut self, records: impl IntoIterator<Item = ServiceRecord>) {
        for record in records {
            self.replace(record);
        }
        self.loaded = true;
    }

    /// Adds or updates a service; returns whether anything changed. It costs what has changed.
    pub(crate) fn replace(&mut self, record: ServiceRecord) -> bool {
        let key = key_of(&record.name, &record.namespace);
        let record = match self.services.get_mut(&key) {
            None => record,
            Some(node) => match node.follow(record) {
                Ok(None) => return false,
                Ok(Some(moved)) => {
                    self.own_moved(&key, moved);
                    self.serial = self.serial.wrapping_add(1);
                    return true;
                }
                Err(record) => *record,
            },
        };
        self.remove(&record.namespace, &record.name);
        let namespace = record.namespace.to_ascii_lowercase();
        *self.namespaces.entry(namespace).or_default() += 1;
        let node = ServiceIndex::new(record);
        self.own(&key, &node.record);
        self.services.insert(key, node);
        self.serial = self.serial.wrapping_add(1);
        true
    }

    /// Removes a service; returns whether it was there.
    pub(crate) fn remove(&mut self, namespace: &str, name: &str) -> bool {
        let key = key_of(name, namespace);
        let Some(node) = self.services.remove(&key) else {
            return false;
        };
        let endpoints = node.record.endpoints.iter().map(|endpoint| &endpoint.ip);
        for ip in endpoints.chain(own_addresses(&node.record)) {
            let Some(owners) = self.owners.get_mut(ip) else {
                continue;
            };
            owners.retain(|owner| *owner.service != *key);
            if owners.is_empty() {
                self.owners.remove(ip);
            }
        }
        let namespace = namespace.to_ascii_lowercase();
        let left = self.namespaces.entry(namespace.clone()).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.namespaces.remove(&namespace);
        }
        self.serial = self.serial.wrapping_add(1);
        true
    }

    /// Notes which addresses lead to other endpoints of this service now.
    fn own_moved(&mut self, key: &str, moved: Vec<Moved>) {
        let service: Arc<str> = key.into();
        for Moved { index, from, to } in moved {
            if let Some(owners) = from.and_then(|ip| self.owners.get_mut(&ip)) {
                owners.retain(|owner| *owner.service != *key || owner.endpoint != Some(index));
            }
            if let Some(ip) = from.filter(|ip| self.owners.get(ip).is_some_and(Vec::is_empty)) {
                self.owners.remove(&ip);
            }
            if let Some(ip) = to {
                let owner = Owner {
                    service: Arc::clone(&service),
                    endpoint: Some(index),
                };
                self.owners.entry(ip).or_default().push(owner);
            }
        }
    }

    /// Notes which addresses lead back to this service.
    fn own(&mut self, key: &str, record: &ServiceRecord) {
        let service: Arc<str> = key.into();
        let mut note = |ip: IpAddr, endpoint| {
            let service = Arc::clone(&service);
            self.owners
                .entry(ip)
                .or_default()
                .push(Owner { service, endpoint });
        };
        for ip in own_addresses(record) {
            note(*ip, None);
        }
        for (index, endpoint) in record.endpoints.iter().enumerate() {
            note(endpoint.ip, Some(index));
        }
    }

    /// Answers a question with at most `most` records, which is more than the client can take.
    pub(crate) fn answer(&self, question: &Question, most: usize) -> Answer {
        let name = question.name.to_ascii_lowercase();
        if let Some(ip) = self.host.filter(|_| name == HOST) {
            return self.the_host(question, ip);
        }
        let forward = arpa::below(&name, &self.domain);
        if forward.is_none() && arpa::read(&name).is_none() {
            return Answer::bare(ResponseCode::Refused);
        }
        if !self.loaded {
            return Answer::bare(ResponseCode::ServFail);
        }
        match forward {
            Some(labels) => self.forward(question, labels, most),
            None => self.reverse(question, &name),
        }
    }

    pub(super) fn forward(&self, question: &Question, labels: &str, most: usize) -> Answer {
        let start = question.name.len() - self.domain.len();
        let asked = ZoneQuestion {
            owner: &question.name,
            zone: &question.name[start..],
            kind: question.kind,
            ttl: TTL,
            most,
        };
        let Some(rows) = self.find(&asked, labels) else {
            return self.negative(ResponseCode::NxDomain, asked.zone);
        };
        if rows.answers.is_empty() {
            return self.negative(ResponseCode::NoError, asked.zone);
        }
        rows.into_answer()
    }

    /// Answers for [`HOST`], the one name outside the zone, which has an address only.
    fn the_host(&self, question: &Question, ip: IpAddr) -> Answer {
        let asked = ZoneQuestion {
            owner: &question.name,
            zone: &question.name,
            kind: question.kind,
            ttl: TTL,
            most: 1,
        };
        let rows = asked.rows([RecordData::address(ip)]);
        match rows.answers.is_empty() {
            true => self.negative(ResponseCode::NoError, &question.name),
            false => rows.into_answer(),
        }
    }

    /// Says that there is no such name, or no such record, and for how long that holds.
    fn negative(&self, status: ResponseCode, zone: &str) -> Answer {
        let mut answer = Answer::bare(status);
        answer.authority.push(DnsRecord {
            name: zone.to_owned(),
            ttl: super::answer::SOA_TIMES.3,
            value: self.soa(zone),
        });
        answer
    }

    pub(super) fn soa(&self, zone: &str) -> RecordData {
        RecordData::Soa {
            server: format!("ns.dns.{zone}"),
            mailbox: format!("hostmaster.{zone}"),
            serial: self.serial,
        }
    }

    fn reverse(&self, question: &Question, name: &str) -> Answer {
        let arpa = arpa::read(name).unwrap_or(Arpa::Nonsense);
        let names = match arpa {
            Arpa::Address(ip) => self.names_of(ip),
            Arpa::Part | Arpa::Nonsense => Vec::new(),
        };
        let mut zones = self.reverse_zones.iter();
        let zone = zones.find(|zone| arpa::below(name, zone).is_some());
        let zone = zone.map(|zone| &question.name[name.len() - zone.len()..]);
        let asked = ZoneQuestion {
            owner: &question.name,
            zone: zone.unwrap_or_default(),
            kind: question.kind,
            ttl: TTL,
            most: usize::MAX,
        };
        let is_known = !names.is_empty();
        let is_apex = asked.zone.len() == name.len();
        let rows = match is_apex {
            true => self.apex(&asked),
            false => asked.rows(names.into_iter().map(RecordData::Ptr)),
        };
        let exists = is_known || is_apex || arpa == Arpa::Part;
        match zone {
            _ if !rows.answers.is_empty() => rows.into_answer(),
            None if is_known => Answer::bare(ResponseCode::NoError),
            None => Answer::bare(ResponseCode::Refused),
            Some(zone) if exists => self.negative(ResponseCode::NoError, zone),
            Some(zone) => self.negative(ResponseCode::NxDomain, zone),
        }
    }

    /// The names an address leads back to: that of a service, else those of its endpoints,
    /// those with a hostname first.
    fn names_of(&self, ip: IpAddr) -> Vec<String> {
        let owners = self.owners.get(&ip).map(Vec::as_slice).unwrap_or_default();
        let is_own = owners.iter().any(|owner| owner.endpoint.is_none());
        let mut names = SortedSet::new();
        for owner in owners {
            let Some(record) = self.record_of(owner) else {
                continue;
            };
            match owner.endpoint.map(|index| &record.endpoints[index]) {
                None => names.insert((false, record.fqdn(&self.domain))),
                Some(endpoint) if endpoint.ready && !is_own => {
                    let name = record.endpoint_fqdn(endpoint, &self.domain);
                    names.insert((endpoint.hostname.is_none(), name))
                }
                Some(_) => false,
            };
        }
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn record_of(&self, owner: &Owner) -> Option<&ServiceRecord> {
        self.services.get(&*owner.service).map(|node| &node.record)
    }

    /// Returns whether an endpoint of a namespace, given in lower case, has this address.
    pub(super) fn has_pod(&self, namespace: &str, ip: IpAddr) -> bool {
        let mut owners = self.owners.get(&ip).into_iter().flatten();
        owners.any(|owner| {
            let record = self.record_of(owner).filter(|_| owner.endpoint.is_some());
            record.is_some_and(|record| record.namespace.eq_ignore_ascii_case(namespace))
        })
    }

    /// Lists every record of the zone: its own, then each service's, then the reverse names.
    pub(crate) fn records(&self) -> Vec<DnsRecord> {
        let mut names = vec![self.domain.clone(), format!("ns.dns.{}", self.domain)];
        names.push(format!("dns-version.{}", self.domain));
        let mut services: Vec<&ServiceIndex> = self.services.values().collect();
        sort_by_key(&mut services, |node| {
            (&node.record.namespace, &node.record.name)
        });
        for node in services {
            let service = node.record.fqdn(&self.domain);
            let below = node
                .labels()
                .into_iter()
                .map(|label| format!("{label}.{service}"));
            let below: Vec<String> = below.collect();
            names.push(service);
            names.extend(below);
        }
        let ips: SortedSet<IpAddr> = self.owners.keys().copied().collect();
        names.extend(ips.into_iter().map(arpa::name_of));
        let all = |name| {
            self.answer(&Question::new(name, RecordType::Any), usize::MAX)
                .answers
        };
        names.into_iter().flat_map(all).collect()
    }
}

fn key_of(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}").to_ascii_lowercase()
}

fn own_addresses(record: &ServiceRecord) -> &[IpAddr] {
    match &record.kind {
        ServiceKind::ClusterIp { addresses } => addresses,
        ServiceKind::Headless | ServiceKind::ExternalName { .. } => &[],
    }
}
