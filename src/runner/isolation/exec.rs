//! Running a program in the namespaces of a running container: `petset exec`.

mod carrier;
mod terminal;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use self::carrier::Carrier;
use self::terminal::Terminal;
use super::sandbox::ids_of;
use crate::store::Launch;
use crate::sys::{self, NamespaceFlags, Namespaces};

/// Runs a program beside the main process of a container, and returns how it ended: with 128 and
/// the number of the signal, if it was one. It has this process's streams, but pipes instead of a
/// terminal; with `tty`, and if they are a terminal's, one of the container's own.
pub(crate) fn exec(launch: &Launch, argv: &[String], tty: bool) -> io::Result<ExitStatus> {
    let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)));
    let terminal = (tty && terminal::is_here()).then(|| Terminal::open(launch));
    let terminal = terminal.transpose()?;
    let (mut told, pid_pipe) = io::pipe()?;
    sys::attend_before_exec(&mut command, namespaces_of(launch)?, pid_pipe.into());
    let directory = CString::new(launch.cwd.as_os_str().as_bytes())?;
    sys::begin_in(&mut command, directory);
    let carrier = match &terminal {
        Some(terminal) => terminal.give(&mut command).map(|()| None)?,
        None => Some(Carrier::between(&mut command)?),
    };
    let attendant = command.spawn();
    let mut attendant = attendant.map_err(|error| sys::LaunchStage::of(error).1)?;
    drop(command);
    let mut program = [0; 4];
    told.read_exact(&mut program)?;
    if let Some(terminal) = terminal {
        sys::ignore_terminal_signals();
        terminal.serve(attendant.id())?;
    }
    if let Some(carrier) = carrier {
        carrier.serve(attendant.id(), u32::from_ne_bytes(program))?;
    }
    attendant.wait()
}

/// Returns the namespaces of a container's main process that are not this process's own.
fn namespaces_of(launch: &Launch) -> io::Result<Namespaces> {
    let theirs = Path::new("/proc").join(launch.pid.to_string()).join("ns");
    let is_own = |name: &str| {
        let own = fs::read_link(Path::new("/proc/self/ns").join(name));
        own.ok() == fs::read_link(theirs.join(name)).ok()
    };
    let mut entered: Vec<Arc<OwnedFd>> = Vec::new();
    // That of the users gives an ordinary user the right to enter the others; root loses it there.
    let names = match sys::is_ordinary() {
        true => ["user", "pid", "uts", "ipc", "net", "mnt"],
        false => ["pid", "uts", "ipc", "net", "mnt", "user"],
    };
    for name in names {
        if !is_own(name) {
            let namespace: OwnedFd = File::open(theirs.join(name))?.into();
            entered.push(Arc::new(namespace));
        }
    }
    Ok(Namespaces {
        entered,
        new: NamespaceFlags::empty(),
        capabilities: launch.capabilities,
        seccomp: launch.filter(),
        ids: ids_of(launch),
        no_new_privs: launch.no_new_privs,
    })
}
