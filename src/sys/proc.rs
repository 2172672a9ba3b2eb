//! What `/proc` tells of processes and of the kernel.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// A process: its number counts only together with the time it started, because numbers are used
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    pub(crate) start: u64,
}

impl ProcessId {
    /// Returns the process that has this number now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let start = stat(pid)?.start;
        Ok(Self { pid, start })
    }

    /// Returns whether this very process still runs.
    pub(crate) fn is_alive(self) -> bool {
        started(self.pid) == Some(self.start)
    }
}

/// The fields of `/proc/<pid>/stat` that petset reads, see proc_pid_stat(5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// The kernel's flags (`PF_*`).
    pub(crate) flags: u32,
    /// The CPU time that it has used, in clock ticks.
    pub(crate) used: u64,
    /// That of its children whose ends it has seen, and of theirs.
    pub(crate) used_by_ended: u64,
    pub(crate) start: u64,
}

impl Stat {
    /// Returns whether the process has ended: a zombie waits for its parent to reap it.
    pub(crate) const fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Returns when a process was started, in clock ticks since boot; `None` for a dead one.
pub(crate) fn started(pid: u32) -> Option<u64> {
    let now = stat(pid).ok()?;
    (!now.is_dead()).then_some(now.start)
}

/// Returns whether a process has ended, or is about to and waits for others.
pub(crate) fn is_exiting(pid: u32) -> bool {
    const PF_EXITING: u32 = 4;
    stat(pid).map_or(true, |now| now.is_dead() || now.flags & PF_EXITING != 0)
}

/// Returns whether a process is to end, or has ended and was not reaped: one that was killed may
/// have to wait for a processor to notice. `None` where there is no such process.
pub(crate) fn is_doomed(pid: u32) -> Option<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(is_exiting(pid) || is_killed(&status))
}

fn is_killed(status: &str) -> bool {
    let killed = |name| signal_set(status, name).is_some_and(|set| set & bit_of(Signal::KILL) != 0);
    killed("SigPnd") || killed("ShdPnd")
}

/// Returns whether a process neither handles, blocks nor ignores a signal.
pub(crate) fn is_unprepared(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| has_no_use(&status, signal))
}

fn has_no_use(status: &str, signal: Signal) -> bool {
    let sets = ["SigBlk", "SigIgn", "SigCgt"].map(|name| signal_set(status, name));
    let mut sets = sets.into_iter();
    sets.all(|set| set.is_some_and(|set| set & bit_of(signal) == 0))
}

/// Returns a set of signals of a process, one bit each.
fn signal_set(status: &str, name: &str) -> Option<u64> {
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

const fn bit_of(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// Reads the status of a process.
pub(crate) fn stat(pid: u32) -> io::Result<Stat> {
    // One read: the kernel hands it out in one piece, and it is read often.
    let mut buffer = [0; 1024];
    let length = fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    parse_stat(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The command's name, in parentheses, may itself hold parentheses and blanks.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        used: sum(&fields, 11)?,
        used_by_ended: sum(&fields, 13)?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Returns the time in user mode and that in the kernel, together.
fn sum(fields: &[&str], at: usize) -> Option<u64> {
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    ticks(at)?.checked_add(ticks(at + 1)?)
}

/// Clock ticks in a second, of all values that the kernel shows to programs (`USER_HZ`).
pub(crate) const TICKS: u64 = 100;

/// Returns the bytes of memory of a process: its share of what it has together with others, or
/// where that is not for this user to see, all of it.
pub(crate) fn memory_used(pid: u32) -> Option<u64> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes << 10)
    };
    field("smaps_rollup", "Pss").or_else(|| field("status", "VmRSS"))
}

/// Adds to `found` everything below the processes that are in it, except `spared` and what is
/// below that.
pub(crate) fn add_descendants(found: &mut Vec<u32>, spared: Option<u32>) {
    let mut next = 0;
    while next < found.len() {
        for child in children(found[next]) {
            if !found.contains(&child) && Some(child) != spared {
                found.push(child);
            }
        }
        next += 1;
    }
}

/// Lists the processes that are in the process namespace of one, itself among them; none where that
/// may not be looked at.
pub(crate) fn neighbours(pid: u32) -> Vec<u32> {
    let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = space(pid) else {
        return Vec::new();
    };
    processes()
        .filter(|&other| space(other).as_ref() == Some(&own))
        .collect()
}

/// Lists the children of a process, those of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => all.extend(text.split_ascii_whitespace().flat_map(str::parse::<u32>)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && thread.path().exists() => {
                return children_by_scan(pid);
            }
            Err(_) => {}
        }
    }
    all
}

/// Does the same for a kernel that does not list children.
fn children_by_scan(pid: u32) -> Vec<u32> {
    let is_child = |&other: &u32| stat(other).is_ok_and(|it| it.parent == pid);
    processes().filter(is_child).collect()
}

/// Lists the numbers of all processes.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Reads the words that a process was started with, each with a zero byte after it. A copy of a
/// process may show shorter ones, with more zeros after them.
pub(crate) fn command_line_of(pid: u32) -> io::Result<Vec<u8>> {
    let mut line = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = line.iter().rposition(|&byte| byte != 0);
    line.truncate(words.map_or(0, |last| last + 2));
    Ok(line)
}

/// Reads a process's environment. The file is its owner's alone, who may be a subordinate of this
/// user's: then it is the rights over their namespace that count.
pub(crate) fn environment_of(pid: u32) -> io::Result<Vec<u8>> {
    const MOST: usize = 1 << 20;
    match fs::read(format!("/proc/{pid}/environ")) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let text = fs::read(format!("/proc/{pid}/stat"))?;
            let place = environment_place(&String::from_utf8_lossy(&text));
            let (start, end) = place.filter(|it| it.0 < it.1).ok_or(error)?;
            super::memory_of(pid, start, (end - start).min(MOST))
        }
        other => other,
    }
}

/// Returns where a process has its environment; zeros where that is not told.
fn environment_place(text: &str) -> Option<(usize, usize)> {
    place_in(text, 47)
}

/// Returns where this process has the words that it was started with.
pub(crate) fn own_words_place() -> Option<(usize, usize)> {
    let text = fs::read("/proc/self/stat").ok()?;
    place_in(&String::from_utf8_lossy(&text), 45)
}

/// Returns the addresses in two fields of `/proc/<pid>/stat`, of which so many follow the name.
fn place_in(text: &str, before: usize) -> Option<(usize, usize)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(before);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Returns a variable of the environment that a process was started with.
pub(crate) fn variable_of(pid: u32, name: &str) -> Option<String> {
    let environment = environment_of(pid).ok()?;
    let mut variables = environment.split(|&byte| byte == 0);
    let value = variables.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Returns in how many process namespaces a process is, of those that this one's `/proc` shows: as
/// many as this one for a process of the same namespace, and more for one of a namespace below it.
pub(crate) fn namespaces_of(pid: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines();
    let numbers = lines.find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(numbers.split_ascii_whitespace().count())
}

/// Lists the sockets of this process's network that have a path.
pub(crate) fn named_sockets() -> Vec<PathBuf> {
    let text = fs::read("/proc/self/net/unix").unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    let paths = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b'/')?;
        Some(PathBuf::from(OsStr::from_bytes(&line[at..])))
    });
    paths.collect()
}

/// Returns what tells this boot of the machine from all others.
pub(crate) fn boot_id() -> String {
    setting("kernel/random/boot_id").unwrap_or_default()
}

/// Returns a value of the kernel below `/proc/sys`, such as `user/max_user_namespaces`.
pub(crate) fn setting(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_parentheses_and_blanks() {
        let text = "42 (a) b) (c)) S 7 42 42 0 -1 0 0 0 0 0 3 4 50 60 20 0 1 0 98765 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.used, stat.used_by_ended), (7, 110));
        assert_eq!((stat.state, stat.parent), (b'S', 7));
        assert_eq!((stat.session, stat.start), (42, 98765));
    }

    #[test]
    fn a_signal_that_is_handled_blocked_or_ignored_is_of_use() {
        let status = "SigPnd:\t0000000000000000\nSigBlk:\t0000000000000001\n\
                      SigIgn:\t0000000000000004\nSigCgt:\t0000000000000002\n";
        let without = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM]
            .map(|signal| has_no_use(status, signal));
        assert_eq!(without, [false, false, false, true]);
        assert!(!has_no_use("", Signal::TERM));
    }

    #[test]
    fn a_process_that_was_killed_is_doomed_before_it_notices() {
        let status =
            |own: u32, shared: u32| format!("SigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n");
        let killed = [(0, 0), (0x100, 0), (0, 0x100), (0x200, 0x80)].map(|(own, shared)| {
            let status = status(own, shared);
            is_killed(&status)
        });
        assert_eq!(killed, [false, true, true, false]);
        assert_eq!(is_doomed(std::process::id()), Some(false));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while is_doomed(child.id()) == Some(false) {
            std::thread::yield_now();
        }
        assert_eq!(is_doomed(child.id()), Some(true));
        child.wait().unwrap();
    }

    #[test]
    fn this_process_is_alive_only_with_its_own_start_time() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let start = me.start + 1;
        assert!(!ProcessId { start, ..me }.is_alive());
    }

    #[test]
    fn children_are_listed_and_a_scan_agrees() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let me = std::process::id();
        assert!(children(me).contains(&child.id()));
        assert!(children_by_scan(me).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(me).contains(&child.id()));
    }

    #[test]
    fn this_process_has_some_memory_and_a_dead_one_none() {
        assert!(memory_used(std::process::id()).is_some_and(|bytes| bytes > 100 << 10));
        assert_eq!(memory_used(u32::MAX), None);
    }

    #[test]
    fn a_process_has_started_once_and_a_dead_one_never() {
        assert!(started(std::process::id()).is_some());
        assert_eq!(started(u32::MAX), None);
    }
}
