//! What petset does in places that a pet can write to: links, pipes and deep trees that wait there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::entering::terminal;
use super::{create, manifest};
use crate::support::{Background, Sandbox, is_installed};

/// How often a race is run that an attacker wins within a few rounds.
const ROUNDS: usize = 12;

/// A directory of the host that no pet may reach, with a file in it.
fn outside(sandbox: &Sandbox) -> PathBuf {
    let outside = sandbox.state().parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(outside.join("secret"), "told").unwrap();
    fs::set_permissions(outside.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    outside
}

/// The names, owners, modes and contents of what is in a directory.
fn looks(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().flatten();
    let mut all: Vec<String> = entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let (uid, gid, mode) = (found.uid(), found.gid(), found.mode());
            format!("{:?} {uid} {gid} {mode:o} {text:?}", entry.file_name())
        })
        .collect();
    all.sort();
    all
}

/// A pod with the claim `data` at `/data`, which another pod has filled.
fn create_filled(sandbox: &Sandbox) {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n\
                 spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n";
    let claim = sandbox.manifest("claim.yaml", claim);
    sandbox.ok(&format!("create -f {claim}"));
    create(
        sandbox,
        data(json!([])),
        json!({"volumeMounts": [at("data", "/data")]}),
    );
}

/// A spec with the claim and these volumes.
fn data(more: Value) -> Value {
    let mut volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})];
    volumes.extend(more.as_array().unwrap().clone());
    json!({"volumes": volumes})
}

fn at(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path})
}

/// Starts another pod, which may fail to start, and waits until it has or has not.
fn create_second(sandbox: &Sandbox, spec: Value, container: Value) {
    let manifest = manifest(sandbox, "q", spec, container);
    sandbox.ok(&format!("create -f {manifest} --isolation full --no-wait"));
    sandbox.until("the second pod was tried", || {
        let said = sandbox.ok("events").out;
        let mut lines = said.lines().filter(|line| line.contains("pod/q"));
        lines.any(|line| {
            ["Started", "Failed", "BackOff"]
                .iter()
                .any(|it| line.contains(it))
        })
    });
}

#[test]
fn a_mount_point_below_a_volume_is_made_in_the_volume() {
    let sandbox = Sandbox::new();
    let outside = outside(&sandbox);
    create_filled(&sandbox);
    let script = format!(
        "ln -s {} /data/link && mkfifo /data/pipe",
        outside.display()
    );
    sandbox.ok(&format!("exec p -- sh -c '{script}'"));
    let before = looks(&outside);
    let volumes = json!([{"name": "more", "emptyDir": {}},
        {"name": "file", "downwardAPI": {"items": [{"path": "f", "fieldRef": {"fieldPath": "metadata.name"}}]}}]);
    for mounts in [
        json!([at("data", "/data"), at("more", "/data/link/made")]),
        json!([at("data", "/data"), at("more", "/data/link")]),
        json!([at("data", "/data"), {"name": "file", "mountPath": "/data/link/file", "subPath": "f"}]),
        json!([at("data", "/data"), {"name": "file", "mountPath": "/data/pipe", "subPath": "f"}]),
    ] {
        create_second(
            &sandbox,
            data(volumes.clone()),
            json!({"volumeMounts": mounts}),
        );
        assert_eq!(looks(&outside), before, "{mounts}");
        sandbox.ok("delete pod/q");
    }
}

/// Swaps directories and files for links to a place outside, as fast as it can.
const SWAPPER: &str = r##"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir("/data")
names = [str(number) for number in range(20)]
for name in names:
    if sys.argv[2] == "directory":
        os.makedirs(name, exist_ok=True)
    else:
        open(name, "w").close()
    os.symlink(sys.argv[1], "." + name)
print("swapping", flush=True)
while True:
    for name in names:
        libc.renameat2(-100, name.encode(), -100, ("." + name).encode(), 2)
"##;

/// Begins to swap what is in the volume of the pod p with links to something outside of it.
fn swap(sandbox: &Sandbox, outside: &Path, kind: &str) -> Background {
    let outside = outside.to_str().unwrap();
    let words = ["exec", "p", "--", "python3", "-c", SWAPPER, outside, kind];
    let swapper = sandbox.start_command(&mut sandbox.command_of(&words));
    sandbox.until("it swaps", || {
        sandbox.ok("exec p -- ls -a /data").out.contains(".19")
    });
    swapper
}

#[test]
fn a_sub_path_that_becomes_a_link_mounts_nothing_of_the_host() {
    let sandbox = Sandbox::new();
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let outside = outside(&sandbox);
    create_filled(&sandbox);
    let mut swapper = swap(&sandbox, &outside, "directory");
    let mounts = (0..20).map(|number| {
        let number = number.to_string();
        json!({"name": "data", "mountPath": format!("/mnt/{number}"), "subPath": number})
    });
    let mounts: Vec<Value> = mounts.collect();
    let script = "cat /mnt/*/secret; sleep 1000";
    for _ in 0..ROUNDS {
        let container = json!({"command": ["sh", "-c", script], "volumeMounts": mounts});
        create_second(&sandbox, data(json!([])), container);
        let said = sandbox.run("logs q");
        assert!(!said.out.contains("told"), "{}", said.transcript());
        sandbox.ok("delete pod/q");
    }
    assert!(swapper.runs());
}

#[test]
fn a_group_is_given_files_of_the_volume_and_no_others() {
    let sandbox = Sandbox::new();
    if !rustix::process::getuid().is_root() || !is_installed("python3", &["python3"]) {
        return;
    }
    let outside = outside(&sandbox);
    create_filled(&sandbox);
    let before = looks(&outside);
    let secret = outside.join("secret");
    let mut swapper = swap(&sandbox, &secret, "file");
    for round in 0..ROUNDS {
        let mut spec = data(json!([]));
        spec["securityContext"] = json!({"fsGroup": 5000 + round});
        create_second(
            &sandbox,
            spec,
            json!({"volumeMounts": [at("data", "/data")]}),
        );
        assert_eq!(looks(&outside), before);
        sandbox.ok("delete pod/q");
    }
    assert!(swapper.runs());
}

#[test]
fn an_image_whose_directories_are_links_changes_nothing_of_the_host() {
    let sandbox = Sandbox::new();
    let outside = outside(&sandbox);
    fs::write(outside.join("hosts"), "the host's").unwrap();
    let before = looks(&outside);
    let image = sandbox.state().parent().unwrap().join("image");
    for folder in ["bin", "usr", "var"] {
        fs::create_dir_all(image.join(folder)).unwrap();
    }
    for folder in ["etc", "srv", "var/lib"] {
        symlink(&outside, image.join(folder)).unwrap();
    }
    let entry = format!("[\"evil\"]\nrootfs = {image:?}\nentrypoint = [\"/bin/sh\"]\n");
    fs::write(sandbox.file("images.toml"), entry).unwrap();
    let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    for place in ["/srv/made", "/etc/made", "/var/lib/made/deep"] {
        let container =
            json!({"image": "evil", "volumeMounts": [at("v", place)], "workingDir": "/srv/cwd"});
        create_second(&sandbox, volumes.clone(), container);
        assert_eq!(looks(&outside), before, "{place}");
        sandbox.ok("delete pod/q");
    }
}

#[test]
fn a_terminal_is_opened_where_terminals_are_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let outside = outside(&sandbox);
    let pipe = outside.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let script = format!(
        "ln -s {} /dev/pts/ptmx; echo up; sleep 1000",
        pipe.display()
    );
    let spec = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    let container = json!({"command": ["sh", "-c", script], "volumeMounts": [at("v", "/dev/pts")]});
    create(&sandbox, spec, container);
    sandbox.until_says("logs p", "up");
    let (_outer, inner) = terminal();
    let mut command = sandbox.command("exec -it p -- true");
    let end = || Stdio::from(inner.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    let mut ended = None;
    sandbox.until("exec has ended", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(126));
}

#[test]
fn a_volume_that_is_deeper_than_files_may_be_open_is_removed() {
    let sandbox = Sandbox::new();
    if !is_installed("python3", &["python3"]) {
        return;
    }
    create_filled(&sandbox);
    let dig = "import os\nos.chdir('/data')\nfor _ in range(6000):\n os.mkdir('d'); os.chdir('d')";
    let words = ["exec", "p", "--", "python3", "-c", dig];
    let dug = sandbox.start_command(&mut sandbox.command_of(&words));
    assert_eq!(sandbox.finish("exec", dug).code, 0);
    sandbox.ok("delete pod/p");
    let script = "ulimit -n 200; exec \"$0\" volume rm data --yes";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset")]);
    sandbox.place(&mut command);
    let removed = sandbox.finish("volume rm", sandbox.start_command(&mut command));
    assert_eq!(removed.code, 0, "{}", removed.transcript());
    assert!(!sandbox.file("volumes/default/data").exists());
}

#[test]
fn what_lies_in_the_place_of_petsets_own_files_is_neither_followed_nor_waited_for() {
    let sandbox = Sandbox::new();
    let outside = outside(&sandbox);
    let (before, secret) = (looks(&outside), outside.join("secret"));
    sandbox.ok("create t --isolation none -- sh -c 'echo hello; sleep 1000'");
    sandbox.until_says("logs t-0", "hello");
    let log = fs::read_dir(sandbox.file("pets/default/t-0/logs")).unwrap();
    let log = log.flatten().next().unwrap().path();
    fs::remove_file(&log).unwrap();
    symlink(&secret, &log).unwrap();
    let shown = sandbox.run("logs t-0");
    assert!(!shown.out.contains("told"), "{}", shown.transcript());
    fs::remove_file(&log).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, 0o600.into()).unwrap();
    sandbox.fails(1, "logs t-0").says("not a file");
    sandbox.ok("stop");
    for name in [
        "lock",
        "supervisor/lock",
        "supervisor/log",
        "wanted/stopped",
    ] {
        fs::remove_file(sandbox.file(name)).unwrap();
        symlink(&secret, sandbox.file(name)).unwrap();
    }
    sandbox.ok("start");
    sandbox.until_pet_is("t-0", "Running");
    assert_eq!(looks(&outside), before);
}
