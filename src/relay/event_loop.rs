//! The loop of a thread that waits on all of its sockets at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

const EVENTS: usize = 64;
/// An [interval](Handler::interval) for deadlines of many seconds.
pub(crate) const TICK: Duration = Duration::from_secs(2);
/// How long no client is accepted after the system has run out of descriptors.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// An epoll instance, and tokens to tell its sockets apart.
#[derive(Debug)]
pub(crate) struct EventLoop {
    epoll: OwnedFd,
    last: u64,
    ticked: Instant,
}

/// What is driven by an [`EventLoop`].
pub(crate) trait Handler {
    /// The loop at which its sockets are registered.
    fn event_loop(&mut self) -> &mut EventLoop;
    /// Handles an event of the socket that was registered with this token.
    fn handle(&mut self, token: u64);
    /// Returns how often [`tick`](Self::tick) is needed; `None` while no deadline is pending.
    fn interval(&self) -> Option<Duration>;
    /// Ends what is over its deadline.
    fn tick(&mut self, now: Instant);
}

impl EventLoop {
    /// Makes a loop without sockets.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            last: 0,
            ticked: Instant::now(),
        })
    }

    /// Returns a token that was never used before.
    pub(crate) fn token(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Registers a socket for events.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64, events: EventFlags) -> io::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(token), events).map_err(Into::into)
    }

    /// Registers a socket under a new token, and returns that, for when it can be read.
    pub(crate) fn add_readable(&mut self, socket: impl AsFd) -> io::Result<u64> {
        let token = self.token();
        self.add(socket, token, EventFlags::IN)?;
        Ok(token)
    }

    /// Changes the events that a registered socket waits for.
    pub(crate) fn modify(
        &self,
        socket: impl AsFd,
        token: u64,
        events: EventFlags,
    ) -> io::Result<()> {
        epoll::modify(&self.epoll, socket, EventData::new_u64(token), events).map_err(Into::into)
    }

    /// Removes a socket.
    pub(crate) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        epoll::delete(&self.epoll, socket).map_err(Into::into)
    }
}

/// Drives a handler until the process ends.
pub(crate) fn run(mut handler: impl Handler) -> io::Result<()> {
    loop {
        turn(&mut handler)?;
    }
}

/// Waits for events once, and has them handled.
pub(crate) fn turn(handler: &mut impl Handler) -> io::Result<()> {
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    let interval = handler.interval();
    let events_of = handler.event_loop();
    let limit = interval.map(|interval| interval.saturating_sub(events_of.ticked.elapsed()));
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match epoll::wait(
        &events_of.epoll,
        spare_capacity(&mut events),
        limit.as_ref(),
    ) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    for event in events {
        let data = event.data;
        handler.handle(data.u64());
    }
    if let Some(interval) = interval {
        let now = Instant::now();
        let ticked = &mut handler.event_loop().ticked;
        if now.saturating_duration_since(*ticked) >= interval {
            *ticked = now;
            handler.tick(now);
        }
    }
    Ok(())
}
