//! The processes of one sandbox: found by whatever ties them to its directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use serde_json::Value;

use super::wait_until;

/// A process that belongs to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
    /// When it was started: its number may be that of another one soon.
    start: u64,
}

impl Process {
    /// Looks at a process that is to belong to a directory.
    fn seen(pid: i32, root: &Path) -> Option<Self> {
        let start = started(pid)?;
        let is_it = belongs(pid, root) && !is_about_to_begin(pid) && is_alive(pid);
        is_it.then(|| Self {
            pid,
            command: command(pid),
            start,
        })
    }

    /// Kills it; one that is gone already is as good.
    pub(crate) fn kill(&self) {
        let Ok(handle) = pidfd_open(Pid::from_raw(self.pid).unwrap(), PidfdFlags::empty()) else {
            return;
        };
        // Looked at after opening: from here on the number cannot mean another process.
        if started(self.pid) == Some(self.start) {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
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
    pids.filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter_map(|pid| Process::seen(pid, root))
        .collect()
}

/// Lists the processes whose command line begins with these words, which end with a zero each.
pub(crate) fn with_command(line: &[u8]) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.starts_with(line)))
        .collect()
}

/// Returns whether a process runs: a zombie does not, unless other threads of it are still ending,
/// which hold its locks and sockets.
pub(crate) fn is_alive(pid: i32) -> bool {
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    match state(pid).as_str() {
        "X" | "?" => false,
        "Z" => threads() > 1,
        _ => true,
    }
}

/// The state of a process as the kernel writes it, or `?` where there is none.
pub(crate) fn state(pid: i32) -> String {
    field(pid, 0).unwrap_or_else(|| "?".to_owned())
}

/// When a process was started, in clock ticks since boot; `None` where there is none.
pub(crate) fn started(pid: i32) -> Option<u64> {
    field(pid, 19)?.parse().ok()
}

/// A field of `/proc/<pid>/stat`, counted from the state on.
fn field(pid: i32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number).map(str::to_owned)
}

/// The process of a record: an object with its number and its start. `None` once it has ended.
pub(crate) fn recorded(record: &Value) -> Option<i32> {
    let pid = i32::try_from(record["pid"].as_i64()?).ok()?;
    let is_it = started(pid) == record["start"].as_u64();
    (is_it && is_alive(pid)).then_some(pid)
}

/// Kills a process that was looked up just now, and has not been waited for; one that is gone
/// already is as good.
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
    let ours = supervisor.and_then(|pid| Process::seen(pid, root));
    ours.iter().for_each(Process::kill);
    let gone = || {
        let left = of(root);
        left.iter().for_each(Process::kill);
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

/// Returns whether a process has not executed its program yet: it is a copy of this test then, and
/// has opened what any other sandbox of it had open when it was made.
fn is_about_to_begin(pid: i32) -> bool {
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    program(&pid.to_string()).is_some_and(|it| Some(it) == program("self"))
}

pub(crate) fn belongs(pid: i32, root: &Path) -> bool {
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
