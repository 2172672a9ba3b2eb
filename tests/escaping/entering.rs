//! What a pet gets from the processes of petset's that enter it: descriptors, the terminal, and the
//! program itself.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};

use super::create;
use crate::support::{Sandbox, copy_program, is_installed};

#[test]
fn a_descriptor_of_who_calls_exec_does_not_get_into_the_pet() {
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let outside = sandbox.state().parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "told").unwrap();
    let script = "exec 7<\"$1\" 9<\"$1/secret\" && exec \"$0\" exec p -- \
                  sh -c 'ls /proc/self/fd; cat /proc/self/fd/7/secret; cat <&9'";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset")]);
    sandbox.place(command.arg(&outside));
    let outcome = sandbox.finish("exec", sandbox.start_command(&mut command));
    assert!(!outcome.out.contains("told"), "{}", outcome.transcript());
    // The last one is what the list is read by.
    let opened: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(opened, ["0", "1", "2", "3"], "{}", outcome.transcript());
}

/// Two ends of a terminal.
pub(super) fn terminal() -> (OwnedFd, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    (outer, inner.into())
}

#[test]
fn a_program_without_a_terminal_of_its_own_cannot_reach_the_callers() {
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let script = "for fd in 0 1 2; do if [ -t $fd ]; then echo $fd is it; fi; done; \
                  if (exec 3<>/dev/tty); then echo controlled; fi; read word; echo got $word";
    // As an interactive shell runs it: the terminal controls its session.
    let mut command = Command::new("setsid");
    let petset = env!("CARGO_BIN_EXE_petset");
    command.args(["--ctty", "--wait", petset, "exec", "-i", "p", "--"]);
    sandbox.place(command.args(["sh", "-c", script]));
    let (outer, inner) = terminal();
    let end = || Stdio::from(inner.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    drop(command);
    rustix::io::write(&outer, b"word\n").unwrap();
    let mut said = String::new();
    while !said.contains("got") {
        let mut buffer = [0; 1024];
        let read = rustix::io::read(&outer, &mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(child.wait().unwrap().success());
    assert!(
        !said.contains("is it") && !said.contains("controlled"),
        "{said}"
    );
    assert!(said.contains("got word"), "{said}");
}

#[test]
fn keys_of_a_terminal_reach_a_program_that_has_none_as_signals() {
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let script = "trap 'echo interrupted; exit 7' INT; echo up; while :; do sleep 0.1; done";
    let mut command = Command::new("setsid");
    let petset = env!("CARGO_BIN_EXE_petset");
    command.args(["--ctty", "--wait", petset, "exec", "p", "--"]);
    sandbox.place(command.args(["sh", "-c", script]));
    let (outer, inner) = terminal();
    let end = || Stdio::from(inner.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut said = String::new();
    let mut typed = false;
    while !said.contains("interrupted") {
        let mut buffer = [0; 1024];
        let read = rustix::io::read(&outer, &mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if said.contains("up") && !typed {
            rustix::io::write(&outer, &[3]).unwrap();
            typed = true;
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(7), "{said}");
}

/// Takes hold of each program that is no program of the pet's own, and tries to change it.
const THIEF: &str = r##"
import os, stat, sys, time
evil = "/tmp/evil"
with open(evil, "w") as f:
    f.write("#!/proc/self/exe\n")
os.chmod(evil, 0o755)
def outcome(what, act):
    try:
        act()
        return what + " done"
    except OSError as error:
        return what + " " + os.strerror(error.errno)
print("ready", flush=True)
own = os.stat("/proc/self/exe")
size = int(sys.argv[1])
while True:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fd = os.open("/proc/%s/exe" % name, os.O_PATH)
        except OSError:
            continue
        found = os.fstat(fd)
        if found.st_size != size:
            os.close(fd)
            continue
        path = "/proc/self/fd/%d" % fd
        print("caught", outcome("chmod", lambda: os.chmod(path, 0o4777)),
              outcome("chown", lambda: os.chown(path, 0, 0)), flush=True)
        while True:
            said = outcome("open", lambda: os.close(os.open(path, os.O_WRONLY)))
            if "busy" not in said:
                print(said, flush=True)
                sys.stdin.read()
                time.sleep(1000)
            time.sleep(0.01)
"##;

/// A copy of petset for one test, and the mode and time of change that it has.
struct Program {
    path: PathBuf,
    before: (u32, i64, i64),
}

impl Program {
    fn new(sandbox: &Sandbox) -> Self {
        let path = sandbox.state().parent().unwrap().join("petset");
        copy_program(&path, "");
        let before = Self::looks(&path);
        Self { path, before }
    }

    fn looks(path: &PathBuf) -> (u32, i64, i64) {
        let found = fs::metadata(path).unwrap();
        (found.mode(), found.ctime(), found.ctime_nsec())
    }

    fn run(&self, sandbox: &Sandbox, words: &[&str]) -> i32 {
        let mut command = Command::new(&self.path);
        sandbox.place(command.args(words));
        let words = words.join(" ");
        sandbox
            .finish(&words, sandbox.start_command(&mut command))
            .code
    }

    /// Starts a pod that waits for this program.
    fn create_thief(&self, sandbox: &Sandbox, mut more: Value) {
        let size = fs::metadata(&self.path).unwrap().len().to_string();
        more["command"] = json!(["python3", "-c", THIEF, size]);
        let manifest = super::manifest(sandbox, "p", json!({}), more);
        let words = [
            "create",
            "-f",
            &manifest,
            "--isolation",
            "full",
            "--no-wait",
        ];
        assert_eq!(self.run(sandbox, &words), 0);
        sandbox.until_says("logs p", "ready");
    }

    /// Requires that it was caught and could not be changed.
    fn assert_untouched(&self, sandbox: &Sandbox) {
        let logs = sandbox.ok("logs p");
        logs.says("caught").lacks("done");
        assert_eq!(Self::looks(&self.path), self.before, "{}", logs.out);
    }
}

#[test]
fn the_program_that_enters_a_pet_cannot_be_changed_by_it() {
    let sandbox = Sandbox::new();
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let program = Program::new(&sandbox);
    program.create_thief(&sandbox, json!({}));
    let caught = || {
        program.run(&sandbox, &["exec", "p", "--", "/tmp/evil"]);
        sandbox.ok("logs p").out.contains("caught")
    };
    sandbox.until("the program is caught", caught);
    program.assert_untouched(&sandbox);
}

#[test]
fn the_program_that_runs_a_probe_cannot_be_changed_by_the_pet() {
    let sandbox = Sandbox::new();
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let program = Program::new(&sandbox);
    let probe =
        json!({"exec": {"command": ["/tmp/evil"]}, "periodSeconds": 1, "failureThreshold": 100});
    program.create_thief(&sandbox, json!({"readinessProbe": probe}));
    sandbox.until_says("logs p", "caught");
    program.assert_untouched(&sandbox);
}

#[test]
fn a_shared_process_1_leads_nowhere_even_where_root_has_one_id() {
    if !is_installed("unshare", &["unshare"]) {
        return;
    }
    let inside = "cat /proc/1/comm; for it in root cwd exe ns/mnt mem; do \
                  if ls -L /proc/1/$it && cat /proc/1/$it; then echo open $it; fi; done; \
                  ls /proc/1/root/etc /proc/1/root/.. /proc/1/fd; grep CapEff /proc/self/status";
    let script = "\"$0\" create -f \"$1\" --isolation full && \"$0\" exec p -- sh -c \"$2\"; \
                  \"$0\" delete pod/p";
    // In a user namespace of one id petset and its pets are the same root.
    for one_id in [false, true] {
        let sandbox = Sandbox::new();
        let spec = json!({"shareProcessNamespace": true});
        let manifest = super::manifest(&sandbox, "p", spec, json!({}));
        let mut command = match one_id {
            true => Command::new("unshare"),
            false => Command::new("sh"),
        };
        if one_id {
            command.args(["--map-root-user", "sh"]);
        }
        command.args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_petset"),
            &manifest,
            inside,
        ]);
        sandbox.place(&mut command);
        let outcome = sandbox.finish("exec", sandbox.start_command(&mut command));
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
        outcome.says("petset-init").says("CapEff");
        for word in ["open", "passwd", "bin", "000001ff"] {
            assert!(!outcome.out.contains(word), "{}", outcome.transcript());
        }
    }
}
