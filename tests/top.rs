//! `petset top`: the state as text and as JSON, the figures of pets, and the live view.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::Sandbox;

const HELLO: &str = "--image petset/hello --port http=8080 --ready http:/healthz";

/// What `top` says as JSON.
fn state(sandbox: &Sandbox) -> Value {
    let output = sandbox.command("top --once -o json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn top_tells_what_runs_and_what_the_rest_waits_for() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/gated.yaml --no-wait");
    sandbox.until_pet_is("web-0", "Running");
    sandbox.until("the reason is that of get", || {
        let wide = sandbox.command("get pods web-0 -o wide").output().unwrap();
        let wide = String::from_utf8_lossy(&wide.stdout).into_owned();
        let pods = state(&sandbox)["pods"].clone();
        let why = pods[0]["why"].as_str().unwrap_or_default().to_owned();
        pods[0]["name"] == "web-0"
            && pods[0]["state"] == "starting"
            && pods[0]["owner"] == "sts/web"
            && !why.is_empty()
            && wide.contains(&why)
    });
    let text = sandbox.ok("top --once");
    text.says("sts/web")
        .says("readiness probe has not succeeded");
}

#[test]
fn top_follows_a_canary_to_its_promotion() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create web --replicas 2 {HELLO}"));
    sandbox.ok("upgrade web --env SIZE=large --canary 1");
    let now = state(&sandbox);
    let (set, pods) = (&now["workloads"][0], &now["pods"]);
    assert_eq!(set["name"], "sts/web");
    assert_ne!(set["revision"], set["oldRevision"]);
    assert!(set["note"].as_str().unwrap().contains("canaries"), "{set}");
    let new = |at: usize| pods[at]["upToDate"].as_bool().unwrap();
    assert_eq!([new(0), new(1)], [false, true]);
    sandbox.ok("top --once").says("1 of 2 new");
    sandbox.ok("rollout promote web");
    let set = &state(&sandbox)["workloads"][0];
    assert_eq!(set["oldRevision"], Value::Null);
    assert_eq!(set["note"], Value::Null);
}

#[test]
fn the_endpoints_of_a_service_are_those_that_discover_finds() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create web --replicas 2 {HELLO}"));
    let now = state(&sandbox);
    let service = &now["services"][0];
    assert_eq!(service["name"], "web");
    let ends = service["endpoints"].as_array().unwrap();
    assert!(ends.iter().all(|end| end["ready"] == true), "{service}");
    let found = sandbox.ok("discover web");
    for end in ends {
        found.says(end["name"].as_str().unwrap());
    }
}

#[test]
fn the_figures_are_those_of_a_pets_own_processes() {
    let sandbox = Sandbox::new();
    let busy = "sh -c 'while :; do :; done'";
    sandbox.ok(&format!("create busy --replicas 1 -- {busy}"));
    sandbox.ok("create idle --replicas 1 -- sleep 1000");
    let figures = |pod: &str| -> (u64, u64) {
        let figures = sandbox
            .command(&format!("top pods {pod} --no-headers"))
            .output();
        let output = String::from_utf8_lossy(&figures.unwrap().stdout).into_owned();
        let words: Vec<&str> = output.split_whitespace().collect();
        let number = |word: &str, unit: &str| word.strip_suffix(unit).unwrap().parse().unwrap();
        (number(words[1], "m"), number(words[2], "Mi"))
    };
    sandbox.until("a busy pet uses the CPU", || figures("busy-0").0 > 100);
    let (cpu, memory) = figures("idle-0");
    assert!(cpu < 100 && memory < 50, "{cpu}m {memory}Mi");
    let all = sandbox.ok("top pods --sort-by cpu --sum");
    all.says("CPU(cores)").says("MEMORY(bytes)").says("SUM");
    let at = |name: &str| all.out.find(name).unwrap();
    assert!(at("busy-0") < at("idle-0"), "{}", all.out);
    sandbox.fails(3, "top pods nobody-0");
}

#[test]
fn a_format_is_for_a_single_look() {
    let sandbox = Sandbox::new();
    sandbox.fails(2, "top -o json");
    sandbox.ok("top").says("Nothing is there.");
    sandbox.ok("watch --once").says("Nothing is there.");
}
