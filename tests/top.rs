//! `petset top`: the state as text and as JSON, the figures of pets, and the live view.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::Sandbox;
use support::terminal::{typed, typed_to};

const HELLO: &str = "--image petset/hello --port http=8080 --ready http:/healthz";

/// What the view tells a terminal first, and at last.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const PETSET: &str = env!("CARGO_BIN_EXE_petset");

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

/// Makes a sandbox in which the terminal has letters beside those of ASCII, and two pets run.
fn with_two_pets() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set_variable("LC_ALL", "C.UTF-8");
    sandbox.set_variable("TERM", "xterm");
    sandbox.ok(&format!("create web --replicas 2 {HELLO}"));
    sandbox
}

#[track_caller]
fn assert_restored(shown: &str) {
    let (_, view) = shown.split_once(ENTER).expect("the view is opened");
    let (_, after) = view.rsplit_once(LEAVE).expect("the view is closed");
    assert!(!after.contains('\u{1b}'), "{shown:?}");
}

/// Opens the view, and when it is there runs a command of the shell beside it.
fn once_open(sandbox: &Sandbox, command: &str) -> String {
    let cast = sandbox.scratch().join("open.cast");
    let cast = cast.display();
    let open = format!("until grep -qs restart {cast}; do sleep 0.05; done");
    format!("({open}; {command}) & exec {PETSET} top --record {cast}")
}

#[test]
fn the_view_opens_takes_keys_and_leaves_the_terminal_as_it_was() {
    let sandbox = with_two_pets();
    let keys: &[(&str, &[u8])] = &[
        ("●", b"?"),
        ("Ctrl-C", b"\x1b"),
        ("restart", b"jjl"),
        ("listens", b"qq"),
    ];
    let line = format!("{PETSET} top; echo ended $?; stty -a");
    let (shown, code) = typed_to(&sandbox, &line, keys);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("web-0") && shown.contains("sts/web"),
        "{shown}"
    );
    let (before, after) = shown.split_once("ended 0").unwrap();
    assert_restored(before);
    assert!(
        after.contains(" icanon") && after.contains(" echo "),
        "{after}"
    );
    // By Ctrl-C, too.
    let (shown, code) = typed(&sandbox, "top", &[("restart", b"\x03")]);
    assert_eq!(code, 0, "{shown}");
    assert_restored(&shown);
}

#[test]
fn what_changes_something_is_done_after_a_yes() {
    let sandbox = with_two_pets();
    let keys: &[(&str, &[u8])] = &[
        ("restart", b"jK"),
        ("petset kill pod/web-0?", b"n"),
        ("describe", b"S3\r"),
        ("web scaled", b"q"),
    ];
    let (shown, code) = typed(&sandbox, "top", keys);
    assert_eq!(code, 0, "{shown}");
    sandbox.until_pet_is("web-2", "Running");
    let restarts =
        |pet: &str| sandbox.pod(pet)["status"]["containerStatuses"][0]["restartCount"].clone();
    assert_eq!(restarts("web-0"), 0, "it was not killed after a no");
}

#[test]
fn a_view_that_is_ended_or_stopped_by_a_signal_gives_the_terminal_back() {
    let sandbox = with_two_pets();
    let line = once_open(&sandbox, "kill -TERM $$");
    let (shown, code) = typed_to(&sandbox, &line, &[]);
    assert_eq!(code, 143, "{shown}");
    assert_restored(&shown);
    let cooked = "stty -a | grep -q ' icanon' && echo cooked";
    let line = format!("exec bash -c \"set -m; {PETSET} top; {cooked}; fg; echo ended\"");
    let keys: &[(&str, &[u8])] = &[("restart", b"\x1a"), ("cooked", b"q"), ("ended", b"")];
    let (shown, _) = typed_to(&sandbox, &line, keys);
    let (first, second) = shown.split_once("cooked").expect(&shown);
    assert_restored(first);
    assert_restored(second);
}

#[test]
fn the_view_follows_the_size_of_its_terminal() {
    let sandbox = with_two_pets();
    let line = once_open(&sandbox, "stty rows 12 cols 60 < /dev/tty");
    // The last line of a screen of 12 lines is that of the keys.
    let (shown, code) = typed_to(&sandbox, &line, &[("\u{1b}[12;1H", b"q")]);
    assert_eq!(code, 0, "{shown}");
    assert_restored(&shown);
}

#[test]
fn a_recording_is_an_asciicast_of_what_was_shown() {
    let sandbox = with_two_pets();
    let cast = sandbox.scratch().join("demo.cast");
    let words = format!("top --record {}", cast.display());
    let (shown, code) = typed(&sandbox, &words, &[("restart", b"q")]);
    assert_eq!(code, 0, "{shown}");
    let text = std::fs::read_to_string(&cast).unwrap();
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &77.into(), &33.into())
    );
    let output: String = lines
        .map(|event| event[2].as_str().unwrap().to_owned())
        .collect();
    assert!(
        output.starts_with(ENTER) && output.ends_with(LEAVE),
        "{output}"
    );
    assert!(output.contains("web-0"));
    sandbox.fails(2, "top --record demo.cast --once");
}
