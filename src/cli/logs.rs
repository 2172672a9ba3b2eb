//! `petset logs`

mod args;
mod follow;

use k8s_openapi::api::core::v1::Pod;

use super::shared::containers;
use super::shared::log_stream::LogStream;
use super::shared::session::Session;
use super::shared::stopped;
use crate::problem::{Kind, Problem, Result};
pub(crate) use args::Args;
use args::LogTarget;

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let target = args.target(session)?;
    let pods = target.known_pods(session)?;
    // What is stopped writes nothing more.
    let over = !pods.is_empty() && pods.iter().all(stopped::is_stopped);
    if args.follow && !over {
        return follow::run(session, args, &target);
    }
    if pods.is_empty() {
        return target.no_pets(session);
    }
    let mut shown = false;
    for pod in &pods {
        for container in args.containers(pod, !shown)? {
            show(session, args, &target, pod, &container)?;
        }
        shown = true;
    }
    Ok(())
}

fn show(
    session: &Session,
    args: &Args,
    target: &LogTarget,
    pod: &Pod,
    container: &str,
) -> Result<()> {
    let files = session.files(pod);
    if args.previous {
        return show_previous(session, args, target, pod, container);
    }
    let alone = matches!(target, LogTarget::Pet(_)) && !args.all_containers;
    if alone && !files.log(container).exists() {
        return containers::expect_started(pod, container);
    }
    let mut stream = LogStream::new(files.log(container), args.prefix_of(target, pod, container));
    stream.begin(args.tail())?;
    stream.end()
}

fn show_previous(
    session: &Session,
    args: &Args,
    target: &LogTarget,
    pod: &Pod,
    container: &str,
) -> Result<()> {
    let path = session.files(pod).previous_log(container);
    let mut stream = LogStream::new(path, args.prefix_of(target, pod, container));
    if stream.begin(args.tail())? || containers::has_ended_before(pod, container) {
        return stream.end();
    }
    if !matches!(target, LogTarget::Pet(_)) || args.all_containers {
        return Ok(());
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let message =
        format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
    let hint = format!("it has not been restarted: look at `petset logs {name} -c {container}`");
    Err(Problem::new(Kind::NotFound, message).hint(hint).into())
}
