//! The processes of one sandbox: found by whatever ties them to its directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;

/// A process that belongs to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.command)
    }
}

/// Lists the processes whose command line, environment, working directory or open files name
/// this directory; commands of the test itself do so too while they run.
pub(crate) fn of(root: &Path) -> Vec<Process> {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| u32::try_from(*pid) != Ok(own) && belongs(*pid, root))
        .filter(|pid| is_alive(*pid))
        .map(|pid| Process {
            pid,
            command: command(pid),
        })
        .collect()
}

/// Lists the processes with this command line, whose words end with a zero each.
pub(crate) fn with_command(line: &[u8]) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it == line))
        .collect()
}

/// Returns whether a process runs: a zombie does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    !state(pid).starts_with(['Z', 'X', '?'])
}

/// The state of a process as the kernel writes it, or `?` where there is none.
pub(crate) fn state(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    let state = state.and_then(|it| it.split_whitespace().next());
    state.unwrap_or("?").to_owned()
}

/// Kills a process; one that is gone already is as good.
pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

/// Sends a signal to a process; one that is gone already hears nothing.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Kills every process of a sandbox: first the supervisor, which would start them again.
pub(super) fn end(root: &Path, state: &Path) {
    let pid = fs::read_to_string(state.join("supervisor/pid")).unwrap_or_default();
    let supervisor = pid.trim().parse::<i32>().ok();
    let ours = |pid: &i32| of(root).iter().any(|process| process.pid == *pid);
    if let Some(pid) = supervisor.filter(ours) {
        kill(pid);
    }
    let gone = || {
        let left = of(root);
        left.iter().for_each(|process| kill(process.pid));
        left.is_empty()
    };
    if !wait_until(gone, Duration::from_secs(10)) && !std::thread::panicking() {
        panic!("these processes cannot be ended: {:?}", of(root));
    }
}

/// The register of address blocks that all tests of this machine share, whoever runs them.
pub(crate) fn blocks() -> PathBuf {
    PathBuf::from("/var/tmp/petset-test-blocks")
}

/// Takes the entries of a sandbox out of the register, and those of sandboxes that are gone: a test
/// that was killed cannot do it itself. The last one to go takes the register along.
pub(crate) fn release_blocks(root: &Path) {
    for entry in fs::read_dir(blocks()).into_iter().flatten().flatten() {
        let over = |target: PathBuf| target.starts_with(root) || !target.exists();
        if fs::read_link(entry.path()).is_ok_and(over) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(blocks());
}

fn command(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line)
        .replace('\0', " ")
        .trim()
        .to_owned()
}

fn belongs(pid: i32, root: &Path) -> bool {
    let root_bytes = root.as_os_str().as_encoded_bytes();
    let names = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes
            .windows(root_bytes.len())
            .any(|part| part == root_bytes)
    };
    let is_in = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(root));
    let opened = || {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        open.flatten().any(|entry| is_in(entry.path()))
    };
    names("cmdline")
        || names("environ")
        || is_in(PathBuf::from(format!("/proc/{pid}/cwd")))
        || opened()
}
