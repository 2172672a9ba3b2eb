//! Bad input and bad surroundings: a clear error each, and nothing changed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Background, Sandbox, testdata};

/// Every file that says what is wanted, or keeps data, with what is in it.
fn kept(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for part in ["wanted", "volumes", "format", "petset.toml"] {
        gather(&sandbox.file(part), &mut all);
    }
    all
}

fn gather(path: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        all.insert(path.to_owned(), Vec::new());
        let entries = fs::read_dir(path).unwrap().flatten();
        entries.for_each(|entry| gather(&entry.path(), all));
    } else if let Ok(bytes) = fs::read(path) {
        all.insert(path.to_owned(), bytes);
    }
}

/// A sandbox with one pet, and what is kept of it.
fn with_one() -> (Sandbox, BTreeMap<PathBuf, Vec<u8>>) {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let before = kept(&sandbox);
    assert!(!before.is_empty());
    (sandbox, before)
}

#[track_caller]
fn assert_unchanged(sandbox: &Sandbox, before: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(&kept(sandbox), before);
    assert_eq!(sandbox.pets(), ["web-0", "web-1", "web-2"]);
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn names_that_are_paths_are_refused_everywhere() {
    let (sandbox, before) = with_one();
    for name in [
        "../x", "..", "/etc", "a/b", "Web", "web_1", "-x", "web.", "", "x\u{e9}",
    ] {
        let shown = shlex::try_quote(name).unwrap().into_owned();
        for words in [
            format!("create {shown} -- serve"),
            format!("scale -- {shown}"),
            format!("scale --replicas 2 -- {shown}"),
            format!("upgrade --env A=B {shown}"),
            format!("delete --purge {shown}"),
            format!("-n {shown} get pods"),
            format!("-n {shown} delete web --purge"),
            format!("exec {shown} -- true"),
            format!("logs {shown}"),
            format!("describe {shown}"),
            format!("restart {shown}"),
            format!("volume rm --yes {shown}"),
            format!("volume rm --yes --set {shown}"),
            format!("discover {shown}"),
            format!("wait {shown} --timeout 1s"),
        ] {
            let outcome = sandbox.run(&words);
            let refused = [2, 3].contains(&outcome.code);
            assert!(refused, "{}", outcome.transcript());
            assert!(
                !outcome.err.contains("panicked"),
                "{}",
                outcome.transcript()
            );
        }
    }
    assert_unchanged(&sandbox, &before);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let (sandbox, before) = with_one();
    for words in [
        "scale web --replicas -1",
        "scale web --replicas 4294967296",
        "scale web --replicas 99999999999999999999",
        "scale web --replicas 2147483648",
        "scale web --replicas 1.5",
        "scale web --replicas many",
        "upgrade web --partition -1",
        "create other --replicas -1 -- serve",
        "create other --replicas 4000000000 -- serve",
        "create other --port 0 -- serve",
        "create other --port 70000 -- serve",
        "wait web --timeout -1s",
        "scale web --replicas 2 --timeout never",
    ] {
        sandbox.fails(2, words);
    }
    assert_unchanged(&sandbox, &before);
}

#[test]
fn bad_manifests_are_refused_with_their_place_and_nothing_of_them_is_taken() {
    let (sandbox, before) = with_one();
    let good = fs::read_to_string(testdata().join("manifests/one.yaml")).unwrap();
    let good = good.replace("web", "other");
    let cases = [
        ("replicas: 1", "replicas: -1", "spec.replicas"),
        ("replicas: 1", "replicas: 99999999999", "spec.replicas"),
        ("replicas: 1", "replicas: '1'", "spec.replicas"),
        ("replicas: 1", "replicas: 1.5", "spec.replicas"),
        ("replicas: 1", "replica: 1", "replica"),
        (
            "serviceName: other",
            "serviceName: ../x",
            "spec.serviceName",
        ),
        (
            "  name: other\nspec:\n  serviceName",
            "  name: ../x\nspec:\n  serviceName",
            "metadata.name",
        ),
        (
            "  name: other\nspec:\n  serviceName",
            "  name: Other\nspec:\n  serviceName",
            "metadata.name",
        ),
        (
            "  name: other\nspec:\n  serviceName",
            "spec:\n  serviceName",
            "metadata.name",
        ),
        (
            "matchLabels:\n      app: other",
            "matchLabels:\n      app: x",
            "selector",
        ),
        (
            "podManagementPolicy: OrderedReady",
            "podManagementPolicy: Sometimes",
            "podManagementPolicy",
        ),
        ("- name: main", "- name: Main_1", "containers[0].name"),
        ("command: [serve]", "command: serve", "command"),
        ("command: [serve]", "comand: [serve]", "comand"),
        ("apps/v1", "apps/v9", "apps/v9"),
        ("port: 8080", "port: 80800", "port"),
        ("kind: StatefulSet", "kind: [StatefulSet", ""),
        (
            "spec:\n  serviceName",
            "spec: &a [*a]\nx:\n  serviceName",
            "",
        ),
    ];
    for (from, to, place) in cases {
        assert!(good.contains(from), "{from}");
        let manifest = sandbox.manifest("bad.yaml", &good.replacen(from, to, 1));
        let refused = sandbox.fails(2, &format!("create -f {manifest}"));
        refused.says("bad.yaml:").says(place);
        sandbox.fails(2, &format!("validate -f {manifest}"));
        assert_unchanged(&sandbox, &before);
    }
}

#[test]
fn files_that_are_no_manifests_are_refused() {
    let (sandbox, before) = with_one();
    sandbox.fails(
        2,
        &format!("create -f {}", sandbox.manifest("empty.yaml", "")),
    );
    sandbox.fails(
        2,
        &format!("create -f {}", sandbox.manifest("text.yaml", "hello")),
    );
    sandbox.fails(
        2,
        &format!("create -f {}", sandbox.manifest("list.yaml", "[1, 2]")),
    );
    let missing = sandbox.run("create -f no/such/file.yaml");
    assert_ne!(missing.code, 0);
    missing.says("no/such/file.yaml");
    let binary = sandbox.scratch().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0, 1, 2]).unwrap();
    let refused = sandbox.run(&format!("create -f {}", binary.display()));
    assert_ne!(refused.code, 0);
    refused.says("binary.yaml");
    assert_unchanged(&sandbox, &before);
}

#[test]
fn two_sets_of_one_name_in_a_file_are_refused() {
    let (sandbox, before) = with_one();
    let text = fs::read_to_string(testdata().join("manifests/one.yaml")).unwrap();
    let text = text.replace("web", "other");
    let manifest = sandbox.manifest("twice.yaml", &format!("{text}---\n{text}"));
    let refused = sandbox.run(&format!("create -f {manifest}"));
    assert!([2, 4].contains(&refused.code), "{}", refused.transcript());
    refused.says("other");
    assert_unchanged(&sandbox, &before);
}

#[test]
fn a_file_with_one_set_that_exists_creates_none_of_its_sets() {
    let (sandbox, before) = with_one();
    let text = fs::read_to_string(testdata().join("manifests/one.yaml")).unwrap();
    let both = format!("{}---\n{text}", text.replace("web", "another"));
    let manifest = sandbox.manifest("both.yaml", &both);
    sandbox.fails(4, &format!("create -f {manifest}"));
    assert_unchanged(&sandbox, &before);
}

#[test]
fn a_state_directory_of_a_newer_version_is_left_alone() {
    let (sandbox, _) = with_one();
    fs::write(sandbox.file("format"), "99\n").unwrap();
    let before = kept(&sandbox);
    for words in [
        "get pods",
        "scale web --replicas 1",
        "create -f manifests/one.yaml -n other",
        "delete web",
        "stop",
    ] {
        let refused = sandbox.run(words);
        assert_ne!(refused.code, 0, "{}", refused.transcript());
        refused.says("99").says("newer");
    }
    assert_eq!(kept(&sandbox), before);
}

#[test]
fn a_file_in_the_place_of_the_state_directory_is_refused() {
    let sandbox = Sandbox::empty();
    fs::write(sandbox.state(), "precious").unwrap();
    for words in [
        "create -f manifests/one.yaml",
        "scale web --replicas 1",
        "get pods",
    ] {
        let refused = sandbox.run(words);
        assert_ne!(refused.code, 0, "{}", refused.transcript());
        refused.says("$STATE");
    }
    assert_eq!(fs::read(sandbox.state()).unwrap(), b"precious");
    sandbox.assert_nothing_left();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::getuid().is_root() {
        support::skipped("root may write everywhere");
        return;
    }
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.state()).unwrap();
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o500)).unwrap();
    let refused = sandbox.run("create -f manifests/one.yaml");
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(refused.code, 1, "{}", refused.transcript());
    refused.says("$STATE").says("ermission denied");
    sandbox.assert_nothing_left();
}

#[test]
fn settings_with_a_misspelt_key_are_refused() {
    let (sandbox, _) = with_one();
    sandbox.settings("[back-of]\nstart = '1s'\n");
    let before = kept(&sandbox);
    let refused = sandbox.fails(2, "scale web --replicas 1");
    refused.says("petset.toml").says("back-of");
    sandbox.settings("");
    assert_eq!(before.len(), kept(&sandbox).len());
    sandbox.ok("scale web --replicas 2");
}

#[test]
fn a_wanted_object_that_was_spoilt_is_named_and_its_pets_run_on() {
    let (sandbox, _) = with_one();
    let path = sandbox.file("wanted/default/statefulset/web.yaml");
    let good = fs::read(&path).unwrap();
    fs::write(&path, "kind: [").unwrap();
    let refused = sandbox.run("scale web --replicas 2");
    assert_ne!(refused.code, 0, "{}", refused.transcript());
    refused.says("web.yaml");
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.journal_lacks("stopped web-2");
    fs::write(&path, good).unwrap();
    sandbox.ok("scale web --replicas 2");
}

#[test]
fn a_kind_that_no_cluster_has_is_refused_and_one_of_kubernetes_is_passed_over() {
    let sandbox = Sandbox::empty();
    let text = fs::read_to_string(testdata().join("manifests/one.yaml")).unwrap();
    let slip = text.replace("kind: StatefulSet", "kind: StatefullSet");
    assert_ne!(slip, text);
    let path = sandbox.manifest("slip.yaml", &slip);
    for verb in ["validate", "create", "apply"] {
        let refused = sandbox.fails(2, &format!("{verb} -f {path}"));
        refused.says("(did you mean StatefulSet of apps/v1?)");
    }
    sandbox.ok("get svc").says("No resources found");
    let other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\n";
    let path = sandbox.manifest("other.yaml", &format!("{other}{text}"));
    let passed = sandbox.ok(&format!("validate -f {path}"));
    passed.says("ignored Namespace/other");
}

#[test]
fn validate_tells_of_every_object_of_a_file() {
    let sandbox = Sandbox::empty();
    let one = fs::read_to_string(testdata().join("manifests/one.yaml")).unwrap();
    let kinds = fs::read_to_string(testdata().join("manifests/not-run.yaml")).unwrap();
    let path = sandbox.manifest("right.yaml", &format!("{one}---\n{kinds}"));
    let right = sandbox.ok(&format!("validate -f {path}"));
    for name in [
        "persistentvolume/disk",
        "storageclass.storage.k8s.io/slow",
        "deployment.apps/front",
        "replicaset.apps/copies",
        "replicationcontroller/old-copies",
        "daemonset.apps/agent",
        "job.batch/migrate",
        "cronjob.batch/dump",
    ] {
        right.says(&format!("{name} is valid\n"));
    }
    let wrong = kinds.replace("replicas: 2", "replicas: -2");
    let wrong = wrong.replace("\"0 3 * * *\"", "\"0 25 * * *\"");
    let path = sandbox.manifest("wrong.yaml", &format!("{one}---\n{wrong}"));
    let refused = sandbox.fails(2, &format!("validate -f {path}"));
    refused.says("spec.replicas: Invalid value: -2: must be greater than or equal to 0");
    refused
        .says("spec.schedule: Invalid value: \"0 25 * * *\": end of range (25) above maximum (23)");
    let path = sandbox.manifest("right.yaml", &format!("{one}---\n{kinds}"));
    let foreseen = sandbox.ok(&format!("create -f {path} --dry-run"));
    foreseen.says("persistentvolume/disk created (dry run)");
    foreseen.says("web-0");
}

#[test]
fn utf_16_and_odd_spaces_are_refused_by_their_names() {
    let sandbox = Sandbox::empty();
    let wide: Vec<u8> = "\u{feff}kind: Pod\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let path = sandbox.manifest("wide.yaml", "");
    fs::write(sandbox.scratch().join("wide.yaml"), wide).unwrap();
    let refused = sandbox.fails(2, &format!("validate -f {path}"));
    refused.says("is written in UTF-16: Kubernetes reads UTF-8");
    refused.says("hint: convert it: iconv -f UTF-16 -t UTF-8");
    let spaced = "apiVersion: v1\nkind:\u{a0}ConfigMap\nmetadata: {name: a}\n";
    let path = sandbox.manifest("spaced.yaml", spaced);
    let refused = sandbox.fails(2, &format!("validate -f {path}"));
    refused.says("column 6 of line 2 holds a no-break space (U+00A0)");
}

/// Runs a script where the state directory is a tiny file system; `None` where this user may not
/// mount one. `petset` is a function of the script.
fn on_a_tiny_disk(sandbox: &Sandbox, script: &str) -> Option<Background> {
    let flags = if rustix::process::getuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let may = Command::new("unshare")
        .args([flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    sandbox.place(&mut command);
    let prelude = "set -e
        settings=$(cat \"$PETSET_STATE_DIR/petset.toml\")
        mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$PETSET_STATE_DIR\"
        echo \"$settings\" >\"$PETSET_STATE_DIR/petset.toml\"
        fill() { cat /dev/zero >\"$PETSET_STATE_DIR/fill\" 2>/dev/null || :; }
        free() { rm \"$PETSET_STATE_DIR/fill\"; }";
    let petset = format!("petset() {{ {} \"$@\"; }}", env!("CARGO_BIN_EXE_petset"));
    let script = format!("{prelude}\n{petset}\n{script}");
    command.args([flags, "sh", "-c", &script]);
    Some(sandbox.start_command(&mut command))
}

#[test]
fn on_a_full_disk_an_edit_fails_whole_and_pets_run_on() {
    let sandbox = Sandbox::new();
    let script = "
        petset create -f manifests/one.yaml
        before=$(cat \"$PETSET_STATE_DIR/wanted/default/statefulset/web.yaml\")
        fill
        ! petset scale web --replicas 3 --timeout 5s || { echo scaled; exit 9; }
        ! petset create other --image petset/hello --timeout 5s || { echo created; exit 8; }
        petset get pods
        [ \"$before\" = \"$(cat \"$PETSET_STATE_DIR/wanted/default/statefulset/web.yaml\")\" ] || exit 7
        free
        petset scale web --replicas 2
        petset get sts
        petset delete web";
    let Some(run) = on_a_tiny_disk(&sandbox, script) else {
        support::skipped("this user may not mount a small file system");
        return;
    };
    let outcome = sandbox.finish("(on a tiny disk)", run);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    outcome.says("No space left on device").lacks("other-0");
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.assert_nothing_left();
}

#[test]
fn a_level_or_an_egress_that_there_is_not_is_refused_by_every_verb_that_reads_a_manifest() {
    let sandbox = Sandbox::new();
    let path = testdata().join("manifests/one.yaml");
    let text = fs::read_to_string(path).unwrap();
    sandbox.ok("create -f manifests/one.yaml");
    for (key, fault) in [
        ("petset.dev/egress", "\"noen\" is no egress"),
        ("petset.dev/isolation", "\"noen\" is no isolation"),
    ] {
        let meta = "metadata:\n  name: web\n";
        let asking = format!("{meta}  annotations: {{{key}: noen}}\n");
        let path = sandbox.manifest("typo.yaml", &text.replace(meta, &asking));
        for verb in ["validate", "diff", "apply", "upgrade"] {
            let refused = sandbox.fails(2, &format!("{verb} -f {path}"));
            refused.says(key);
            refused.says(fault);
        }
    }
    sandbox.ok("delete web");
}

#[test]
fn a_variable_that_is_longer_than_the_kernel_takes_is_named() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(200_000);
    for level in ["none", "auto"] {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {level}}}\nspec:\n  containers:\n  \
             - {{name: c, image: busybox, command: [sleep, '600'], env: [{{name: A, value: {long}}}]}}\n"
        );
        let file = sandbox.manifest(&format!("{level}.yaml"), &text);
        let create = sandbox.ok(&format!("create -f {file} --isolation {level} --no-wait"));
        create.says("the variable A of container c is 200002 bytes, the kernel takes 131072");
        let event = "the variable A of container c is 200002 bytes, the kernel takes 131072";
        sandbox.events_say(&[event]);
    }
}

#[test]
fn a_volume_that_covers_the_directory_of_the_program_is_named() {
    if !support::is_full() {
        return support::skipped("pets have no mounts of their own here");
    }
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  \
                - {name: c, image: debian, command: [/usr/bin/env], \
                volumeMounts: [{name: d, mountPath: /usr/bin}]}\n  \
                volumes: [{name: d, emptyDir: {}}]\n";
    let file = sandbox.manifest("a.yaml", text);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.events_say(&["(volume \"d\" covers /usr/bin)"]);
}
