//! One question answered from the few records that it needs, as a resolver in a pet asks.
//!
//! A command asks once and ends, so it must not read a thousand services to find one.

use std::net::IpAddr;

use super::answer::{DnsRecord, Question, RecordData, RecordType, ResponseCode};
use super::arpa::{self, Arpa};
use super::find::undashed;
use super::index::Zone;
use crate::model::endpoints::ServiceRecord;
use crate::model::{Namespace, ObjectName};

/// Names with this many dots are tried as they are first (`ndots:5`, N60).
const NDOTS: usize = 5;
const MOST_ALIASES: usize = 8;

/// The records that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dependency {
    /// One service.
    Service(Namespace, ObjectName),
    /// Any service of a namespace, to know that the namespace exists.
    Namespace(Namespace),
    /// The services of which this is an address.
    ByAddress(IpAddr),
}

/// The outcome of looking a name up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// These records, aliases first.
    Found(Vec<DnsRecord>),
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
    kind: RecordType,
    domain: &str,
    search: &[String],
    mut load: impl FnMut(&Dependency) -> crate::problem::Result<Vec<ServiceRecord>>,
) -> crate::problem::Result<Lookup> {
    let mut best = Lookup::NxDomain;
    for question in questions(name, kind, search) {
        let found = resolve(&question, domain, &mut load)?;
        match found {
            Lookup::Found(_) => return Ok(found),
            Lookup::NoData => best = found,
            Lookup::NxDomain => {}
        }
    }
    Ok(best)
}

/// Returns the questions of which a resolver asks one after the other until the first answer.
pub(crate) fn questions(name: &str, kind: RecordType, search: &[String]) -> Vec<Question> {
    let question = |candidate: String| {
        let backwards = kind == RecordType::A && arpa::read(&candidate).is_some();
        Question::new(candidate, if backwards { RecordType::Ptr } else { kind })
    };
    candidates(name, search).into_iter().map(question).collect()
}

/// Lists the complete names that a short one may stand for.
fn candidates(name: &str, search: &[String]) -> Vec<String> {
    if let Ok(ip) = name.parse() {
        return vec![arpa::name_of(ip)];
    }
    let complete = name.strip_suffix('.');
    if complete.unwrap_or(name).split('.').any(str::is_empty) {
        return Vec::new();
    }
    if let Some(complete) = complete {
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

/// Returns the records that a complete name depends on; `None` where it needs none.
fn need_of(name: &str, domain: &str) -> Option<Dependency> {
    let name = name.to_ascii_lowercase();
    if let Some(Arpa::Address(ip)) = arpa::read(&name) {
        return Some(Dependency::ByAddress(ip));
    }
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let path: Vec<&str> = arpa::below(&name, &domain)?.rsplit('.').collect();
    match path.as_slice() {
        ["svc" | "pod", namespace] => Some(Dependency::Namespace(namespace.parse().ok()?)),
        ["pod", _, pod] => undashed(pod).map(Dependency::ByAddress),
        ["svc", namespace, service, ..] => Some(Dependency::Service(
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
    load: &mut impl FnMut(&Dependency) -> crate::problem::Result<Vec<ServiceRecord>>,
) -> crate::problem::Result<Lookup> {
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
            Some(RecordData::Cname(target)) => need_of(target, domain),
            Some(_) | None => None,
        };
    }
    let (status, records) = answers(&zone, question);
    Ok(match status {
        ResponseCode::NoError if records.is_empty() => Lookup::NoData,
        ResponseCode::NoError => Lookup::Found(records),
        ResponseCode::NxDomain | ResponseCode::Refused | ResponseCode::ServFail => Lookup::NxDomain,
    })
}

fn answers(zone: &Zone, question: &Question) -> (ResponseCode, Vec<DnsRecord>) {
    let answer = zone.answer(question, usize::MAX);
    (answer.status, answer.answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::fixture::{coredns, pets, service};

    const DOMAIN: &str = "cluster.local";

    /// Looks up from the namespace `testns`; returns what was found and what was loaded for it.
    fn ask(name: &str, kind: RecordType) -> (String, Vec<Dependency>) {
        let mut records = coredns();
        records.push(pets(2));
        records.push(service("alias", "->nginx.testns.svc.cluster.local", ""));
        let mut loaded = Vec::new();
        let load = |need: &Dependency| {
            loaded.push(need.clone());
            let wanted = |record: &ServiceRecord| match need {
                Dependency::Service(namespace, name) => {
                    (record.namespace.as_str(), record.name.as_str())
                        == (namespace.as_str(), name.as_str())
                }
                Dependency::Namespace(namespace) => record.namespace == namespace.as_str(),
                Dependency::ByAddress(ip) => {
                    record.endpoints.iter().any(|endpoint| endpoint.ip == *ip)
                }
            };
            Ok(records
                .iter()
                .filter(|record| wanted(record))
                .cloned()
                .collect())
        };
        let search = search_path("testns", DOMAIN);
        let found = match lookup(name, kind, DOMAIN, &search, load).unwrap() {
            Lookup::Found(records) => super::super::short(&records).join(" "),
            Lookup::NoData => "nodata".to_owned(),
            Lookup::NxDomain => "nxdomain".to_owned(),
        };
        (found, loaded)
    }

    fn of(name: &str) -> Dependency {
        Dependency::Service("testns".parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn a_short_name_is_found_by_the_search_path_from_one_record() {
        // CF-net-06
        for name in [
            "web-1.nginx",
            "web-1.nginx.testns",
            "web-1.nginx.testns.svc",
            "web-1.nginx.testns.svc.cluster.local",
            "web-1.nginx.testns.svc.cluster.local.",
            "WEB-1.Nginx",
        ] {
            let (found, loaded) = ask(name, RecordType::A);
            assert_eq!(found, "127.5.1.2", "{name}");
            assert!(loaded.contains(&of("nginx")), "{name}: {loaded:?}");
        }
        assert_eq!(ask("web-1.nginx", RecordType::A).1, [of("nginx")]);
    }

    #[test]
    fn an_alias_needs_what_it_stands_for() {
        let (found, loaded) = ask("alias", RecordType::A);
        assert_eq!(found, "nginx.testns.svc.cluster.local. 127.5.1.1 127.5.1.2");
        assert_eq!(loaded, [of("alias"), of("nginx")]);
    }

    #[test]
    fn an_address_is_looked_up_backwards() {
        for name in [
            "127.5.1.2",
            "2.1.5.127.in-addr.arpa",
            "2.1.5.127.in-addr.arpa.",
        ] {
            let (found, loaded) = ask(name, RecordType::A);
            assert_eq!(found, "web-1.nginx.testns.svc.cluster.local.", "{name}");
            assert_eq!(
                loaded,
                [Dependency::ByAddress("127.5.1.2".parse().unwrap())]
            );
        }
        assert_eq!(ask("127.5.1.9", RecordType::Ptr).0, "nxdomain");
    }

    #[test]
    fn what_is_missing_is_told_from_what_has_no_such_record() {
        assert_eq!(ask("nginx", RecordType::Aaaa).0, "nodata");
        assert_eq!(ask("nope", RecordType::A).0, "nxdomain");
        assert_eq!(ask("example.org.", RecordType::A).0, "nxdomain");
        assert_eq!(ask("testns.svc.cluster.local", RecordType::A).0, "nodata");
        assert_eq!(
            ask("nowhere.svc.cluster.local", RecordType::A).0,
            "nxdomain"
        );
        assert_eq!(
            ask("dns-version.cluster.local", RecordType::Txt).0,
            "\"1.1.0\""
        );
    }

    #[test]
    fn names_that_no_service_can_have_are_never_looked_for() {
        for name in ["../../etc", "..", "a/b", "", ".", "*", "a\0b", "\u{e9}"] {
            let (found, loaded) = ask(name, RecordType::A);
            assert!(loaded.is_empty(), "{name:?} {loaded:?}");
            assert_eq!(found, "nxdomain", "{name:?}");
        }
    }
}
