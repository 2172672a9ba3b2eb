//! Connections to a pet from within its own network: its first process makes the sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
};

/// Asks for a socket of either family.
const IPV4: u8 = b'4';
const IPV6: u8 = b'6';

/// Makes connections in a pet's network.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Dialer {
    link: Arc<Mutex<OwnedFd>>,
}

impl Dialer {
    pub(super) fn new(link: OwnedFd) -> Self {
        let link = Arc::new(Mutex::new(link));
        Self { link }
    }

    /// Connects as `TcpStream::connect_timeout` does.
    pub(in crate::runner) fn connect(
        &self,
        to: SocketAddr,
        patience: Duration,
    ) -> io::Result<TcpStream> {
        let socket = self.socket(if to.is_ipv4() { IPV4 } else { IPV6 })?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => await_connection(&socket, patience)?,
            Err(error) => return Err(error.into()),
        }
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(socket.into())
    }

    fn socket(&self, family: u8) -> io::Result<OwnedFd> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        rustix::net::send(&*link, &[family], SendFlags::NOSIGNAL)?;
        let mut byte = [0; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut byte)];
        recvmsg(&*link, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut sockets = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        let socket = sockets.next();
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

/// Answers one request for a socket; this is the pet's first process, which does not allocate.
pub(super) fn answer(link: BorrowedFd<'_>, family: u8) {
    let family = match family {
        IPV6 => AddressFamily::INET6,
        _ => AddressFamily::INET,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.as_ref().map(|socket| [socket.as_fd()]);
    if let Ok(sockets) = &sockets {
        control.push(SendAncillaryMessage::ScmRights(sockets));
    }
    let _ = sendmsg(
        link,
        &[IoSlice::new(b".")],
        &mut control,
        SendFlags::NOSIGNAL,
    );
}
