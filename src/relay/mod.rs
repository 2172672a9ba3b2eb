//! Carrying bytes between sockets: one thread, one epoll instance, and no waiting on one peer.
//!
//! The ClusterIP proxy, the port forwarder and the egress relay are each a [`Handler`] that is
//! driven by [`run`] or [`turn`]. A connection is a [`Duplex`] of two halves; a UDP client has a
//! session, so that answers find their way back.

mod duplex;
mod event_loop;
mod limits;
mod sessions;
mod shares;
mod socket;

pub(crate) use duplex::{Duplex, DuplexState};
pub(crate) use event_loop::{EventLoop, Handler, PAUSE, TICK, run, turn};
pub(crate) use limits::raise_file_limit;
pub(crate) use sessions::{IDLE, UdpSessions};
pub(crate) use shares::{Share, Shares};
pub(crate) use socket::{Accepted, accept, connect, nonblocking, reset};

/// How many bytes are carried at once.
pub(crate) const BUFFER: usize = 64 << 10;
/// How many connections or datagrams of one socket are taken before others have their turn.
pub(crate) const TURN: usize = 64;
