//! Which pets are attached to a private network, and which of them may leave it.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::store::network;

/// One attached pet.
#[derive(Debug)]
struct Attachment {
    /// Tells it from the pet that had the address before.
    id: u64,
    egress: bool,
    /// The runner, to be told something once.
    runner: Option<Arc<UnixStream>>,
}

/// The pets that are attached, by their addresses in the private network.
#[derive(Debug)]
pub(super) struct Attached {
    pets: RwLock<HashMap<Ipv4Addr, Attachment>>,
    last: AtomicU64,
    /// The addresses of pets that have gone.
    gone: Mutex<Vec<Ipv4Addr>>,
    wake: PipeReader,
    waker: PipeWriter,
}

impl Attached {
    /// Begins without pets.
    pub(super) fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        Ok(Self {
            pets: RwLock::default(),
            last: AtomicU64::default(),
            gone: Mutex::default(),
            wake,
            waker,
        })
    }

    /// Adds a pet, and whether it may leave the network. Returns its attachment id.
    pub(super) fn add(&self, ip: Ipv4Addr, egress: bool) -> u64 {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let mut pets = self.pets.write().unwrap_or_else(PoisonError::into_inner);
        let attachment = Attachment {
            id,
            egress,
            runner: None,
        };
        if pets.insert(ip, attachment).is_some() {
            self.note_gone(ip);
        }
        id
    }

    /// Notes the runner of a pet, which has been told that it is attached.
    pub(super) fn note_runner(&self, ip: Ipv4Addr, attachment_id: u64, runner: &Arc<UnixStream>) {
        let mut pets = self.pets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(pet) = pets.get_mut(&ip).filter(|pet| pet.id == attachment_id) {
            pet.runner = Some(Arc::clone(runner));
        }
    }

    /// Tells the runner of a pet something, unless it was told already.
    pub(super) fn tell_once(&self, ip: Ipv4Addr, words: &str) {
        let mut pets = self.pets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(runner) = pets.get_mut(&ip).and_then(|pet| pet.runner.take()) {
            network::tell(&runner, words);
        }
    }

    /// Removes a pet, unless the next one at its address has come already: its egress ends.
    pub(super) fn remove(&self, ip: Ipv4Addr, attachment_id: u64) {
        let mut pets = self.pets.write().unwrap_or_else(PoisonError::into_inner);
        if pets.get(&ip).is_some_and(|pet| pet.id == attachment_id) {
            pets.remove(&ip);
            self.note_gone(ip);
        }
    }

    fn note_gone(&self, ip: Ipv4Addr) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(ip);
        let _ = (&self.waker).write(&[0]);
    }

    /// Returns whether the pet with this address may leave the network.
    pub(super) fn may_leave(&self, ip: Ipv4Addr) -> bool {
        let pets = self.pets.read().unwrap_or_else(PoisonError::into_inner);
        pets.get(&ip).is_some_and(|pet| pet.egress)
    }

    /// Becomes readable when a pet has gone.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Returns the addresses of pets that have gone since the last call.
    pub(super) fn take_gone(&self) -> Vec<Ipv4Addr> {
        let _ = (&self.wake).read(&mut [0; 64]);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut gone)
    }
}
