//! Descriptors that one process hands to another over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};

/// Makes two connected sockets that keep the boundaries of messages.
pub(crate) fn link() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None);
    pair.map_err(Into::into)
}

/// Sends a descriptor; a forked process may do so, for it does not allocate. That nobody receives
/// it is no error.
pub(crate) fn send_descriptor(descriptor: BorrowedFd<'_>, link: BorrowedFd<'_>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let one = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&one));
    let flags = SendFlags::NOSIGNAL;
    let _ = sendmsg(link, &[IoSlice::new(b".")], &mut control, flags);
}

/// Receives a descriptor; `None` where the sender ended without sending one.
pub(crate) fn receive_descriptor(link: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut byte)];
    recvmsg(link, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sent) => sent.next(),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    Ok(descriptors.next())
}
