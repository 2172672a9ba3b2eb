//! `upgrade`: one pet at a time from the highest down, and what happens when the new one fails.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::Sandbox;

#[test]
fn a_roll_goes_down_from_the_highest_each_ready_before_the_next() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    (0..3).for_each(|ordinal| sandbox.open(&format!("ready-web-{ordinal}")));
    assert_eq!(sandbox.finish("create", create).code, 0);
    (0..3).for_each(|ordinal| sandbox.shut(&format!("ready-web-{ordinal}")));
    let mut upgrade = sandbox.start("upgrade web --env COLOUR=green");
    for ordinal in (0..3).rev() {
        sandbox.until("it was replaced", || {
            sandbox.count(&format!("started web-{ordinal}")) == 2
        });
        assert!(upgrade.runs());
        sandbox.open(&format!("ready-web-{ordinal}"));
    }
    assert_eq!(sandbox.finish("upgrade", upgrade).code, 0);
    sandbox.journal_says(&[
        "stopped web-2",
        "started web-2",
        "stopped web-1",
        "started web-1",
        "stopped web-0",
        "started web-0",
    ]);
    for ordinal in 0..3 {
        let read = sandbox.ok(&format!("exec web-{ordinal} -- sh -c 'echo $COLOUR'"));
        read.prints("green\n");
    }
}

#[test]
fn a_partition_keeps_the_lower_pets_as_they_are() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("upgrade web --env COLOUR=green --partition 2");
    assert_eq!(sandbox.count("started web-2"), 2);
    assert_eq!(sandbox.count("started web-1"), 1);
    sandbox.ok("upgrade web --partition 0");
    assert_eq!(sandbox.count("started web-0"), 2);
    assert_eq!(sandbox.count("started web-2"), 2);
}

#[test]
fn an_upgrade_that_fails_stops_at_its_first_pet_and_the_way_back_is_open() {
    let sandbox = Sandbox::new();
    sandbox
        .ok("create web --replicas 3 --image petset/hello --ready http:/healthz --port http=8080");
    let lower = (sandbox.main("web-0"), sandbox.main("web-1"));
    let upgraded = sandbox.fails(5, "upgrade web --image example/unknown:v2 --allow-missing");
    upgraded.says("web-2");
    assert_eq!(
        sandbox
            .ok("get sts web --no-headers")
            .out
            .split_whitespace()
            .nth(1),
        Some("2/3")
    );
    sandbox.ok("upgrade web --image petset/hello");
    assert_eq!((sandbox.main("web-0"), sandbox.main("web-1")), lower);
}

#[test]
fn an_image_of_the_catalogue_is_another_build() {
    let sandbox = Sandbox::new();
    for tag in ["v1", "v2"] {
        let dir = sandbox.file(&format!("build/{tag}"));
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("mydb");
        fs::write(
            &program,
            format!("#!/bin/sh\njournal build {tag}\nexec serve\n"),
        )
        .unwrap();
        make_executable(&program);
    }
    let catalogue = "[\"mydb:{tag}\"]\nentrypoint = [\"mydb\"]\npath = [\"./build/{tag}\"]\n";
    fs::write(sandbox.file("images.toml"), catalogue).unwrap();
    sandbox.ok("create web --image mydb:v1");
    sandbox.ok("upgrade web --image mydb:v2");
    sandbox.journal_says(&["build v1", "started web-0", "stopped web-0", "build v2"]);
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_command_of_a_set_can_be_replaced() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox.ok("upgrade web -- sh -c 'journal new; exec serve'");
    sandbox.journal_says(&["started web-0", "stopped web-0", "new", "started web-0"]);
}

#[test]
fn an_upgrade_that_can_never_start_is_refused_before_a_healthy_pet_stops() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  containers:\n  \
               - {name: c, image: petset/hello}\n";
    sandbox.ok(&format!("apply -f {}", sandbox.manifest("pod.yaml", pod)));
    let mains = (sandbox.main("web-0"), sandbox.main("one"));
    let set = fs::read_to_string(support::testdata().join("manifests/one.yaml")).unwrap();
    let set = sandbox.manifest("set.yaml", &set.replace("[serve]", "[nosuchprog]"));
    let pod = sandbox.manifest("pod.yaml", &pod.replace("petset/hello", "example/unknown"));
    for words in [
        "upgrade web -- ./nosuch".to_owned(),
        "upgrade web --dry-run -- ./nosuch".to_owned(),
        "upgrade web --image Bad:::x".to_owned(),
        format!("upgrade -f {set}"),
        format!("upgrade --dry-run -f {set}"),
        format!("apply -f {set}"),
        format!("apply --dry-run -f {set}"),
        format!("apply -f {pod}"),
        format!("apply --dry-run -f {pod}"),
    ] {
        sandbox.fails(2, &words).says("cannot start");
    }
    sandbox.ok("wait web --for settled");
    assert_eq!((sandbox.main("web-0"), sandbox.main("one")), mains);
    let failed = sandbox.fails(5, &format!("apply --allow-missing -f {set}"));
    failed.says("nosuchprog");
}

#[test]
fn an_upgrade_runs_the_program_of_the_directory_in_which_it_was_said() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox.ok("upgrade web -- ./programs/serve");
    let program = support::testdata().join("programs/serve");
    let set = sandbox.ok("get sts web -o json").out;
    let set: serde_json::Value = serde_json::from_str(&set).unwrap();
    let command = &set["spec"]["template"]["spec"]["containers"][0]["command"][0];
    assert_eq!(command.as_str(), program.to_str());
    assert_eq!(sandbox.count("started web-0"), 2);
}

#[test]
fn a_manifest_that_changes_the_template_is_rolled_out() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let text =
        fs::read_to_string(support::testdata().join("manifests/three-ordered.yaml")).unwrap();
    let changed = text.replace(
        "command: [serve]",
        "command: [sh, -c, journal new; exec serve]",
    );
    let manifest = sandbox.manifest("new.yaml", &changed);
    sandbox.ok(&format!("upgrade -f {manifest}"));
    assert_eq!(sandbox.count("new"), 3);
    let forbidden = text.replace("serviceName: web", "serviceName: other");
    let manifest = sandbox.manifest("bad.yaml", &forbidden);
    let refused = sandbox.fails(2, &format!("upgrade -f {manifest}"));
    refused.says("updates to statefulset spec for fields other than");
}

#[test]
fn a_pet_that_never_became_ready_does_not_block_the_upgrade_that_mends_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/crashes.yaml --no-wait");
    sandbox.until_pet_is("web-0", "CrashLoopBackOff");
    sandbox.ok("upgrade web -- serve");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Running"));
}

#[test]
fn restarting_a_set_replaces_its_pets_one_by_one() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("restart web");
    sandbox.journal_says(&[
        "stopped web-2",
        "started web-2",
        "stopped web-1",
        "started web-1",
    ]);
    assert_eq!(sandbox.count("started web-0"), 2);
    sandbox.ok("restart pod/web-1");
    assert_eq!(sandbox.count("started web-1"), 3);
    assert_eq!(sandbox.count("started web-0"), 2);
}

#[test]
fn a_wish_to_restart_a_pet_that_is_gone_is_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.kill(sandbox.supervisor());
    let wishes = sandbox.file("wanted/default/eviction");
    fs::create_dir_all(&wishes).unwrap();
    fs::write(
        wishes.join("web-7.yaml"),
        "11111111-2222-3333-4444-555555555555",
    )
    .unwrap();
    fs::write(
        wishes.join("web-1.yaml"),
        "11111111-2222-3333-4444-555555555555",
    )
    .unwrap();
    sandbox.ok("restart pod/web-2 --no-wait");
    sandbox.ok("scale web --replicas 2");
    let empty = || fs::read_dir(&wishes).unwrap().count() == 0;
    sandbox.until("the wishes are forgotten", empty);
    assert_eq!(sandbox.count("started web-1"), 1);
}

#[test]
fn an_upgrade_that_changes_nothing_does_not_claim_to_have_upgraded() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox.ok("upgrade web --env A=B").says("web upgraded");
    let text = sandbox.ok("get sts web -o yaml").out;
    let file = sandbox.manifest("web.yaml", &text);
    for again in ["web --env A=B", &format!("-f {file}")] {
        let same = sandbox.ok(&format!("upgrade {again}"));
        same.says("web unchanged").lacks("upgraded");
    }
}
