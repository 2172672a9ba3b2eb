//! What a pet sees of state directories, and what it can say to those who keep one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{create, manifest, says};
use crate::support::{Sandbox, copy_program, is_installed, processes};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {word: told}\n";

/// A directory below `/var/tmp`, which pets see as the host has it, unless an ordinary user runs
/// them. What runs for a state directory in it ends with it.
struct Outside(PathBuf);

impl Outside {
    fn new() -> Self {
        let made = tempfile::Builder::new()
            .prefix("petset-test-")
            .tempdir_in("/var/tmp");
        let path = made.unwrap().keep();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(path.join("seen"), "seen").unwrap();
        Self(path)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let gone = || {
            let left = processes::of(&self.0);
            left.iter().for_each(processes::Process::kill);
            left.is_empty() && fs::remove_dir_all(&self.0).is_ok()
        };
        let removed = crate::support::wait_until(gone, crate::support::PATIENCE);
        processes::release_blocks(&self.0);
        assert!(removed || std::thread::panicking(), "{:?} is left", self.0);
    }
}

/// Makes a state directory with a secret in it.
fn keep_secret(sandbox: &Sandbox, state: &Path) {
    let secret = sandbox.manifest("secret.yaml", SECRET);
    let words = format!("create -f {secret}");
    let mut command = sandbox.command(&words);
    command.env("PETSET_STATE_DIR", state);
    let outcome = sandbox.finish(&words, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    assert!(state.join("wanted/default/secret/s.yaml").is_file());
}

fn host_path(name: &str, path: &Path) -> Value {
    json!({"name": name, "hostPath": {"path": path}})
}

/// What a pod finds in these directories, though it tries to uncover them.
fn finds(sandbox: &Sandbox, pod: &str, directories: &[String]) -> String {
    let all = directories.join(" ");
    let script = format!(
        "for it in {all}; do umount -l $it 2>/dev/null; rmdir $it 2>/dev/null; \
         ls -A $it; cat $it/wanted/default/secret/s.yaml 2>/dev/null; \
         unshare -Urm sh -c \"umount -l $it; ls -A $it\" 2>/dev/null; done; echo end"
    );
    let words = ["exec", pod, "--", "sh", "-c", &script];
    let tried = sandbox.start_command(&mut sandbox.command_of(&words));
    sandbox.finish(&script, tried).out
}

#[test]
fn a_host_path_shows_no_state_directory_below_it() {
    let sandbox = Sandbox::new();
    let root = sandbox.state().parent().unwrap().to_owned();
    let around = root.join("around");
    fs::create_dir(&around).unwrap();
    fs::write(around.join("seen"), "seen").unwrap();
    let before = around.join("before");
    keep_secret(&sandbox, &before);
    let volumes = json!({"volumes": [host_path("all", &root), host_path("state", &before)]});
    let mounts = json!([
        {"name": "all", "mountPath": "/all"}, {"name": "state", "mountPath": "/state"},
        {"name": "all", "mountPath": "/part", "subPath": "around"}
    ]);
    create(&sandbox, volumes, json!({"volumeMounts": mounts}));
    assert_eq!(
        says(&sandbox, "cat /all/around/seen /part/seen"),
        "seenseen"
    );
    let places = ["/all/state", "/all/around/before", "/part/before", "/state"];
    assert_eq!(finds(&sandbox, "p", &places.map(str::to_owned)), "end\n");
}

#[test]
fn a_state_directory_that_is_made_later_is_not_shown_to_a_pet_that_runs() {
    let sandbox = Sandbox::new();
    let outside = Outside::new();
    let around = sandbox.state().parent().unwrap().join("around");
    fs::create_dir(&around).unwrap();
    let volumes = json!({"volumes": [host_path("host", &around)]});
    let mounts = json!({"volumeMounts": [{"name": "host", "mountPath": "/host"}]});
    create(&sandbox, volumes.clone(), mounts.clone());
    let other = manifest(&sandbox, "q", volumes, mounts);
    sandbox.ok(&format!("create -f {other} --isolation full"));
    // That there is nothing yet is something that the kernel may remember.
    let shown = outside.0.join("new/state");
    let all = ["/host/state".to_owned(), shown.to_str().unwrap().to_owned()];
    let before = says(
        &sandbox,
        &format!("ls -d {} 2>/dev/null; true", all.join(" ")),
    );
    assert_eq!(before, "");
    fs::write(around.join("seen"), "seen").unwrap();
    assert_eq!(says(&sandbox, "cat /host/seen"), "seen");
    keep_secret(&sandbox, &around.join("state"));
    fs::create_dir(outside.0.join("new")).unwrap();
    keep_secret(&sandbox, &shown);
    for pod in ["p", "q"] {
        assert_eq!(finds(&sandbox, pod, &all), "end\n");
    }
    // One that starts later has it covered from the start, and covers what is made then.
    sandbox.ok("delete pod/q");
    sandbox.ok(&format!("create -f {other} --isolation full"));
    keep_secret(&sandbox, &around.join("third"));
    let third = [all[0].clone(), all[1].clone(), "/host/third".to_owned()];
    assert_eq!(finds(&sandbox, "q", &third), "end\n");
    // One that is removed and made again is another one.
    sandbox.until("it is removed", || {
        let _ = fs::remove_dir_all(around.join("third"));
        !around.join("third").exists()
    });
    keep_secret(&sandbox, &around.join("third"));
    assert_eq!(finds(&sandbox, "q", &third), "end\n");
}

#[test]
fn a_state_directory_of_another_user_is_hidden_from_pets_of_root_that_run() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let outside = Outside::new();
    let mut sandbox = Sandbox::new();
    let blocks = outside.0.join("blocks");
    sandbox.set_variable("PETSET_BLOCKS_DIR", blocks.to_str().unwrap());
    let home = outside.0.join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(1), Some(1)).unwrap();
    let petset = outside.0.join("petset");
    copy_program(&petset, "");
    create(&sandbox, json!({}), json!({}));
    let secret = outside.0.join("secret.yaml");
    fs::write(&secret, SECRET).unwrap();
    let mut command = Command::new(&petset);
    command.args(["create", "-f"]).arg(&secret);
    sandbox.place(&mut command);
    command
        .env("PETSET_STATE_DIR", home.join("state"))
        .env("HOME", &home);
    command
        .env("TMPDIR", &home)
        .current_dir(&home)
        .uid(1)
        .gid(1);
    let made = sandbox.finish("create", sandbox.start_command(&mut command));
    assert_eq!(made.code, 0, "{}", made.transcript());
    let (seen, state) = (outside.0.join("seen"), home.join("state"));
    assert_eq!(says(&sandbox, &format!("cat {}", seen.display())), "seen");
    let looks = format!("ls -A {} 2>/dev/null; true", state.display());
    sandbox.until("it is covered", || says(&sandbox, &looks).is_empty());
}

/// Sends datagrams to a runner and a supervisor, and asks the network process for its greeting.
const SAY: &str = r##"
import socket, sys
control, network, supervisor = sys.argv[1:]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b'{"stop":{"graceSeconds":0}}', control)
sender.sendto(b"damaged", supervisor)
door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
door.settimeout(20)
door.connect(network)
print("greeted" if door.recv(100) else "closed")
"##;

#[test]
fn a_pet_that_gets_at_the_sockets_of_petset_has_no_say() {
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let folders = ["pets/default/p", "network", "supervisor"].map(|name| sandbox.file(name));
    let names = ["pet", "network", "supervisor"];
    let volumes = names.iter().zip(&folders);
    let volumes: Vec<Value> = volumes.map(|(name, path)| host_path(name, path)).collect();
    let mounts = names.map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    let (volumes, mounts) = (json!({"volumes": volumes}), json!({"volumeMounts": mounts}));
    let attacker = manifest(&sandbox, "q", volumes, mounts);
    sandbox.ok(&format!("create -f {attacker} --isolation full"));
    // A supervisor that hears of damage writes this again.
    let pid = sandbox.file("supervisor/pid");
    fs::write(&pid, "damaged").unwrap();
    let is_damaged = || fs::read_to_string(&pid).unwrap() == "damaged";
    let sockets = ["/pet/control", "/network/socket", "/supervisor/socket"];
    let words = [&["exec", "q", "--", "python3", "-c", SAY], &sockets[..]].concat();
    let tried = sandbox.start_command(&mut sandbox.command_of(&words));
    sandbox.finish("say", tried).says("closed");
    // What comes later is done, so that all that was said before was heard or was not.
    let main = sandbox.main("p");
    let later = manifest(&sandbox, "r", json!({}), json!({}));
    sandbox.ok(&format!("create -f {later} --isolation full"));
    sandbox.until_pet_is("p", "Running");
    assert!(is_damaged() && sandbox.main("p") == main);
    // The same words of the owner are heard.
    let mut command = Command::new("python3");
    command.args(["-c", SAY]);
    let sockets = ["control", "socket", "socket"];
    command.args(
        folders
            .iter()
            .zip(sockets)
            .map(|(folder, name)| folder.join(name)),
    );
    sandbox.place(&mut command);
    let said = sandbox.finish("say", sandbox.start_command(&mut command));
    said.says("greeted");
    sandbox.until("it was stopped", || sandbox.main("p") != main);
    sandbox.until("it was mended", || !is_damaged());
}

/// Says whether a socket can be connected to.
const CONNECT: &str = r##"
import socket, sys
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(sys.argv[1])
    print("connected")
except OSError as error:
    print("refused:", error.strerror)
"##;

#[test]
fn sockets_of_the_host_cannot_be_connected_to_where_directories_are_shown_as_they_are() {
    if !is_installed("python3", &["python3"]) || !is_installed("unshare", &["unshare"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let outside = Outside::new();
    let socket = outside.0.join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let manifest = manifest(&sandbox, "p", json!({}), json!({}));
    let script = "i=0; while [ $i -lt 66 ]; do mkdir -p \"$2/m/$i\"; \
                  mount -t tmpfs none \"$2/m/$i\" || exit; i=$((i+1)); done; \
                  \"$0\" create -f \"$1\" --isolation full && \
                  \"$0\" exec p -- cat \"$2/seen\" && \
                  \"$0\" exec p -- python3 -c \"$3\" \"$2/socket\"; \"$0\" delete pod/p";
    let mut command = Command::new("unshare");
    match rustix::process::getuid().is_root() {
        true => command.args(["--mount", "sh"]),
        false => command.args(["--mount", "--map-root-user", "sh"]),
    };
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset"), &manifest]);
    sandbox.place(command.arg(&outside.0).arg(CONNECT));
    let outcome = sandbox.finish("connect", sandbox.start_command(&mut command));
    outcome.says("seen").says("refused:");
}
