//! `petset kill`

use clap::Args as ClapArgs;
use rustix::process::Signal;

use super::shared::containers;
use super::shared::names::TargetArg;
use super::shared::render;
use super::shared::running::{launch_of, pod_of};
use super::shared::session::{Session, say};
use crate::model::pod::is_paused;
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, RunnerRequest};
use crate::sys::{name_of_signal, signal_named};

/// Send a signal to the main process of a container, as a crash or an operator would
///
/// What becomes of the container is what its restart policy says. The main process of an isolated
/// container is process 1: it does not get a signal that it does not handle, but for KILL and STOP.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset kill etcd-1                    a crash: SIGKILL
  petset kill web-0 --signal HUP        have it read its configuration
  petset kill web-0 -c sidecar")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArg,
    /// Container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", value_parser = signal)]
    signal: Signal,
}

fn signal(word: &str) -> Result<Signal, Problem> {
    signal_named(word).ok_or_else(|| {
        let message = format!("there is no signal {word:?}");
        Problem::invalid(message)
            .hint("such as TERM, KILL, HUP, INT, USR1, STOP, CONT, or a number")
    })
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    session.store.expect_own()?;
    let pod = pod_of(session, &args.target.target()?)?;
    let container = match &args.container {
        Some(name) => containers::named(&pod, name)?,
        None => containers::default(&pod),
    };
    let main = launch_of(session, &pod, &container)?.pid;
    let request = RunnerRequest::Signal {
        container: container.clone(),
        main,
        signal: args.signal.as_raw(),
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if store::ask_runner(&session.files(&pod), &request).is_err() {
        let message = format!("the runner of {name} does not answer");
        let hint = format!("look at it with `petset describe pod/{name}`");
        return Err(Problem::new(Kind::Failed, message).hint(hint).into());
    }
    if is_paused(&pod) && args.signal != Signal::KILL {
        say(format!(
            "note: {name} is paused, and gets it when it is resumed"
        ));
    }
    let signal = name_of_signal(args.signal);
    render::line(&format!("pod/{name} container {container}: {signal} sent"))
}
