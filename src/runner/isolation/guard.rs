//! The end of a pet in the host's network whose runner was killed, should the supervisor be dead
//! too: there is no network process to see to it.
//!
//! This runs after a fork: it must not allocate.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::event::{Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Stat, open, statat};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// How often processes are looked for that have escaped by forking meanwhile.
const ROUNDS: u32 = 500;
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// Kills all other processes that have this one's host name.
pub(super) fn end_others() {
    let Ok(own) = statat(CWD, c"/proc/self/ns/uts", AtFlags::empty()) else {
        return;
    };
    for _ in 0..ROUNDS {
        if !end_some(&own) {
            return;
        }
        let _ = poll(&mut [], Some(&PAUSE));
    }
}

/// Kills those that there are; returns whether there were any.
fn end_some(own: &Stat) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(all) = open(c"/proc", flags, Mode::empty()) else {
        return false;
    };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&all, &mut buffer);
    let mut found = false;
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_bytes();
        let mut path = [0; 32];
        let Some(pid) = pid_of(name).filter(|pid| *pid != getpid()) else {
            continue;
        };
        let parts = name.iter().chain(b"/ns/uts");
        path.iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = *from);
        let namespace = CStr::from_bytes_until_nul(&path).map(|path| {
            let of = statat(&all, path, AtFlags::empty());
            of.is_ok_and(|it| (it.st_dev, it.st_ino) == (own.st_dev, own.st_ino))
        });
        found |= namespace == Ok(true) && kill_process(pid, Signal::KILL).is_ok();
    }
    found
}

fn pid_of(name: &[u8]) -> Option<Pid> {
    let digit = |number: i32, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    Pid::from_raw(name.iter().try_fold(0, digit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_processes() {
        for (name, pid) in [("1", Some(1)), ("41953", Some(41953)), ("0", None)] {
            assert_eq!(
                pid_of(name.as_bytes()).map(|it| it.as_raw_nonzero().get()),
                pid
            );
        }
        for name in ["self", "1a", "99999999999", ""] {
            assert_eq!(pid_of(name.as_bytes()), None, "{name}");
        }
    }
}
