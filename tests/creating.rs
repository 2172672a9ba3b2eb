//! `create`: what runs afterwards, in which order, and what is said of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use support::{Sandbox, processes, terminal};

#[test]
fn pets_start_in_order_and_create_returns_when_all_are_ready() {
    let sandbox = Sandbox::new();
    let created = sandbox.ok("create -f manifests/three-ordered.yaml");
    created.matches("create-three-ordered.txt");
    sandbox.journal_says(&["started web-0", "started web-1", "started web-2"]);
    assert_eq!(sandbox.pets(), ["web-0", "web-1", "web-2"]);
    sandbox.ok("delete web").says("Kept the volumes");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_starts_only_when_the_one_before_it_is_ready() {
    let sandbox = Sandbox::new();
    let mut create = sandbox.start("create -f manifests/gated.yaml");
    for ordinal in 0..3 {
        let pet = format!("web-{ordinal}");
        sandbox.journal_says(&[&format!("started {pet}")]);
        sandbox.until_says("get sts web --no-headers", &format!("{ordinal}/3"));
        assert_eq!(sandbox.pets().len(), ordinal + 1);
        assert!(create.runs(), "create did not wait for {pet}");
        sandbox.open(&format!("ready-{pet}"));
    }
    assert_eq!(sandbox.finish("create", create).code, 0);
}

#[test]
fn a_parallel_set_starts_all_pets_at_once() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated-parallel.yaml");
    sandbox.until("all have started", || sandbox.journal().len() == 3);
    (0..3).for_each(|ordinal| sandbox.open(&format!("ready-web-{ordinal}")));
    assert_eq!(sandbox.finish("create", create).code, 0);
}

#[test]
fn a_set_that_exists_is_a_conflict_unless_that_is_expected() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let again = sandbox.fails(4, "create -f manifests/one.yaml");
    again.says("statefulsets.apps \"web\" already exists");
    again.says("--if-not-exists");
    sandbox.ok("create -f manifests/one.yaml --if-not-exists");
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn without_waiting_create_returns_at_once_and_the_work_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/gated.yaml --no-wait");
    sandbox.journal_says(&["started web-0"]);
    sandbox.open("ready-web-0");
    sandbox.journal_says(&["started web-1"]);
}

#[test]
fn a_wait_that_takes_too_long_says_for_what_and_the_work_goes_on() {
    let sandbox = Sandbox::new();
    let created = sandbox.fails(124, "create -f manifests/gated.yaml --timeout 1s");
    created.says("web-0");
    sandbox.open("ready-web-0");
    sandbox.journal_says(&["started web-1"]);
}

#[test]
fn an_interrupted_create_says_how_to_look_and_the_work_goes_on() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    processes::signal(create.pid(), rustix::process::Signal::INT);
    let outcome = sandbox.finish("create", create);
    assert_eq!(outcome.code, 130, "{}", outcome.transcript());
    outcome.says("petset describe pod web-0");
    sandbox.open("ready-web-0");
    sandbox.journal_says(&["started web-1"]);
}

#[test]
fn a_manifest_may_come_from_the_standard_input() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("create -f -");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut create = command.spawn().unwrap();
    let text = fs::read(support::testdata().join("manifests/one.yaml")).unwrap();
    create.stdin.take().unwrap().write_all(&text).unwrap();
    assert!(create.wait().unwrap().success());
    sandbox.journal_says(&["started web-0"]);
}

#[test]
fn what_a_dry_run_prints_creates_the_same_set() {
    let sandbox = Sandbox::new();
    let words = "create web --replicas 2 --port http=8080 --volume data --dry-run -o yaml -- serve";
    let printed = sandbox.ok(words);
    assert!(sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
    let manifest = sandbox.manifest("web.yaml", &printed.out);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.journal_says(&["started web-0", "started web-1"]);
    assert!(sandbox.file("volumes/default/data-web-1").is_dir());
}

#[test]
fn json_objects_marks_and_a_cut_off_end_are_read_and_printed_so_that_they_are_read_again() {
    let sandbox = Sandbox::empty();
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let json = |name: &str, value: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"k":"{value}"}}}}"#
        )
    };
    let texts = [
        format!("{}data:\n  k: |\n    b", map("a")),
        format!(
            "{}{}\n{}",
            json("b", ""),
            json("c", ""),
            json("d", "a\u{7f}b")
        ),
        format!("\u{feff}{}---\n\u{feff}{}", map("e"), map("f")),
        format!(
            "{}data: {{d: '2026-01-02', t: '12:30:45', m: '<<', v: '='}}",
            map("g")
        ),
    ];
    for text in &texts {
        let path = sandbox.manifest("maps.yaml", text);
        sandbox.ok(&format!("create -f {path}"));
    }
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for format in ["json", "yaml"] {
        for name in names {
            let printed = sandbox.ok(&format!("get cm {name} -o {format}"));
            let path = sandbox.manifest("again.yaml", &printed.out);
            sandbox.ok(&format!("diff -f {path}"));
        }
    }
    sandbox.ok("get cm a -o json").says(r#""k": "b""#);
    let dated = sandbox.ok("get cm g -o yaml");
    dated.says("d: '2026-01-02'").says("t: '12:30:45'");
    dated.says("m: '<<'").says("v: '='");
}

#[test]
fn a_pet_whose_image_is_unknown_halts_create_and_says_what_to_add() {
    let sandbox = Sandbox::new();
    let set = fs::read_to_string(support::testdata().join("manifests/one.yaml")).unwrap();
    let text = set.replace("image: example/serve", "image: example/unknown:v1");
    let path = sandbox.manifest("set.yaml", &text.replace("command: [serve]", "args: []"));
    let created = sandbox.fails(5, &format!("create -f {path}"));
    created.says("web-0").says("images.toml");
    sandbox.ok("describe pod web-0").says("images.toml");
    let status = sandbox.status_of("web-0").unwrap();
    assert!(
        ["ErrImagePull", "ImagePullBackOff"].contains(&status.as_str()),
        "{status}"
    );
    sandbox.ok("delete web --timeout 20s");
}

#[test]
fn what_can_never_start_is_refused_at_once_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    for (words, why) in [
        ("-- ./nosuch", "\"./nosuch\": there is no such file"),
        ("-- nosuchprog", "executable file not found in $PATH"),
        ("-- ./manifests", "/testdata/manifests\": it is a directory"),
        ("-- ./manifests/one.yaml", "it is not executable"),
        ("--dry-run -- ./nosuch", "there is no such file"),
        ("--image example/unknown:v1", "images.toml"),
        ("--image Bad:::x -- sleep 9", "couldn't parse image name"),
    ] {
        let refused = sandbox.fails(2, &format!("create web {words}"));
        refused.says("container web cannot start").says(why);
        refused.says("--allow-missing");
    }
    sandbox.ok("get all").says("No resources found");
    sandbox
        .ok("create web --dry-run=client -o yaml -- ./nosuch")
        .says("./nosuch");
    sandbox.ok("create web -- sleep 1000");
    sandbox.ok("create web --if-not-exists -- ./nosuch");
    // Retries that are so far apart never become many.
    sandbox.settings("[back-off]\nstart = \"1h\"\ncap = \"2h\"\n");
    sandbox.ok("create two --no-wait --allow-missing -- ./nosuch");
    sandbox.fails(5, "wait two").says("executing \"./nosuch\"");
    let page = sandbox.ok("describe pod two-0");
    page.says("StartError").lacks("1970");
}

#[test]
fn a_manifest_whose_program_is_missing_ends_create_at_the_second_try() {
    let sandbox = Sandbox::new();
    sandbox.settings("[back-off]\nstart = \"1h\"\ncap = \"2h\"\n");
    let set = fs::read_to_string(support::testdata().join("manifests/one.yaml")).unwrap();
    let path = sandbox.manifest("set.yaml", &set.replace("[serve]", "[nosuchprog]"));
    let created = sandbox.fails(5, &format!("create -f {path}"));
    created.says("executing \"nosuchprog\": executable file not found in $PATH");
    sandbox.until_pet_is("web-0", "RunContainerError");
    let pod = sandbox.ok("get pod web-0 -o json").out;
    let pod: serde_json::Value = serde_json::from_str(&pod).unwrap();
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["reason"], "StartError");
    let bad = set.replace("example/serve", "Not/An/Image:::x");
    let path = sandbox.manifest("bad.yaml", &bad.replace("name: web", "name: bad"));
    let created = sandbox.fails(5, &format!("create -f {path}"));
    created.says("repository name (An/Image) must be lowercase");
    assert_eq!(sandbox.status_of("bad-0").unwrap(), "InvalidImageName");
}

#[test]
fn sets_of_one_name_in_two_namespaces_do_not_disturb_each_other() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("-n other create -f manifests/three-ordered.yaml");
    sandbox.ok("-n other delete web --purge");
    assert_eq!(sandbox.pets().len(), 3);
    assert!(sandbox.file("volumes/default/data-web-2").is_dir());
    assert!(!sandbox.file("volumes/other/data-web-2").exists());
}

#[test]
fn the_state_directory_is_for_its_owner_alone() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o077 != 0
    };
    for path in ["", "wanted", "seen", "pets/default/web-0", "volumes"] {
        assert!(!open(&sandbox.file(path)), "{path} is open to others");
    }
}

#[test]
fn a_pod_that_a_chart_brings_for_a_test_is_passed_over_with_a_warning() {
    let sandbox = Sandbox::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: check, \
               annotations: {helm.sh/hook: test}}\nspec:\n  containers:\n  \
               - {name: c, image: busybox, command: [sh]}\n";
    let file = sandbox.manifest("pod.yaml", pod);
    sandbox
        .fails(2, &format!("create -f {file}"))
        .says("ignored Pod/check")
        .says("no objects in the given files: none up to ")
        .says("/pod.yaml:6\n");
    sandbox
        .ok(&format!("validate -f {file} -f manifests/one.yaml"))
        .says("ignored Pod/check")
        .says("statefulset.apps/web is valid");
}

#[test]
fn a_strict_set_says_so_in_its_annotations() {
    let sandbox = Sandbox::new();
    let shown = sandbox.ok("create web --image petset/hello --strict --dry-run -o yaml");
    shown.says("petset.dev/strict: 'true'");
}

#[test]
fn a_person_is_told_what_became_true_and_a_pipe_is_not() {
    let sandbox = Sandbox::new();
    let verbs = [
        (
            "create web --replicas 2 --image petset/hello --port http=8080",
            "web: 2 of 2 ready in ",
        ),
        ("scale web --replicas 3", "web: 3 of 3 ready in "),
        ("scale web --replicas 0", "web: nothing left to run in "),
        ("delete web", "web: gone in "),
    ];
    for (verb, says) in verbs {
        let (shown, code) = terminal::typed(&sandbox, verb, &[]);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains(says), "{verb}: {shown}");
        let answers = shown.contains("web-0 answers at 127.") && shown.contains(":8080");
        assert_eq!(answers, shown.contains("ready in"), "{shown}");
    }
    let quiet = sandbox.ok("create web --image petset/hello --port http=8080");
    assert!(!quiet.err.contains("ready in"), "{}", quiet.err);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}
