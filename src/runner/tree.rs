//! The processes below a runner: finding them, assigning them to containers, killing them.
//!
//! The runner is the subreaper of everything it starts, so whatever a container leaves behind
//! becomes the runner's child sooner or later. What a *dead* runner left is found by the sessions
//! in its record and by a marker in the environment.

use std::collections::HashMap;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::rlimit_mark;
use crate::model::environment::{CONTAINER_VARIABLE, POD_UID_VARIABLE, STATE_DIR_VARIABLE};
use crate::store::RunnerRecord;
use crate::sys;
use crate::sys::proc::{ProcessId, Stat, processes, stat, variable_of};

/// Returns the session that a process belongs to.
pub(super) fn session_of(pid: u32) -> Option<u32> {
    stat(pid).ok().map(|stat| stat.session)
}

/// Returns the container that a process of this pod says it belongs to.
pub(super) fn container_of(pid: u32) -> Option<String> {
    variable_of(pid, CONTAINER_VARIABLE)
}

/// Returns whether a process says that it belongs to a container of the pod with this uid.
pub(super) fn says_it_is_of(pid: u32, uid: &str, name: &str, home: (&Path, &Path)) -> bool {
    !uid.is_empty()
        && variable_of(pid, POD_UID_VARIABLE).as_deref() == Some(uid)
        && container_of(pid).as_deref() == Some(name)
        && !is_of_another(pid, home.0, home.1)
}

/// Kills all processes that a dead runner of this pod left behind, and returns once they are gone.
pub(super) fn kill_leftovers(
    record: &RunnerRecord,
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

/// Returns whether a process belongs to the same pet of another state directory: one that was
/// copied has the records and uids of its original. `pet` is the pet's directory in this one.
fn is_of_another(pid: u32, root: &Path, pet: &Path) -> bool {
    let Some(says) = variable_of(pid, STATE_DIR_VARIABLE) else {
        return false;
    };
    // A directory that was moved is gone from where it was.
    let Ok(other) = Path::new(&says).canonicalize() else {
        return false;
    };
    let pet = pet.strip_prefix(root).unwrap_or(pet);
    other != root && other.join(pet).exists()
}

/// Kills the process that has this number and start time, and returns a pidfd to wait for its end.
fn kill_for_sure(process: ProcessId) -> Option<std::os::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Looked at after opening: from here on the number cannot mean another process.
    if !process.is_alive() {
        return None;
    }
    rustix::process::pidfd_send_signal(&handle, Signal::KILL).ok()?;
    Some(handle)
}

fn leftovers(
    record: &RunnerRecord,
    uid: &str,
    spared: Option<u32>,
    (root, pet): (&Path, &Path),
) -> Vec<ProcessId> {
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
        let marked =
            || !uid.is_empty() && variable_of(pid, POD_UID_VARIABLE).as_deref() == Some(uid);
        let limited = || record.rlimit_mark.is_some() && rlimit_mark::of(pid) == record.rlimit_mark;
        let traced = ours(pid) && (recorded || marked() || limited());
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
    known.map(|(pid, start)| ProcessId { pid, start }).collect()
}

/// Sends a signal to all of them; those that are gone are passed over.
pub(super) fn signal_all(processes: &[u32], signal: Signal) {
    for &pid in processes {
        let _ = sys::signal_process(pid, signal);
    }
}
