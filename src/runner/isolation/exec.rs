//! Running a program in the namespaces of a running container: `petset exec`.

mod terminal;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};
use rustix::thread::ThreadNameSpaceType as Kinds;

use self::terminal::Terminal;
use super::sandbox::ids_of;
use crate::runner::spawn;
use crate::store::Launch;
use crate::sys::{self, Namespaces};

/// Runs a program beside the main process of a container, and returns how it ended. It has this
/// process's streams; with `tty`, and if they are a terminal's, one of the container's own.
pub(crate) fn exec(launch: &Launch, argv: &[String], tty: bool) -> io::Result<WaitStatus> {
    let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)));
    let terminal = (tty && terminal::is_here()).then(|| Terminal::open(launch));
    let terminal = terminal.transpose()?;
    let (reader, writer) = io::pipe()?;
    sys::enter_before_exec(&mut command, namespaces_of(launch)?, writer.into());
    let directory = CString::new(launch.cwd.as_os_str().as_bytes())?;
    sys::chdir_before_exec(&mut command, directory);
    if let Some(terminal) = &terminal {
        terminal.give(&mut command)?;
    }
    command
        .spawn()
        .map_err(|error| sys::LaunchStage::of(error).1)?;
    drop(command);
    // Ctrl-C is meant for the program, which is in the same group of processes.
    sys::ignore_terminal_signals();
    let pid = spawn::read_pid(reader)?;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(terminal), Some(pid)) = (terminal, pid) {
        terminal.serve(pid)?;
    }
    loop {
        match waitpid(pid, WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the namespaces of a container's main process that are not this process's own.
fn namespaces_of(launch: &Launch) -> io::Result<Namespaces> {
    let pid = launch.pid;
    let kinds = [
        ("user", Kinds::USER),
        ("pid", Kinds::PROCESS_ID),
        ("uts", Kinds::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("ipc", Kinds::INTER_PROCESS_COMMUNICATION),
        ("net", Kinds::NETWORK),
    ];
    let theirs = Path::new("/proc").join(pid.to_string()).join("ns");
    let others = kinds.into_iter().filter(|(name, _)| {
        let own = fs::read_link(Path::new("/proc/self/ns").join(name));
        own.ok() != fs::read_link(theirs.join(name)).ok()
    });
    let kinds = others.fold(Kinds::empty(), |all, (_, kind)| all | kind);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = number.ok_or(io::ErrorKind::NotFound)?;
    let mounts: OwnedFd = File::open(theirs.join("mnt"))?.into();
    Ok(Namespaces {
        process: pidfd_open(number, PidfdFlags::empty())?,
        kinds,
        mounts,
        drop_capabilities: !kinds.contains(Kinds::USER) || launch.user.is_some(),
        ids: ids_of(launch),
        no_new_privs: launch.no_new_privs,
    })
}
