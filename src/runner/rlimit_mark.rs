//! A resource limit as a mark: it finds every process that a dead runner left behind, however deep
//! below it and however hard the process tried to get away.
//!
//! A daemon may leave its session, its parent, its directory and its environment, which are what
//! leftovers are found by otherwise; resource limits it inherits. Without the mark a program that
//! forks twice, calls `setsid` and clears its environment, as some servers do, would go on beside
//! its successor, with the same volume and address: the promise that an identity has one process
//! would not hold at the level `none`, where there is no pid namespace. The mark costs one system
//! call per runner, and one small file per process when a successor looks for leftovers.
//!
//! The limit is that of real-time scheduling (`RLIMIT_RTTIME`), which means nothing to a process
//! that is not scheduled so; even then a mark allows more than 50,000 years. A hard limit
//! can only be lowered, so that a mark is always a little less than the inherited one, should a
//! runner have been started from within a pet.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::rand::{GetRandomFlags, getrandom};

/// The mark of a runner that has inherited none, before a random number is subtracted.
const FIRST: u64 = 1 << 62;
/// The range of that random number: wide enough that no two runners draw the same.
const SPREAD: u64 = 1 << 40;
/// A limit below this was meant as one, and is left as it is.
const LEAST: u64 = 1 << 61;

/// Marks this process and all that it will start; `None` where that is impossible.
pub(super) fn apply() -> Option<u64> {
    let inherited = getrlimit(Resource::Rttime).maximum.unwrap_or(FIRST);
    let mark = inherited.min(FIRST).checked_sub(1 + random()? % SPREAD)?;
    let limit = Rlimit {
        current: Some(mark),
        maximum: Some(mark),
    };
    let applies = mark >= LEAST && setrlimit(Resource::Rttime, limit).is_ok();
    applies.then_some(mark)
}

/// Returns the hard limit of a process, which is its mark if it has one.
pub(super) fn of(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    // The soft limit comes first: a program may lower it.
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns whether a process has the mark of a runner, and not only that of this process.
pub(super) fn is_marked(pid: u32) -> bool {
    let own = getrlimit(Resource::Rttime).maximum;
    let mark = of(pid);
    mark != own && mark.is_some_and(|mark| (LEAST..FIRST).contains(&mark))
}

fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    (filled == bytes.len()).then_some(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_process_is_read_as_the_kernel_has_it() {
        let own = getrlimit(Resource::Rttime).maximum;
        assert_eq!(of(std::process::id()), own);
    }
}
