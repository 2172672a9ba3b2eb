//! Finding the supervisor of a state directory, or starting one.
//!
//! A running supervisor listens at its socket. That of a dead supervisor refuses messages, and then
//! a new supervisor is started.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use jiff::Timestamp;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::problem::Result;
use crate::role::{self, Role};
use crate::store::{self, Layout, Lock, PidFile};
use crate::sys::{self, proc};

/// The line that a supervisor writes to its standard output when its socket is bound.
pub(super) const GREETING: &[u8] = b"ready\n";

/// How many times a supervisor is started that is killed before its greeting.
const ATTEMPTS: u32 = 5;

/// Makes sure that a supervisor runs, and that it reads the wanted objects again.
pub(crate) fn nudge(layout: &Layout) -> Result<()> {
    // A supervisor that is just ending refuses the message, but still holds its lock: the new
    // supervisor waits for the lock.
    if has_heard(layout) {
        return Ok(());
    }
    start(layout, ATTEMPTS)
        .with_context(|| format!("cannot start the supervisor of {}", layout.root().display()))
}

/// Nudges the supervisor; returns whether there is one that will act on it. A supervisor that was
/// killed accepts messages until the last of its threads has ended, which takes long on a busy
/// machine.
pub(super) fn has_heard(layout: &Layout) -> bool {
    let nudged = || store::nudge_supervisor(layout).is_ok();
    let pid = || PidFile::of_supervisor(layout).read();
    // One that has gone meanwhile refuses the second message; a pid may also be damaged.
    nudged()
        && pid()
            .and_then(proc::is_doomed)
            .map_or_else(nudged, |doomed| !doomed)
}

/// Returns whether a supervisor runs.
pub(crate) fn is_running(layout: &Layout) -> bool {
    Lock::is_held(&layout.supervisor_lock()).unwrap_or(false)
}

/// Returns a descriptor that becomes readable when the running supervisor ends; `None` when no
/// supervisor runs.
pub(crate) fn lifeline(layout: &Layout) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid_of(layout)?).ok()?)?;
    let lifeline = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    is_running(layout).then_some(lifeline)
}

/// Returns the pid of the supervisor that has written one; where that is damaged, of the one that
/// was started for this state directory.
fn pid_of(layout: &Layout) -> Option<u32> {
    let file = PidFile::of_supervisor(layout);
    let found = || {
        Role::Supervisor
            .played_by(&[layout.root().as_os_str()])
            .next()
    };
    file.read().or_else(|| file.exists().then(found)?)
}

/// A running supervisor.
#[derive(Debug)]
pub(super) struct RunningSupervisor {
    pid: u32,
    process: OwnedFd,
    pub(super) in_foreground: bool,
    since: Timestamp,
}

impl RunningSupervisor {
    /// Finds the supervisor of a state directory; `None` while it starts or ends, too.
    pub(super) fn find(layout: &Layout) -> Option<Self> {
        let process = lifeline(layout)?;
        let file = layout.supervisor_pid();
        let pid = pid_of(layout)?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let role = command.split(|byte| *byte == 0).nth(1)?;
        let own = Role::Supervisor.argument().map(str::as_bytes);
        Some(Self {
            pid,
            process,
            in_foreground: Some(role) != own,
            since: Timestamp::try_from(fs::symlink_metadata(file).ok()?.modified().ok()?).ok()?,
        })
    }

    /// Asks it to end, and to leave its pets running.
    pub(super) fn end(&self) {
        // One that has ended meanwhile is as good.
        let _ = pidfd_send_signal(&self.process, Signal::TERM);
    }
}

impl fmt::Display for RunningSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.in_foreground {
            true => "by `petset supervise`",
            false => "by a command that needed it",
        };
        let Self { pid, since, .. } = self;
        write!(f, "process {pid}, started {how} at {since:.0}")
    }
}

/// Starts a supervisor; one that is killed at once is started again.
fn start(layout: &Layout, attempts: u32) -> Result<()> {
    store::make_dir(&layout.supervisor())?;
    let mut command = background(layout, Role::Supervisor)?;
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(sys::with_limit)?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said)?;
    }
    if said == GREETING {
        return Ok(());
    }
    let status = child.wait()?;
    if status.signal().is_some() && attempts > 1 {
        return start(layout, attempts - 1);
    }
    let said = String::from_utf8_lossy(&said);
    if said.trim().is_empty() {
        bail!(
            "it ended ({status}); see {}",
            layout.supervisor_log().display()
        );
    }
    bail!("{}", said.trim());
}

/// Returns a command that starts a background role, which logs to the supervisor's log.
pub(super) fn background(layout: &Layout, role: Role) -> io::Result<Command> {
    let log = match store::damage::open_to_append(&layout.supervisor_log()) {
        // Only its words are lost on a full disk.
        Err(error) if store::reserve::is_full(&error) => {
            fs::File::options().write(true).open("/dev/null")?
        }
        log => log?,
    };
    let mut command = role.command();
    role::keep_environment(&mut command, &[store::REGISTRY_OVERRIDE]);
    command
        .arg(layout.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok(command)
}
