//! `get -o`: templates and columns, beside the real kubectl where there is one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Sandbox, is_installed, testdata, wait_until};

/// Templates that print something.
const TEMPLATES: [&str; 44] = [
    "{.kind}",
    "{.metadata.name}",
    "{.metadata.labels}",
    r"{.metadata.labels.app\.kubernetes\.io/name}",
    "{['metadata']['name']}",
    "{['metadata.name', 'kind']}",
    "{.spec.containers[*].name}",
    "{.spec.containers[0].ports[*].containerPort}",
    "{.spec.containers[*]['name','image']}",
    r#"{.spec.containers[?(@.name=="web")].image}"#,
    "{.spec.containers[?(@.name!='web')].image}",
    "{.spec.containers[?(@.name=='web' )].image}",
    "{.spec.containers[?(@.ports)].name}",
    "{.spec.containers[?(@.ports[0].containerPort==8080)].name}",
    "{.spec.containers[?(@.env[0].name==\"A\")].name}",
    "{.spec.containers[-1].name}",
    "{.spec.containers[-1:].name}",
    "{.spec.containers[0:1].name}",
    "{.spec.containers[:1].name}",
    "{.spec.containers[1:].name}",
    "{.spec.containers[::2].name}",
    "{.spec.containers[1:1].name}",
    "{.spec.containers[0,1].name}",
    "{..containerPort}",
    "{.spec.containers[0].ports}",
    "{.spec.containers[0].ports[?(@.containerPort>8080)].name}",
    "{.spec.containers[0].ports[?(@.containerPort>=8080)].name}",
    "{.spec.containers[0].ports[?(@.containerPort<8081)].name}",
    "{.spec.containers[0].ports[?(@.containerPort<=8081)].name}",
    r#"{range .spec.containers[*]}{.name}{"\t"}{.image}{"\n"}{end}"#,
    "{range .spec.containers[*]}{range .ports[*]}{.name}={.containerPort} {end}|{end}",
    "{range .spec.containers[*]}{.name},",
    "{range .missing[*]}{.name}{end}",
    "{.missing}",
    "{.missing[0].deeper}",
    "{.spec.terminationGracePeriodSeconds}",
    "{.spec.enableServiceLinks}",
    "name is {.metadata.name}!",
    r#"{"a"}{'b'}{"\u0041\x42\n"}"#,
    "{@.kind}{$.kind}",
    "{.metadata.annotations.note}",
    "{.metadata.annotations}",
    "plain text",
    "{.spec.containers[*].ports[*].containerPort} {.kind}",
];

/// Templates that cannot be read, or ask for what cannot be.
const WRONG: [&str; 9] = [
    "{.metadata.name",
    "{end}",
    "{foo}",
    "{.spec.containers[x]}",
    "{.spec.containers[5].name}",
    "{.kind[0]}",
    "{.spec.containers[0].ports[?(@.containerPort==\"80\")].name}",
    "{.spec.containers[?(@.image=~\"ng\")].name}",
    "{.....}",
];

/// A pod with several containers, and with what JSON of Go escapes.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: { app: web, app.kubernetes.io/name: webby }
  annotations: { note: "<a> & b" }
spec:
  containers:
  - name: web
    image: petset/hello
    ports: [{ name: http, containerPort: 8080 }, { name: alt, containerPort: 8081 }]
    env: [{ name: A, value: "1" }]
  - { name: second, image: busybox, command: [sleep, "1000"] }
  - { name: third, image: busybox, command: [sleep, "1000"] }
"#;

fn print(sandbox: &Sandbox, words: &[&str]) -> (bool, String) {
    let output = sandbox.command_of(words).output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn templates_print_what_kubectl_prints() {
    if !is_installed("kubectl", &["kubectl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let manifest = sandbox.manifest("p.yaml", POD);
    sandbox.ok(&format!("create -f {manifest}"));
    let whole = sandbox.scratch().join("p.json");
    fs::write(&whole, sandbox.ok("get pod/p -o json").out).unwrap();
    for template in TEMPLATES {
        let output = format!("jsonpath={template}");
        let ours = print(&sandbox, &["get", "pod/p", "-o", &output]);
        assert_eq!(ours, kubectl(&sandbox, &whole, &output), "{template}");
    }
    for template in WRONG {
        let output = format!("jsonpath={template}");
        let (ours, _) = print(&sandbox, &["get", "pod/p", "-o", &output]);
        let (theirs, _) = kubectl(&sandbox, &whole, &output);
        assert_eq!((ours, theirs), (false, false), "{template}");
    }
}

/// What kubectl prints of an object in a file, without a cluster.
fn kubectl(sandbox: &Sandbox, file: &Path, output: &str) -> (bool, String) {
    let mut command = Command::new("kubectl");
    command.args(["label", "--local", "--overwrite", "-f"]);
    command.arg(file).args(["app=web", "-o", output]);
    sandbox.place(&mut command);
    let output = command.output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn lists_are_printed_by_templates_columns_and_fields() {
    let sandbox = Sandbox::new();
    let manifest = testdata().join("manifests/eight-parallel.yaml");
    sandbox.ok(&format!("create -f {} ", manifest.display()));
    sandbox.ok("create one --image petset/hello --port http=8080 --ready http:/healthz");
    let ok = |words: &[&str]| {
        let (fine, text) = print(&sandbox, words);
        assert!(fine, "{words:?}");
        text
    };
    let template = "jsonpath={range .items[*]}{.metadata.name} {end}";
    let pods = ok(&["get", "pods", "-l", "app=one", "-o", template]);
    assert_eq!(pods, "one-0 ");
    let json = "jsonpath-as-json={.items[*].metadata.name}";
    let pods = ok(&["get", "pods", "-l", "app=one", "-o", json]);
    assert_eq!(pods, "[\n    \"one-0\"\n]\n");
    let columns = "custom-columns=POD:.metadata.name,APP:metadata.labels.app,NO:.nothing";
    let table = ok(&["get", "pods", "-l", "app=one", "-o", columns]);
    assert_eq!(table, "POD     APP   NO\none-0   one   <none>\n");
    let by_name = ok(&[
        "get",
        "pods",
        "--field-selector",
        "metadata.name=one-0",
        "-o",
        "name",
    ]);
    assert_eq!(by_name, "pod/one-0\n");
    let others = ok(&[
        "get",
        "pods",
        "--field-selector=metadata.name!=one-0",
        "-o",
        "name",
    ]);
    assert_eq!(others.lines().count(), 8);
    let labels = ok(&["get", "pods", "one-0", "-L", "app", "--show-labels"]);
    let mut lines = labels.lines();
    let headings = lines.next().unwrap();
    assert!(headings.contains("AGE   APP   LABELS"), "{headings}");
    assert!(
        lines
            .next()
            .unwrap()
            .contains("one   app=one,apps.kubernetes.io/pod-index=0")
    );
    sandbox.fails(2, "get svc --field-selector status.phase=Running");
    sandbox.fails(2, "get pods -o go-template={{.kind}}");
}

#[test]
fn sorted_lists_count_numbers_by_their_value_and_name_a_field_that_none_has() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --replicas 11 --parallel --image petset/hello");
    let names = "jsonpath={.items[*].metadata.name}";
    let sorted = print(
        &sandbox,
        &["get", "pods", "--sort-by", "metadata.name", "-o", names],
    );
    assert!(sorted.1.ends_with("web-8 web-9 web-10"), "{}", sorted.1);
    let told = sandbox.fails(2, "get pods --sort-by .nothing");
    assert!(told.err.contains("couldn't find any field with path"));
}

#[test]
fn a_watch_of_changes_alone_does_not_print_what_is_there() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --image petset/hello --port http=8080 --ready http:/healthz");
    let printed = sandbox.scratch().join("printed");
    let mut watch = sandbox.command("get pods --watch-only -o name");
    let mut watch = watch
        .stdout(fs::File::create(&printed).unwrap())
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&printed).unwrap();
    // A change that comes before the watch has begun is not printed: until one is, more are made.
    for replicas in 2..12 {
        sandbox.ok(&format!("scale web --replicas {replicas}"));
        if wait_until(|| !text().is_empty(), Duration::from_secs(1)) {
            break;
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(
        !text().is_empty() && !text().contains("pod/web-0\n"),
        "{}",
        text()
    );
}
