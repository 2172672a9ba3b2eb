//! Making the records that answer one question, and no more of them than are wanted.

use std::collections::HashSet;

use super::answer::{Answer, DnsRecord, RecordData, RecordType, ResponseCode};
use super::service::{ServiceIndex, SrvEntry};

/// A question in the zone, with the names that the answer must spell as the question does (N41).
pub(super) struct ZoneQuestion<'q> {
    pub(super) owner: &'q str,
    pub(super) zone: &'q str,
    pub(super) kind: RecordType,
    pub(super) ttl: u32,
    pub(super) most: usize,
}

/// The records of a name that exists.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) answers: Vec<DnsRecord>,
    pub(super) additional: Vec<DnsRecord>,
}

impl Rows {
    pub(super) fn into_answer(self) -> Answer {
        Answer {
            answers: self.answers,
            additional: self.additional,
            ..Answer::bare(ResponseCode::NoError)
        }
    }
}

impl ZoneQuestion<'_> {
    pub(super) fn row(&self, owner: &str, value: RecordData) -> DnsRecord {
        DnsRecord {
            name: owner.to_owned(),
            ttl: self.ttl,
            value,
        }
    }

    /// Returns the records of the type asked for.
    pub(super) fn rows(&self, values: impl IntoIterator<Item = RecordData>) -> Rows {
        let fitting = values
            .into_iter()
            .filter(|value| self.kind.takes(value.kind()));
        let answers = fitting
            .take(self.most)
            .map(|value| self.row(self.owner, value));
        Rows {
            answers: answers.collect(),
            additional: Vec::new(),
        }
    }

    /// Adds an SRV record for each of `count` entries, and the addresses of their targets (N07,
    /// N14, N16).
    pub(super) fn add_srv(
        &self,
        rows: &mut Rows,
        node: &ServiceIndex,
        (count, entries): (usize, impl Iterator<Item = SrvEntry>),
    ) {
        if !self.kind.takes(RecordType::Srv) {
            return;
        }
        let weight = weight_of(count);
        let (mut seen, mut addressed) = (HashSet::new(), HashSet::new());
        for entry in entries {
            if rows.answers.len() >= self.most {
                return;
            }
            let target = self.target(node, &entry);
            if addressed.insert((target.clone(), entry.ip)) {
                rows.additional
                    .push(self.row(&target, RecordData::address(entry.ip)));
            }
            if seen.insert((target.clone(), entry.port)) {
                let (priority, port) = (0, entry.port);
                let value = RecordData::Srv {
                    priority,
                    weight,
                    port,
                    target,
                };
                rows.answers.push(self.row(self.owner, value));
            }
        }
    }

    fn target(&self, node: &ServiceIndex, entry: &SrvEntry) -> String {
        match entry.endpoint {
            None => node.record.fqdn(self.zone),
            Some(index) => node
                .record
                .endpoint_fqdn(&node.record.endpoints[index], self.zone),
        }
    }
}

/// A hundred, shared out evenly, but never nothing (N16).
fn weight_of(entries: usize) -> u16 {
    let share = 100usize.checked_div(entries).unwrap_or(100).max(1);
    u16::try_from(share).unwrap_or(1)
}
