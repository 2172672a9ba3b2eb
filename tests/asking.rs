//! Every kind of record, asked for from within a pet and from the host while pets come, go, and are
//! ready or not: by dig, by the C library, and by a resolver that works as Go's does.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE};
use support::{PATIENCE, Sandbox, is_installed};

const WEB: &str = "web.default.svc.cluster.local";

/// Two hello pets that are ready unless there is a file, and other pets that ask for them.
const ASKED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: petset/hello
        ports: [{name: http, containerPort: 8080}]
        readinessProbe:
          exec: {command: [test, "!", -e, /tmp/down]}
          periodSeconds: 1
          failureThreshold: 1
"#;

/// A resolver to ask for names: with dig's words for the short answer and the status.
struct Asker<'a> {
    /// 127 on the host, 10 inside.
    net: u8,
    block: u8,
    dig: &'a dyn Fn(&str) -> Vec<String>,
}

impl Asker<'_> {
    fn ip(&self, x: u8, y: u8) -> String {
        format!("{}.{}.{x}.{y}", self.net, self.block)
    }

    /// The address of a pet: the asker itself has the first one.
    fn pet(&self, ordinal: u8) -> String {
        self.ip(1, ordinal + 2)
    }

    #[track_caller]
    fn hears(&self, question: &str, expected: &[String]) {
        let mut heard = (self.dig)(&format!("+short {question}"));
        heard.sort();
        assert_eq!(heard, expected, "{question} in {}", self.net);
    }

    #[track_caller]
    fn is_told(&self, status: &str, question: &str) {
        let heard = (self.dig)(&format!("+noall +comments {question}"));
        let status = format!("status: {status},");
        assert!(
            heard.iter().any(|line| line.contains(&status)),
            "{question} in {}: {heard:?}",
            self.net
        );
    }

    /// Asks for every kind of record there is, when just these pets are ready.
    #[track_caller]
    fn finds_everything(&self, ready: &[u8]) {
        let name = |pet: &u8| format!("web-{pet}.{WEB}.");
        let ips: Vec<String> = ready.iter().map(|pet| self.pet(*pet)).collect();
        self.hears(WEB, &ips);
        let weight = 100 / ready.len();
        let srv = |pet: &u8| format!("0 {weight} 8080 {}", name(pet));
        let srv: Vec<String> = ready.iter().map(srv).collect();
        self.hears(&format!("{WEB} SRV"), &srv);
        self.hears(&format!("_http._tcp.{WEB} SRV"), &srv);
        for pet in 0..4 {
            let asked = format!("web-{pet}.{WEB}");
            if ready.contains(&pet) {
                let ip = self.pet(pet);
                self.hears(&asked, std::slice::from_ref(&ip));
                let back = (self.dig)(&format!("+short -x {ip}"));
                assert_eq!(back.first(), Some(&name(&pet)), "its own name comes first");
                self.is_told("NOERROR", &format!("{asked} AAAA"));
            } else {
                self.is_told("NXDOMAIN", &asked);
                self.is_told("NXDOMAIN", &format!("{asked} SRV"));
            }
        }
        let front = "front.default.svc.cluster.local";
        self.hears(front, &[self.ip(240, 1)]);
        self.hears(&format!("-x {}", self.ip(240, 1)), &[format!("{front}.")]);
        for asked in [format!("{front} SRV"), format!("_http._tcp.{front} SRV")] {
            self.hears(&asked, &[format!("0 100 80 {front}.")]);
        }
        let alias = "alias.default.svc.cluster.local";
        self.hears(&format!("{alias} CNAME"), &[format!("{WEB}.")]);
        self.hears(alias, &[ips, vec![format!("{WEB}.")]].concat());
        self.hears("dns-version.cluster.local TXT", &["\"1.1.0\"".to_owned()]);
        self.hears("cluster.local NS", &["ns.dns.cluster.local.".to_owned()]);
        self.hears("ns.dns.cluster.local", &[self.ip(0, 53)]);
        let soa = (self.dig)("+short cluster.local SOA");
        assert!(
            soa[0].starts_with("ns.dns.cluster.local. hostmaster."),
            "{soa:?}"
        );
        for empty in [
            &format!("{WEB} AAAA"),
            &format!("{WEB} TXT"),
            &format!("_tcp.{WEB}"),
            "svc.cluster.local",
            "default.svc.cluster.local",
            &format!("{front} AAAA"),
        ] {
            self.hears(empty, &[]);
            self.is_told("NOERROR", empty);
        }
        for missing in [
            "nope.default.svc.cluster.local",
            "nope.svc.cluster.local SRV",
        ] {
            self.is_told("NXDOMAIN", missing);
        }
    }
}

/// Runs a script where a pet runs, and returns the lines it prints.
fn within(sandbox: &Sandbox, pet: &str, script: &str) -> Vec<String> {
    let mut command = sandbox.command_of(&["exec", pet, "--", "sh", "-c", script]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_record_is_found_from_within_and_from_the_host_whatever_becomes_of_the_pets() {
    if !is_installed("dig", &["dig"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let manifest = sandbox.manifest("asked.yaml", ASKED);
    sandbox.ok("create asker --isolation full -- sleep 1000");
    sandbox.ok(&format!("create -f {manifest} --isolation full"));
    let block = fs::read_to_string(sandbox.file("seen/block")).unwrap();
    let block: u8 = block.trim().parse().unwrap();
    let inside = |words: &str| within(&sandbox, "asker-0", &format!("dig +time=5 {words}"));
    let outside = |words: &str| {
        let mut dig = Command::new("dig");
        dig.arg(format!("@127.{block}.0.53"));
        dig.args(["-p", "5353", "+norec", "+time=5"]);
        let output = dig.args(words.split_whitespace()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let askers = [
        Asker {
            net: 10,
            block,
            dig: &inside,
        },
        Asker {
            net: 127,
            block,
            dig: &outside,
        },
    ];
    // Inside, the names follow the files, which come after the host's zone.
    let until = |pets: &[u8]| {
        sandbox.until(&format!("{pets:?} are known everywhere"), || {
            let known = |asker: &Asker| (asker.dig)(&format!("+short {WEB}")).len();
            askers.iter().all(|asker| known(asker) == pets.len())
        });
        askers.iter().for_each(|asker| asker.finds_everything(pets));
        go_style_resolver_finds(&sandbox, &askers[0], pets);
    };
    until(&[0, 1]);
    let hosts = within(&sandbox, "asker-0", "getent hosts web-1.web");
    let found = format!("{} web-1.{WEB}", askers[0].pet(1));
    assert_eq!(words_of(&hosts), [found]);
    let hosts = within(
        &sandbox,
        "asker-0",
        "getent hosts alias | awk '{print $2}' | sort -u",
    );
    assert_eq!(hosts, [WEB]);
    let back = within(
        &sandbox,
        "asker-0",
        &format!("getent hosts {}", askers[0].pet(0)),
    );
    assert!(
        words_of(&back)[0].contains(&format!("web-0.{WEB}")),
        "{back:?}"
    );
    sandbox.ok("scale web --replicas 3");
    until(&[0, 1, 2]);
    within(&sandbox, "web-1", "touch /tmp/down");
    until(&[0, 2]);
    within(&sandbox, "web-1", "rm /tmp/down");
    until(&[0, 1, 2]);
    sandbox.ok("scale web --replicas 1");
    until(&[0]);
    sandbox.ok("delete web");
    sandbox.until("no name is left", || {
        let gone = |asker: &Asker| {
            let comments = (asker.dig)(&format!("+noall +comments web-0.{WEB}"));
            comments
                .iter()
                .any(|line| line.contains("status: NXDOMAIN"))
        };
        askers.iter().all(gone)
    });
    askers
        .iter()
        .for_each(|asker| asker.is_told("NXDOMAIN", WEB));
    sandbox.ok("delete asker");
    sandbox.assert_nothing_left();
}

/// Puts one space between the words of each line.
fn words_of(lines: &[String]) -> Vec<String> {
    let line = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.iter().map(line).collect()
}

/// Which name and type the test program is to ask for, when it is run inside a pet.
const ASK: &str = "PETSET_TEST_ASK";

/// Lets a resolver that works as Go's does ask inside a pet, for names as programs write them.
#[track_caller]
fn go_style_resolver_finds(sandbox: &Sandbox, asker: &Asker, ready: &[u8]) {
    let program = std::env::current_exe().unwrap();
    let go = |question: &str| {
        let script = format!(
            "{ASK}='{question}' exec {} --exact asks_as_go_does --nocapture",
            program.display()
        );
        let lines = within(sandbox, "asker-0", &script);
        let found = lines.iter().filter_map(|line| line.strip_prefix("found "));
        let mut found: Vec<String> = found.map(str::to_owned).collect();
        found.sort();
        found
    };
    let ips: Vec<String> = ready.iter().map(|pet| asker.pet(*pet)).collect();
    for name in ["web", "web.default", "web.default.svc", WEB, "alias"] {
        assert_eq!(go(&format!("A {name}")), ips, "{name}");
    }
    assert_eq!(go("A web-0.web"), [asker.pet(0)]);
    assert_eq!(go("A front"), [asker.ip(240, 1)]);
    let named: Vec<String> = ready
        .iter()
        .map(|pet| format!("web-{pet}.{WEB}:8080"))
        .collect();
    assert_eq!(go("SRV web"), named, "as peer-finder asks");
    assert_eq!(go("SRV _http._tcp.web"), named);
    assert_eq!(go("A nope"), [""; 0]);
    assert_eq!(go("A nope.web"), [""; 0]);
}

/// Run by another test inside a pet, with a question: asks the server of `/etc/resolv.conf` for a
/// name in each domain of its search list, and as it is if it has enough dots, as Go does. By
/// itself it does nothing.
#[test]
fn asks_as_go_does() {
    let Ok(asked) = std::env::var(ASK) else {
        return;
    };
    let (kind, name) = asked.split_once(' ').unwrap();
    let kind = if kind == "SRV" { TYPE::SRV } else { TYPE::A };
    let text = fs::read_to_string("/etc/resolv.conf").unwrap();
    let after = |word: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_default().split_whitespace()
    };
    let server = after("nameserver").next().unwrap();
    let ndots = after("options").find_map(|option| option.strip_prefix("ndots:"));
    let ndots: usize = ndots.map_or(1, |ndots| ndots.parse().unwrap());
    let mut names: Vec<String> = after("search")
        .map(|domain| format!("{name}.{domain}"))
        .collect();
    let many_dots = name.matches('.').count() >= ndots;
    names.insert(if many_dots { 0 } else { names.len() }, name.to_owned());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((server, 53)).unwrap();
    for name in names {
        let found = found_by_udp(&socket, &name, kind);
        if !found.is_empty() {
            found.iter().for_each(|found| println!("found {found}"));
            return;
        }
    }
}

/// Asks with EDNS for one complete name; nothing where there is none.
fn found_by_udp(socket: &UdpSocket, name: &str, kind: TYPE) -> Vec<String> {
    let mut packet = Packet::new_query(77);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (class, name) = (CLASS::IN.into(), Name::new(name).unwrap());
    let question = Question::new(name, kind.into(), class, false);
    packet.questions.push(question);
    *packet.opt_mut() = Some(OPT {
        opt_codes: Vec::new(),
        udp_packet_size: 1232,
        version: 0,
    });
    socket.send(&packet.build_bytes_vec().unwrap()).unwrap();
    let mut reply = [0; 1500];
    let length = socket.recv(&mut reply).unwrap();
    let reply = Packet::parse(&reply[..length]).unwrap();
    assert_eq!(reply.id(), 77);
    assert!(matches!(
        reply.rcode(),
        RCODE::NoError | RCODE::NameError | RCODE::Refused
    ));
    let said = |record: &ResourceRecord<'_>| {
        if let RData::A(a) = &record.rdata {
            return Some(std::net::Ipv4Addr::from(a.address).to_string());
        }
        let RData::SRV(srv) = &record.rdata else {
            return None;
        };
        Some(format!("{}:{}", srv.target, srv.port))
    };
    let records = reply.answers.iter().filter_map(said);
    records.collect()
}

/// What Galera's init container does with its peers (F09): the line of its own pet is the node's
/// address, the others are the members that it joins; one that finds no others begins the cluster.
const GALERA: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: galera
  annotations: {service.alpha.kubernetes.io/tolerate-unready-endpoints: "true"}
spec: {clusterIP: None, selector: {app: galera}, ports: [{port: 3306}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: galera}
spec:
  serviceName: galera
  replicas: 3
  selector: {matchLabels: {app: galera}}
  template:
    metadata: {labels: {app: galera}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - name: bootstrap
        image: debian
        command:
        - sh
        - -c
        - |
          exec peer-finder -service=galera -on-start='awk -v own="$POD_NAME." "
            index(\$0, own) == 1 {node = \$0; next} {others = others sep \$0; sep = \",\"}
            END {print \"node \" node \", join gcomm://\" others}"'
      containers:
      - name: main
        image: debian
        command: [sleep, "1000"]
"#;

#[test]
fn init_containers_of_old_manifests_find_their_peers_by_peer_finder() {
    for level in ["none", "full"] {
        let sandbox = Sandbox::new();
        let manifest = sandbox.manifest("galera.yaml", GALERA);
        sandbox.ok(&format!("create -f {manifest} --isolation {level}"));
        let name = |pet: u8| format!("galera-{pet}.galera.default.svc.cluster.local");
        for pet in 0..3 {
            let others: Vec<String> = (0..pet).map(name).collect();
            let told = format!("node {}, join gcomm://{}\n", name(pet), others.join(","));
            let said = sandbox.ok(&format!("logs galera-{pet} -c bootstrap"));
            assert_eq!(said.out, told, "with isolation {level}");
        }
        sandbox.ok("delete galera");
        sandbox.assert_nothing_left();
    }
}

#[test]
fn events_and_pets_of_a_set_are_found_in_all_namespaces() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -n one -- sleep 1000");
    sandbox.ok("create db -n two -- sleep 1000");
    let events = sandbox.ok("events -A");
    events.says("NAMESPACE").says("pod/web-0").says("pod/db-0");
    sandbox.ok("get events -A").says("two").says("pod/db-0");
    let pets = sandbox.ok("get pets web -A");
    pets.says("web-0").lacks("not found");
    sandbox.fails(3, "get pets none -A").says("not found");
}
