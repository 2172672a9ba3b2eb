//! Probes: what they hold back, and what they bring about.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::Sandbox;

#[test]
fn a_pet_that_is_not_ready_any_more_is_discovered_no_more() {
    let sandbox = Sandbox::new();
    (0..3).for_each(|ordinal| sandbox.open(&format!("ready-web-{ordinal}")));
    sandbox.ok("create -f manifests/gated.yaml");
    sandbox
        .ok("discover web -o name")
        .prints("web-0\nweb-1\nweb-2\n");
    sandbox.shut("ready-web-1");
    sandbox.until_says("get sts web --no-headers", "2/3");
    sandbox
        .ok("discover web -o name --ready-only")
        .prints("web-0\nweb-2\n");
    sandbox.open("ready-web-1");
    sandbox.until_says("get sts web --no-headers", "3/3");
    assert_eq!(sandbox.count("started web-1"), 1);
}

#[test]
fn a_pet_that_fails_its_liveness_probe_is_restarted_and_keeps_its_identity() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/liveness.yaml");
    let before = sandbox.pod("web-0")["metadata"]["uid"].clone();
    sandbox.open("dead");
    sandbox.until("it was restarted", || sandbox.count("started web-0") >= 2);
    sandbox.shut("dead");
    assert_eq!(sandbox.pod("web-0")["metadata"]["uid"], before);
    sandbox.events_say(&["Liveness probe failed"]);
}

#[test]
fn other_probes_wait_for_the_startup_probe() {
    let sandbox = Sandbox::new();
    let mut create = sandbox.start("create -f manifests/startup.yaml");
    sandbox.events_say(&["Startup probe failed"]);
    sandbox.journal_lacks("probed");
    assert!(create.runs());
    sandbox.open("up");
    assert_eq!(sandbox.finish("create", create).code, 0);
    sandbox.journal_says(&["probed"]);
}

#[test]
fn the_command_of_a_probe_is_expanded_as_the_kubelet_does() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/probe-arguments.yaml --timeout 60s");
    sandbox.until_says("get sts web --no-headers", "1/1");
}

#[test]
fn a_server_is_ready_when_it_answers() {
    let sandbox = Sandbox::new();
    let words =
        "create web --replicas 3 --image petset/hello --port http=8080 --ready http:/healthz";
    sandbox.ok(words);
    sandbox
        .ok("discover web --port http")
        .says("web-2.web.default.svc.cluster.local:8080");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_that_crashes_twice_is_restarted_until_it_serves() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/crashes-twice.yaml --no-wait");
    sandbox.until_pet_is("web-0", "Error");
    sandbox.journal_says(&["crashed web-0", "crashed web-0", "started web-0"]);
    sandbox.until_says("get pods --no-headers", "Running");
    let restarts = sandbox.pod("web-0")["status"]["containerStatuses"][0]["restartCount"].clone();
    assert_eq!(restarts, 2);
}

#[test]
fn pets_that_need_a_second_each_are_ready_in_order() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/ready-after-1s.yaml");
    sandbox.journal_says(&["started web-0", "started web-1", "started web-2"]);
}

/// A set `t` whose only pet has these containers.
fn set_of(sandbox: &Sandbox, containers: &str) -> String {
    let text = format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: t}}
spec:
  serviceName: t
  selector: {{matchLabels: {{app: t}}}}
  template:
    metadata: {{labels: {{app: t}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
{containers}"
    );
    sandbox.manifest("t.yaml", &text)
}

#[test]
fn what_a_probe_says_is_told_by_the_waiting_command_the_table_and_the_description() {
    let sandbox = Sandbox::new();
    let manifest = set_of(
        &sandbox,
        "      - name: c
        image: busybox
        command: [sh, -c, 'echo serving soon; exec sleep 600']
        readinessProbe: {exec: {command: [sh, -c, 'echo no ping >&2; exit 1']}, periodSeconds: 1}
",
    );
    let why = "readiness probe has not succeeded: no ping";
    let created = sandbox.fails(124, &format!("create -f {manifest} --timeout 4s"));
    created
        .says(&format!("t: 0 of 1 ready; t-0 is not ready: {why}\n"))
        .says(&format!("t-0 is not ready: {why}; the last lines of t-0:"))
        .says("    | serving soon");
    sandbox.ok("get pods -o wide").says(why);
    sandbox.ok("describe sts/t").says(why);
    let pod = sandbox.ok("describe pod/t-0");
    pod.says(why).lacks("petset.dev/probe");
}

#[test]
fn a_hook_that_still_runs_is_not_called_a_container_that_has_not_started() {
    let sandbox = Sandbox::new();
    let manifest = set_of(
        &sandbox,
        "      - name: a
        image: busybox
        command: [sh, -c, 'echo a runs; exec sleep 600']
        lifecycle: {postStart: {exec: {command: [sleep, '600']}}}
      - {name: b, image: busybox, command: [sleep, '600']}
",
    );
    let why = "postStart of a still runs";
    sandbox.ok(&format!("create -f {manifest} --no-wait"));
    sandbox.until_says("get pods -o wide", why);
    sandbox.until_says("logs t-0 -c a", "a runs");
    let waited = sandbox.fails(124, &format!("apply -f {manifest} --timeout 2s"));
    waited.says(&format!("t-0 is not ready: {why} (for "));
    waited.says("| a runs").lacks("has not started yet");
    sandbox
        .ok("exec t-0 -c a -- echo inside")
        .prints("inside\n");
    sandbox.ok("describe pod/t-0").says(why);
}

#[test]
fn the_container_that_halts_is_named_and_not_the_first_unready_one() {
    let sandbox = Sandbox::new();
    let manifest = set_of(
        &sandbox,
        "      - name: a
        image: busybox
        command: [sleep, '600']
        readinessProbe: {exec: {command: [test, -e, /x]}}
      - {name: b, image: nowhere/b}
",
    );
    let created = sandbox.fails(5, &format!("create -f {manifest}"));
    created.says("t-0 is not ready: container b: image nowhere/b: no image");
    let wide = sandbox.ok("get pods -o wide");
    wide.says("container b: image nowhere/b: no image");
}

/// A pod of an HTTP server that redirects `/slash` to another host, and a probe of `path`.
fn served(sandbox: &Sandbox, name: &str, path: &str) -> String {
    let text = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: c
    image: python
    command:
    - python3
    - -uc
    - |
      import os
      from http.server import *
      class H(BaseHTTPRequestHandler):
          def do_GET(s):
              print(s.requestline)
              s.send_response({{'/slash': 302, '/': 200, '/a%20b?x=%zz': 200}}.get(s.path, 500))
              s.send_header('Location', '//other/')
              s.end_headers()
          def log_message(s, *a): pass
      HTTPServer((os.environ['POD_IP'], 8080), H).serve_forever()
    env: [{{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}]
    readinessProbe: {{periodSeconds: 1, httpGet: {{path: {path:?}, port: 8080}}}}
"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

#[test]
fn the_path_of_an_http_probe_is_sent_as_the_kubelet_parses_it() {
    let sandbox = Sandbox::new();
    let paths = [
        ("fragment", "/#/status", "GET / "),
        ("space", "a b?x=%zz#y", "GET /a%20b?x=%zz "),
    ];
    for (name, path, line) in paths {
        let file = served(&sandbox, name, path);
        sandbox.ok(&format!("create -f {file} --timeout 60s"));
        sandbox.ok(&format!("logs {name}")).says(line);
    }
}

#[test]
fn a_redirect_to_another_host_without_a_scheme_is_a_success_with_a_warning() {
    let sandbox = Sandbox::new();
    let file = served(&sandbox, "a", "/slash");
    sandbox.ok(&format!("create -f {file} --timeout 60s"));
    sandbox.events_say(&["ProbeWarning"]);
    sandbox
        .ok("events")
        .says("Readiness probe warning: Probe terminated redirects");
}

#[test]
fn a_pet_is_not_ready_when_another_pet_answers_at_its_address() {
    let sandbox = Sandbox::new();
    let free = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    // The second one cannot bind the port, and tries for a while.
    let script = "import http.server as h, time, socket
while True:
  try: h.ThreadingHTTPServer(('0.0.0.0', PORT), h.SimpleHTTPRequestHandler).serve_forever()
  except OSError: time.sleep(1)";
    let script = script.replace("PORT", &port.to_string());
    let words = [
        "create",
        "web",
        "--replicas",
        "2",
        "--isolation",
        "none",
        "--timeout",
        "6s",
        "--ready",
        "http:/",
        "--port",
        &format!("http={port}"),
        "--",
        "python3",
        "-c",
        &script,
    ];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish("create", sandbox.start_command(&mut command));
    assert_ne!(outcome.code, 0, "{}", outcome.transcript());
    sandbox.until_says("get sts web --no-headers", "1/2");
    sandbox.events_say(&["belongs to another pet"]);
}

/// A pod whose server is a Python program that listens on `POD_IP`, with these further fields.
fn python_pod(sandbox: &Sandbox, name: &str, program: &str, fields: &str) -> String {
    let program: String = program
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    let text = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 30
  containers:
  - name: c
    image: python
    command:
    - python3
    - -uc
    - |
      import os, socket
{program}    env: [{{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}]
    {fields}
"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

#[test]
fn a_probe_by_https_speaks_tls_and_looks_at_the_status() {
    let sandbox = Sandbox::new();
    let program = "import ssl
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s):
        s.send_response(200 if s.path == '/ok' else 500)
        s.end_headers()
    def log_message(s, *a): pass
server = HTTPServer((os.environ['POD_IP'], 8443), H)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('DATA/tls/cert.pem', 'DATA/tls/key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";
    let program = program.replace("DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/testdata"));
    let probe = |path: &str| {
        format!(
            "readinessProbe: {{periodSeconds: 1, timeoutSeconds: 10, \
             httpGet: {{scheme: HTTPS, path: {path}, port: 8443}}}}"
        )
    };
    let good = python_pod(&sandbox, "good", &program, &probe("/ok"));
    sandbox.ok(&format!("create -f {good} --timeout 60s"));
    let bad = python_pod(&sandbox, "bad", &program, &probe("/bad"));
    sandbox.ok(&format!("create -f {bad} --no-wait"));
    sandbox.events_say(&["Readiness probe failed: HTTP probe failed with statuscode: 500"]);
}

#[test]
fn a_server_of_plain_http_is_never_ready_by_https_but_its_hooks_run() {
    let sandbox = Sandbox::new();
    let program = "server = socket.create_server((os.environ['POD_IP'], 8080))
while True:
    c, _ = server.accept()
    begin = c.recv(65536)
    if begin[:1] != b'\\x16': print('asked', begin.split()[1].decode())
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')
    c.shutdown(socket.SHUT_WR)
    while c.recv(65536): pass";
    let fields = "readinessProbe: {periodSeconds: 1, timeoutSeconds: 10, \
                  httpGet: {scheme: HTTPS, port: 8080}}
    lifecycle: {preStop: {httpGet: {scheme: HTTPS, path: /bye, port: 8080}}}";
    let file = python_pod(&sandbox, "plain", program, fields);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.events_say(&["server gave HTTP response to HTTPS client"]);
    sandbox.ok("delete pod plain");
    sandbox.events_say(&["LifecycleHTTPFallback"]);
    sandbox
        .ok("events")
        .says("got HTTP response, retry with HTTP succeeded");
}

#[test]
fn a_pet_with_a_grpc_probe_is_ready_while_its_service_says_that_it_is_serving() {
    let sandbox = Sandbox::new();
    sandbox.open("serving");
    let spec = "apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers:
  - name: c
    image: example/serve-health
    command: [serve-health, '8190', shop, serving]
    env: [{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
    readinessProbe: {periodSeconds: 1, timeoutSeconds: 10, grpc: {port: 8190, service: SERVICE}}
";
    let create = |name: &str, service: &str| {
        let text = spec.replace("NAME", name).replace("SERVICE", service);
        sandbox.manifest(&format!("{name}.yaml"), &text)
    };
    let known = create("known", "shop");
    sandbox.ok(&format!("create -f {known} --timeout 60s"));
    sandbox.shut("serving");
    sandbox.until_says("get pod known --no-headers", "0/1");
    sandbox.events_say(&["service unhealthy (responded with \"NOT_SERVING\")"]);
    let unknown = create("unknown", "shoe");
    sandbox.ok(&format!("create -f {unknown} --no-wait"));
    sandbox.events_say(&["rpc error: code = NotFound desc = unknown service: shoe"]);
}

#[test]
fn a_liveness_probe_by_grpc_of_a_server_of_plain_http_restarts_the_container() {
    let sandbox = Sandbox::new();
    let program = "from http.server import *
HTTPServer((os.environ['POD_IP'], 8190), BaseHTTPRequestHandler).serve_forever()";
    let probe = "livenessProbe: {grpc: {port: 8190}, periodSeconds: 1, failureThreshold: 2}";
    let file = python_pod(&sandbox, "p", program, probe);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.until("it was restarted", || {
        sandbox.pod("p")["status"]["containerStatuses"][0]["restartCount"].as_u64() >= Some(1)
    });
    sandbox.events_say(&[
        "Liveness probe failed: timeout: failed to connect service \"",
        "Container c failed liveness probe, will be restarted",
    ]);
}
