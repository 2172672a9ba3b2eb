//! A mark that a process cannot shake off: every process that a runner starts, however deep below
//! it and however hard it tried to get away, can be told from all others.
//!
//! A daemon may leave its session, its parent, its directory and its environment; its resource
//! limits it inherits. The limit of real-time scheduling (`RLIMIT_RTTIME`) means nothing to a
//! process that is not scheduled so, and even then a brand is an allowance of more than 100,000
//! years. A hard limit can only be lowered, so a brand is always a little less than the one that
//! is inherited, should a runner have been started from within a pet.

use std::fs::{self, File};
use std::io::Read;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The brand of a runner that has inherited none, before what is random is taken away.
const FIRST: u64 = 1 << 62;
/// How much two brands may differ: enough that no two runners draw the same.
const SPREAD: u64 = 1 << 40;
/// A limit below this was meant as one, and stays as it is.
const LEAST: u64 = 1 << 61;

/// Brands this process and all that it will start; `None` where that cannot be done.
pub(super) fn apply() -> Option<u64> {
    let inherited = getrlimit(Resource::Rttime).maximum.unwrap_or(FIRST);
    let brand = inherited.min(FIRST).checked_sub(1 + random()? % SPREAD)?;
    let limit = Rlimit {
        current: Some(brand),
        maximum: Some(brand),
    };
    let applies = brand >= LEAST && setrlimit(Resource::Rttime, limit).is_ok();
    applies.then_some(brand)
}

/// Returns the brand of a process, or what it has in its place.
pub(super) fn of(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    // The soft limit comes first: a program may lower it.
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn random() -> Option<u64> {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut bytes));
    read.is_ok().then_some(u64::from_ne_bytes(bytes))
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
