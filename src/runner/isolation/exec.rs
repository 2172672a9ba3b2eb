//! Running a program in the namespaces of a running container: `petset exec`.

mod terminal;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use self::terminal::Terminal;
use super::sandbox::ids_of;
use crate::store::Launch;
use crate::sys::{self, NamespaceFlags, Namespaces};

/// Runs a program beside the main process of a container, and returns how it ended: with 128 and
/// the number of the signal, if it was one. It has this process's streams; with `tty`, and if they
/// are a terminal's, one of the container's own.
pub(crate) fn exec(launch: &Launch, argv: &[String], tty: bool) -> io::Result<ExitStatus> {
    let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)));
    let terminal = (tty && terminal::is_here()).then(|| Terminal::open(launch));
    let terminal = terminal.transpose()?;
    sys::attend_before_exec(&mut command, namespaces_of(launch)?);
    let directory = CString::new(launch.cwd.as_os_str().as_bytes())?;
    sys::chdir_before_exec(&mut command, directory);
    if let Some(terminal) = &terminal {
        terminal.give(&mut command)?;
    }
    let attendant = command.spawn();
    let mut attendant = attendant.map_err(|error| sys::LaunchStage::of(error).1)?;
    drop(command);
    // Ctrl-C is meant for the program, which is in the same group of processes.
    sys::ignore_terminal_signals();
    if let Some(terminal) = terminal {
        terminal.serve(attendant.id())?;
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
    for name in ["user", "pid", "uts", "ipc", "net", "mnt"] {
        if !is_own(name) {
            let namespace: OwnedFd = File::open(theirs.join(name))?.into();
            entered.push(Arc::new(namespace));
        }
    }
    Ok(Namespaces {
        entered,
        new: NamespaceFlags::empty(),
        drop_capabilities: is_own("user") || launch.user.is_some(),
        capabilities: launch.capabilities,
        seccomp: launch.seccomp.then(sys::SeccompFilter::new),
        ids: ids_of(launch),
        no_new_privs: launch.no_new_privs,
    })
}
