//! Who is in a private network, and may leave it.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

/// One that is attached.
#[derive(Debug)]
struct Guest {
    /// Tells it from who had the address before.
    ticket: u64,
    egress: bool,
}

/// The pets that are attached, by their addresses in the network.
#[derive(Debug)]
pub(super) struct Guests {
    present: RwLock<HashMap<Ipv4Addr, Guest>>,
    last: AtomicU64,
    gone: Mutex<Vec<Ipv4Addr>>,
    wake: PipeReader,
    waker: PipeWriter,
}

impl Guests {
    pub(super) fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        Ok(Self {
            present: RwLock::default(),
            last: AtomicU64::default(),
            gone: Mutex::default(),
            wake,
            waker,
        })
    }

    /// Takes note of a pet, and whether the world is open to it. Returns what it shows when it goes.
    pub(super) fn welcome(&self, ip: Ipv4Addr, egress: bool) -> u64 {
        let ticket = self.last.fetch_add(1, Ordering::Relaxed);
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if present.insert(ip, Guest { ticket, egress }).is_some() {
            self.end_all_of(ip);
        }
        ticket
    }

    /// Takes note that a pet has gone: what it had in the world ends. The next one at its address
    /// may have come already.
    pub(super) fn part(&self, ip: Ipv4Addr, ticket: u64) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if present.get(&ip).is_some_and(|guest| guest.ticket == ticket) {
            present.remove(&ip);
            self.end_all_of(ip);
        }
    }

    fn end_all_of(&self, ip: Ipv4Addr) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(ip);
        let _ = (&self.waker).write(&[0]);
    }

    /// Tells whether the world is open to who has this address.
    pub(super) fn may_leave(&self, ip: Ipv4Addr) -> bool {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        present.get(&ip).is_some_and(|guest| guest.egress)
    }

    /// Becomes readable when a pet has gone.
    pub(super) fn news(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Returns who has gone since this was asked last.
    pub(super) fn departed(&self) -> Vec<Ipv4Addr> {
        let _ = (&self.wake).read(&mut [0; 64]);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut gone)
    }
}
