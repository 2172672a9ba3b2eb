//! Starting a process of a container: its own session, dying with the runner, with errors that
//! name the stage.

use std::env;
use std::ffi::CString;
use std::io::{self, PipeReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::image::IMAGE_VOLUME;
use super::isolation::Entrance;
use super::streams::Streams;
use crate::model::environment::{CONTAINER_VARIABLE, LONGEST_WORD};
use crate::problem::Problem;
use crate::store::{Launch, Mount};
use crate::sys::{self, LaunchStage};

/// Starts `argv` as a process of the container, with these streams.
///
/// The process is not waited for through std: the runner reaps all its children in one place.
/// With an `entrance` it enters the namespaces of its container first.
pub(super) fn spawn(
    launch: &Launch,
    argv: &[String],
    streams: Streams,
    entrance: Option<Entrance>,
) -> Result<u32, Problem> {
    let Some((program, args)) = argv.split_first() else {
        return Err(Problem::failed(
            "executing: there is no program to start".to_owned(),
        ));
    };
    let Streams {
        stdin,
        output,
        terminal,
    } = streams;
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
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(output)
        .stderr(errors);
    let told = match entrance {
        Some(entrance) => {
            let (reader, writer) = io::pipe().map_err(|error| format!("opening pipes: {error}"))?;
            let Entrance {
                namespaces,
                prepare,
            } = entrance;
            sys::enter_before_exec(&mut command, namespaces, writer.into(), prepare);
            Some(reader)
        }
        None => None,
    };
    sys::detach(&mut command, directory);
    if terminal {
        sys::take_console(&mut command);
    }
    let child = command.spawn();
    drop(command);
    // With namespaces, std knows only the pid of the process that entered them.
    match (child, told) {
        (Ok(child), None) => Ok(child.id()),
        (Ok(_), Some(told)) => {
            read_pid(told).map_err(|error| Problem::failed(format!("entering: {error}")))
        }
        (Err(error), _) => Err(explain(error, argv, launch).into()),
    }
}

/// Reads the pid of the process that was forked into its namespaces.
fn read_pid(mut told: PipeReader) -> io::Result<u32> {
    let mut pid = [0; 4];
    told.read_exact(&mut pid)?;
    Ok(u32::from_ne_bytes(pid))
}

fn explain(error: io::Error, argv: &[String], launch: &Launch) -> String {
    let program = argv.first().map_or("", String::as_str);
    let (stage, error) = LaunchStage::of(error);
    let error = sys::with_limit(error);
    match stage {
        LaunchStage::Entering => format!("entering its namespaces: {error}"),
        LaunchStage::Detaching => format!("detaching: {error}"),
        LaunchStage::ChangingDirectory => {
            format!("changing directory: {}: {error}", launch.cwd.display())
        }
        LaunchStage::Executing if error.kind() == io::ErrorKind::ArgumentListTooLong => {
            format!("executing {program:?}: {}", excess(argv, launch))
        }
        LaunchStage::Executing if !program.contains('/') && !is_on_path(program, launch) => {
            let cover = covering(program, launch);
            format!("executing {program:?}: executable file not found in $PATH{cover}")
        }
        LaunchStage::Executing if error.kind() == io::ErrorKind::NotFound => {
            format!(
                "executing {program:?}: {error}{}",
                covering(program, launch)
            )
        }
        LaunchStage::Executing => format!("executing {program:?}: {error}"),
    }
}

/// Returns what is longer than the kernel takes.
fn excess(argv: &[String], launch: &Launch) -> String {
    let limit = LONGEST_WORD;
    let variables = launch.env.iter();
    let mut sizes = variables.map(|(name, value)| (name, name.len() + 1 + value.len()));
    let long = sizes.find(|(_, size)| *size >= limit);
    let container = launch
        .env
        .iter()
        .find(|(name, _)| name == CONTAINER_VARIABLE);
    let of = container.map_or_else(String::new, |(_, name)| format!(" of container {name}"));
    if let Some((name, size)) = long {
        return format!("the variable {name}{of} is {size} bytes, the kernel takes {limit}");
    }
    let mut words = argv.iter().enumerate();
    if let Some((at, word)) = words.find(|(_, word)| word.len() >= limit) {
        let size = word.len();
        return format!("argument {at}{of} is {size} bytes, the kernel takes {limit}");
    }
    let env = launch.env.iter().map(|it| it.0.len() + it.1.len() + 2);
    let size: usize = env.chain(argv.iter().map(|word| word.len() + 1)).sum();
    format!("the arguments and the environment{of} are {size} bytes, more than the kernel takes")
}

/// Names the volume that lies where the host has the program, in brackets.
fn covering(program: &str, launch: &Launch) -> String {
    let path = launch.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or("", |(_, path)| path.as_str());
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![launch.cwd.join(program)],
        false => env::split_paths(path)
            .map(|folder| folder.join(program))
            .collect(),
    };
    let volumes = || launch.mounts.iter().filter(|it| it.volume != IMAGE_VOLUME);
    let covered = places
        .iter()
        .filter(|place| place.exists())
        .find_map(|place| volumes().find(|it| place.starts_with(&it.mount_path)));
    covered.map_or_else(String::new, |mount| {
        let Mount {
            volume, mount_path, ..
        } = mount;
        format!(" (volume {volume:?} covers {mount_path})")
    })
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
