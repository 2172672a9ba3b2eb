//! Opening and closing the ports of pets, from any thread of the host's network.

use std::io::{PipeWriter, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::host_port::{HostPort, listen};
use crate::store::network::{AttachNotes, NetworkSpec};

/// How long a pet waits for ports that are in use.
const PATIENCE: Duration = Duration::from_millis(300);

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
    /// private network. Returns which are not where they should be.
    pub(in crate::network) fn open(
        &self,
        attachment_id: u64,
        spec: &NetworkSpec,
        inside: Ipv4Addr,
    ) -> AttachNotes {
        let mut notes = AttachNotes::default();
        let mut ports = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let tcp = spec.tcp.iter().map(|port| (*port, false));
        let udp = spec.udp.iter().map(|port| (*port, true));
        for (port, udp) in tcp.chain(udp) {
            let name = format!("{port}{}", if udp { "/udp" } else { "" });
            match listen(spec.ip, port, udp, deadline) {
                Ok((socket, at)) => {
                    if at.port() != port {
                        notes.moved.push(format!("{name}={}", at.port()));
                    }
                    let to = SocketAddrV4::new(inside, port);
                    ports.push(HostPort {
                        attachment_id,
                        at,
                        socket,
                        to,
                    });
                }
                Err(error) => notes.missing.push(format!("{name}: {error}")),
            }
        }
        self.order(Order::Open(ports));
        notes
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
