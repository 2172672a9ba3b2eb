//! Finding a name below the domain, label by label from the right.

use std::net::IpAddr;

use super::answer::{Question, RecordData, RecordType};
use super::arpa;
use super::index::Zone;
use super::rows::{Rows, ZoneQuestion};
use super::service::ServiceIndex;
use crate::model::endpoints::ServiceKind;

/// The specification that the records follow, and how long that may be remembered (N01).
const SCHEMA: &str = "1.1.0";
const SCHEMA_TTL: u32 = 28800;
/// How many aliases in a row are followed.
const MOST_ALIASES: usize = 8;

impl Zone {
    /// Finds a name of the zone; `None` where it does not exist.
    pub(super) fn find(&self, asked: &ZoneQuestion, labels: &str) -> Option<Rows> {
        let mut path: Vec<&str> = labels.rsplit('.').collect();
        path.retain(|_| !labels.is_empty());
        match path.as_slice() {
            [] => Some(self.apex(asked)),
            ["dns-version"] => {
                let schema = RecordData::Txt(SCHEMA.to_owned());
                let mut rows = asked.rows([schema]);
                rows.answers.iter_mut().for_each(|row| row.ttl = SCHEMA_TTL);
                Some(rows)
            }
            ["dns" | "svc" | "pod"] => Some(Rows::default()),
            ["dns", "ns"] => {
                Some(asked.rows(self.servers.iter().map(|ip| RecordData::address(*ip))))
            }
            ["svc" | "pod", namespace] => {
                let there = self.namespaces.contains_key(*namespace);
                there.then(Rows::default)
            }
            ["pod", namespace, pod] => self.pod(asked, namespace, pod),
            ["svc", namespace, service, rest @ ..] => {
                let node = self.services.get(&format!("{service}.{namespace}"))?;
                self.service(asked, node, rest)
            }
            _ => None,
        }
    }

    pub(super) fn apex(&self, asked: &ZoneQuestion) -> Rows {
        let server = format!("ns.dns.{}", asked.zone);
        let mut rows = asked.rows([self.soa(asked.zone), RecordData::Ns(server.clone())]);
        if asked.kind.takes(RecordType::Ns) {
            let addresses = self.servers.iter().map(|ip| RecordData::address(*ip));
            rows.additional = addresses.map(|value| asked.row(&server, value)).collect();
        }
        rows
    }

    /// A name such as `10-1-2-3.default.pod` stands for the address that it spells, if an endpoint
    /// of the namespace has it (N45).
    fn pod(&self, asked: &ZoneQuestion, namespace: &str, pod: &str) -> Option<Rows> {
        let ip = undashed(pod).filter(|_| self.namespaces.contains_key(namespace))?;
        let there = self.has_pod(namespace, ip);
        there.then(|| asked.rows([RecordData::address(ip)]))
    }

    fn service(&self, asked: &ZoneQuestion, node: &ServiceIndex, rest: &[&str]) -> Option<Rows> {
        match (&node.record.kind, rest) {
            (_, []) if !node.is_there() => None,
            (ServiceKind::ExternalName { name }, []) => Some(self.alias(asked, name)),
            (ServiceKind::ExternalName { .. }, _) => None,
            (_, []) => {
                let mut rows = asked.rows(node.addresses(asked.kind).map(RecordData::address));
                asked.add_srv(&mut rows, node, node.entries());
                Some(rows)
            }
            (_, [protocol]) if protocol.starts_with('_') => {
                node.has_protocol(protocol).then(Rows::default)
            }
            (_, [host]) => {
                let endpoints = node.host(host)?;
                let ips = endpoints
                    .iter()
                    .map(|&index| node.record.endpoints[index].ip);
                let mut rows = asked.rows(ips.map(RecordData::address));
                let entries = node.entries_of(&endpoints);
                asked.add_srv(&mut rows, node, (entries.len(), entries.into_iter()));
                Some(rows)
            }
            (_, [protocol, port]) => {
                let entries = node.port(port, protocol)?;
                let mut rows = Rows::default();
                asked.add_srv(&mut rows, node, entries);
                Some(rows)
            }
            _ => None,
        }
    }

    /// Answers with the other name and, if it is in this zone, with the records of that.
    ///
    /// An alias that leads nowhere still answers, so that the asker sees where it points.
    fn alias(&self, asked: &ZoneQuestion, name: &str) -> Rows {
        let mut rows = Rows::default();
        let mut owner = asked.owner.to_owned();
        let mut target = name.to_owned();
        for _ in 0..MOST_ALIASES {
            rows.answers
                .push(asked.row(&owner, RecordData::Cname(target.clone())));
            let lower = target.to_ascii_lowercase();
            let labels = arpa::below(&lower, &self.domain);
            let Some(labels) = labels.filter(|_| !asked.kind.takes(RecordType::Cname)) else {
                break;
            };
            if let Some(next) = self.alias_at(labels) {
                owner = std::mem::replace(&mut target, next);
                continue;
            }
            let question = Question::new(target, asked.kind);
            let answer = self.forward(&question, labels, asked.most);
            rows.answers.extend(answer.answers);
            rows.additional = answer.additional;
            break;
        }
        rows
    }

    /// Returns the other name that the service at `labels` stands for.
    fn alias_at(&self, labels: &str) -> Option<String> {
        let node = self.services.get(labels.strip_suffix(".svc")?)?;
        match &node.record.kind {
            ServiceKind::ExternalName { name } if node.is_there() => Some(name.clone()),
            ServiceKind::ExternalName { .. }
            | ServiceKind::Headless
            | ServiceKind::ClusterIp { .. } => None,
        }
    }
}

/// Reads an address that is spelled with dashes.
pub(super) fn undashed(label: &str) -> Option<IpAddr> {
    let v4 = label.matches('-').count() == 3 && !label.contains("--");
    let separator = if v4 { "." } else { ":" };
    label.replace('-', separator).parse().ok()
}
