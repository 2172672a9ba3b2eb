//! A terminal in a container, tied to the one that this process has.
//!
//! The container has terminals of its own (`/dev/pts`), so that a program in it finds its terminal
//! by name and can control its jobs. This process copies input and output between the two, and the
//! size of the window whenever it changes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{isatty, tcgetwinsize, tcsetwinsize};
use signal_hook::consts::SIGWINCH;

use crate::store::Launch;
use crate::sys;
use crate::sys::beneath::{DescriptorPath, open_base, open_in_root};

/// The major and minor number of the device that makes terminals.
const PTMX: (u32, u32) = (5, 2);

/// Both ends of a terminal in a container.
#[derive(Debug)]
pub(super) struct Terminal {
    outer: OwnedFd,
    inner: OwnedFd,
}

/// Returns whether both stdin and stdout of this process are a terminal.
pub(super) fn is_here() -> bool {
    isatty(stdin()) && isatty(stdout())
}

impl Terminal {
    /// Opens a terminal where the main process of a container has its own.
    pub(super) fn open(launch: &Launch) -> io::Result<Self> {
        let root = Path::new("/proc").join(launch.pid.to_string()).join("root");
        let outer = open_ptmx(&root);
        let outer = outer.map_err(|error| io::Error::other(format!("no terminal: {error}")))?;
        unlockpt(&outer)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let inner = ioctl_tiocgptpeer(&outer, flags)?;
        if let Some(user) = &launch.user {
            let owner = Some(Uid::from_raw(user.uid));
            // Without the right to give it away it is opened to all: only the pet can reach it.
            rustix::fs::fchown(&inner, owner, None)
                .or_else(|_| rustix::fs::fchmod(&inner, Mode::from_raw_mode(0o666)))?;
        }
        let terminal = Self { outer, inner };
        terminal.fit();
        Ok(terminal)
    }

    /// Makes it the terminal of a program that is about to be started.
    pub(super) fn give(&self, command: &mut Command) -> io::Result<()> {
        let end = || self.inner.try_clone().map(Stdio::from);
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        if let Ok(kind) = std::env::var("TERM") {
            command.env("TERM", kind);
        }
        sys::take_console(command);
        Ok(())
    }

    /// Takes over the size of this process's window.
    fn fit(&self) {
        if let Ok(size) = tcgetwinsize(stdin()) {
            let _ = tcsetwinsize(&self.outer, size);
        }
    }

    /// Copies until the process has ended and all its output was shown.
    pub(super) fn serve(self, attendant: u32) -> io::Result<()> {
        let Self { outer, inner } = self;
        drop(inner);
        let pid = i32::try_from(attendant).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        let (resized, signal) = io::pipe()?;
        signal_hook::low_level::pipe::register(SIGWINCH, OwnedFd::from(signal))?;
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        let _raw = sys::RawTerminal::make()?;
        let mut typing = true;
        loop {
            let mut fds = vec![
                PollFd::new(&outer, PollFlags::IN),
                PollFd::new(&ended, PollFlags::IN),
                PollFd::new(&resized, PollFlags::IN),
            ];
            if typing {
                fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let [shown, over, sized, typed] =
                [0, 1, 2, 3].map(|at| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
            if sized {
                let _ = rustix::io::read(&resized, &mut [0; 64]);
                if let Ok(size) = tcgetwinsize(stdin()) {
                    let _ = tcsetwinsize(&outer, size);
                }
            }
            if typed {
                typing = pass(stdin(), outer.as_fd())?;
            }
            let said = shown && pass(outer.as_fd(), stdout())?;
            if over && !said {
                return Ok(());
            }
        }
    }
}

/// Opens what makes terminals in the container; what else a pet has put in its place is not even
/// touched.
fn open_ptmx(root: &Path) -> io::Result<OwnedFd> {
    let found = open_in_root(open_base(root)?.as_fd(), c"dev/pts/ptmx")?;
    let stat = rustix::fs::fstat(&found)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || stat.st_rdev != makedev(PTMX.0, PTMX.1) {
        return Err(io::Error::other("/dev/pts/ptmx makes no terminals"));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = DescriptorPath::of(&found);
    Ok(rustix::fs::open(path.as_c_str(), flags, Mode::empty())?)
}

/// Copies what can be read now; returns whether more may come.
pub(super) fn pass(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let read = match rustix::io::read(from, &mut buffer) {
        // A terminal whose other end is closed says so.
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        other => other?,
    };
    let mut left = &buffer[..read];
    while !left.is_empty() {
        match rustix::io::write(to, left) {
            Ok(written) => left = &left[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
