//! The loop of a thread that carries what comes: it waits for events, and now and then tidies up.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event};
use rustix::io::Errno;

const EVENTS: usize = 64;
/// How often what may have become too old is looked for.
const TICK: Duration = Duration::from_secs(2);
/// How long nobody is let in after the system could not give another descriptor.
const PAUSE: Duration = Duration::from_millis(50);

/// Who carries what comes.
pub(super) trait Turns {
    /// Where everything is registered that may come.
    fn epoll(&self) -> &OwnedFd;
    /// Tells whether anything may become too old.
    fn is_timed(&self) -> bool;
    /// Takes what has come, by the number it was registered with.
    fn turn(&mut self, about: u64);
    /// Ends what has become too old.
    fn tidy(&mut self, now: Instant);
    /// Tells, once, that the system had no more descriptors to give.
    fn ran_short(&mut self) -> bool;
}

/// Has everything carried that comes, until the process ends.
pub(super) fn keep(mut carrier: impl Turns) -> io::Result<()> {
    let mut tidied = Instant::now();
    loop {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let limit = carrier.is_timed().then(|| Timespec::try_from(TICK).ok());
        let limit = limit.flatten();
        match epoll::wait(carrier.epoll(), spare_capacity(&mut events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let data = event.data;
            carrier.turn(data.u64());
        }
        let now = Instant::now();
        if now.saturating_duration_since(tidied) >= TICK {
            carrier.tidy(now);
            tidied = now;
        }
        if carrier.ran_short() {
            std::thread::sleep(PAUSE);
        }
    }
}
