//! Starting a process of a container: its own session, dying with the runner, with errors that
//! name the stage.

use std::env;
use std::ffi::CString;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::problem::Problem;
use crate::store::Launch;
use crate::sys::{self, LaunchStage, Namespaces};

/// Starts `argv` as a process of the container; its stdout and stderr go to `output`.
///
/// The process is not waited for through std: the runner reaps all its children in one place.
/// With `namespaces` it enters those of its pet first.
pub(super) fn spawn(
    launch: &Launch,
    argv: &[String],
    output: PipeWriter,
    namespaces: Option<Namespaces>,
) -> Result<u32, Problem> {
    let Some((program, args)) = argv.split_first() else {
        return Err(Problem::failed(
            "executing: there is no program to start".to_owned(),
        ));
    };
    // The program may switch users and open its output again, as `/dev/stdout`.
    let _ = rustix::fs::fchmod(&output, rustix::fs::Mode::from_raw_mode(0o622));
    let errors = output.try_clone();
    let errors = errors.map_err(|error| format!("opening pipes: {error}"))?;
    let directory = CString::new(launch.cwd.as_os_str().as_bytes())
        .map_err(|_| "changing directory: its name holds a NUL".to_owned())?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let told = match namespaces {
        Some(namespaces) => {
            let (reader, writer) = io::pipe().map_err(|error| format!("opening pipes: {error}"))?;
            sys::enter_before_exec(&mut command, namespaces, writer.into());
            Some(reader)
        }
        None => None,
    };
    sys::detach(&mut command, directory);
    let child = command.spawn();
    // With namespaces, std knows only the pid of the process that entered them.
    match (child, told) {
        (Ok(child), None) => Ok(child.id()),
        (Ok(_), Some(told)) => {
            read_pid(told).map_err(|error| Problem::failed(format!("entering: {error}")))
        }
        (Err(error), _) => Err(explain(error, program, launch).into()),
    }
}

/// Reads the pid of the process that was forked into its namespaces.
pub(super) fn read_pid(mut told: PipeReader) -> io::Result<u32> {
    let mut pid = [0; 4];
    told.read_exact(&mut pid)?;
    Ok(u32::from_ne_bytes(pid))
}

fn explain(error: io::Error, program: &str, launch: &Launch) -> String {
    let (stage, error) = LaunchStage::of(error);
    match stage {
        LaunchStage::Entering => format!("entering its namespaces: {error}"),
        LaunchStage::Detaching => format!("detaching: {error}"),
        LaunchStage::ChangingDirectory => {
            format!("changing directory: {}: {error}", launch.cwd.display())
        }
        LaunchStage::Executing if !program.contains('/') && !is_on_path(program, launch) => {
            format!("executing {program:?}: executable file not found in $PATH")
        }
        LaunchStage::Executing => format!("executing {program:?}: {error}"),
    }
}

/// The error alone does not show this: a folder of PATH that may not be entered hides that the
/// program is in none.
fn is_on_path(program: &str, launch: &Launch) -> bool {
    let path = launch.env.iter().find(|(name, _)| name == "PATH");
    let mut folders = path
        .into_iter()
        .flat_map(|(_, path)| env::split_paths(path));
    folders.any(|folder| folder.join(program).exists())
}

/// Makes a pipe whose reading end never blocks.
pub(super) fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}
