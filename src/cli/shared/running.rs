//! Containers that run now: the pod that a target names, and how its main process was started.

use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::containers;
use super::names::TargetRef;
use super::pods;
use super::resolve::{Resolved, resolve};
use super::session::Session;
use crate::model::pod::is_paused;
use crate::model::{ObjectName, printer};
use crate::problem::{Kind, Problem, Result};
use crate::store::salvage::read_if_whole;
use crate::store::{self, Launch, RunnerRecord, RunnerRequest};
use crate::sys::proc;

/// How long a runner may take to write again how it has started a container.
const WRITTEN_AGAIN: Duration = Duration::from_secs(2);

/// Returns the pod that a target names, or one pod of the workload.
pub(crate) fn pod_of(session: &Session, target: &TargetRef) -> Result<Pod> {
    let name: ObjectName = target.name().parse()?;
    let found = match target {
        TargetRef::Pet(_) | TargetRef::Either(_) => session.known_pet(&session.namespace, &name)?,
        TargetRef::Set(_) | TargetRef::Workload(..) => None,
    };
    if let Some(pod) = found {
        return Ok(pod);
    }
    match resolve(session, target)? {
        Resolved::Set(set) => {
            let message = format!("{set} is a set, and this is about one of its pets");
            let hint = format!("name a pet, such as {set}-0");
            Err(Problem::invalid(message).hint(hint).into())
        }
        Resolved::Workload(kind, name) => session.choose_pod(kind, &name),
        Resolved::Pet(_) => Err(session.not_found("pods", name.as_str()).into()),
    }
}

/// Returns how the main process of a container was started that runs now.
pub(crate) fn launch_of(session: &Session, pod: &Pod, container: &str) -> Result<Launch> {
    let status = containers::status(pod, container);
    let runs = status.is_some_and(|it| is_running(it) || printer::runs_in_hook(pod, it));
    let path = session.files(pod).launch(container);
    let read = || -> Result<Option<Launch>> {
        read_if_whole(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut launch = read()?;
    if launch.is_none() && runs {
        // Somebody has removed or damaged it: the runner knows it, and writes it again.
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
pub(crate) fn is_alive(session: &Session, pod: &Pod, pid: u32) -> bool {
    let record = RunnerRecord::read(&session.files(pod)).ok().flatten();
    match record.and_then(|record| record.main_process(pid)) {
        Some(process) => process.is_alive(),
        None => proc::started(pid).is_some(),
    }
}

/// Refuses to start something in a pod that is paused, where it would never run.
pub(crate) fn refuse_paused(pod: &Pod) -> Result<(), Problem> {
    if !is_paused(pod) {
        return Ok(());
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let message = format!("{name} is paused");
    let hint = format!("let it go on with `petset resume {name}`");
    Err(Problem::new(Kind::Conflict, message).hint(hint))
}

/// Returns the error for a container that does not run, with its reason.
pub(crate) fn not_running(pod: &Pod, container: &str) -> Problem {
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
