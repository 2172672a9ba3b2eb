//! What a person is told, what is read, and what a probe asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Case;

/// Lets a program of a manifest listen at its pet's own address, so that it is in nobody's way
/// where pets share the network.
fn on_own_address(text: &str) -> String {
    let own = "(__import__('os').environ['POD_IP'],8080)";
    let text = text.replace("('',8080)", own);
    text.replace("('', 8080)", own)
}

pub(super) fn block_scalar(case: &Case) {
    assert_eq!(case.script(&case.text).code, 0);
    let created = case.script(&case.text.replace("petset validate", "petset create"));
    assert_eq!(created.code, 0, "{}", created.transcript());
    let map = case.sandbox.ok("get configmap a -o json").out;
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    assert_eq!(map["data"]["k"], "b");
}

pub(super) fn json_stream(case: &Case) {
    let read = case.script(&case.text);
    assert_eq!(read.code, 0, "{}", read.transcript());
    let created = case.script(&case.text.replace("petset validate", "petset create"));
    assert_eq!(created.code, 0, "{}", created.transcript());
    let names = case.sandbox.ok("get configmaps -o name");
    names.says("configmap/a\n").says("configmap/b\n");
}

pub(super) fn byte_order_marks(case: &Case) {
    let ran = case.script(&case.text);
    for name in ["a", "b", "j"] {
        ran.says(&format!("configmap/{name}"));
    }
    ran.lacks("error");
}

pub(super) fn missing_host_path(case: &Case) {
    let missing = case.sandbox.scratch().join("not-there");
    let text = case
        .text
        .replace("/var/lib/not-there", missing.to_str().unwrap());
    let created = case.create_changed(&text, "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    let mode = fs::metadata(missing).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

pub(super) fn endpoints_by_hand(case: &Case) {
    let created = case.create("");
    assert_eq!(created.code, 0, "{}", created.transcript());
    created.says("endpoints/ext created").lacks("warning");
    case.sandbox.until_says("dns query ext", "127.0.0.1");
    let port = case.sandbox.ok("dns query _db._tcp.ext SRV");
    port.says("5432");
    case.sandbox.ok("delete svc/ext endpoints/ext");
}

pub(super) fn completed_pod(case: &Case) {
    case.create("--no-wait");
    case.sandbox.until_says("logs x", "/");
    let followed = case.sandbox.ok("logs -f x");
    assert_eq!(followed.out.lines().count(), 1, "{}", followed.transcript());
}

/// A third of the lines, which are more than two files of a log and fewer than are kept.
pub(super) fn rotated_log(case: &Case) {
    let text = case.here_document("Y").replace("600000", "250000");
    let sandbox = &case.sandbox;
    assert_eq!(case.create_changed(&text, "--no-wait").code, 0);
    let out = sandbox.scratch().join("followed");
    let mut command = sandbox.command("logs -f f");
    command.stdout(fs::File::create(&out).unwrap());
    sandbox.until("the pod has a log", || {
        sandbox.run("logs f --tail 1").code == 0
    });
    let mut follow = command.spawn().unwrap();
    let printed = || fs::read_to_string(&out).unwrap_or_default();
    sandbox.until("all is printed", || printed().ends_with("TOTAL\n"));
    sandbox.ok("delete pod/f");
    assert!(follow.wait().unwrap().success());
    assert_eq!(printed().lines().count(), 250_001);
    assert!(printed().ends_with("249999\nTOTAL\n"));
}

pub(super) fn post_start(case: &Case) {
    case.create("--no-wait");
    let why = "postStart of a still runs";
    case.sandbox.until_says("get pods -o wide", why);
    case.sandbox.ok("describe pod/t-0").says(why);
    let waited = case.sandbox.fails(124, "wait t --timeout 1s");
    waited.says(why).lacks("has not started yet");
}

pub(super) fn probe_reason(case: &Case) {
    case.create("--no-wait");
    let why = "readiness probe has not succeeded: sh: ";
    case.sandbox.until_says("get pods -o wide", why);
    case.sandbox
        .until_says("get pods -o wide", "/opt/x/ping: not found");
    let waited = case.sandbox.fails(124, "wait t --timeout 1s");
    waited.says(why).says("/opt/x/ping: not found");
}

pub(super) fn fragment(case: &Case) {
    let created = case.create_changed(&on_own_address(&case.text), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    let log = case.sandbox.ok("logs t-0");
    log.says("GET / HTTP/1.1").lacks("status");
}

pub(super) fn other_host(case: &Case) {
    let created = case.create_changed(&on_own_address(&case.text), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    case.sandbox.events_say(&["ProbeWarning"]);
}

pub(super) fn plain_http(case: &Case) {
    case.create_changed(&on_own_address(&case.text), "--no-wait");
    case.sandbox
        .events_say(&["Readiness probe failed: Get \"https://"]);
    case.sandbox.until_says("get sts t --no-headers", "0/1");
}

pub(super) fn long_variable(case: &Case) {
    let ran = case.script(&case.text);
    ran.says("the variable A of container ")
        .says(" is 200002 bytes, the kernel takes 131072");
}

pub(super) fn halting_container(case: &Case) {
    let created = case.create("--timeout 60s");
    assert_eq!(created.code, 5, "{}", created.transcript());
    created
        .says("t-0 is not ready: container b: ")
        .says("nowhere/b");
    case.sandbox.ok("get pods -o wide").says("container b: ");
}
