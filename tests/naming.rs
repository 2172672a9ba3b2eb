//! `petset dns`, on state directories written by hand.

mod handmade;

use std::path::Path;

use handmade::{Lines, Reaped, World, eventually, ok, said};

#[test]
fn a_name_is_answered_from_the_files_as_the_pets_are_now() {
    let world = World::with_web();
    let first = ok(world.petset("dns query web-0.web"));
    assert_eq!(
        ok(world.petset("dns query web-0.web.default.svc.cluster.local.")),
        first
    );
    assert_eq!(ok(world.petset("dns query WEB-0.web.default")), first);
    let back = ok(world.petset(&format!("dns query {}", first.trim())));
    assert_eq!(back, "web-0.web.default.svc.cluster.local.\n");
    let records = ok(world.petset("dns query _http._tcp.web SRV"));
    let wanted = "0 50 8080 web-0.web.default.svc.cluster.local.\n\
                  0 50 8080 web-1.web.default.svc.cluster.local.\n";
    assert_eq!(records, wanted);
    world.readiness("web", 2, true);
    assert!(ok(world.petset("dns query web-2.web")).starts_with("127.84."));
}

#[test]
fn a_name_that_does_not_exist_differs_from_one_without_such_a_record() {
    let world = World::with_web();
    let unready = said(world.petset("dns query web-2.web"));
    assert_eq!((unready.code, unready.out.as_str()), (3, ""));
    assert!(
        unready
            .err
            .contains("error: web-2.web does not exist (NXDOMAIN)"),
        "{}",
        unready.err
    );
    let other = said(world.petset("dns query web-0.web AAAA"));
    assert_eq!((other.code, other.out.as_str()), (0, ""));
    assert_eq!(
        other.err,
        "note: web-0.web exists, but has no AAAA record\n"
    );
    assert_eq!(said(world.petset("dns query web-0.web NOPE")).code, 2);
    assert_eq!(said(world.petset("dns query ../../format")).code, 3);
}

#[test]
fn the_zone_is_shown_whole_or_one_sets_part_of_it() {
    let world = World::with_web();
    world.set("db", 1, "db");
    world.service("db", "clusterIP: None");
    world.pet("db", 0, true);
    world.record("db", &["db-0"]);
    let whole = ok(world.petset("dns"));
    assert!(whole.starts_with("NAME "), "{whole}");
    for name in ["web-0.web.default", "db-0.db.default", "dns-version."] {
        assert!(whole.contains(name), "{whole}");
    }
    assert!(!whole.contains("web-2.web"), "{whole}");
    let part = ok(world.petset("dns sts/db -o zone"));
    assert!(part.starts_with("$ORIGIN cluster.local.\n"), "{part}");
    assert!(
        part.contains("db-0.db.default.svc.cluster.local. 5 IN A 127.84."),
        "{part}"
    );
    assert!(part.contains(".in-addr.arpa. 5 IN PTR db-0.db"), "{part}");
    assert!(
        !part.contains("web") && !part.contains("dns-version"),
        "{part}"
    );
    let listed: serde_json::Value =
        serde_json::from_str(&ok(world.petset("dns web -o json"))).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["type"] == "SRV")
    );
    assert_eq!(said(world.petset("dns nope")).code, 3);
}

#[test]
fn the_hosts_block_has_the_ready_pets() {
    let world = World::with_web();
    let hosts = ok(world.petset("dns hosts web"));
    assert_eq!(ok(world.petset("dns web -o hosts")), hosts);
    let own = "\tweb-0.web.default.svc.cluster.local web-0.web.default.svc web-0.web.default \
               web-0.web web-0\n";
    assert!(hosts.contains(own), "{hosts}");
    assert!(!hosts.contains("web-2"));
}

#[test]
fn setting_up_a_resolver_is_printed_and_nothing_more() {
    let world = World::with_web();
    let advice = ok(world.petset("dns setup"));
    for part in [
        "DNS=127.84.0.53:5353\n",
        "server=/cluster.local/127.84.0.53#5353\n",
    ] {
        assert!(advice.contains(part), "{advice}");
    }
    assert_eq!(said(World::new().petset("dns setup hosts")).code, 0);
}

#[test]
fn a_server_in_the_foreground_follows_the_files() {
    let world = World::with_web();
    let program = Path::new(env!("CARGO_BIN_EXE_petset"));
    let mut child = world.start_in(0, program, "dns serve --listen 127.0.0.1:0");
    let lines = Lines::of(child.stderr.take().unwrap());
    let _reaped = Reaped(child);
    let said_first = lines.next();
    let server = said_first
        .trim_end_matches('.')
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let query = |name: &str| said(world.petset(&format!("dns query {name} --server {server}")));
    assert_eq!(
        query("web-0.web").out,
        ok(world.petset("dns query web-0.web"))
    );
    assert_eq!(query("web-2.web").code, 3);
    world.readiness("web", 2, true);
    world.record("web", &["web-0", "web-1", "web-2"]);
    eventually("web-2 resolves", || query("web-2.web").code == 0);
    world.set("big", 60, "big");
    let pods: Vec<String> = (0..60).map(|ordinal| format!("big-{ordinal}")).collect();
    (0..60).for_each(|ordinal| world.pet("big", ordinal, true));
    world.record("big", &pods.iter().map(String::as_str).collect::<Vec<_>>());
    // More than UDP carries: asked again by TCP.
    eventually("all resolve", || query("big SRV").out.lines().count() == 60);
}

#[test]
fn no_server_listens_off_loopback_and_a_silent_one_is_named() {
    let world = World::with_web();
    let refused = said(world.petset("dns serve --listen 0.0.0.0:5353"));
    assert_eq!(refused.code, 2);
    assert!(
        refused
            .err
            .contains("0.0.0.0:5353 is not a loopback address"),
        "{}",
        refused.err
    );
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = said(world.petset(&format!("dns query web --server {free}")));
    assert_eq!(silent.code, 1);
    assert!(silent.err.contains("does not answer"), "{}", silent.err);
}
