//! Services with a virtual address: which get one, which pets are behind it, and that it outlives
//! what happens behind it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::{PATIENCE, Sandbox, processes};

/// Asks for a page and returns what came, status line included.
fn visit(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: front\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

fn is_well(at: SocketAddr) -> bool {
    visit(at, "/healthz").is_ok_and(|page| page.starts_with("HTTP/1.1 200"))
}

fn service(sandbox: &Sandbox, name: &str) -> Value {
    let found = sandbox.ok(&format!("get svc {name} -o json"));
    serde_json::from_str(&found.out).unwrap()
}

/// Where a service is offered, once it is.
fn address_of(sandbox: &Sandbox, name: &str, port: u16) -> SocketAddr {
    let mut ip = None;
    sandbox.until(&format!("{name} has an address"), || {
        let service = service(sandbox, name);
        ip = service["spec"]["clusterIP"]
            .as_str()
            .and_then(|ip| ip.parse().ok());
        ip.is_some()
    });
    SocketAddr::new(ip.unwrap(), port)
}

/// The manifest of the service alone.
fn front(sandbox: &Sandbox) -> String {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: front}\nspec: {selector: {app: \
                web}, ports: [{name: http, port: 8000, targetPort: hello}]}\n";
    sandbox.manifest("front.yaml", text)
}

fn pets_that_answer(at: SocketAddr, visits: usize) -> Vec<String> {
    let mut pets: Vec<String> = (0..visits)
        .filter_map(|_| {
            let page = visit(at, "/").ok()?;
            let (_, rest) = page.split_once("Hello from ")?;
            Some(rest.split_once(',')?.0.to_owned())
        })
        .collect();
    pets.sort_unstable();
    pets.dedup();
    pets
}

#[test]
fn no_request_fails_while_the_set_behind_a_service_is_upgraded() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    sandbox.until("the service answers", || is_well(at));
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = || {
        let mut failed = Vec::new();
        while !over.load(Ordering::Relaxed) {
            match visit(at, "/healthz") {
                Ok(page) if page.ends_with("ok\n") => {}
                other => failed.push(format!("{other:?}")),
            }
            asked.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
        failed
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        sandbox.ok("upgrade web --env GREETING=hello");
        over.store(true, Ordering::Relaxed);
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
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_service_has_one_address_for_life_and_pets_are_told_of_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    let [_, b, x, y] = match at {
        SocketAddr::V4(at) => at.ip().octets(),
        SocketAddr::V6(_) => panic!("{at}"),
    };
    assert!(x >= 240, "{at} could be a pet's");
    sandbox.ok("get svc front").says(&at.ip().to_string());
    sandbox.ok("dns query front").says(&at.ip().to_string());
    sandbox
        .ok("dns query _http._tcp.front SRV")
        .says("0 100 8000 front.default.svc.cluster.local.");
    sandbox
        .ok(&format!("dns query {y}.{x}.{b}.127.in-addr.arpa PTR"))
        .says("front.default.svc.cluster.local.");
    let told = sandbox.ok("exec web-0 -- env").out;
    // With isolation it has an address of the pets' own network, too.
    let inside = if support::is_full() { 10 } else { 127 };
    let there = format!("{inside}.{b}.{x}.{y}");
    for line in [
        format!("FRONT_SERVICE_HOST={there}"),
        "FRONT_SERVICE_PORT=8000".to_owned(),
        "FRONT_SERVICE_PORT_HTTP=8000".to_owned(),
        format!("FRONT_PORT_8000_TCP=tcp://{there}:8000"),
    ] {
        assert!(told.lines().any(|it| it == line), "no {line} in {told}");
    }
    assert!(
        !told.contains("WEB_SERVICE_HOST"),
        "a headless service has none"
    );
    let front = front(&sandbox);
    sandbox
        .ok(&format!("create -f {front}"))
        .says("service/front unchanged");
    sandbox.ok(&format!("delete -f {front}"));
    sandbox.until("no pet answers any more", || {
        TcpStream::connect(at).is_err()
    });
    sandbox.ok(&format!("create -f {front}"));
    assert_eq!(address_of(&sandbox, "front", 8000), at);
    sandbox.until("the service answers again", || is_well(at));
}

#[test]
fn a_service_follows_its_pets_and_refuses_when_none_is_ready() {
    // CF-net-12, CF-net-26
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    sandbox.until("both answer", || {
        pets_that_answer(at, 4) == ["web-0", "web-1"]
    });
    sandbox.ok("scale web --replicas 3");
    sandbox.until("the third answers", || pets_that_answer(at, 6).len() == 3);
    sandbox.ok("scale web --replicas 1");
    assert_eq!(pets_that_answer(at, 4), ["web-0"]);
    sandbox.ok("scale web --replicas 0");
    sandbox.until("clients are refused", || TcpStream::connect(at).is_err());
    sandbox.assert_nothing_left();
    sandbox.ok("scale web --replicas 1");
    sandbox.until("it answers again", || is_well(at));
}

#[test]
fn connections_outlive_a_supervisor_that_is_killed_and_a_killed_proxy_is_replaced() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    sandbox.until("the service answers", || is_well(at));
    let proxy = || {
        let all = sandbox.processes();
        let proxies = all
            .iter()
            .filter(|process| process.command.contains(" proxy "));
        proxies.map(|process| process.pid).collect::<Vec<i32>>()
    };
    let [first] = proxy()[..] else {
        sandbox.fail("there is not one proxy");
    };
    let mut open = TcpStream::connect(at).unwrap();
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    sandbox.kill(sandbox.supervisor());
    assert!(is_well(at), "without a supervisor the service goes on");
    sandbox.ok("scale web --replicas 3");
    write!(open, "GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    open.read_to_string(&mut page).unwrap();
    assert!(page.ends_with("ok\n"), "{page:?}");
    sandbox.until("the third answers", || pets_that_answer(at, 6).len() == 3);
    assert!(proxy().contains(&first));
    sandbox.kill(Some(first));
    sandbox.until("another proxy serves", || is_well(at));
    for pid in proxy() {
        processes::kill(pid);
    }
    sandbox.until("yet another proxy serves", || is_well(at));
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_port_that_cannot_be_had_is_offered_elsewhere_and_that_is_said() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    let front = front(&sandbox);
    sandbox.ok(&format!("delete -f {front}"));
    let mut taken = None;
    sandbox.until("the port is free", || {
        taken = TcpListener::bind(at).ok();
        taken.is_some()
    });
    sandbox.ok(&format!("create -f {front}"));
    let elsewhere = SocketAddr::new(at.ip(), 16000);
    sandbox.until_says("get svc front -o wide", &format!("8000/TCP at {elsewhere}"));
    sandbox.events_say(&["PortNotOffered"]);
    sandbox.ok("describe svc front").says("Offered At");
    assert!(is_well(elsewhere));
}

#[test]
fn a_port_that_was_in_use_is_served_once_it_is_free() {
    let sandbox = Sandbox::new();
    let text = fs::read_to_string(front(&sandbox)).unwrap();
    let front = sandbox.manifest("front.yaml", &text.replace("hello", "8080"));
    sandbox.ok(&format!("create -f {front}"));
    let at = address_of(&sandbox, "front", 8000);
    let holder = TcpListener::bind(at).unwrap();
    sandbox.ok("create web --image petset/hello --port http=8080");
    let moved = "8000/TCP at ";
    sandbox.until_says("get svc front -o wide", moved);
    let elsewhere = SocketAddr::new(at.ip(), 16000);
    sandbox.until("it is offered elsewhere", || is_well(elsewhere));
    drop(holder);
    sandbox.until("it is offered where it belongs", || is_well(at));
    sandbox.until("and that is shown", || {
        !sandbox.run("get svc front -o wide").out.contains(moved)
    });
    sandbox.ok("delete web");
    sandbox.ok("delete svc front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_client_stays_with_its_pet_for_the_time_that_the_service_says() {
    // CF-net-33, CF-net-34
    let sandbox = Sandbox::new();
    let service = |seconds: u32| {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: sticky}}\nspec:\n  selector: {{app: \
             web}}\n  ports: [{{port: 8000, targetPort: hello}}]\n  sessionAffinity: ClientIP\n  \
             sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}\n"
        );
        sandbox.manifest("sticky.yaml", &text)
    };
    sandbox.ok("create -f manifests/front.yaml");
    let created = sandbox.ok(&format!("create -f {}", service(3600)));
    created.lacks("warning");
    let at = address_of(&sandbox, "sticky", 8000);
    sandbox.until("the service answers", || is_well(at));
    assert_eq!(pets_that_answer(at, 6).len(), 1, "one pet, again and again");
    sandbox.ok("describe svc sticky").says("ClientIP");
    sandbox.ok(&format!("apply -f {}", service(1)));
    let mut heard = std::collections::BTreeSet::new();
    sandbox.until("another pet has its turn once the time is over", || {
        // Each visit begins the time anew.
        thread::sleep(Duration::from_millis(1100));
        heard.extend(pets_that_answer(at, 1));
        heard.len() == 2
    });
    // Switched off, both have their turns at once; on again, one has.
    let text = fs::read_to_string(service(3600)).unwrap();
    let (free, _) = text.split_once("  sessionAffinity").unwrap();
    let free = sandbox.manifest("free.yaml", free);
    sandbox.ok(&format!("apply -f {free}"));
    sandbox.until("both answer", || pets_that_answer(at, 12).len() == 2);
    sandbox.ok(&format!("apply -f {}", service(3600)));
    sandbox.until("one answers", || pets_that_answer(at, 12).len() == 1);
}

#[test]
fn nothing_is_left_of_a_service_that_goes_when_nobody_runs() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    sandbox.ok("dns query web-0.web");
    sandbox.ok("delete -f manifests/front.yaml");
    sandbox.assert_nothing_left();
    sandbox.fails(3, "dns query web");
    sandbox.ok("get svc,endpoints").prints("");
    let files = std::fs::read_dir(sandbox.file("seen/default/endpoints")).unwrap();
    assert_eq!(files.count(), 0);
}

#[test]
fn services_and_pets_may_come_in_any_order_and_select_pets_of_several_sets() {
    let sandbox = Sandbox::new();
    let set = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\nspec:\n  \
             serviceName: {name}\n  replicas: 1\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
             template:\n    metadata: {{labels: {{app: {name}, tier: front}}}}\n    spec:\n      \
             containers:\n      - {{name: main, image: petset/hello, ports: [{{name: http, \
             containerPort: 8080}}], readinessProbe: {{httpGet: {{path: /healthz, port: http}}}}}}\n"
        )
    };
    let one = sandbox.manifest("one.yaml", &set("one"));
    let other = sandbox.manifest("other.yaml", &set("other"));
    let both = "apiVersion: v1\nkind: Service\nmetadata: {name: both}\nspec: {selector: {tier: \
                front}, ports: [{port: 8000, targetPort: http}]}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: one}\nspec: {clusterIP: None, \
                selector: {app: one}, ports: [{name: http, port: 8080}]}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: other-name}\nspec: {type: \
                ExternalName, externalName: one.default.svc.cluster.local}\n";
    let both = sandbox.manifest("both.yaml", both);
    sandbox.ok(&format!("create -f {one}"));
    sandbox.events_say(&["service \"one\" does not exist"]);
    sandbox.ok("describe sts one").says("does not exist");
    sandbox.ok(&format!("create -f {both}"));
    let at = address_of(&sandbox, "both", 8000);
    sandbox.until("the first set answers", || {
        pets_that_answer(at, 2) == ["one-0"]
    });
    sandbox.ok(&format!("create -f {other}"));
    sandbox.until("both sets answer", || {
        pets_that_answer(at, 4) == ["one-0", "other-0"]
    });
    sandbox.until_says("dns query one-0.one", "127.");
    sandbox.until_says("dns query other-name", "one.default.svc.cluster.local.");
    assert_eq!(service(&sandbox, "one")["spec"]["clusterIP"], "None");
    assert_eq!(
        service(&sandbox, "other-name")["spec"]["clusterIP"],
        Value::Null
    );
    sandbox.ok("get endpoints both").says(":8080,127.");
}

#[test]
fn a_copied_state_directory_gets_a_block_of_its_own_and_leaves_the_original_alone() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/front.yaml");
    let at = address_of(&sandbox, "front", 8000);
    sandbox.until("the service answers", || is_well(at));
    let before: Vec<_> = ["web-0", "web-1"].map(|pet| sandbox.main(pet)).into();
    let copy = sandbox.file("../copy");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(sandbox.state())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let there = format!("--state-dir {}", copy.display());
    sandbox.ok(&format!("scale web --replicas 3 {there}"));
    let address = |words: &str| sandbox.ok(&format!("dns query web-0.web {words}")).out;
    assert_ne!(address(""), address(&there));
    let services = sandbox.ok(&format!("get svc front -o json {there}")).out;
    let services: Value = serde_json::from_str(&services).unwrap();
    let other = services["spec"]["clusterIP"].as_str().unwrap();
    let other = SocketAddr::new(other.parse().unwrap(), 8000);
    assert_ne!(other, at);
    sandbox.until("the copy answers", || pets_that_answer(other, 6).len() == 3);
    assert_eq!(pets_that_answer(at, 4), ["web-0", "web-1"]);
    let now: Vec<_> = ["web-0", "web-1"].map(|pet| sandbox.main(pet)).into();
    assert_eq!(now, before, "the original's pets run on");
    sandbox.ok(&format!("delete web {there}"));
}

/// Answers every connection with this word, until the test ends.
fn answering(word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(word.as_bytes()));
        }
    });
    at
}

fn word_at(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut word = String::new();
    stream.read_to_string(&mut word).ok()?;
    Some(word).filter(|word| !word.is_empty())
}

/// A service without a selector, and endpoints for it at this port.
fn outside(sandbox: &Sandbox, at: SocketAddr) -> String {
    let port = at.port();
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: ext}}\nspec: {{ports: [{{name: db, \
         port: 5432}}]}}\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {{name: ext}}\n\
         subsets: [{{addresses: [{{ip: 127.0.0.1}}], ports: [{{name: db, port: {port}}}]}}]\n"
    );
    sandbox.manifest("outside.yaml", &text)
}

#[test]
fn a_service_without_a_selector_leads_where_its_user_says() {
    let sandbox = Sandbox::empty();
    let (one, other) = (answering("one"), answering("other"));
    let file = outside(&sandbox, one);
    sandbox.ok(&format!("create -f {file}"));
    let at = address_of(&sandbox, "ext", 5432);
    let leads_to = |word: &str| {
        let found = || word_at(at).as_deref() == Some(word);
        sandbox.until(&format!("the service leads to {word}"), found);
    };
    leads_to("one");
    let ends = format!("127.0.0.1:{}", one.port());
    sandbox.ok("get endpoints ext").says(&ends);
    sandbox.ok("describe svc ext").says("127.0.0.1");
    sandbox
        .ok("discover --service ext")
        .says("127-0-0-1.ext.default.svc");
    // Another place, then none, then a slice.
    let file = outside(&sandbox, other);
    sandbox
        .ok(&format!("apply -f {file}"))
        .says("endpoints/ext configured");
    leads_to("other");
    sandbox.ok("delete endpoints/ext");
    sandbox.until("the service leads nowhere", || word_at(at).is_none());
    let slice = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: ext-1, labels: \
         {{kubernetes.io/service-name: ext}}}}\naddressType: IPv4\nports: [{{name: db, port: \
         {}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n",
        one.port()
    );
    let slice = sandbox.manifest("slice.yaml", &slice);
    sandbox.ok(&format!("create -f {slice}"));
    leads_to("one");
    sandbox.ok("get endpointslices").says("ext-1").says("IPv4");
    sandbox.ok("delete svc/ext endpointslice/ext-1");
    sandbox.until("no supervisor is needed", || sandbox.supervisor().is_none());
}

#[test]
fn endpoints_of_a_service_that_selects_pods_are_not_used_and_that_is_said() {
    let sandbox = Sandbox::new();
    let front = front(&sandbox);
    sandbox.ok(&format!("create -f {front}"));
    let text = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: front}\nsubsets: \
                [{addresses: [{ip: 192.0.2.1}], ports: [{name: http, port: 80}]}]\n";
    let file = sandbox.manifest("ends.yaml", text);
    let created = sandbox.ok(&format!("create -f {file}"));
    created.says("endpoints/front is not used: service front leads to the pods that it selects");
    sandbox.ok("get endpoints front").lacks("192.0.2.1");
}
