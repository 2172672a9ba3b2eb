//! Real clusters of real servers, from the manifests in `testdata/manifests`: created, scaled up
//! and down, upgraded, crashed, deleted, and created again with the data they kept.
//!
//! A server that is not installed skips its test, and says so; where `PETSET_TEST_REQUIRE`, a list
//! such as `etcd,redis`, names it, the test fails instead.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Outcome, Sandbox, is_installed};

/// The address that a pet has for its peers: with isolation, it is not the host's.
fn address_of(sandbox: &Sandbox, pet: &str) -> String {
    let asked = format!("exec {pet} -- printenv POD_IP");
    sandbox.ok(&asked).out.trim().to_owned()
}

/// One etcd cluster, and what is asked of it after every step.
struct Etcd(Sandbox);

impl Etcd {
    const PROGRAMS: [&str; 2] = ["etcd", "etcdctl"];

    /// Creates the cluster of three from its manifest.
    fn create(&self) -> Outcome {
        self.0.ok("create -f manifests/etcd.yaml --timeout 60s")
    }

    /// Runs etcdctl where a pet runs.
    #[track_caller]
    fn ctl(&self, pet: u32, words: &str) -> String {
        self.0
            .ok(&format!("exec etcd-{pet} -- etcdctl {words}"))
            .out
    }

    /// Puts a key through one pet.
    fn put(&self, pet: u32, key: &str, value: &str) {
        assert_eq!(self.ctl(pet, &format!("put {key} {value}")), "OK\n");
    }

    /// Requires that the cluster has just these members, all started and each at the address of its
    /// pet, that every pet answers for a majority, and that the key is as it was put.
    #[track_caller]
    fn is_whole(&self, pets: u32, value: &str) {
        let mut wanted: Vec<String> = (0..pets).map(|pet| self.member(pet)).collect();
        wanted.sort();
        for pet in 0..pets {
            assert_eq!(self.members(pet), wanted, "as etcd-{pet} has it");
            let found = self.ctl(pet, "get greeting --print-value-only");
            assert_eq!(found.trim(), value, "as etcd-{pet} has it");
            self.ctl(pet, "endpoint health");
        }
        let names: Vec<String> = (0..pets).map(|pet| format!("etcd-{pet}")).collect();
        assert_eq!(self.0.pets(), names);
    }

    /// The entry of a pet as it is to be in the list of members.
    fn member(&self, pet: u32) -> String {
        let ip = self.ip(pet);
        format!("started, etcd-{pet}, http://{ip}:2380, http://{ip}:2379, false")
    }

    fn ip(&self, pet: u32) -> String {
        address_of(&self.0, &format!("etcd-{pet}"))
    }

    /// The list of members as one pet has it, without their ids.
    fn members(&self, pet: u32) -> Vec<String> {
        let list = self.ctl(pet, "member list");
        let entries = list.lines().filter_map(|line| line.split_once(", "));
        let mut members: Vec<String> = entries.map(|(_, entry)| entry.to_owned()).collect();
        members.sort();
        members
    }
}

#[test]
fn an_etcd_cluster_forms_grows_shrinks_and_comes_back_with_its_keys() {
    // E31: what was written before an upgrade is read after it
    if !is_installed("etcd", &Etcd::PROGRAMS) {
        return;
    }
    let etcd = Etcd(Sandbox::new());
    etcd.create();
    etcd.put(1, "greeting", "hello");
    etcd.is_whole(3, "hello");

    etcd.0.ok("scale etcd --replicas 5 --timeout 60s");
    etcd.is_whole(5, "hello");

    etcd.0.ok("scale etcd --replicas 3 --timeout 60s");
    etcd.is_whole(3, "hello");

    etcd.0
        .ok("upgrade etcd --env ETCD_SNAPSHOT_COUNT=5000 --timeout 60s");
    etcd.is_whole(3, "hello");
    let said = etcd.0.ok("exec etcd-0 -- printenv ETCD_SNAPSHOT_COUNT");
    said.prints("5000\n");

    for pet in 0..3 {
        let name = format!("etcd-{pet}");
        etcd.0.kill(etcd.0.main(&name));
        etcd.0.until("the server is started anew", || {
            restarts(&etcd.0.pod(&name)) == 1
        });
        etcd.0.ok("wait etcd --timeout 60s");
        etcd.is_whole(3, "hello");
    }

    etcd.put(2, "greeting", "again");
    etcd.0.ok("delete etcd --timeout 60s");
    etcd.0.assert_nothing_left();
    etcd.create();
    etcd.is_whole(3, "again");

    etcd.0
        .ok("delete -f manifests/etcd.yaml --purge --timeout 60s");
    etcd.0.assert_nothing_left();
    let left = etcd.0.ok("get all");
    left.prints("").says("No resources found");
}

#[test]
fn an_etcd_cluster_answers_while_an_upgrade_fails_and_goes_back() {
    if !is_installed("etcd", &Etcd::PROGRAMS) {
        return;
    }
    let etcd = Etcd(Sandbox::new());
    etcd.create();
    etcd.put(1, "greeting", "hello");
    let answers = || etcd.ctl(0, "get greeting --print-value-only") == "hello\n";
    let crash = "--timeout 60s -- sh -c 'echo not a good build; exit 3'";

    let halted = etcd
        .0
        .fails(5, &format!("upgrade etcd --progress-deadline 8s {crash}"));
    halted.says("etcd-2").says("| not a good build");
    assert!(answers());
    etcd.0.ok("rollout undo etcd --timeout 60s");
    etcd.is_whole(3, "hello");

    let rollback = "upgrade etcd --on-failure rollback --progress-deadline 8s";
    etcd.0.fails(6, &format!("{rollback} {crash}"));
    etcd.is_whole(3, "hello");

    // The same while no command waits, and with another supervisor half-way.
    let good = etcd.0.main("etcd-2");
    let upgrade = etcd.0.start(&format!("{rollback} {crash}"));
    etcd.0
        .until("etcd-2 is replaced", || etcd.0.main("etcd-2") != good);
    drop(upgrade);
    etcd.0.kill(etcd.0.supervisor());
    etcd.0.ok("wait etcd --for settled --timeout 60s");
    etcd.0.until("it has gone back", || {
        etcd.0
            .ok("get sts etcd -o yaml")
            .out
            .contains("petset.dev/rolled-back")
    });
    etcd.0.ok("wait etcd --for settled --timeout 60s");
    etcd.is_whole(3, "hello");

    etcd.0
        .ok("upgrade etcd --env ETCD_SNAPSHOT_COUNT=5000 --canary 1 --timeout 60s");
    let count = |pet: u32| {
        let words = format!("exec etcd-{pet} -- printenv ETCD_SNAPSHOT_COUNT");
        etcd.0.run(&words).code
    };
    assert_eq!((count(0), count(1), count(2)), (1, 1, 0));
    etcd.0.ok("rollout promote etcd --timeout 60s");
    assert_eq!((count(0), count(1), count(2)), (0, 0, 0));

    etcd.0
        .ok("upgrade etcd --env ETCD_SNAPSHOT_COUNT- --pause-after 2 --timeout 60s");
    etcd.0.kill(etcd.0.supervisor());
    etcd.0.ok("rollout pause etcd");
    assert_eq!((count(0), count(1), count(2)), (0, 1, 1));
    etcd.0.ok("rollout resume etcd --timeout 60s");
    etcd.is_whole(3, "hello");
}

#[test]
fn an_etcd_cluster_rolls_on_although_command_and_supervisor_are_killed_in_the_middle() {
    if !is_installed("etcd", &Etcd::PROGRAMS) {
        return;
    }
    let etcd = Etcd(Sandbox::new());
    etcd.create();
    etcd.put(1, "greeting", "hello");
    let answers = || etcd.ctl(0, "get greeting --print-value-only") == "hello\n";
    let settled = || etcd.0.ok("wait etcd --for settled --timeout 90s");
    let cut_short = |pet: &str, words: &str| {
        let before = etcd.0.main(pet);
        let command = etcd.0.start(words);
        let what = format!("{words} reaches {pet}");
        etcd.0.until(&what, || etcd.0.main(pet) != before);
        drop(command);
        etcd.0.kill(etcd.0.supervisor());
    };
    let counts = || {
        let words = |pet: u32| format!("exec etcd-{pet} -- printenv ETCD_SNAPSHOT_COUNT");
        [0, 1, 2].map(|pet| etcd.0.run(&words(pet)).out.trim().to_owned())
    };

    // A build that crashes halts at the highest pet; a corrected template replaces that one first.
    cut_short(
        "etcd-2",
        "upgrade etcd --progress-deadline 8s -- sh -c 'echo not a good build; exit 3'",
    );
    let halted = etcd.0.fails(5, "wait etcd --for settled --timeout 90s");
    halted.says("etcd-2");
    assert!(answers());
    let start = r#"-- /bin/sh -c 'set -a; . "$PETSET_MOUNT_DATA/cluster.env"; exec etcd'"#;
    cut_short(
        "etcd-1",
        &format!("upgrade etcd --env ETCD_SNAPSHOT_COUNT=6000 {start}"),
    );
    settled();
    assert_eq!(counts(), ["6000", "6000", "6000"]);
    etcd.is_whole(3, "hello");

    // A canary at partition 2, promoted.
    cut_short(
        "etcd-2",
        "upgrade etcd --env ETCD_SNAPSHOT_COUNT=7000 --canary 1",
    );
    settled();
    assert_eq!(counts(), ["6000", "6000", "7000"]);
    etcd.is_whole(3, "hello");
    cut_short("etcd-1", "rollout promote etcd");
    settled();
    assert_eq!(counts(), ["7000", "7000", "7000"]);

    // A pause in the middle, and the way back by hand.
    cut_short(
        "etcd-2",
        "upgrade etcd --env ETCD_SNAPSHOT_COUNT=8000 --pause-after 2",
    );
    settled();
    assert_eq!(counts(), ["7000", "8000", "8000"]);
    assert!(answers());
    cut_short("etcd-2", "rollout undo etcd");
    settled();
    assert_eq!(counts(), ["7000", "7000", "7000"]);
    etcd.is_whole(3, "hello");
}

#[test]
fn an_etcd_cluster_survives_stops_crashes_lost_volumes_and_zero_replicas() {
    if !is_installed("etcd", &Etcd::PROGRAMS) {
        return;
    }
    let etcd = Etcd(Sandbox::new());
    etcd.create();
    etcd.put(0, "greeting", "hello");
    // Members that left come back, even to a cluster of which only the volume of etcd-0 is left.
    etcd.0.ok("scale etcd --replicas 1 --timeout 60s");
    etcd.is_whole(1, "hello");
    etcd.0.ok("scale etcd --replicas 0 --timeout 60s");
    etcd.0.ok("scale etcd --replicas 5 --timeout 60s");
    etcd.is_whole(5, "hello");

    etcd.0.ok("stop --timeout 60s");
    etcd.0.assert_nothing_left();
    etcd.0.ok("start --timeout 60s");
    etcd.is_whole(5, "hello");

    // Everything dies at once, as when the machine does.
    let supervisor = etcd.0.supervisor();
    etcd.0.kill(supervisor);
    for pet in 0..5 {
        etcd.0.kill(etcd.0.runner(&format!("etcd-{pet}")));
    }
    etcd.0.ok("start --timeout 60s");
    etcd.is_whole(5, "hello");

    // Five that are deleted come back as three of five, a majority.
    etcd.0.ok("delete etcd --timeout 60s");
    etcd.create();
    assert_eq!(etcd.ctl(2, "get greeting --print-value-only"), "hello\n");
    assert_eq!(etcd.members(2).len(), 5);
    etcd.0.ok("scale etcd --replicas 5 --timeout 60s");
    etcd.is_whole(5, "hello");
    etcd.0.ok("scale etcd --replicas 3 --timeout 60s");
    etcd.is_whole(3, "hello");

    // A pet that finds its volume empty is removed from the cluster, and joins it again.
    etcd.0.ok("scale etcd --replicas 2 --timeout 60s");
    etcd.0.ok("volume rm data-etcd-2 --yes");
    etcd.0.ok("scale etcd --replicas 3 --timeout 60s");
    etcd.is_whole(3, "hello");
    support::remove(&etcd.0.file("volumes/default/data-etcd-1/etcd"));
    etcd.0.ok("restart etcd-1 --timeout 60s");
    etcd.0.ok("wait etcd --timeout 60s");
    etcd.is_whole(3, "hello");
}

/// One Redis primary with its replicas.
struct Redis(Sandbox);

impl Redis {
    const PROGRAMS: [&str; 2] = ["redis-server", "redis-cli"];

    /// Creates the primary and its two replicas from their manifest.
    fn create(&self) -> Outcome {
        self.0.ok("create -f manifests/redis.yaml --timeout 60s")
    }

    /// Asks the server of a pet.
    fn cli(&self, pet: u32, words: &str) -> String {
        let command = format!("exec redis-{pet} -- sh -c 'redis-cli -h $POD_IP {words}'");
        self.0.ok(&command).out.replace('\r', "")
    }

    /// Requires that each pet has its role, and that the key arrives everywhere.
    #[track_caller]
    fn serves(&self, value: &str) {
        assert_eq!(self.cli(0, "role").lines().next(), Some("master"));
        let primary = self.ip(0);
        for pet in 1..3 {
            self.0.until("the replica follows the primary", || {
                let role = self.cli(pet, "role");
                let mut lines = role.lines();
                lines.next() == Some("slave")
                    && lines.next() == Some(&primary)
                    && lines.next() == Some("6379")
                    && lines.next() == Some("connected")
            });
        }
        for pet in 0..3 {
            self.0.until(&format!("redis-{pet} has {value:?}"), || {
                self.cli(pet, "get greeting").trim() == value
            });
        }
    }

    fn ip(&self, pet: u32) -> String {
        address_of(&self.0, &format!("redis-{pet}"))
    }
}

#[test]
fn redis_replicas_find_their_primary_and_follow_it_again() {
    if !is_installed("redis", &Redis::PROGRAMS) {
        return;
    }
    let redis = Redis(Sandbox::new());
    redis.create();
    assert_eq!(redis.cli(0, "set greeting hello"), "OK\n");
    redis.serves("hello");
    let refused = redis
        .0
        .run("exec redis-1 -- sh -c 'redis-cli -h $POD_IP set a b'");
    refused.says("READONLY");

    for pet in 0..3 {
        let name = format!("redis-{pet}");
        redis.0.kill(redis.0.main(&name));
        redis.0.until("the server is started anew", || {
            restarts(&redis.0.pod(&name)) == 1
        });
        redis.0.ok("wait redis --timeout 60s");
        redis.serves("hello");
    }

    assert_eq!(redis.cli(0, "set greeting again"), "OK\n");
    redis.0.ok("delete redis --timeout 60s");
    redis.0.assert_nothing_left();
    redis.create();
    redis.serves("again");
    redis.0.ok("upgrade -f manifests/redis.yaml --timeout 60s");
    redis.serves("again");
}

/// How often the first server of a pet was started anew in its place.
fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"]
        .as_u64()
        .unwrap_or_default()
}

/// The manifests are documentation, too: nothing in them may be refused or left out.
#[test]
fn the_manifests_of_real_servers_are_valid_without_a_warning() {
    let sandbox = Sandbox::new();
    for name in ["etcd", "redis"] {
        let file = format!("manifests/{name}.yaml");
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("testdata")
                .join(&file)
                .is_file()
        );
        let said = sandbox.ok(&format!("validate -f {file}"));
        assert_eq!(said.err, "", "{file}");
    }
}
