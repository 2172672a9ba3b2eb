//! Records as text: rows of a table, a zone file, an /etc/hosts block. As JSON a
//! [`DnsRecord`] says it itself.

use std::collections::HashMap;
use std::net::IpAddr;

use super::answer::DnsRecord;
use crate::model::endpoints::{ServiceKind, ServiceRecord};
use crate::sorted::SortedMap;

/// The head of the table of which [`rows`] are the body.
pub(crate) const TABLE_HEAD: [&str; 4] = ["NAME", "TYPE", "TTL", "VALUE"];

/// Renders each record as the cells of a table.
pub(crate) fn rows(records: &[DnsRecord]) -> Vec<[String; 4]> {
    let row = |record: &DnsRecord| {
        let kind = record.value.kind().to_string();
        let value = record.value.to_string();
        [record.name.clone(), kind, record.ttl.to_string(), value]
    };
    records.iter().map(row).collect()
}

/// Renders each record's value on a line, like `dig +short`.
pub(crate) fn short(records: &[DnsRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.value.to_string())
        .collect()
}

/// Renders records as a zone file.
pub(crate) fn zone_file(domain: &str, records: &[DnsRecord]) -> String {
    let mut text = format!("$ORIGIN {domain}.\n");
    for DnsRecord { name, ttl, value } in records {
        let kind = value.kind();
        text.push_str(&format!("{name}. {ttl} IN {kind} {value}\n"));
    }
    text
}

/// Renders services and their ready endpoints as lines for /etc/hosts.
///
/// A line is an address, a full name, and the shorter names that mean nothing else: two sets of
/// different namespaces may both have a `web-0`.
pub(crate) fn hosts(services: &[ServiceRecord], domain: &str) -> String {
    let mut lines: SortedMap<(String, IpAddr), Vec<String>> = SortedMap::new();
    for service in services {
        let (own, short) = (service.fqdn(domain), service_names(service));
        for ip in own_addresses(service) {
            lines.insert((own.clone(), ip), short.clone());
        }
        for endpoint in service.ready() {
            let host = endpoint.host();
            let mut names: Vec<String> =
                short.iter().map(|name| format!("{host}.{name}")).collect();
            if endpoint.hostname.is_some() {
                names.push(host.into_owned());
            }
            lines.insert(
                (service.endpoint_fqdn(endpoint, domain), endpoint.ip),
                names,
            );
        }
    }
    write_hosts(&lines)
}

fn write_hosts(lines: &SortedMap<(String, IpAddr), Vec<String>>) -> String {
    let mut meanings: HashMap<&str, Vec<&str>> = HashMap::new();
    for ((full, _), names) in lines {
        for name in names {
            let meaning = meanings.entry(name).or_default();
            if !meaning.contains(&full.as_str()) {
                meaning.push(full);
            }
        }
    }
    let mut text = String::new();
    for ((full, ip), names) in lines {
        text.push_str(&format!("{ip}\t{full}"));
        let clear = names
            .iter()
            .filter(|name| meanings[name.as_str()].len() == 1);
        for name in clear {
            text.push_str(&format!(" {name}"));
        }
        text.push('\n');
    }
    text
}

/// The shorter forms of a service's name, longest first.
fn service_names(service: &ServiceRecord) -> Vec<String> {
    let ServiceRecord {
        name, namespace, ..
    } = service;
    vec![
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}"),
        name.clone(),
    ]
}

fn own_addresses(service: &ServiceRecord) -> Vec<IpAddr> {
    match &service.kind {
        ServiceKind::ExternalName { .. } => Vec::new(),
        ServiceKind::ClusterIp { addresses } if !addresses.is_empty() => addresses.clone(),
        ServiceKind::ClusterIp { .. } | ServiceKind::Headless => {
            service.ready().map(|endpoint| endpoint.ip).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Question, RecordType, Zone};
    use super::*;
    use crate::dns::fixture::{pets, service};

    fn some() -> Vec<DnsRecord> {
        let zone = Zone::new("cluster.local", [pets(1)]);
        let question = Question::new("nginx.testns.svc.cluster.local", RecordType::Any);
        zone.answer(&question, usize::MAX).answers
    }

    #[test]
    fn records_are_shown_as_a_table_a_zone_file_and_json() {
        let records = some();
        let cells = ["nginx.testns.svc.cluster.local", "A", "5", "127.5.1.1"].map(str::to_owned);
        assert_eq!(rows(&records)[0], cells);
        assert_eq!(
            short(&records)[1],
            "0 100 80 web-0.nginx.testns.svc.cluster.local."
        );
        let file = zone_file("cluster.local", &records[..1]);
        let line = "nginx.testns.svc.cluster.local. 5 IN A 127.5.1.1";
        assert_eq!(file, format!("$ORIGIN cluster.local.\n{line}\n"));
        let json = serde_json::to_string(&records[0]).unwrap();
        let name = "nginx.testns.svc.cluster.local";
        let expected = format!(r#"{{"name":"{name}","type":"A","ttl":5,"value":"127.5.1.1"}}"#);
        assert_eq!(json, expected);
    }

    #[test]
    fn a_hosts_block_has_only_short_names_that_mean_one_thing() {
        let mut other = service("nginx", "headless", "web-0=127.5.1.9");
        other.namespace = "other".to_owned();
        let ready_and_not = service("db", "10.0.0.1", "db-0=127.5.1.3 db-1=127.5.1.4?");
        let text = hosts(&[pets(1), other, ready_and_not], "cluster.local");
        let d = "cluster.local";
        let expected = [
            format!(
                "127.5.1.3\tdb-0.db.testns.svc.{d} db-0.db.testns.svc db-0.db.testns db-0.db db-0"
            ),
            format!("10.0.0.1\tdb.testns.svc.{d} db.testns.svc db.testns db"),
            format!("127.5.1.9\tnginx.other.svc.{d} nginx.other.svc nginx.other"),
            format!("127.5.1.1\tnginx.testns.svc.{d} nginx.testns.svc nginx.testns"),
            format!("127.5.1.9\tweb-0.nginx.other.svc.{d} web-0.nginx.other.svc web-0.nginx.other"),
            format!(
                "127.5.1.1\tweb-0.nginx.testns.svc.{d} web-0.nginx.testns.svc web-0.nginx.testns"
            ),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
