//! `petset exec`

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;

use super::shared::containers;
use super::shared::exit::PassedThrough;
use super::shared::names::TargetArg;
use super::shared::running::{is_alive, launch_of, not_running, pod_of, refuse_paused};
use super::shared::session::{Session, say};
use crate::problem::{Kind, Problem, Result};
use crate::role;
use crate::runner::isolation;
use crate::store::{self, Launch, RunnerRequest};
use crate::sys::proc::ProcessId;

/// The exit codes of a shell for a program that cannot be started, and for one that does not exist.
const CANNOT_START: u8 = 126;
const MISSING: u8 = 127;
/// What is run where no program is named.
const SHELL: &str = "sh";

/// Run a program in a container of a pet, or of one pod of a workload
///
/// The program has the environment and the working directory of the container, and petset ends with
/// its exit code: 127 if the program does not exist, 126 if it cannot be started, and 137 if its
/// container ended. In an isolated pet it has petset's streams, but a pipe in the place of a
/// terminal unless `-t` gives it one of the pet's own. Without isolation it replaces petset.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset exec etcd-0                    a shell
  petset exec etcd-0 -- etcdctl member list
  petset exec -it web-0 -c web -- sh
  petset exec web-0 -- sh -c 'echo $POD_IP'
  petset exec deploy/front -- date      in one of its pods")]
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
    /// Program and its arguments; a shell, if there are none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    session.store.expect_own()?;
    let pod = pod_of(session, &args.target.target()?)?;
    let container = match &args.container {
        Some(name) => containers::named(&pod, name)?,
        None => containers::default(&pod),
    };
    let launch = launch_of(session, &pod, &container)?;
    refuse_paused(&pod)?;
    let shell = [SHELL.to_owned()];
    let (words, tty) = match args.command.as_slice() {
        [] => (shell.as_slice(), args.tty || is_on_terminal()),
        words => (words, args.tty),
    };
    let (program, rest) = (&words[0], &words[1..]);
    let full = isolation::is_full(&pod);
    if full {
        let sealed = role::seal_this_process();
        sealed.context("cannot keep this program from the pet")?;
    }
    if !full || isolation::shares_processes(&pod) {
        announce(session, &pod, &container, &launch)?;
    }
    if full {
        return visit(&launch, words, tty);
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

/// Returns whether a person types, and reads what is printed.
fn is_on_terminal() -> bool {
    rustix::termios::isatty(io::stdin()) && rustix::termios::isatty(io::stdout())
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
fn visit(launch: &Launch, words: &[String], tty: bool) -> Result<()> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    match isolation::exec(launch, words, tty) {
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
