//! Real clusters whose members know each other by DNS alone, each in a network of its own.
//!
//! A server that is not installed skips its test, and says so; where `PETSET_TEST_REQUIRE` names
//! it, the test fails instead.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{Outcome, PATIENCE, Sandbox, is_installed};

/// Runs a script where a pet runs.
fn within(sandbox: &Sandbox, pet: &str, script: &str) -> Outcome {
    let mut command = sandbox.command_of(&["exec", pet, "--", "sh", "-c", script]);
    sandbox.finish(script, sandbox.start_command(&mut command))
}

/// What a script prints that has to succeed.
#[track_caller]
fn says(sandbox: &Sandbox, pet: &str, script: &str) -> String {
    let outcome = within(sandbox, pet, script);
    if outcome.code != 0 {
        sandbox.fail(&format!("{script:?} was to succeed in {pet}"));
    }
    outcome.out.trim_end().to_owned()
}

#[test]
fn etcd_members_find_each_other_by_srv_records() {
    if !is_installed("etcd", &["etcd", "etcdctl"]) || !is_installed("dig", &["dig"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/etcd-by-srv.yaml --isolation full --timeout 80s");
    let members = says(&sandbox, "etcd-1", "etcdctl member list");
    assert_eq!(members.lines().count(), 3, "{members}");
    for pet in 0..3 {
        let url = format!("https://etcd-{pet}.etcd.default.svc.cluster.local:2380");
        assert!(members.contains(&url), "{members}");
    }
    // A client somewhere else, which knows the service and nothing more.
    sandbox.ok("create client --isolation full -- sleep 1000");
    let client = "etcdctl --discovery-srv etcd.default.svc.cluster.local";
    let put = format!("{client} put greeting hello");
    assert_eq!(says(&sandbox, "client-0", &put), "OK");
    sandbox.kill(sandbox.main("etcd-2"));
    let found = format!("{client} get greeting --print-value-only");
    assert_eq!(says(&sandbox, "client-0", &found), "hello");
    sandbox.ok("wait etcd --timeout 60s");
    let own = "etcdctl get greeting --print-value-only";
    assert_eq!(says(&sandbox, "etcd-2", own), "hello");
    sandbox.ok("delete client");
    sandbox.ok("delete -f manifests/etcd-by-srv.yaml --purge --timeout 60s");
    sandbox.assert_nothing_left();
}

#[test]
fn sentinels_make_another_redis_the_master_by_its_name() {
    if !is_installed("redis", &["redis-server", "redis-sentinel", "redis-cli"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/sentinel.yaml --isolation full --timeout 80s");
    let master = |sentinel: u8| {
        let ask = "redis-cli -p 26379 sentinel get-master-addr-by-name main | head -n 1";
        within(&sandbox, &format!("sentinel-{sentinel}"), ask)
            .out
            .trim()
            .to_owned()
    };
    let name = |pet: u8| format!("redis-{pet}.redis.default.svc.cluster.local");
    assert_eq!(master(1), name(0));
    let replicas = "redis-cli info replication | grep -c '^slave.*state=online'";
    sandbox.until("both replicas follow", || {
        within(&sandbox, "redis-0", replicas).out.trim() == "2"
    });
    let others = "redis-cli -p 26379 info sentinel | grep -c 'slaves=2,sentinels=3'";
    sandbox.until("all sentinels know each other", || {
        (0..3).all(|it| within(&sandbox, &format!("sentinel-{it}"), others).code == 0)
    });
    says(
        &sandbox,
        "redis-1",
        &format!("redis-cli -h {} set word heard", name(0)),
    );
    says(
        &sandbox,
        "redis-1",
        &format!("redis-cli -h {} wait 2 5000", name(0)),
    );
    sandbox.kill(sandbox.main("redis-0"));
    let mut new = String::new();
    sandbox.until("there is another master", || {
        new = master(2);
        new == name(1) || new == name(2)
    });
    let address = says(&sandbox, "sentinel-0", &format!("getent hosts {new}"));
    assert!(address.starts_with("10."), "{address}");
    let found = format!("redis-cli -h {new} get word");
    assert_eq!(says(&sandbox, "sentinel-0", &found), "heard");
    sandbox.until("the old master follows the new one", || {
        let state = within(&sandbox, "redis-0", "redis-cli info replication").out;
        state.contains("role:slave")
            && state.contains(&format!("master_host:{new}"))
            && state.contains("master_link_status:up")
    });
    sandbox.ok("delete -f manifests/sentinel.yaml --purge --timeout 60s");
    sandbox.assert_nothing_left();
}

/// Asks for a page and returns what came, status line included.
fn visit(at: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

#[test]
fn no_request_through_nginx_fails_while_the_set_behind_a_service_is_upgraded() {
    if !is_installed("nginx", &["nginx"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml --isolation full");
    sandbox.ok("create -f manifests/nginx.yaml --isolation full");
    let block = fs::read_to_string(sandbox.file("seen/block")).unwrap();
    let at = SocketAddr::from(([127, block.trim().parse().unwrap(), 1, 3], 8080));
    let is_well = |page: &str| page.starts_with("HTTP/1.1 200") && page.ends_with("ok\n");
    sandbox.until("nginx passes on", || {
        visit(at).is_ok_and(|page| is_well(&page))
    });
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = || {
        let mut failed = Vec::new();
        while !over.load(Ordering::Relaxed) {
            match visit(at) {
                Ok(page) if is_well(&page) => {}
                other => failed.push(format!("{other:?}")),
            }
            asked.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
        failed
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        let upgraded = sandbox.run("upgrade web --env GREETING=hello");
        over.store(true, Ordering::Relaxed);
        assert_eq!(upgraded.code, 0, "{}", upgraded.transcript());
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let asked = asked.into_inner();
    assert!(asked > 100, "only {asked} requests");
    assert!(
        failed.is_empty(),
        "{} of {asked} failed: {failed:?}",
        failed.len()
    );
    println!("{asked} requests, none failed");
    sandbox.ok("delete web nginx");
    sandbox.assert_nothing_left();
}

/// Answers each datagram with its own host name.
const ECHO: &str = "use IO::Socket::INET; my $socket = IO::Socket::INET->new(LocalPort => 7777, \
                    Proto => q(udp)); my $name = $ENV{POD_NAME}; while ($socket->recv(my $text, \
                    1500)) { $socket->send(qq($name: $text)) }";
/// Sends a datagram to the service, and prints what comes back.
const ASK: &str = "use IO::Socket::INET; my $socket = IO::Socket::INET->new(PeerAddr => \
                   q(echo:5300), Proto => q(udp)); alarm 5; $socket->send(q(hello)); \
                   $socket->recv(my $text, 1500); print qq($text\\n)";

#[test]
fn a_service_is_at_its_own_address_in_the_private_network_too() {
    let sandbox = Sandbox::new();
    let set = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {{"name": "echo"}},
        "spec": {{"serviceName": "echoes", "replicas": 2, "selector": {{"matchLabels": {{"a": "b"}}}},
        "template": {{"metadata": {{"labels": {{"a": "b"}}}}, "spec": {{"containers": [{{
          "name": "c", "image": "c", "command": ["perl", "-e", {}]}}],
          "terminationGracePeriodSeconds": 1}}}}}}}}"#,
        serde_json::Value::from(ECHO)
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: echo}\nspec: {selector: {a: b}, \
                   ports: [{name: echo, protocol: UDP, port: 5300, targetPort: 7777}]}\n";
    let service = sandbox.manifest("service.yaml", service);
    let set = sandbox.manifest("set.json", &set);
    sandbox.ok(&format!("create -f {service}"));
    sandbox.ok(&format!("create -f {set} --isolation full"));
    sandbox.ok("create -f manifests/front.yaml --isolation full");
    let ip = says(&sandbox, "web-0", "getent hosts echo | cut -d ' ' -f 1");
    let block = fs::read_to_string(sandbox.file("seen/block")).unwrap();
    assert_eq!(ip, format!("10.{}.240.1", block.trim()));
    let told = says(&sandbox, "web-0", "echo $ECHO_SERVICE_HOST $ECHO_PORT");
    assert_eq!(told, format!("{ip} udp://{ip}:5300"));
    let answer = || within(&sandbox, "web-0", &format!("perl -e '{ASK}'")).out;
    let mut heard = std::collections::BTreeSet::new();
    sandbox.until("both answer", || {
        heard.extend(answer().lines().map(str::to_owned));
        heard.len() == 2
    });
    let heard: Vec<String> = heard.into_iter().collect();
    assert_eq!(heard, ["echo-0: hello", "echo-1: hello"]);
    let page = "exec 3<>/dev/tcp/front/8000 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    let page = format!("bash -c \"{page}\" | grep -o 'Hello from web-[0-9]'");
    let mut heard = std::collections::BTreeSet::new();
    sandbox.until("both pages come", || {
        heard.insert(within(&sandbox, "web-1", &page).out);
        heard.contains("Hello from web-0\n") && heard.contains("Hello from web-1\n")
    });
    sandbox.ok("scale web --replicas 0");
    let refused = "bash -c 'exec 3<>/dev/tcp/front/8000'";
    sandbox.until("clients are refused while no pet is ready", || {
        let outcome = within(&sandbox, "echo-0", refused);
        outcome.code != 0 && outcome.err.contains("refused")
    });
    sandbox.ok("delete echo web");
    sandbox.assert_nothing_left();
}
