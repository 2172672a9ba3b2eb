//! `petset discover` and peer-finder's flags, on state directories written by hand.
//!
//! Which test holds which rule of docs/rules.md (F01, F02, F05b, F07 and F08 also have a table at
//! the code that stands in for peer-finder):
//!
//! * F01, F07: `under_the_name_peer_finder_its_own_flags_are_taken`
//! * F03-F06: `hooks_are_called_first_to_start_and_then_on_changes_once_the_own_name_is_listed`,
//!   `on_start_alone_ends_well_and_a_hook_that_fails_ends_badly`
//! * F08: `a_hook_is_told_its_own_name_and_address`
//! * F09, F13: `init_containers_of_old_manifests_find_their_peers_by_peer_finder` in
//!   tests/asking.rs
//! * F11: `sentinels_make_another_redis_the_master_by_its_name` in tests/meeting.rs, where peers
//!   are asked for their role by name
//! * F15: `a_pet_has_a_name_files_and_processes_of_its_own` in tests/isolating.rs
//! * F16: `nothing_a_hook_deletes_or_overwrites_is_the_hosts` in tests/isolating.rs; for members by
//!   ordinal see testdata/manifests/etcd.yaml
//! * F10, F12, F14: what scripts of images do with the list; not tested here
//! * F17: a finding about a corpus of manifests, not about a program

mod handmade;

use std::path::Path;
use std::time::Instant;

use handmade::{Lines, Reaped, World, eventually, ok, said};

fn petset() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_petset"))
}

const WEB_0: &str = "web-0.web.default.svc.cluster.local";
const WEB_1: &str = "web-1.web.default.svc.cluster.local";
const WEB_2: &str = "web-2.web.default.svc.cluster.local";

#[test]
fn the_ready_peers_are_named_one_a_line_in_order() {
    let world = World::with_web();
    assert_eq!(
        ok(world.petset("discover web")),
        format!("{WEB_0}\n{WEB_1}\n")
    );
    let all = format!("{WEB_0}\n{WEB_1}\n{WEB_2}\n");
    assert_eq!(ok(world.petset("discover sts/web --all")), all);
    assert_eq!(
        ok(world.petset("discover --service web")),
        format!("{WEB_0}\n{WEB_1}\n")
    );
}

#[test]
fn a_pet_asks_for_its_own_set_and_may_leave_itself_out() {
    let world = World::with_web();
    assert_eq!(
        ok(world.petset_in(0, "discover --exclude-self")),
        format!("{WEB_1}\n")
    );
    let joined = ok(world.petset_in(2, "discover --port http --join ,"));
    assert_eq!(joined, format!("{WEB_0}:8080,{WEB_1}:8080\n"));
    let outside = said(world.petset("discover"));
    assert_eq!(outside.code, 2);
    assert!(
        outside
            .err
            .contains("hint: name one, such as `petset discover web`"),
        "{}",
        outside.err
    );
    assert_eq!(said(world.petset("discover web --exclude-self")).code, 2);
}

#[test]
fn a_pet_that_has_only_begun_is_listed_with_its_address_where_what_is_not_ready_is_published() {
    let world = World::with_web();
    world.service("web", "publishNotReadyAddresses: true");
    world.write("pets/default/web-2/status.json", r#"{"phase": "Pending"}"#);
    for words in ["discover web -o ip", "discover --service web -o ip"] {
        let addresses = ok(world.petset(words));
        assert_eq!(addresses.lines().count(), 3, "{words}: {addresses}");
        assert!(
            addresses.lines().all(|it| it.starts_with("127.84.")),
            "{words}: {addresses}"
        );
    }
}

#[test]
fn a_pet_that_is_about_to_stop_is_no_peer() {
    let world = World::with_web();
    let path = world.root().join("pets/default/web-1/pod.json");
    let mut pod: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    world.write("pets/default/web-1/pod.json", &pod.to_string());
    assert_eq!(ok(world.petset("discover web -o name")), "web-0\n");
}

#[test]
fn a_pet_whose_runner_was_killed_is_no_peer() {
    let world = World::with_web();
    let runner = r#"{"pid": 4194303, "start": 1, "bootId": "x", "clean": false, "containers": []}"#;
    world.write("pets/default/web-1/runner.json", runner);
    assert_eq!(ok(world.petset("discover web -o name")), "web-0\n");
    assert_eq!(ok(world.petset("dns query web")).lines().count(), 1);
}

#[test]
fn a_service_that_publishes_what_is_not_ready_has_it_listed() {
    let world = World::with_web();
    world.service("web", "publishNotReadyAddresses: true");
    assert_eq!(
        ok(world.petset("discover web -o name")),
        "web-0\nweb-1\nweb-2\n"
    );
    assert_eq!(
        ok(world.petset("discover web -o name --ready-only")),
        "web-0\nweb-1\n"
    );
}

#[test]
fn pets_beyond_the_replicas_are_peers_as_long_as_they_are_ready() {
    let world = World::with_web();
    world.set("web", 1, "web");
    assert_eq!(ok(world.petset("discover web -o name")), "web-0\nweb-1\n");
    world.set("web", 5, "web");
    let all = ok(world.petset("discover web --all --format '{name} {ready} {status}'"));
    assert!(
        all.ends_with("web-2 false Running\nweb-3 false \nweb-4 false \n"),
        "{all}"
    );
}

#[test]
fn a_set_without_a_service_has_addresses_instead_of_names() {
    let world = World::new();
    world.set("solo", 1, "");
    world.pet("solo", 0, true);
    let address = ok(world.petset("discover solo -o ip"));
    assert!(address.starts_with("127.84."));
    assert_eq!(ok(world.petset("discover solo")), address);
    world.set("solo", 1, "later");
    let noted = said(world.petset("discover solo"));
    assert_eq!(noted.out, "solo-0.later.default.svc.cluster.local\n");
    assert!(
        noted.err.starts_with("note: service later does not exist"),
        "{}",
        noted.err
    );
}

#[test]
fn the_forms_hold_what_programs_need() {
    let world = World::with_web();
    let listed: serde_json::Value =
        serde_json::from_str(&ok(world.petset("discover web -o json"))).unwrap();
    assert_eq!(listed[1]["name"], "web-1");
    assert_eq!(listed[1]["ports"]["http"], 8080);
    assert_eq!(listed[1]["ready"], true);
    let filled = ok(world.petset("discover web --format '{ordinal}:{port:http}'"));
    assert_eq!(filled, "0:8080\n1:8080\n");
    let srv = ok(world.petset("discover web -o srv"));
    assert_eq!(srv, ok(world.petset("dns query web SRV")));
    let wrong = said(world.petset("discover web --port htpp"));
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.contains("hint: its ports are called http"),
        "{}",
        wrong.err
    );
    assert_eq!(said(world.petset("discover web --format '{nmae}'")).code, 2);
    assert_eq!(said(world.petset("discover nope")).code, 3);
    assert_eq!(said(world.petset("discover web -o json --join ,")).code, 2);
}

#[test]
fn waiting_ends_when_enough_are_ready_and_says_who_is_missing_when_it_is_too_late() {
    let world = World::with_web();
    let late = said(world.petset("discover web --min 3 --timeout 30ms"));
    assert_eq!(late.code, 124);
    let missing = "2 of 3 peers of web after 0.03s; missing: web-2 (running, not ready)";
    assert!(late.err.contains(missing), "{}", late.err);
    let waiting = world.start_in(0, petset(), "discover --min 3 --timeout 60s -o name");
    world.readiness("web", 2, true);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "web-0\nweb-1\nweb-2\n"
    );
}

#[test]
fn a_watch_prints_the_list_whenever_it_changes() {
    let world = World::with_web();
    let mut child = world.start_in(0, petset(), "discover --watch -o name");
    let lines = Lines::of(child.stdout.take().unwrap());
    let _reaped = Reaped(child);
    let list = || -> Vec<String> {
        let mut list = Vec::new();
        loop {
            match lines.next() {
                line if line.is_empty() => return list,
                line => list.push(line),
            }
        }
    };
    assert_eq!(list(), ["web-0", "web-1"]);
    world.readiness("web", 2, true);
    assert_eq!(list(), ["web-0", "web-1", "web-2"]);
    world.readiness("web", 0, false);
    assert_eq!(list(), ["web-1", "web-2"]);
    world.set("web", 4, "web");
    world.pet("web", 3, true);
    assert_eq!(list(), ["web-1", "web-2", "web-3"]);
}

#[test]
fn hooks_are_called_first_to_start_and_then_on_changes_once_the_own_name_is_listed() {
    let world = World::with_web();
    let words = "discover --on-start 'cat > started' --on-change 'cat > changed'";
    let _hooked = Reaped(world.start_in(2, petset(), words));
    let read = |name: &str| std::fs::read_to_string(world.root().join(name)).unwrap_or_default();
    world.readiness("web", 2, true);
    eventually("started", || {
        read("started") == format!("{WEB_0}\n{WEB_1}\n{WEB_2}\n")
    });
    assert_eq!(read("changed"), "");
    world.readiness("web", 0, false);
    eventually("changed", || {
        read("changed") == format!("{WEB_1}\n{WEB_2}\n")
    });
}

#[test]
fn a_hook_hears_of_a_change_as_soon_as_it_happens() {
    const ROUNDS: usize = 20;
    let world = World::with_web();
    let mut child = world.start_in(0, petset(), "discover --on-change 'wc -l'");
    let pid = child.id();
    let lines = Lines::of(child.stdout.take().unwrap());
    let _reaped = Reaped(child);
    assert_eq!(lines.next(), "2");
    let mut spent = Vec::new();
    for round in 0..ROUNDS {
        // It waits for the kernel and not for a time: whatever comes finds it at once.
        eventually("it waits", || waits_without_end(pid));
        let start = Instant::now();
        world.readiness("web", 2, round % 2 == 0);
        let expected = if round % 2 == 0 { "3" } else { "2" };
        assert_eq!(lines.next(), expected);
        spent.push(start.elapsed());
    }
    spent.sort_unstable();
    let (median, worst) = (spent[ROUNDS / 2], spent[ROUNDS - 1]);
    println!("change to hook: median {median:?}, worst {worst:?} of {ROUNDS}");
}

/// Whether a process sleeps until something happens to one of its descriptors, for however long.
/// Where that cannot be told it is believed.
fn waits_without_end(pid: u32) -> bool {
    const PPOLL: [&str; 2] = ["271", "73"]; // x86-64, aarch64
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let mut words = call.split_whitespace();
    match words.next() {
        None => true,
        // The limit is the third argument: none.
        Some(number) if PPOLL.contains(&number) => words.nth(2) == Some("0x0"),
        // poll, whose limit is a number of milliseconds.
        Some("7") => words
            .nth(2)
            .is_some_and(|limit| limit.ends_with("ffffffff")),
        Some(_) => false,
    }
}

#[test]
fn a_hook_is_told_its_own_name_and_address() {
    let world = World::with_web();
    let address = ok(world.petset("discover web -o ip"));
    let address = address.lines().next().unwrap();
    let told = "echo $HOST_ADDRESS $HOST_ADDRESS_TYPE $POD_IP $POD_IP_TYPE";
    let heard = ok(world.petset_in(0, &format!("discover --on-start '{told}'")));
    assert_eq!(heard, format!("{WEB_0} DNS {address} IPv4\n"));
}

#[test]
fn on_start_alone_ends_well_and_a_hook_that_fails_ends_badly() {
    let world = World::with_web();
    let once = ok(world.petset_in(0, "discover --on-start 'grep -c web-'"));
    assert_eq!(once, "2\n");
    let failed = said(world.petset_in(0, "discover --on-start 'echo no luck; exit 3'"));
    assert_eq!((failed.code, failed.out.as_str()), (1, "no luck\n"));
    assert!(
        failed.err.contains("failed with exit code 3"),
        "{}",
        failed.err
    );
    assert_eq!(said(world.petset("discover web --on-start true")).code, 2);
}

#[test]
fn under_the_name_peer_finder_its_own_flags_are_taken() {
    let world = World::with_web();
    let link = world.root().join("peer-finder");
    std::os::unix::fs::symlink(petset(), &link).unwrap();
    let words = "-on-start='sort -r' -service=web -ns=default -domain=cluster.local";
    let done = world.start_in(0, &link, words).wait_with_output().unwrap();
    assert!(done.status.success());
    assert_eq!(
        String::from_utf8(done.stdout).unwrap(),
        format!("{WEB_1}\n{WEB_0}\n")
    );
    let wrong = world
        .start_in(0, &link, "-service=web")
        .wait_with_output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        said.contains("Incomplete args, require -on-change and/or -on-start"),
        "{said}"
    );
}
