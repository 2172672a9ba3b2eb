//! A set is upgraded again and again, while it is asked from the host and from another pet: no
//! request fails, and petset's processes do not grow. `PETSET_SOAK_SECONDS` makes it longer than a
//! few seconds. Each test names the level of isolation that it needs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Sandbox, is_full, is_installed, skipped};

/// The pets stay for a second after they are no endpoint any more, as Kubernetes advises.
const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: c
        image: petset/hello
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
";

/// Asks the service by its name until it is stopped, and says what came of it every second.
const CLIENT: &str = r#"
import http.client, os, time
good, bad, told = 0, [], time.time()
while True:
    try:
        asked = http.client.HTTPConnection("front", 80, timeout=20)
        asked.request("GET", "/healthz")
        reply = asked.getresponse()
        assert reply.status == 200 and reply.read() == b"ok\n"
        good += 1
    except Exception as error:
        bad.append(f"{time.time():.1f} {error!r}")
    asked.close()
    if time.time() > told + 1:
        told = time.time()
        with open(os.environ["HOME"] + "/inside.new", "w") as file:
            file.write("\n".join([str(good)] + bad[:20]))
        os.rename(os.environ["HOME"] + "/inside.new", os.environ["HOME"] + "/inside")
    time.sleep(0.02)
"#;

fn ask(at: SocketAddr) -> io::Result<()> {
    let patience = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&at, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: front\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    match page.starts_with("HTTP/1.1 200") && page.ends_with("ok\n") {
        true => Ok(()),
        false => Err(io::Error::other(page)),
    }
}

/// The anonymous memory of petset's lasting processes, in KiB.
fn memory(sandbox: &Sandbox) -> BTreeMap<&'static str, u64> {
    let roles = ["supervisor", "network", "proxy", "runner"];
    let mut found = BTreeMap::new();
    for process in sandbox.processes() {
        let plays = |role: &&str| process.command.starts_with(&format!("petset {role} "));
        let Some(role) = roles.into_iter().find(plays) else {
            continue;
        };
        // Of the runners, that of the client, which is not upgraded.
        if role == "runner" && !process.command.ends_with(" client-0") {
            continue;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid));
        let status = status.unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        found.insert(role, size.unwrap_or(0));
    }
    found
}

/// Asks from the host until it is over; returns how many succeeded, and what failed.
fn ask_from_host(at: SocketAddr, over: &AtomicBool) -> (u64, Vec<String>) {
    let good = AtomicU64::new(0);
    let bad = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match ask(at) {
                        Ok(()) => drop(good.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => bad.lock().unwrap().push(error.to_string()),
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    (good.into_inner(), bad.into_inner().unwrap())
}

#[test]
fn no_request_fails_and_no_memory_grows_while_a_set_is_upgraded_again_and_again() {
    if !is_full() {
        return skipped("pets cannot be isolated here, so that none is asked from inside");
    }
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let seconds = std::env::var("PETSET_SOAK_SECONDS").ok();
    let seconds = seconds.and_then(|it| it.parse().ok()).unwrap_or(4);
    let sandbox = Sandbox::new();
    let objects = sandbox.manifest("web.yaml", OBJECTS);
    sandbox.ok(&format!("create -f {objects}"));
    let script = sandbox.manifest("client.py", CLIENT);
    sandbox.ok(&format!("create client -- python3 {script}"));
    let inside = sandbox.scratch().join("inside");
    sandbox.until("the client asks", || inside.exists());
    let front = sandbox.ok("get svc front -o jsonpath={.spec.clusterIP}");
    let at = SocketAddr::new(front.out.trim().parse().unwrap(), 80);
    sandbox.until("it is offered on the host", || ask(at).is_ok());

    let (begin, over) = (Instant::now(), AtomicBool::new(false));
    let long = Duration::from_secs(seconds);
    let mut upgrades = 0_u64;
    let mut early = BTreeMap::new();
    let (good, bad) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask_from_host(at, &over));
        while begin.elapsed() < long {
            upgrades += 1;
            let outcome = sandbox.run(&format!("upgrade web --env V={upgrades} --timeout 80s"));
            if outcome.code != 0 {
                over.store(true, Ordering::Relaxed);
                sandbox.fail("the upgrade was to succeed");
            }
            if early.is_empty() && begin.elapsed() > long / 4 {
                early = memory(&sandbox);
            }
            if upgrades.is_multiple_of(20) {
                println!(
                    "{upgrades} upgrades in {:?}: {:?} KiB",
                    begin.elapsed(),
                    memory(&sandbox)
                );
            }
        }
        over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    let late = memory(&sandbox);
    let inside = fs::read_to_string(inside).unwrap();
    let mut inside = inside.lines();
    let good_inside = inside.next().unwrap().to_owned();
    let bad_inside: Vec<&str> = inside.collect();
    println!(
        "{upgrades} upgrades of 3 pets in {:?}: {good} requests from the host, {good_inside} from a \
         pet; KiB early {early:?}, late {late:?}",
        begin.elapsed()
    );
    assert!(bad.is_empty(), "from the host: {bad:?}");
    assert!(bad_inside.is_empty(), "from a pet: {bad_inside:?}");
    for (role, size) in early {
        let limit = size + size / 5 + 2048;
        assert!(late[role] <= limit, "{role} grew from {size} to {late:?}");
    }
    sandbox.ok("delete web client svc/web svc/front");
    sandbox.assert_nothing_left();
}
