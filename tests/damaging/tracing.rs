//! What strace tells of the processes that it follows: which role of petset each one plays, and
//! how many calls of each kind it made.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Sandbox, processes, wait_until};

/// The calls after which something is on the disk, is sent, or runs. A name that the machine does
/// not have is passed over.
pub(crate) const CALLS: [&str; 39] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "open",
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "mknodat",
    "bind",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "pivot_root",
    "unshare",
    "setns",
    "sendto",
    "sendmsg",
    "clone",
    "clone3",
    "vfork",
    "execve",
];
/// No tracer takes longer to come or to go.
const TRACER: Duration = Duration::from_secs(5);

/// One call of a process that was traced.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) role: String,
    pub(crate) name: &'static str,
    /// Which of its calls of this name it is.
    pub(crate) number: u64,
}

/// A running strace; one that is forgotten is killed.
pub(crate) struct Tracer {
    strace: Child,
    log: PathBuf,
    /// The role of what it traced first.
    first: &'static str,
    /// What it was attached to.
    pid: Option<i32>,
}

/// How to trace: with `--inject` as that option has it, and whether children are followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) injection: Option<&'a str>,
    pub(crate) follow: bool,
}

impl Tracer {
    /// Runs a command below a tracer.
    pub(crate) fn of(sandbox: &Sandbox, words: &[String], first: &'static str, how: How) -> Self {
        // Without `--seccomp-bpf`, the filter of which would outlive the tracer and fail each call.
        Self::start(sandbox, words, (first, None), how)
    }

    /// Attaches a tracer to a process that runs.
    pub(crate) fn at(sandbox: &Sandbox, pid: i32, first: &'static str, how: How) -> Self {
        let options = ["-p".to_owned(), pid.to_string()];
        let tracer = Self::start(sandbox, &options, (first, Some(pid)), how);
        let attached = || is_traced(pid) || !processes::is_alive(pid);
        let _ = wait_until(attached, TRACER);
        tracer
    }

    fn start(
        sandbox: &Sandbox,
        options: &[String],
        (first, pid): (&'static str, Option<i32>),
        how: How,
    ) -> Self {
        let log = sandbox.scratch().join("strace");
        let _ = fs::remove_file(&log);
        let calls: Vec<String> = CALLS.iter().map(|call| format!("?{call}")).collect();
        let mut strace = Command::new("strace");
        strace
            .args(["-q", "-s", "16", "-e", "signal=none", "-o"])
            .arg(&log);
        strace.args(["-e", &format!("trace={}", calls.join(","))]);
        strace.args(how.injection.iter().flat_map(|it| ["-e", it]));
        strace.args(how.follow.then_some("-f")).args(options);
        sandbox.place(&mut strace);
        strace.stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            strace: strace.spawn().unwrap(),
            log,
            first,
            pid,
        }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.strace.id()).unwrap()
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        wait_until(|| self.strace.try_wait().unwrap().is_some(), limit)
    }

    /// Waits for the end of the command that it started, but no longer than this; returns whether
    /// it succeeded.
    pub(crate) fn succeeds_within(&mut self, limit: Duration) -> bool {
        let mut succeeded = false;
        let log = self.log.clone();
        let over = || {
            let text = fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let end = text.lines().next().and_then(|first| {
                let pid = parse(first).0;
                text.lines()
                    .find(|it| parse(it).0 == pid && parse(it).1.starts_with("+++"))
            });
            succeeded = end.is_some_and(|end| end.contains("exited with 0 "));
            end.is_some()
        };
        let _ = wait_until(over, limit);
        succeeded
    }

    /// Ends the tracer, and the command that it started; what else it traces runs on. Returns the
    /// calls of each process.
    pub(crate) fn end(mut self) -> Vec<Call> {
        let command = children(self.pid());
        for signal in [Signal::TERM, Signal::KILL] {
            if !self.ends_within(Duration::ZERO) {
                processes::signal(self.pid(), signal);
                self.ends_within(TRACER);
            }
        }
        // One whose tracer had to be killed is nobody's.
        command.into_iter().for_each(processes::kill);
        let text = fs::read(&self.log).unwrap_or_default();
        calls(&String::from_utf8_lossy(&text), self.first, self.pid)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

fn children(pid: i32) -> Vec<i32> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().flat_map(str::parse).collect()
}

/// Whether a tracer has a process.
fn is_traced(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}

/// Reads a log of strace. Roles are known from what was attached to, executed, or started by whom.
fn calls(text: &str, first: &str, attached: Option<i32>) -> Vec<Call> {
    let parents = parents(text);
    let mut roles: HashMap<i32, &str> = HashMap::new();
    let mut numbers: HashMap<(i32, &str), u64> = HashMap::new();
    let mut executing: HashMap<i32, &str> = HashMap::new();
    let mut calls = Vec::new();
    let started = || parse(text.lines().next()?).0;
    let first_pid = attached.or_else(started).unwrap_or(0);
    for line in text.lines() {
        let (pid, rest) = parse(line);
        let pid = pid.unwrap_or(first_pid);
        let role = roles.get(&pid).copied().unwrap_or_else(|| {
            // Threads that were there before the tracer came play its first role.
            let parent = parents.get(&pid);
            let role = parent.and_then(|it| roles.get(&it.0)).copied();
            match parent {
                Some((_, false)) if role == Some("nursery") => "runner",
                Some((_, false)) if role == Some("runner") => "container",
                _ => role.unwrap_or(first),
            }
        });
        roles.insert(pid, role);
        if let Some(name) = name_of(rest) {
            let number = numbers.entry((pid, name)).or_default();
            *number += 1;
            calls.push(Call {
                role: role.to_owned(),
                name,
                number: *number,
            });
        }
        if rest.starts_with("execve(") {
            executing.insert(pid, rest);
        }
        let is_first = attached.is_none() && pid == first_pid && calls.len() < 2;
        if rest.contains("execve") && rest.ends_with("= 0") && !is_first {
            roles.insert(pid, executed(executing.get(&pid).unwrap_or(&"")));
        }
    }
    calls
}

/// The parent of each process and thread that was started, and whether it is a thread.
fn parents(text: &str) -> HashMap<i32, (i32, bool)> {
    let mut flags: HashMap<i32, &str> = HashMap::new();
    let mut parents = HashMap::new();
    for line in text.lines() {
        let (pid, rest) = parse(line);
        let Some(pid) = pid.filter(|_| rest.contains("clone") || rest.contains("fork")) else {
            continue;
        };
        if !rest.starts_with("<...") {
            flags.insert(pid, rest);
        }
        let is_thread = flags
            .get(&pid)
            .is_some_and(|it| it.contains("CLONE_THREAD"));
        if let Some(child) = result(rest) {
            parents.insert(child, (pid, is_thread));
        }
    }
    parents
}

/// Splits a line into the pid, where it names one, and what was called.
fn parse(line: &str) -> (Option<i32>, &str) {
    let digits = line.len()
        - line
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    match line[..digits].parse() {
        Ok(pid) => (Some(pid), line[digits..].trim_start()),
        Err(_) => (None, line),
    }
}

fn name_of(rest: &str) -> Option<&'static str> {
    let name = rest.split_once('(')?.0;
    CALLS.into_iter().find(|call| *call == name)
}

/// What a call returned, if that is a number above 0.
fn result(rest: &str) -> Option<i32> {
    let pid: i32 = rest.rsplit_once("= ")?.1.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// The role of a program that was executed.
fn executed(rest: &str) -> &'static str {
    let roles = [
        "supervisor",
        "nursery",
        "runner",
        "network",
        "proxy",
        "userns-helper",
    ];
    let is_petset = rest.contains("[\"petset\"");
    let played = roles
        .into_iter()
        .find(|role| rest.contains(&format!("\"{role}\"")));
    match played {
        Some(role) if is_petset => role,
        None if is_petset => "command",
        _ => "pet",
    }
}
