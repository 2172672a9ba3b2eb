//! `petset exec`

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::shared::containers;
use super::shared::exit::PassedThrough;
use super::shared::names::{TargetArg, TargetRef};
use super::shared::pods;
use super::shared::resolve::{Resolved, resolve};
use super::shared::session::{Session, say};
use crate::model::{ObjectName, printer};
use crate::problem::{Kind, Problem, Result};
use crate::runner::isolation;
use crate::store::{self, Launch, RunnerRecord, RunnerRequest};
use crate::sys::proc::{self, ProcessId};

/// The exit codes of a shell for a program that cannot be started, and for one that does not exist.
const CANNOT_START: u8 = 126;
const MISSING: u8 = 127;
/// How long a runner may take to write again how it has started a container.
const WRITTEN_AGAIN: Duration = Duration::from_secs(2);

/// Run a program in a container of a pet
///
/// The program has the environment and the working directory of the container. It replaces the
/// petset process, so it has its terminal, its signals and its exit code. The exit code is 127 if
/// the program does not exist, 126 if it cannot be started, and 137 if its container ended.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset exec etcd-0 -- etcdctl member list
  petset exec -it web-0 -c web -- sh
  petset exec web-0 -- sh -c 'echo $POD_IP'")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArg,
    /// Container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Accepted as in kubectl; the program always has petset's standard input
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the program a terminal inside of the container; without isolation it has petset's
    #[arg(short = 't', long)]
    tty: bool,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let pod = pod_of(session, &args.target.target()?)?;
    let container = match &args.container {
        Some(name) => containers::named(&pod, name)?,
        None => containers::default(&pod),
    };
    let launch = launch_of(session, &pod, &container)?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(Problem::invalid("there is no program to run").into());
    };
    let full = isolation::is_full(&pod);
    if !full || isolation::shares_processes(&pod) {
        announce(session, &pod, &container, &launch)?;
    }
    if full {
        return visit(&launch, args);
    }
    if !launch.cwd.is_dir() {
        let message = format!("the working directory {} is gone", launch.cwd.display());
        return Err(Problem::new(Kind::Failed, message).into());
    }
    let error = Command::new(program)
        .args(rest)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.cwd)
        .exec();
    Err(refuse(program, &error))
}

/// Tells the pet's runner of the program, which it ends with the container; without a runner the
/// program runs on. Whether the container still runs is looked at once more: from then on it
/// cannot end unnoticed.
fn announce(session: &Session, pod: &Pod, container: &str, launch: &Launch) -> Result<()> {
    if let Ok(visitor) = ProcessId::of(std::process::id()) {
        let request = RunnerRequest::Visit {
            container: container.to_owned(),
            main: launch.pid,
            visitor,
        };
        let _ = store::ask_runner(&session.files(pod), &request);
    }
    match is_alive(session, pod, launch.pid) {
        true => Ok(()),
        false => Err(not_running(pod, container).into()),
    }
}

/// Runs the program in the namespaces of the container, and returns its exit code as an error.
fn visit(launch: &Launch, args: &Args) -> Result<()> {
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    match isolation::exec(launch, &args.command, args.tty) {
        Err(error) => Err(refuse(program, &error)),
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let signal = || status.signal().map(|signal| 128 + signal);
            let code = status.code().or_else(signal).unwrap_or(1);
            Err(PassedThrough(u8::try_from(code).unwrap_or(1)).into())
        }
    }
}

/// Says why a program did not start, and returns the exit code of a shell for it.
fn refuse(program: &str, error: &io::Error) -> anyhow::Error {
    let missing = error.kind() == io::ErrorKind::NotFound;
    if missing && !program.contains('/') {
        say(format!(
            "error: executing {program:?}: executable file not found in $PATH"
        ));
    } else {
        say(format!("error: executing {program:?}: {error}"));
    }
    PassedThrough(if missing { MISSING } else { CANNOT_START }).into()
}

fn pod_of(session: &Session, target: &TargetRef) -> Result<Pod> {
    let name: ObjectName = target.name().parse()?;
    let found = match target {
        TargetRef::Pet(_) | TargetRef::Either(_) => session.known_pet(&session.namespace, &name)?,
        TargetRef::Set(_) => None,
    };
    if let Some(pod) = found {
        return Ok(pod);
    }
    if let Resolved::Set(set) = resolve(session, target)? {
        let message = format!("{set} is a set: a program runs in one of its pets");
        let hint = format!("name a pet, such as {set}-0");
        return Err(Problem::invalid(message).hint(hint).into());
    }
    Err(session.not_found("pods", name.as_str()).into())
}

fn launch_of(session: &Session, pod: &Pod, container: &str) -> Result<Launch> {
    let status = containers::status(pod, container);
    let runs = status.is_some_and(|it| is_running(it) || printer::runs_in_hook(it));
    let path = session.files(pod).launch(container);
    let read = || -> Result<Option<Launch>> {
        store::read_json(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut launch = read()?;
    if launch.is_none() && runs {
        // Somebody has removed it: the runner knows it, and writes it again.
        let asked = store::ask_runner(&session.files(pod), &RunnerRequest::Reload {});
        let until = Instant::now() + WRITTEN_AGAIN;
        while asked.is_ok() && launch.is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            launch = read()?;
        }
    }
    match launch {
        Some(launch) if runs && is_alive(session, pod, launch.pid) => Ok(launch),
        Some(_) | None => Err(not_running(pod, container).into()),
    }
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// Returns whether the main process that the runner started is alive, and its pid was not reused.
fn is_alive(session: &Session, pod: &Pod, pid: u32) -> bool {
    let record = RunnerRecord::read(&session.files(pod)).ok().flatten();
    match record.and_then(|record| record.main_process(pid)) {
        Some(process) => process.is_alive(),
        None => proc::started(pid).is_some(),
    }
}

fn not_running(pod: &Pod, container: &str) -> Problem {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let state = containers::status(pod, container).and_then(|status| status.state.as_ref());
    if let Some(end) = state.and_then(|state| state.terminated.as_ref()) {
        let code = end.exit_code;
        let message = format!("container {container} of {name} has ended with exit code {code}");
        let hint = format!("name one that runs; {name} has: {}", containers::list(pod));
        return Problem::new(Kind::Failed, message).hint(hint);
    }
    let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.clone());
    let word = waiting.unwrap_or_else(|| printer::pod_status_word(pod));
    let message = format!("container {container} of {name} is not running ({word})");
    let why = pods::why_not_ready(pod);
    let why = why.unwrap_or_else(|| "its process is gone".to_owned());
    let hint = format!("{why}; look at it with `petset describe pod {name}`");
    Problem::new(Kind::Failed, message).hint(hint)
}
