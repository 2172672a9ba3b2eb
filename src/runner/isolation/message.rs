//! The messages of a sandbox's forked processes to the runner, over a pair of sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How long the kernel may take over a sandbox or a root file system.
const PATIENCE: Duration = Duration::from_secs(20);
/// In the place of a step: the process failed before its first one.
const BEFORE_ALL: u32 = u32::MAX;
/// A runner that is gone must not end the sender by a signal.
const FLAGS: SendFlags = SendFlags::NOSIGNAL;
/// The encoding of a message: its kind, a pid or step, and an error number.
type Encoded = [u8; 12];

/// A message of a forked process. Its size is fixed, for the sender must not allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The pid of the process that does the work, as the runner sees it.
    Pid(u32),
    /// A step failed, and the work goes on without it.
    Skipped { step: u32, errno: i32 },
    /// A step failed, and the work ends.
    Failed { step: u32, errno: i32 },
    /// All steps are done.
    Done,
}

impl Message {
    /// Returns the message that a step failed.
    pub(super) fn failed(step: usize, error: Errno) -> Self {
        let (step, errno) = (number_of(step), error.raw_os_error());
        Self::Failed { step, errno }
    }

    /// Returns the message that a step is left out.
    pub(super) fn skipped(step: usize, error: Errno) -> Self {
        let (step, errno) = (number_of(step), error.raw_os_error());
        Self::Skipped { step, errno }
    }

    /// Returns the message that the work failed before its first step.
    pub(super) fn failed_at_once(error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let step = BEFORE_ALL;
        Self::Failed { step, errno }
    }

    fn encode(self) -> Encoded {
        let (kind, number, errno) = match self {
            Self::Pid(pid) => (0, pid, 0),
            Self::Skipped { step, errno } => (1, step, errno),
            Self::Failed { step, errno } => (2, step, errno),
            Self::Done => (3_u32, 0, 0),
        };
        let [a, b, c, d] = kind.to_ne_bytes();
        let [e, f, g, h] = number.to_ne_bytes();
        let [i, j, k, l] = errno.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    fn decode([a, b, c, d, e, f, g, h, i, j, k, l]: Encoded) -> Option<Self> {
        let number = u32::from_ne_bytes([e, f, g, h]);
        let (step, errno) = (number, i32::from_ne_bytes([i, j, k, l]));
        match u32::from_ne_bytes([a, b, c, d]) {
            0 => Some(Self::Pid(number)),
            1 => Some(Self::Skipped { step, errno }),
            2 => Some(Self::Failed { step, errno }),
            3 => Some(Self::Done),
            _ => None,
        }
    }

    /// Sends the message; that the runner is gone is no error.
    pub(super) fn send(self, link: BorrowedFd<'_>) {
        let _ = rustix::net::send(link, &self.encode(), FLAGS);
    }

    /// Sends the message together with two descriptors, which the runner needs.
    pub(super) fn send_with(
        self,
        both: [BorrowedFd<'_>; 2],
        link: BorrowedFd<'_>,
    ) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&both));
        sendmsg(link, &[IoSlice::new(&self.encode())], &mut control, FLAGS)?;
        Ok(())
    }

    /// Sends the pid of a process that has been forked to do the work, or why it was not.
    pub(super) fn send_forked(forked: io::Result<u32>, link: BorrowedFd<'_>) {
        match forked {
            Ok(pid) => Self::Pid(pid).send(link),
            Err(error) => {
                Self::Pid(0).send(link);
                Self::failed_at_once(&error).send(link);
            }
        }
    }

    /// Receives a message, and the descriptors that came with it.
    fn receive(link: &OwnedFd) -> io::Result<(Self, Vec<OwnedFd>)> {
        let mut ready = [PollFd::new(link, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
        while match poll(&mut ready, Some(&patience)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => false,
            Err(Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        } {}
        let mut bytes: Encoded = [0; 12];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(link, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sent) => Some(sent),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        let descriptors = descriptors.flatten().collect();
        let message = Self::decode(bytes).filter(|_| received.bytes == bytes.len());
        let message = message.ok_or_else(|| io::Error::other("a process died that made it"))?;
        Ok((message, descriptors))
    }
}

fn number_of(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(BEFORE_ALL)
}

/// The result of a forked process's work.
#[derive(Debug, Default)]
pub(super) struct WorkOutcome {
    /// The descriptors that it sent.
    pub(super) descriptors: Vec<OwnedFd>,
    /// The steps that were left out, and why.
    pub(super) skipped: Vec<(usize, io::Error)>,
    /// The step that failed, if one did, and why; no step has this number if none was reached.
    pub(super) failed: Option<(usize, io::Error)>,
}

impl WorkOutcome {
    /// Receives messages until the end of the work is known.
    pub(super) fn receive(link: &OwnedFd) -> io::Result<Self> {
        Self::collect(link, &mut Some(0))
    }

    /// Receives messages until the pid and the end of the work are known, which come in any order:
    /// the process that works may be faster than the one that forked it.
    pub(super) fn receive_with_pid(link: &OwnedFd) -> io::Result<(u32, Self)> {
        let mut pid = None;
        let outcome = Self::collect(link, &mut pid)?;
        Ok((pid.unwrap_or_default(), outcome))
    }

    fn collect(link: &OwnedFd, pid: &mut Option<u32>) -> io::Result<Self> {
        let (mut outcome, mut over) = (Self::default(), false);
        let place = |step| usize::try_from(step).unwrap_or(usize::MAX);
        while !over || pid.is_none() {
            let (message, descriptors) = Message::receive(link)?;
            outcome.descriptors.extend(descriptors);
            match message {
                Message::Pid(number) => *pid = Some(number),
                Message::Skipped { step, errno } => {
                    let error = io::Error::from_raw_os_error(errno);
                    outcome.skipped.push((place(step), error));
                }
                Message::Failed { step, errno } => {
                    over = true;
                    outcome.failed = Some((place(step), io::Error::from_raw_os_error(errno)));
                }
                Message::Done => over = true,
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::link;

    #[test]
    fn a_message_is_read_as_it_was_sent() {
        for message in [
            Message::Pid(7),
            Message::skipped(3, Errno::INVAL),
            Message::failed(0, Errno::PERM),
            Message::Done,
        ] {
            assert_eq!(Message::decode(message.encode()), Some(message));
        }
    }

    #[test]
    fn the_pid_may_come_after_the_end() {
        let (own, theirs) = link().unwrap();
        Message::skipped(4, Errno::INVAL).send(theirs.as_fd());
        Message::Done.send(theirs.as_fd());
        Message::Pid(9).send(theirs.as_fd());
        let (pid, outcome) = WorkOutcome::receive_with_pid(&own).unwrap();
        assert_eq!((pid, outcome.skipped[0].0), (9, 4));
        assert!(outcome.failed.is_none());
    }

    #[test]
    fn descriptors_come_with_the_end() {
        let (own, theirs) = link().unwrap();
        let both = [own.as_fd(), theirs.as_fd()];
        Message::Done.send_with(both, theirs.as_fd()).unwrap();
        assert_eq!(WorkOutcome::receive(&own).unwrap().descriptors.len(), 2);
    }

    #[test]
    fn a_process_that_dies_in_silence_is_an_error() {
        let (own, theirs) = link().unwrap();
        drop(theirs);
        assert!(WorkOutcome::receive(&own).is_err());
    }
}
