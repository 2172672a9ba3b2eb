//! The nursery: a process of one thread that a supervisor starts once, and that forks the runners.
//!
//! A fork of what runs already needs no loader, and shares its memory with all others. It is a
//! child of the supervisor, and shows the words of a runner that was executed, so that nobody can
//! tell the two apart. The nursery runs from the sealed program and reads no file of the state
//! directory; it is told names, tells pids, and ends with the supervisor's end of their link. Where
//! there is none to be had, runners are executed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Pid, Signal};

use crate::model::Namespace;
use crate::model::environment::POD_UID_VARIABLE;
use crate::role::{self, Role};
use crate::store::Layout;
use crate::sys::{self, CommandLine, proc};

/// Room among the words of a nursery for those of a runner: its namespace and its pod.
const ROOM: usize = 320;
/// The longest message: two names.
const LONGEST: usize = ROOM;
/// A nursery that does not answer for so long is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The nursery of a supervisor, which is started when a runner is.
#[derive(Debug, Default)]
pub(crate) struct Nursery(Option<RunningNursery>);

#[derive(Debug)]
struct RunningNursery {
    pid: Pid,
    link: OwnedFd,
}

/// What became of a wish for a runner.
enum ForkAnswer {
    Started(Pid),
    /// It lives, but could not fork.
    Failed(io::Error),
    Died,
}

impl Nursery {
    /// Its pid, while one runs.
    pub(crate) fn child(&self) -> Option<Pid> {
        self.0.as_ref().map(|it| it.pid)
    }

    /// Notes that a child of the supervisor has ended; returns whether that was the nursery.
    pub(crate) fn note_ended(&mut self, pid: Pid) -> bool {
        let was = self.child() == Some(pid);
        if was {
            self.0 = None;
        }
        was
    }

    /// Starts the runner of a pod whose `pod.json` is in place, as a child of the supervisor's. It
    /// outlives both. With `enters` it starts processes in namespaces of the pod's.
    pub(crate) fn start_runner(
        &mut self,
        layout: &Layout,
        namespace: &Namespace,
        pod: &str,
        enters: bool,
    ) -> io::Result<Pid> {
        let wish = [namespace.as_str(), pod].join("\0");
        for _ in 0..2 {
            if self.0.is_none() {
                self.0 = RunningNursery::start(layout).ok();
            }
            let Some(nursery) = &self.0 else { break };
            match nursery.ask(wish.as_bytes()) {
                ForkAnswer::Started(pid) => return Ok(pid),
                ForkAnswer::Failed(error) if error.raw_os_error() == Some(TOO_LONG) => break,
                ForkAnswer::Failed(error) => return Err(error),
                ForkAnswer::Died => self.0 = None,
            }
            // It may have died between the fork and its answer.
            if let Some(pid) = forked(layout, namespace, pod) {
                return Ok(pid);
            }
        }
        execute(layout, namespace, pod, enters)
    }
}

/// The error of a nursery that has no room for the words of a runner.
const TOO_LONG: i32 = libc::ENAMETOOLONG;

impl RunningNursery {
    fn start(layout: &Layout) -> io::Result<Self> {
        let (link, theirs) = sys::link()?;
        let child = Role::Nursery
            .sealed_command()?
            .arg(layout.root())
            .arg(" ".repeat(ROOM))
            .env_remove(POD_UID_VARIABLE)
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Self { pid, link })
    }

    fn ask(&self, wish: &[u8]) -> ForkAnswer {
        if send(&self.link, wish, SendFlags::NOSIGNAL).is_err() {
            return ForkAnswer::Died;
        }
        if !self.answers() {
            let pid = self.pid.as_raw_nonzero().get().unsigned_abs();
            let _ = sys::signal_process(pid, Signal::KILL);
        }
        let mut number = [0; 4];
        // The link ends when neither the nursery nor a fork that is no runner yet is left.
        let received = retry_on_intr(|| recv(&self.link, &mut number[..], RecvFlags::empty()));
        match (received, i32::from_ne_bytes(number)) {
            (Ok((4, _)), number) if number < 0 => {
                ForkAnswer::Failed(io::Error::from_raw_os_error(-number))
            }
            (Ok((4, _)), number) => {
                Pid::from_raw(number).map_or(ForkAnswer::Died, ForkAnswer::Started)
            }
            (Ok(_) | Err(_), _) => ForkAnswer::Died,
        }
    }

    /// Returns whether something came within its time.
    fn answers(&self) -> bool {
        let patience = Timespec::try_from(PATIENCE).ok();
        let mut one = [PollFd::new(&self.link, PollFlags::IN)];
        retry_on_intr(|| poll(&mut one, patience.as_ref())) != Ok(0)
    }
}

/// Returns the runner of a pod that a dead nursery has forked.
fn forked(layout: &Layout, namespace: &Namespace, pod: &str) -> Option<Pid> {
    let own = std::process::id();
    let pid = super::find(layout, namespace, pod)?;
    let ours = proc::stat(pid).is_ok_and(|it| it.parent == own && !it.is_dead());
    Pid::from_raw(i32::try_from(pid).ok().filter(|_| ours)?)
}

/// Starts a runner without a nursery.
fn execute(layout: &Layout, namespace: &Namespace, pod: &str, enters: bool) -> io::Result<Pid> {
    let mut command = match enters {
        true => Role::Runner.sealed_command()?,
        false => Role::Runner.command(),
    };
    let child = command
        .arg(layout.root())
        .args([namespace.as_str(), pod])
        .env_remove(POD_UID_VARIABLE)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Forks runners until the supervisor's end of the link, which is its standard input, is closed.
/// Its arguments are the state directory, and room for words.
///
/// In each fork it returns what the runner does.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [root, _] = arguments else {
        return ExitCode::from(2);
    };
    let begun = role::leave_caller().and_then(|()| take_link());
    let (Ok(link), Some(line)) = (begun, CommandLine::of_this_process()) else {
        return ExitCode::FAILURE;
    };
    while let Some([namespace, pod]) = wish_from(&link) {
        let role = Role::Runner.argument().unwrap_or_default();
        let words: [&OsStr; 5] = [role::NAME.as_ref(), role.as_ref(), root, &namespace, &pod];
        let forked = match line.holds(&words) {
            true => sys::copy_beside(),
            false => Err(io::Error::from_raw_os_error(TOO_LONG)),
        };
        let number = match forked {
            Ok(None) => {
                line.show(&words);
                // Closed after that: who finds the link ended finds the runner by its words.
                drop(link);
                return super::run(&[root.clone(), namespace, pod]);
            }
            Ok(Some(pid)) => i32::try_from(pid).unwrap_or_default(),
            Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
        };
        if send(&link, &number.to_ne_bytes(), SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Moves the link to where no program that is executed gets it.
fn take_link() -> io::Result<OwnedFd> {
    let link = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(link)
}

/// Waits for the namespace and the name of a pod; `None` at the end of the link.
fn wish_from(link: &OwnedFd) -> Option<[OsString; 2]> {
    let mut wish = [0; LONGEST];
    let received: Result<_, Errno> =
        retry_on_intr(|| recv(link, &mut wish[..], RecvFlags::empty()));
    let (length, _) = received.ok()?;
    let mut names = wish[..length].split(|byte| *byte == 0);
    let mut name = || names.next().map(|name| OsStr::from_bytes(name).to_owned());
    Some([name()?, name()?])
}
