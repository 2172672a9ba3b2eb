//! Opening and closing the ports of pets, from any thread of the host's network.

use std::fmt;
use std::io::{self, PipeWriter, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::host_port::{HostPort, listen};
use crate::store::network::{AttachNotes, NetworkSpec};

/// How long a pet waits for ports that are in use.
const PATIENCE: Duration = Duration::from_millis(300);

/// A port that a pet declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) struct WantedPort {
    number: u16,
    udp: bool,
}

impl WantedPort {
    fn all(spec: &NetworkSpec) -> impl Iterator<Item = Self> {
        let port = |udp: bool| {
            move |number: &u16| Self {
                number: *number,
                udp,
            }
        };
        let tcp = spec.tcp.iter().map(port(false));
        tcp.chain(spec.udp.iter().map(port(true)))
    }

    fn open(
        self,
        attachment_id: u64,
        ip: Ipv4Addr,
        inside: Ipv4Addr,
        deadline: Instant,
    ) -> io::Result<HostPort> {
        let (socket, at) = listen(ip, self.number, self.udp, deadline)?;
        Ok(HostPort {
            attachment_id,
            at,
            socket,
            to: SocketAddrV4::new(inside, self.number),
        })
    }
}

impl fmt::Display for WantedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, if self.udp { "/udp" } else { "" })
    }
}

/// What the port forwarder is told.
pub(super) enum Order {
    Open(Vec<HostPort>),
    /// Closes the ports of the pet with this attachment id.
    Close(u64),
}

/// Gives orders to the port forwarder.
#[derive(Debug, Clone)]
pub(in crate::network) struct PortForwarderHandle {
    pub(super) orders: Sender<Order>,
    pub(super) waker: Arc<PipeWriter>,
}

impl PortForwarderHandle {
    /// Opens the ports of a pet in this thread's network, which lead to its address `inside` the
    /// private network. Returns which are not where they should be, and which are in use.
    pub(in crate::network) fn open(
        &self,
        attachment_id: u64,
        spec: &NetworkSpec,
        inside: Ipv4Addr,
    ) -> (AttachNotes, Vec<WantedPort>) {
        let mut notes = AttachNotes::default();
        let mut opened = Vec::new();
        let mut busy = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        for wanted in WantedPort::all(spec) {
            match wanted.open(attachment_id, spec.ip, inside, deadline) {
                Ok(port) => {
                    if port.at.port() != wanted.number {
                        notes.moved.push(format!("{wanted}={}", port.at.port()));
                    }
                    opened.push(port);
                }
                Err(error) => {
                    notes.missing.push(format!("{wanted}: {error}"));
                    busy.extend((error.kind() == io::ErrorKind::AddrInUse).then_some(wanted));
                }
            }
        }
        self.order(Order::Open(opened));
        (notes, busy)
    }

    /// Opens those ports of a pet that were in use and are free now; the others stay in the list.
    pub(in crate::network) fn open_again(
        &self,
        attachment_id: u64,
        spec: &NetworkSpec,
        inside: Ipv4Addr,
        busy: &mut Vec<WantedPort>,
    ) {
        let mut opened = Vec::new();
        busy.retain(|wanted| {
            let port = wanted.open(attachment_id, spec.ip, inside, Instant::now());
            let is_busy = port.is_err();
            opened.extend(port.ok());
            is_busy
        });
        if !opened.is_empty() {
            self.order(Order::Open(opened));
        }
    }

    /// Closes the ports of a pet.
    pub(in crate::network) fn close(&self, attachment_id: u64) {
        self.order(Order::Close(attachment_id));
    }

    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        let _ = (&*self.waker).write(&[0]);
    }
}
