//! The processes below a runner: who they are, whose they are, and how they all end.
//!
//! The runner is the subreaper of everything it starts, so whatever a container leaves behind
//! becomes the runner's child sooner or later. What a *dead* runner left is found by the sessions
//! in its record and by a marker in the environment.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::brand;
use super::container::{CONTAINER_VARIABLE, UID_VARIABLE};
use super::record::Record;
use crate::sys;

/// The variable that says which state directory a process belongs to.
const STATE_VARIABLE: &str = "PETSET_STATE_DIR";

/// A process: its number counts only together with the time it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    pub(crate) start: u64,
}

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, Clone, Copy)]
struct Stat {
    state: u8,
    parent: u32,
    session: u32,
    start: u64,
}

/// Returns the identity of the process that has this number now.
pub(crate) fn identity_of(pid: u32) -> io::Result<Identity> {
    let start = stat(pid)?.start;
    Ok(Identity { pid, start })
}

/// Returns when a process was started, in clock ticks since boot; nothing for a dead one.
pub(crate) fn started(pid: u32) -> Option<u64> {
    let now = stat(pid).ok()?;
    (!matches!(now.state, b'Z' | b'X')).then_some(now.start)
}

/// Returns whether this very process still runs.
pub(super) fn is_alive(process: Identity) -> bool {
    started(process.pid) == Some(process.start)
}

fn stat(pid: u32) -> io::Result<Stat> {
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
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Lists the children of a process, those of all its threads.
pub(super) fn children(pid: u32) -> Vec<u32> {
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

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Adds to `found` everything below the processes that are in it, except `spared` and what is
/// below that.
pub(super) fn add_descendants(found: &mut Vec<u32>, spared: Option<u32>) {
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

/// Returns the session that a process belongs to.
pub(super) fn session_of(pid: u32) -> Option<u32> {
    stat(pid).ok().map(|stat| stat.session)
}

/// Returns the container that a process of this pod says it belongs to.
pub(super) fn container_of(pid: u32) -> Option<String> {
    variable_of(pid, CONTAINER_VARIABLE)
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
            sys::memory_of(pid, start, (end - start).min(MOST))
        }
        other => other,
    }
}

/// Returns where a process has its environment; zeros where that is not told.
fn environment_place(text: &str) -> Option<(usize, usize)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(47);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn variable_of(pid: u32, name: &str) -> Option<String> {
    let environment = environment_of(pid).ok()?;
    let mut variables = environment.split(|&byte| byte == 0);
    let value = variables.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Kills whatever a dead runner of this pod left behind, and returns once it is gone.
pub(super) fn kill_leftovers(
    record: &Record,
    uid: &str,
    spared: Option<u32>,
    home: (&Path, &Path),
) {
    loop {
        let left = leftovers(record, uid, spared, home);
        let doomed: Vec<_> = left.into_iter().filter_map(kill_for_sure).collect();
        if doomed.is_empty() {
            return;
        }
        for process in doomed {
            let mut one = [rustix::event::PollFd::new(
                &process,
                rustix::event::PollFlags::IN,
            )];
            let patience = rustix::event::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            let _ = rustix::event::poll(&mut one, Some(&patience));
        }
    }
}

/// Tells whether a process belongs to the same pet of another state directory: one that was
/// copied has the records and uids of its original. `pet` is the pet's directory in this one.
fn is_of_another(pid: u32, root: &Path, pet: &Path) -> bool {
    let Some(says) = variable_of(pid, STATE_VARIABLE) else {
        return false;
    };
    // A directory that was moved is gone from where it was.
    let Ok(other) = Path::new(&says).canonicalize() else {
        return false;
    };
    let pet = pet.strip_prefix(root).unwrap_or(pet);
    other != root && other.join(pet).exists()
}

/// Kills the process that has this number and start time, and returns what to wait for.
fn kill_for_sure(process: Identity) -> Option<std::os::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Looked at after opening: from here on the number cannot mean another process.
    if !is_alive(process) {
        return None;
    }
    rustix::process::pidfd_send_signal(&handle, Signal::KILL).ok()?;
    Some(handle)
}

fn leftovers(
    record: &Record,
    uid: &str,
    spared: Option<u32>,
    (root, pet): (&Path, &Path),
) -> Vec<Identity> {
    let all: HashMap<u32, Stat> = processes()
        .filter_map(|pid| Some((pid, stat(pid).ok()?)))
        .filter(|(_, stat)| stat.state != b'Z')
        .collect();
    let own = std::process::id();
    let ours = |pid: u32| pid != own && Some(pid) != spared;
    let mut found: Vec<u32> = Vec::new();
    for (&pid, stat) in &all {
        let recorded = record.containers.iter().any(|main| {
            let leader = all.get(&main.process.pid);
            let same = leader.is_none_or(|leader| leader.start == main.process.start);
            same && stat.session == main.process.pid && stat.start >= main.process.start
        });
        let marked = || !uid.is_empty() && variable_of(pid, UID_VARIABLE).as_deref() == Some(uid);
        let branded = || record.brand.is_some() && brand::of(pid) == record.brand;
        let traced = ours(pid) && (recorded || marked() || branded());
        if traced && !is_of_another(pid, root, pet) {
            found.push(pid);
        }
    }
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let below = all.iter().filter(|(_, stat)| stat.parent == parent);
        let below: Vec<u32> = below.map(|(&pid, _)| pid).collect();
        let new = below.into_iter().filter(|&pid| ours(pid));
        let new: Vec<u32> = new.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    let identity = |pid| all.get(&pid).map(|stat| (pid, stat.start));
    let known = found.into_iter().filter_map(identity);
    known.map(|(pid, start)| Identity { pid, start }).collect()
}

/// Sends a signal to all of them; those that are gone are passed over.
pub(super) fn signal_all(processes: &[u32], signal: Signal) {
    for &pid in processes {
        let _ = sys::signal_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_parentheses_and_blanks() {
        let text = "42 (a) b) (c)) S 7 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.parent), (b'S', 7));
        assert_eq!((stat.session, stat.start), (42, 98765));
    }

    #[test]
    fn this_process_is_alive_only_with_its_own_start_time() {
        let me = identity_of(std::process::id()).unwrap();
        assert!(is_alive(me));
        assert!(!is_alive(Identity {
            start: me.start + 1,
            ..me
        }));
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
}
