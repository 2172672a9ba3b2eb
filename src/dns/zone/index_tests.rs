//! The test cases of CoreDNS, replayed (N20-N53), and those of petset alone.
//!
//! Which test holds which rule of docs/rules.md:
//!
//! | rules | test |
//! | --- | --- |
//! | N01, N20-N36, N38, N40 | `coredns_cases_are_answered_as_coredns_does`, rule by rule |
//! | N02-N04, V27 | `a_service_has_one_address_for_life_and_pets_are_told_of_it`, in `serving` |
//! | N05, N06 | `a_headless_service_is_there_while_an_endpoint_is_ready` |
//! | N07, N17 | `every_port_counts_at_the_bare_name_whether_it_has_a_name_or_not` |
//! | N08, N50-N52 | `addresses_lead_back_to_names` |
//! | N09, N34 | `aliases_are_followed_but_not_for_ever`; N33 with a resolver: `forward_tests` |
//! | N10-N13 | `record_tests`: hostnames, readiness, `publishNotReadyAddresses`, annotations |
//! | N14 | `named_target_ports_are_resolved_pod_by_pod` in `record_tests` |
//! | N15, N16 | the TTL of 5 s and the weights are part of the CoreDNS cases |
//! | N37 | `nothing_is_denied_before_everything_is_known` |
//! | N41 | `a_name_is_spelled_in_the_answer_as_it_was_asked` |
//! | N42 | not offered: an empty service with an address is there, as by default in CoreDNS |
//! | N43, N44 | not offered: whether such names resolve is no choice here |
//! | N45 | `addresses_spelled_as_pods_resolve_if_an_endpoint_has_them` |
//! | N53 | the same CoreDNS cases, and `lookup`'s tests |
//! | N54 | not offered, as in CoreDNS since 1.9 |
//! | N60 | `a_short_name_is_found_by_the_search_path_from_one_record` in `lookup` |
//! | N61-N65 | the tests of `runner::isolation::files` |
//! | N66 | `the_apex_has_an_soa_that_forbids_to_remember_what_is_missing` |

use super::answer::{Answer, ResponseCode};
use super::*;
use crate::dns::fixture::{coredns, pets, portless, service};
use crate::model::endpoints::ServiceRecord;

fn zone() -> Zone {
    Zone::new("cluster.local", coredns())
        .with_servers(["127.0.0.1".parse().unwrap()])
        .with_reverse_zone("0.10.in-addr.arpa")
}

/// Asks `NAME TYPE`; a name without a final dot is of the namespace `testns`.
fn ask(zone: &Zone, question: &str) -> Answer {
    let (name, kind) = question.split_once(' ').unwrap();
    let name = match name.strip_suffix('.') {
        Some(complete) => complete.to_owned(),
        None => format!("{name}.testns.svc.cluster.local"),
    };
    zone.answer(&Question::new(name, kind.parse().unwrap()), 4096)
}

/// Says how a question ended, the answers in order, and after `+` the additional records; the
/// owner is left out where it is the name that was asked.
fn say(zone: &Zone, question: &str) -> String {
    let answer = ask(zone, question);
    let word = match (answer.status, answer.answers.is_empty()) {
        (ResponseCode::NoError, false) => "",
        (ResponseCode::NoError, true) => "nodata",
        (ResponseCode::NxDomain, _) => "nxdomain",
        (ResponseCode::ServFail, _) => "servfail",
        (ResponseCode::Refused, _) => "refused",
    };
    let negative = matches!(word, "nodata" | "nxdomain");
    assert_eq!(
        answer.authority.len(),
        usize::from(negative),
        "{question}: SOA"
    );
    let (name, _) = question.split_once(' ').unwrap();
    let name = name.trim_end_matches('.');
    let show = |record: &DnsRecord| {
        let owner = record.name.replace(".testns.svc.cluster.local", "");
        let value = record
            .value
            .to_string()
            .replace(".testns.svc.cluster.local.", "");
        if owner == name {
            value
        } else {
            format!("{owner} {value}")
        }
    };
    let list = |records: &[DnsRecord]| records.iter().map(show).collect::<Vec<_>>().join(", ");
    let mut text = word.to_owned() + &list(&answer.answers);
    if !answer.additional.is_empty() {
        text.push_str(" + ");
        text.push_str(&list(&answer.additional));
    }
    text
}

const SRV_OF_HDLS1: &str = "0 16 80 172-0-0-2.hdls1, 0 16 80 172-0-0-3.hdls1, \
     0 16 80 dup-name.hdls1, 0 16 80 5678-abcd--1.hdls1, 0 16 80 5678-abcd--2.hdls1 \
     + 172-0-0-2.hdls1 172.0.0.2, 172-0-0-3.hdls1 172.0.0.3, dup-name.hdls1 172.0.0.4, \
     dup-name.hdls1 172.0.0.5, 5678-abcd--1.hdls1 5678:abcd::1, 5678-abcd--2.hdls1 5678:abcd::2";

/// Row, question, answer.
const COREDNS: &[(&str, &str, &str)] = &[
    ("N20", "svc1 A", "10.0.0.1"),
    ("N20", "svcempty A", "10.0.0.1"),
    ("N20", "svc6 AAAA", "1234:abcd::1"),
    ("N21", "svc1 SRV", "0 100 80 svc1 + 10.0.0.1"),
    ("N21", "svcempty SRV", "0 100 80 svcempty + 10.0.0.1"),
    ("N21", "svc6 SRV", "0 100 80 svc6 + 1234:abcd::1"),
    (
        "N21",
        "_http._tcp.svc1 SRV",
        "0 100 80 svc1 + svc1 10.0.0.1",
    ),
    (
        "N21",
        "_http._tcp.svcempty SRV",
        "0 100 80 svcempty + svcempty 10.0.0.1",
    ),
    (
        "N21",
        "_http._tcp.svc6 SRV",
        "0 100 80 svc6 + svc6 1234:abcd::1",
    ),
    (
        "N22",
        "hdls1 A",
        "172.0.0.2, 172.0.0.3, 172.0.0.4, 172.0.0.5",
    ),
    ("N22", "hdls1 AAAA", "5678:abcd::1, 5678:abcd::2"),
    ("N23", "_http._tcp.hdls1 SRV", SRV_OF_HDLS1),
    ("N17", "hdls1 SRV", SRV_OF_HDLS1),
    ("N24", "172-0-0-2.hdls1 A", "172.0.0.2"),
    ("N24", "172-0-0-3.hdls1 A", "172.0.0.3"),
    ("N24", "5678-abcd--1.hdls1 AAAA", "5678:abcd::1"),
    ("N24", "5678-abcd--2.hdls1 AAAA", "5678:abcd::2"),
    ("N25", "dup-name.hdls1 A", "172.0.0.4, 172.0.0.5"),
    ("N26", "hdlsprtls A", "172.0.0.20"),
    ("N26", "172-0-0-20.hdlsprtls A", "172.0.0.20"),
    ("N26", "hdlsprtls SRV", "nodata"),
    ("N27", "svc1 AAAA", "nodata"),
    ("N27", "svc1 TXT", "nodata"),
    ("N27", "svc1 SOA", "nodata"),
    ("N27", "svc1 PTR", "nodata"),
    ("N28", "svc0 A", "nxdomain"),
    ("N28", "svc0 AAAA", "nxdomain"),
    ("N28", "svc0.svc-nons.svc.cluster.local. A", "nxdomain"),
    ("N28", "svc0.svc-nons.svc.cluster.local. TXT", "nxdomain"),
    ("N29", "bogusendpoint.hdls1 A", "nxdomain"),
    ("N29", "bogusendpoint.svc0 A", "nxdomain"),
    ("N30", "svc.cluster.local. A", "nodata"),
    ("N30", "svc.cluster.local. NS", "nodata"),
    ("N30", "pod.cluster.local. A", "nodata"),
    ("N30", "testns.svc.cluster.local. A", "nodata"),
    ("N30", "testns.svc.cluster.local. NS", "nodata"),
    ("N31", "foo.cluster.local. NS", "nxdomain"),
    ("N31", "foo.svc.cluster.local. NS", "nxdomain"),
    ("N32", "svc-dual-stack A", "10.0.0.3"),
    ("N32", "svc-dual-stack AAAA", "10::3"),
    (
        "N32",
        "svc-dual-stack SRV",
        "0 50 80 svc-dual-stack + 10.0.0.3, 10::3",
    ),
    ("N33", "external CNAME", "ext.interwebs.test."),
    ("N33", "external A", "ext.interwebs.test."),
    ("N34", "external-to-service A", "svc1, svc1 10.0.0.1"),
    ("N35", "endpoint.external CNAME", "nxdomain"),
    ("N35", "subdomain.subdomain.external CNAME", "nxdomain"),
    ("N36", "dns-version.cluster.local. TXT", "\"1.1.0\""),
    ("N38", "svc1.nsnoexist.svc.cluster.local. A", "nxdomain"),
    (
        "N40",
        "cluster.local. NS",
        "ns.dns.cluster.local. + ns.dns.cluster.local 127.0.0.1",
    ),
    ("N40", "cluster.local. A", "nodata"),
    ("N40", "cluster.local. AAAA", "nodata"),
    ("N40", "cluster.local. SRV", "nodata"),
    ("N40", "ns.dns.cluster.local. A", "127.0.0.1"),
    (
        "N41",
        "_HtTp._TcP.sVc1 SRV",
        "0 100 80 svc1 + svc1 10.0.0.1",
    ),
    ("N53", "svc1.testns.pood.cluster.local. A", "nxdomain"),
    ("N53", "too.many.labels.svc1 A", "nxdomain"),
    ("N53", "a.b.c._http._tcp.svc1 SRV", "nxdomain"),
    ("N53", "_nope._tcp.svc1 SRV", "nxdomain"),
    ("N53", "_http._udp.svc1 SRV", "nxdomain"),
    ("N54", "* A", "nxdomain"),
    ("N54", "*.hdls1 A", "nxdomain"),
];

#[test]
fn coredns_cases_are_answered_as_coredns_does() {
    // CF-net-05
    let zone = zone();
    for (row, question, expected) in COREDNS {
        assert_eq!(say(&zone, question), *expected, "{row} {question}");
    }
}

#[test]
fn the_apex_has_an_soa_that_forbids_to_remember_what_is_missing() {
    let zone = zone();
    let soa = "ns.dns.cluster.local. hostmaster.cluster.local. 8 7200 1800 86400 0";
    assert_eq!(say(&zone, "cluster.local. SOA"), soa);
    let missing = ask(&zone, "svc0 A").authority;
    assert_eq!(
        (missing[0].ttl, missing[0].value.to_string()),
        (0, soa.to_owned())
    );
    assert_eq!(ask(&zone, "svc1 A").answers[0].ttl, 5);
    assert_eq!(
        ask(&zone, "dns-version.cluster.local. TXT").answers[0].ttl,
        28800
    );
}

#[test]
fn nothing_is_denied_before_everything_is_known() {
    let mut zone = Zone::unloaded("cluster.local");
    assert_eq!(say(&zone, "svc0 A"), "servfail"); // N37
    assert_eq!(say(&zone, "cluster.local. SOA"), "servfail");
    assert_eq!(say(&zone, "example.org. A"), "refused");
    zone.load(coredns());
    assert_eq!(say(&zone, "svc0 A"), "nxdomain");
}

#[test]
fn a_name_is_spelled_in_the_answer_as_it_was_asked() {
    let zone = zone();
    let found = ask(&zone, "SvC1.TeStNs.SvC.cLuStEr.LoCaL. A");
    assert_eq!(found.answers[0].name, "SvC1.TeStNs.SvC.cLuStEr.LoCaL");
    let srv = ask(&zone, "_HtTp._TcP.sVc1.TeStNs.SvC.cLuStEr.LoCaL. SRV");
    assert_eq!(
        srv.answers[0].name,
        "_HtTp._TcP.sVc1.TeStNs.SvC.cLuStEr.LoCaL"
    );
    assert_eq!(
        srv.answers[0].value.to_string(),
        "0 100 80 svc1.testns.svc.cLuStEr.LoCaL."
    );
    assert_eq!(srv.additional[0].name, "svc1.testns.svc.cLuStEr.LoCaL");
    let missing = ask(&zone, "not-a-service.testns.svc.ClUsTeR.lOcAl. A");
    assert_eq!(missing.authority[0].name, "ClUsTeR.lOcAl");
    let soa = ask(&zone, "Cluster.local. SOA").answers[0]
        .value
        .to_string();
    assert!(
        soa.starts_with("ns.dns.Cluster.local. hostmaster.Cluster.local. "),
        "{soa}"
    );
}

#[test]
fn addresses_spelled_as_pods_resolve_if_an_endpoint_has_them() {
    let mut podns = service("any", "headless", "10.240.0.1?");
    podns.namespace = "podns".to_owned();
    let zone = Zone::new("cluster.local", [podns]);
    for (name, expected) in [
        ("10-240-0-1.podns", "10.240.0.1"), // N45
        ("172-0-0-2.podns", "nxdomain"),
        ("blah.podns", "nxdomain"),
        ("podns", "nodata"),
        ("10-240-0-1.nowhere", "nxdomain"),
    ] {
        let asked = say(&zone, &format!("{name}.pod.cluster.local. A"));
        assert_eq!(asked, expected, "{name}");
    }
}

/// The zones and services of the CoreDNS cases for reverse names.
fn reverse_zone() -> Zone {
    let twice = "ep1a=10.0.0.100 ep1a=10.0.0.100 ep1b=1234:abcd::1 double-ep=10.0.0.99 \
         ip6svc1ex=fd00:77:30::a ip6svc1in=fd00:77:30::2:9ba6";
    let records = [
        service("svc1", "192.168.1.100", twice),
        service(
            "svc2",
            "headless",
            "double-ep=10.0.0.99 late=10.0.0.98? shadow=192.168.1.100",
        ),
    ];
    Zone::new("cluster.local", records)
        .with_reverse_zone("0.10.in-addr.arpa.")
        .with_reverse_zone("168.192.in-addr.arpa.")
}

#[test]
fn addresses_lead_back_to_names() {
    let zone = reverse_zone();
    let back = |ip: &str| {
        let ip: std::net::IpAddr = ip.parse().unwrap();
        let name = super::arpa::name_of(ip);
        say(&zone, &format!("{name}. PTR"))
    };
    assert_eq!(back("10.0.0.100"), "ep1a.svc1"); // N50
    assert_eq!(back("192.168.1.100"), "svc1");
    assert_eq!(back("1234:abcd::1"), "ep1b.svc1");
    assert_eq!(back("fd00:77:30::a"), "ip6svc1ex.svc1");
    assert_eq!(back("fd00:77:30::2:9ba6"), "ip6svc1in.svc1");
    assert_eq!(back("10.0.0.99"), "double-ep.svc1, double-ep.svc2"); // N51
    assert_eq!(back("10.0.0.101"), "nxdomain"); // N52
    assert_eq!(back("10.0.0.98"), "nxdomain");
    assert_eq!(back("8.8.8.8"), "refused");
    assert_eq!(say(&zone, "example.org.cluster.local. PTR"), "nxdomain");
    assert_eq!(
        say(&zone, "svc1.testns.svc.0.10.in-addr.arpa. A"),
        "nxdomain"
    );
    assert_eq!(say(&zone, "100.0.0.10.cluster.local. PTR"), "nxdomain");
    assert_eq!(say(&zone, "100.0.0.10.in-addr.arpa. A"), "nodata");
    assert_eq!(say(&zone, "0.0.10.in-addr.arpa. PTR"), "nodata");
    assert_eq!(
        say(&zone, "0.10.in-addr.arpa. NS"),
        "ns.dns.0.10.in-addr.arpa."
    );
    let soa = &ask(&zone, "101.0.0.10.in-addr.arpa. PTR").authority[0];
    assert_eq!(soa.name, "0.10.in-addr.arpa");
}

#[test]
fn a_headless_service_is_there_while_an_endpoint_is_ready() {
    let mut zone = Zone::new(
        "cluster.local",
        [service("nginx", "headless", "web-0=127.5.1.1?")],
    );
    for name in ["nginx", "web-0.nginx", "_http._tcp.nginx", "_tcp.nginx"] {
        assert_eq!(say(&zone, &format!("{name} A")), "nxdomain", "{name}"); // N05
    }
    zone.replace(service(
        "nginx",
        "headless",
        "web-0=127.5.1.1 web-1=127.5.1.2?",
    ));
    assert_eq!(say(&zone, "nginx A"), "127.5.1.1");
    assert_eq!(say(&zone, "web-0.nginx A"), "127.5.1.1");
    assert_eq!(say(&zone, "web-1.nginx A"), "nxdomain");
    assert_eq!(say(&zone, "_tcp.nginx A"), "nodata");
    assert_eq!(
        say(&zone, "web-0.nginx SRV"),
        "0 100 80 web-0.nginx + 127.5.1.1"
    );
}

#[test]
fn a_cluster_service_without_an_address_yet_stands_for_its_endpoints() {
    let zone = Zone::new("cluster.local", [service("web", "", "web-0=127.5.1.1")]);
    assert_eq!(say(&zone, "web A"), "127.5.1.1");
}

#[test]
fn a_service_that_changes_or_goes_leaves_nothing_behind() {
    let mut zone = Zone::new("cluster.local", []).with_reverse_zone("127.in-addr.arpa");
    assert_eq!(say(&zone, "testns.svc.cluster.local. A"), "nxdomain");
    assert!(zone.replace(service(
        "nginx",
        "headless",
        "web-0=127.5.1.1 web-1=127.5.1.2"
    )));
    assert!(!zone.replace(service(
        "nginx",
        "headless",
        "web-0=127.5.1.1 web-1=127.5.1.2"
    )));
    assert!(zone.replace(service("Nginx", "headless", "web-0=127.5.1.1")));
    assert_eq!(say(&zone, "web-1.nginx A"), "nxdomain");
    assert_eq!(say(&zone, "2.1.5.127.in-addr.arpa. PTR"), "nxdomain");
    assert_eq!(say(&zone, "1.1.5.127.in-addr.arpa. PTR"), "web-0.Nginx");
    assert!(zone.remove("testns", "nginx"));
    assert!(!zone.remove("testns", "nginx"));
    assert_eq!(say(&zone, "testns.svc.cluster.local. A"), "nxdomain");
    assert_eq!(say(&zone, "1.1.5.127.in-addr.arpa. PTR"), "nxdomain");
}

#[test]
fn aliases_are_followed_but_not_for_ever() {
    // CF-net-09
    let inside = |name: &str| format!("->{name}.testns.svc.cluster.local");
    let zone = Zone::new(
        "cluster.local",
        [
            service("one", &inside("two"), ""),
            service("two", &inside("one"), ""),
            service("first", &inside("second"), ""),
            service("second", &inside("WEB-0.nginx"), ""),
            service("nowhere", &inside("missing"), ""),
            service("address", "->10.1.2.3", ""),
            service("nginx", "headless", "web-0=127.5.1.1"),
        ],
    );
    assert_eq!(ask(&zone, "one A").answers.len(), 8);
    assert_eq!(
        say(&zone, "first A"),
        "second, second WEB-0.nginx, WEB-0.nginx 127.5.1.1"
    );
    assert_eq!(say(&zone, "first CNAME"), "second");
    assert_eq!(say(&zone, "nowhere A"), "missing");
    assert_eq!(say(&zone, "address A"), "nxdomain");
}

#[test]
fn every_port_counts_at_the_bare_name_whether_it_has_a_name_or_not() {
    let mut nginx = service("nginx", "headless", "web-0=127.5.1.1 web-1=127.5.1.2");
    for endpoint in &mut nginx.endpoints {
        let mut second = endpoint.ports[0].clone();
        second.name.clear();
        second.port = 81;
        endpoint.ports.push(second);
    }
    let zone = Zone::new("cluster.local", [nginx, portless("none", "10.0.0.9", "")]);
    let all = "0 25 80 web-0.nginx, 0 25 81 web-0.nginx, 0 25 80 web-1.nginx, 0 25 81 web-1.nginx";
    let extra = "web-0.nginx 127.5.1.1, web-1.nginx 127.5.1.2";
    assert_eq!(say(&zone, "nginx SRV"), format!("{all} + {extra}"));
    assert_eq!(say(&zone, "none SRV"), "nodata");
}

#[test]
fn ten_thousand_pets_are_found_by_hash_and_listed_only_as_far_as_asked() {
    let zone = Zone::new("cluster.local", [pets(10_000)]);
    assert_eq!(say(&zone, "web-9999.nginx A"), "127.5.40.94");
    let few = zone.answer(
        &Question::new("nginx.testns.svc.cluster.local", RecordType::Srv),
        20,
    );
    assert_eq!((few.answers.len(), few.additional.len()), (20, 20));
    assert_eq!(
        few.answers[0].value.to_string(),
        "0 1 80 web-0.nginx.testns.svc.cluster.local."
    );
}

#[test]
fn the_whole_zone_can_be_listed() {
    let nginx = service("nginx", "headless", "web-0=127.5.1.1 web-1=127.5.1.2");
    let zone = Zone::new(
        "cluster.local",
        [nginx, service("ext", "->example.org", "")],
    );
    let kinds: Vec<String> = zone
        .records()
        .iter()
        .map(|record| record.value.kind().to_string())
        .collect();
    let own = "SOA NS TXT";
    let nginx = "A A SRV SRV SRV SRV A SRV A SRV";
    assert_eq!(kinds.join(" "), format!("{own} CNAME {nginx} PTR PTR"));
}

/// Writes out everything a zone says, the serial aside.
fn all_of(zone: &Zone) -> Vec<String> {
    let mut all: Vec<String> = zone
        .records()
        .iter()
        .filter(|record| record.value.kind() != RecordType::Soa)
        .map(|record| format!("{} {}", record.name, record.value))
        .collect();
    all.sort_unstable();
    all
}

proptest::proptest! {
    #[test]
    fn a_zone_that_follows_changes_says_what_one_made_anew_says(
        steps in proptest::collection::vec(
            proptest::collection::vec((0..4_u8, 0..3_u8, proptest::bool::ANY), 0..6), 1..8),
        clustered in proptest::bool::ANY,
    ) {
        let kind = if clustered { "127.5.240.1" } else { "headless" };
        let mut zone = Zone::new("cluster.local", []);
        for step in steps {
            let endpoint = |(y, host, ready): &(u8, u8, bool)| {
                let mark = if *ready { "" } else { "?" };
                match host {
                    0 => format!("127.5.1.{y}{mark}"),
                    _ => format!("pet-{host}=127.5.1.{y}{mark}"),
                }
            };
            let endpoints: Vec<String> = step.iter().map(endpoint).collect();
            let record = service("pets", kind, &endpoints.join(" "));
            zone.replace(record.clone());
            let anew = Zone::new("cluster.local", [record]);
            proptest::prop_assert_eq!(all_of(&zone), all_of(&anew));
        }
    }
}

#[test]
fn a_change_of_one_pet_among_ten_thousand_is_cheap() {
    let time = |zone: &mut Zone, record: &ServiceRecord| {
        let record = record.clone();
        let start = std::time::Instant::now();
        assert!(zone.replace(record));
        start.elapsed()
    };
    let mut record = pets(10_000);
    let anew = || time(&mut Zone::new("cluster.local", []), &record);
    // The quickest of each, because the machine may have other things to do.
    let anew = (0..3).map(|_| anew()).min().unwrap();
    let mut zone = Zone::new("cluster.local", [record.clone()]);
    let spent = [0, 5_000, 9_999, 1, 2, 3, 4, 5, 6].map(|index| {
        record.endpoints[index].ready = false;
        time(&mut zone, &record)
    });
    let spent = spent.iter().min().unwrap();
    assert!(*spent < anew / 3, "{spent:?}, and {anew:?} to make it anew");
}
