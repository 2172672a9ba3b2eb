//! DNS by UDP: one thread for all sockets, and for what the upstream resolvers answer.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::forward::{Delivery, Forwarder, Upstreams};
use super::reply::{reply_to, wait};
use crate::dns::zone::message::{QueryOutcome, Transport};
use crate::dns::zone::{Zone, quick};

/// How many queries of one socket are answered before the others have their turn.
const TURN: usize = 64;
const LARGEST_QUERY: usize = 4096;

/// Answers until the other end of `quit` is closed.
pub(super) fn serve(
    sockets: &[UdpSocket],
    zone: &RwLock<Zone>,
    quit: &OwnedFd,
    forward: &mut Forwarder,
    upstreams: &Upstreams,
) {
    let mut buffer = vec![0; LARGEST_QUERY];
    loop {
        let all = sockets.iter().chain(forward.sockets());
        let mut polled: Vec<PollFd> = all
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        polled.push(PollFd::new(quit, PollFlags::IN));
        if wait(&mut polled, time_left(forward).as_ref()).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        if ready.last() == Some(&true) {
            return;
        }
        for (index, ready) in ready[..sockets.len()].iter().enumerate() {
            if *ready {
                take_turn(sockets, index, zone, &mut buffer, (forward, upstreams));
            }
        }
        if forward.is_on() {
            deliver(sockets, forward.receive());
            deliver(sockets, forward.hurry(Instant::now()));
        }
    }
}

/// Returns how long the next resolver still has to answer.
fn time_left(forward: &Forwarder) -> Option<Timespec> {
    let left = forward
        .deadline()?
        .saturating_duration_since(Instant::now());
    Timespec::try_from(left + Duration::from_millis(1)).ok()
}

fn deliver(sockets: &[UdpSocket], deliveries: impl IntoIterator<Item = Delivery>) {
    for (index, asker, reply) in deliveries {
        let _ = sockets[index].send_to(&reply, asker);
    }
}

/// Answers the queries of one socket; a reply that cannot be sent at once is lost, as UDP allows.
fn take_turn(
    sockets: &[UdpSocket],
    index: usize,
    zone: &RwLock<Zone>,
    buffer: &mut [u8],
    (forward, upstreams): (&mut Forwarder, &Upstreams),
) {
    let socket = &sockets[index];
    let mut quick_reply = [0; quick::ROOM];
    for _ in 0..TURN {
        let Ok((length, asker)) = socket.recv_from(buffer) else {
            return;
        };
        let known = zone.read().unwrap_or_else(PoisonError::into_inner);
        let quick = quick::answer(&known, &buffer[..length], &mut quick_reply);
        drop(known);
        if let Some(length) = quick {
            let _ = socket.send_to(&quick_reply[..length], asker);
            continue;
        }
        let may = forward.is_on() && upstreams.is_open_to(asker.ip());
        match reply_to(zone, &buffer[..length], Transport::Udp, may) {
            Some(QueryOutcome::Ready(reply)) => drop(socket.send_to(&reply, asker)),
            Some(QueryOutcome::Forward(forwarded)) => {
                deliver(sockets, forward.ask(forwarded, (index, asker)));
            }
            None => {}
        }
    }
}
