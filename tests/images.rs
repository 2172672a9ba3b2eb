//! What image references mean: `petset image ls` and `petset image explain`.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::Sandbox;

/// A sandbox whose catalogue has these entries.
fn with_entries(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.state()).unwrap();
    std::fs::write(sandbox.file("images.toml"), text).unwrap();
    sandbox
}

#[test]
fn the_catalogue_lists_its_own_entries_and_those_of_files() {
    let sandbox = with_entries("[\"mydb\"]\nprogram = [\"petset-no-such-program\"]\n");
    let names = sandbox.ok("image ls -o name").out;
    for image in ["mydb", "petset/hello", "redis", "postgres", "nginx-slim"] {
        assert!(names.lines().any(|line| line == image), "{image}: {names}");
    }
    let list = sandbox.ok("image ls -o json").out;
    let list: Value = serde_json::from_str(&list).unwrap();
    let row = |name: &str| {
        let rows = list.as_array().unwrap().iter();
        rows.clone()
            .find(|row| row["image"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(row("mydb")["here"], false);
    assert_eq!(row("petset/hello")["here"], true);
    assert_eq!(row("postgres")["user"], "postgres");
    sandbox
        .ok("image ls -o wide")
        .says("petset-no-such-program (missing)")
        .says("PACKAGE");
}

#[test]
fn an_explanation_ends_with_what_a_pet_would_end_with() {
    let entries = "[\"mydb:{tag}\"]\nprogram = [\"sh\"]\nargs = [\"-c\", \"true\"]\n\
                   env = { TAG = \"{tag}\" }\n[\"gone\"]\nprogram = [\"petset-no-such-program\"]\n";
    let sandbox = with_entries(entries);
    sandbox
        .ok("image explain corp.example/mydb:v2")
        .says("images.toml: entry [\"mydb:{tag}\"]")
        .says("TAG=v2")
        .says("Arguments:    -c true");
    let page = sandbox.ok("image explain mydb:v2 -o json -- -c false").out;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["argv"], serde_json::json!(["sh", "-c", "false"]));
    sandbox
        .fails(3, "image explain corp/unheard-of:1")
        .says("no image \"corp/unheard-of:1\" on this machine");
    sandbox
        .fails(5, "image explain gone")
        .says("petset-no-such-program (missing)");
}

#[test]
fn a_mistake_in_images_toml_is_told_with_file_line_and_field() {
    let sandbox = with_entries("[\"db\"]\nprogram = [\"sh\"]\nuser = 5\n");
    let place = sandbox.file("images.toml").display().to_string();
    for words in ["image ls", "image explain db"] {
        let refused = sandbox.fails(2, words);
        assert!(
            refused.err.contains("images.toml:3:8: user: invalid type"),
            "{place} {}",
            refused.err
        );
    }
}

#[test]
fn a_pet_finds_the_scripts_the_shell_and_the_empty_directories_of_its_image() {
    let entries = "[\"tool\"]\nshell = [\"bash\"]\ndata = [\"/var/lib/petset-test\"]\n\
                   workdir = \"/var/lib/petset-test\"\n\
                   bin.\"petset-greet\" = \"#!/bin/sh\\necho hello from {tag}\\n\"\n\
                   files.\"/etc/petset-test.conf\" = \"level=1\\n\"\n";
    let sandbox = with_entries(entries);
    let sleep = "-- sh -c 'petset-greet; exec sleep 1000'";
    sandbox.ok(&format!(
        "create db --image tool:v7 --isolation full {sleep}"
    ));
    sandbox.until_says("logs db-0", "hello from v7");
    let inside = "pwd; ls -A; cat /etc/petset-test.conf; /bin/sh -c 'echo ${BASH_VERSION:+bash}'";
    let mut command = sandbox.command_of(&["exec", "db-0", "--", "bash", "-c", inside]);
    let said = sandbox
        .finish(inside, sandbox.start_command(&mut command))
        .out;
    assert_eq!(said, "/var/lib/petset-test\nlevel=1\nbash\n");
    sandbox.ok("delete db");
    sandbox.ok(&format!(
        "create plain --image tool:v7 --isolation none {sleep}"
    ));
    sandbox.until_says("logs plain-0", "hello from v7");
    sandbox.ok("delete plain");
    sandbox.assert_nothing_left();
}

#[test]
fn programs_of_the_image_busybox_are_its_own() {
    if !support::is_installed("busybox", &["busybox"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "for name in wget nslookup sed; do readlink -f $(command -v $name); done; \
                  wget --help 2>&1 | head -n 1";
    for level in ["full", "none"] {
        let words =
            format!("create {level} --image busybox:1.36 --isolation {level} -- sleep 1000");
        sandbox.ok(&words);
        let words = ["exec", &format!("{level}-0"), "--", "sh", "-c", script];
        let mut command = sandbox.command_of(&words);
        let said = sandbox
            .finish(level, sandbox.start_command(&mut command))
            .out;
        assert_eq!(said.matches("/busybox\n").count(), 3, "{level}: {said}");
        assert!(said.contains("BusyBox v"), "{level}: {said}");
    }
    sandbox.ok("delete full none");
    sandbox.assert_nothing_left();
}

#[test]
fn what_rabbitmq_writes_is_in_its_log_without_isolation_too() {
    let mut sandbox = Sandbox::new();
    let bin = sandbox.scratch().join("bin");
    fs::create_dir(&bin).unwrap();
    let server = bin.join("rabbitmq-server");
    fs::write(
        &server,
        "#!/bin/sh\necho logs go to $RABBITMQ_LOGS\nexec sleep 600\n",
    )
    .unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    sandbox.set_variable("PATH", &format!("{}:{path}", bin.display()));
    sandbox.ok("create mq --replicas 1 --image rabbitmq --isolation none");
    sandbox.until_says("logs mq-0", "logs go to -");
}

#[test]
fn an_image_may_start_a_script_of_its_own_entry() {
    let script = "\"#!/bin/sh\\necho begun from $0\\nexec sleep 600\"";
    let text = format!(
        "[one]\nentrypoint = [\"begin\"]\nbin.begin = {script}\n\
         [two]\nentrypoint = [\"/opt/begin-two.sh\"]\nfiles.\"/opt/begin-two.sh\" = {script}\n"
    );
    let sandbox = with_entries(&text);
    for level in ["none", "auto"] {
        for image in ["one", "two"] {
            let name = format!("{image}-{level}");
            let words = format!("create {name} --replicas 1 --image {image} --isolation {level}");
            sandbox.ok(&words);
            sandbox.until_says(&format!("logs {name}-0"), "begun from");
        }
    }
}

#[test]
fn a_server_with_a_number_of_its_own_can_write_where_its_image_lets_it() {
    if !rustix::process::geteuid().is_root() {
        return support::skipped("other users take root");
    }
    let sandbox =
        with_entries("[\"tool\"]\ndata = [\"/var/lib/petset-test\", \"/var/run/petset-test\"]\n");
    let text = "apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 999, runAsGroup: 998}
  containers:
  - name: c
    image: tool:1
    command: [sh, -c, 'cd /var/lib/petset-test && stat -c \"%u %g %a\" . /var/run/petset-test;
      mkdir data && chmod 700 . && touch /run/petset-test/lock && echo written']
";
    let file = sandbox.manifest("p.yaml", text);
    sandbox.ok(&format!("create -f {file} --isolation full"));
    let said = sandbox.ok("logs p");
    said.prints("999 998 777\n999 998 3777\nwritten\n");
}
