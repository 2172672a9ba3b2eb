//! One question answered from the few records it needs, the way a resolver in a pet would ask.
//!
//! A command asks once and ends, so it must not read a thousand services to find one.

use std::net::IpAddr;

use super::answer::{Kind, Question, Record, Status, Value};
use super::arpa::{self, Arpa};
use super::zone::{Zone, undashed};
use crate::model::{Namespace, ObjectName};
use crate::net::record::ServiceRecord;

/// Names with this many dots are tried as they are first (`ndots:5`, N60).
const NDOTS: usize = 5;
const MOST_ALIASES: usize = 8;

/// A piece of what is seen that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// One service.
    Service(Namespace, ObjectName),
    /// Any service of a namespace, to know that the namespace exists.
    Namespace(Namespace),
    /// The services of which this is an address.
    ByAddress(IpAddr),
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// These records, aliases first.
    Found(Vec<Record>),
    /// The name exists, but has no record of that kind.
    NoData,
    NxDomain,
}

/// Returns the domains in which a pet of `namespace` looks for a short name (N60).
pub(crate) fn search_path(namespace: &str, domain: &str) -> Vec<String> {
    let domain = domain.trim_end_matches('.');
    vec![
        format!("{namespace}.svc.{domain}"),
        format!("svc.{domain}"),
        domain.to_owned(),
    ]
}

/// Looks `name` up in each domain of `search` and as it is, in the order of a resolver.
///
/// `load` returns the records for a need, and is asked for nothing else. A name with a final
/// dot is complete; an address is looked up backwards.
pub(crate) fn lookup(
    name: &str,
    kind: Kind,
    domain: &str,
    search: &[String],
    mut load: impl FnMut(&Need) -> crate::Result<Vec<ServiceRecord>>,
) -> crate::Result<Lookup> {
    let mut best = Lookup::NxDomain;
    for candidate in candidates(name, search) {
        let kind = if kind == Kind::A && arpa::read(&candidate).is_some() {
            Kind::Ptr
        } else {
            kind
        };
        let found = resolve(&Question::new(candidate, kind), domain, &mut load)?;
        match found {
            Lookup::Found(_) => return Ok(found),
            Lookup::NoData => best = found,
            Lookup::NxDomain => {}
        }
    }
    Ok(best)
}

/// Returns what must be known to answer for `name` from within `namespace`.
pub(crate) fn needed(name: &str, domain: &str, namespace: &str) -> Vec<Need> {
    let candidates = candidates(name, &search_path(namespace, domain));
    let needs = candidates
        .iter()
        .filter_map(|candidate| need_of(candidate, domain));
    needs.collect()
}

/// Lists the complete names that a short one may stand for.
fn candidates(name: &str, search: &[String]) -> Vec<String> {
    if let Ok(ip) = name.parse() {
        return vec![arpa::name_of(ip)];
    }
    if let Some(complete) = name.strip_suffix('.') {
        return vec![complete.to_owned()];
    }
    if arpa::read(&name.to_ascii_lowercase()).is_some() {
        return vec![name.to_owned()];
    }
    let mut all: Vec<String> = search
        .iter()
        .map(|domain| format!("{name}.{domain}"))
        .collect();
    let as_it_is = if name.matches('.').count() >= NDOTS {
        0
    } else {
        all.len()
    };
    all.insert(as_it_is, name.to_owned());
    all
}

/// Returns what a complete name depends on; nothing where it is known without looking.
fn need_of(name: &str, domain: &str) -> Option<Need> {
    let name = name.to_ascii_lowercase();
    if let Some(Arpa::Address(ip)) = arpa::read(&name) {
        return Some(Need::ByAddress(ip));
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let path: Vec<&str> = arpa::below(&name, &domain)?.rsplit('.').collect();
    match path.as_slice() {
        ["svc" | "pod", namespace] => Some(Need::Namespace(namespace.parse().ok()?)),
        ["pod", _, pod] => undashed(pod).map(Need::ByAddress),
        ["svc", namespace, service, ..] => Some(Need::Service(
            namespace.parse().ok()?,
            service.parse().ok()?,
        )),
        _ => None,
    }
}

/// Answers for one complete name, following aliases from service to service.
fn resolve(
    question: &Question,
    domain: &str,
    load: &mut impl FnMut(&Need) -> crate::Result<Vec<ServiceRecord>>,
) -> crate::Result<Lookup> {
    let mut zone = Zone::new(domain, [])
        .with_reverse_zone("in-addr.arpa")
        .with_reverse_zone("ip6.arpa");
    let mut known = Vec::new();
    let mut next = need_of(&question.name, domain);
    while let Some(need) = next.filter(|need| !known.contains(need) && known.len() < MOST_ALIASES) {
        zone.load(load(&need)?);
        known.push(need);
        next = match answers(&zone, question)
            .1
            .last()
            .map(|record| &record.value)
        {
            Some(Value::Cname(target)) => need_of(target, domain),
            Some(_) | None => None,
        };
    }
    let (status, records) = answers(&zone, question);
    Ok(match status {
        Status::NoError if records.is_empty() => Lookup::NoData,
        Status::NoError => Lookup::Found(records),
        Status::NxDomain | Status::Refused | Status::ServFail => Lookup::NxDomain,
    })
}

fn answers(zone: &Zone, question: &Question) -> (Status, Vec<Record>) {
    let answer = zone.answer(question, usize::MAX);
    (answer.status, answer.answers)
}
