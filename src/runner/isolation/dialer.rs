//! Connections to a pet from within its own network: a process that enters it makes the sockets.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::sys::{self, Fork, Namespaces, link};

/// Makes connections in a pet's network.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Dialer {
    network: Namespaces,
}

impl Dialer {
    /// Prepares to connect where these namespaces lead: those of the network, and of its users.
    pub(super) fn new(network: Namespaces) -> Self {
        Self { network }
    }

    /// Connects as `TcpStream::connect_timeout` does.
    pub(in crate::runner) fn connect(
        &self,
        to: SocketAddr,
        patience: Duration,
    ) -> io::Result<TcpStream> {
        let socket = self.socket(if to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        })?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => await_connection(&socket, patience)?,
            Err(error) => return Err(error.into()),
        }
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(socket.into())
    }

    /// Has a process make a socket, for none of this one's threads may change its user namespace.
    fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        let (own, theirs) = link()?;
        let Some(_) = sys::fork(Fork::CHILD)? else {
            if self.network.enter().is_ok() {
                send_socket(theirs.as_fd(), family);
            }
            sys::exit_now(0)
        };
        drop(theirs);
        let socket = sys::receive_descriptor(&own)?;
        socket.ok_or_else(|| io::Error::other("the pet's network has no socket to give"))
    }
}

fn await_connection(socket: &OwnedFd, patience: Duration) -> io::Result<()> {
    let mut ready = [PollFd::new(socket, PollFlags::OUT)];
    let patience = Timespec::try_from(patience).unwrap_or_default();
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let outcome = rustix::net::sockopt::socket_error(socket)?;
    outcome.map_err(Into::into)
}

/// Makes a socket and sends it; this is a forked process, which does not allocate.
fn send_socket(link: BorrowedFd<'_>, family: AddressFamily) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(socket) = socket_with(family, SocketType::STREAM, flags, None) else {
        return;
    };
    sys::send_descriptor(socket.as_fd(), link);
}
