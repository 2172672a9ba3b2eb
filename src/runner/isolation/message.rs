//! The messages of a sandbox's forked processes to the runner, over a pair of sockets.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// How long the kernel may take over a sandbox or a root file system.
const PATIENCE: Duration = Duration::from_secs(20);
/// In the place of a step: the process failed before its first one.
const BEFORE_ALL: u32 = u32::MAX;
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
        let _ = rustix::net::send(link, &self.encode(), SendFlags::NOSIGNAL);
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

    fn receive(link: &OwnedFd) -> io::Result<Self> {
        let mut ready = [PollFd::new(link, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
        while match poll(&mut ready, Some(&patience)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => false,
            Err(Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        } {}
        let mut bytes: Encoded = [0; 12];
        let (length, _) = rustix::net::recv(link, &mut bytes, RecvFlags::empty())?;
        let message = Self::decode(bytes).filter(|_| length == bytes.len());
        message.ok_or_else(|| io::Error::other("a process died that made it"))
    }
}

fn number_of(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(BEFORE_ALL)
}

/// The result of a forked process's work.
#[derive(Debug)]
pub(super) struct WorkOutcome {
    pub(super) pid: u32,
    /// The steps that were left out, and why.
    pub(super) skipped: Vec<(usize, io::Error)>,
    /// The step that failed, if one did, and why; no step has this number if none was reached.
    pub(super) failed: Option<(usize, io::Error)>,
}

impl WorkOutcome {
    /// Receives messages until the pid and the end of the work are known, which come in any order:
    /// the process that works may be faster than the one that forked it.
    pub(super) fn receive(link: &OwnedFd) -> io::Result<Self> {
        let (mut pid, mut end, mut skipped) = (None, None, Vec::new());
        let place = |step| usize::try_from(step).unwrap_or(usize::MAX);
        loop {
            match Message::receive(link)? {
                Message::Pid(number) => pid = Some(number),
                Message::Skipped { step, errno } => {
                    skipped.push((place(step), io::Error::from_raw_os_error(errno)));
                }
                Message::Failed { step, errno } => {
                    end = Some(Some((place(step), io::Error::from_raw_os_error(errno))));
                }
                Message::Done => end = Some(None),
            }
            if let (Some(pid), Some(_)) = (pid, &end) {
                let failed = end.flatten();
                return Ok(Self {
                    pid,
                    skipped,
                    failed,
                });
            }
        }
    }
}

/// Makes two connected sockets that keep the boundaries of messages.
pub(super) fn link() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None);
    pair.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

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
        let outcome = WorkOutcome::receive(&own).unwrap();
        assert_eq!((outcome.pid, outcome.skipped[0].0), (9, 4));
        assert!(outcome.failed.is_none());
    }

    #[test]
    fn a_process_that_dies_in_silence_is_an_error() {
        let (own, theirs) = link().unwrap();
        drop(theirs);
        assert!(WorkOutcome::receive(&own).is_err());
    }
}
