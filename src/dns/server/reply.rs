//! What the UDP and the TCP server share: answering one query, and waiting.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use crate::dns::zone::Zone;
use crate::dns::zone::message::{QueryOutcome, Transport, consider};

/// Answers a query; one that makes us panic is dropped.
pub(super) fn reply_to(
    zone: &RwLock<Zone>,
    query: &[u8],
    transport: Transport,
    may: bool,
) -> Option<QueryOutcome> {
    let zone = zone.read().unwrap_or_else(PoisonError::into_inner);
    catch_unwind(AssertUnwindSafe(|| consider(&zone, query, transport, may)))
        .ok()
        .flatten()
}

/// Waits until one of `polled` is ready, or until `limit` has passed.
pub(super) fn wait(polled: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    match poll(polled, limit) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
