//! Why a pet is not ready, in one sentence.

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodCondition, PodStatus,
};

use super::{
    InitStep, is_running, is_sidecar, ready_counts, reason_of, terminated, unfinished_init, waiting,
};
use crate::model::pod::{condition, is_hopeless, is_paused, is_start_error, is_true};

/// The longest words of a probe that a sentence holds.
const LONG: usize = 200;

/// Returns whether a condition is one of petset's own, for the sake of [`why_not_ready`].
#[must_use]
pub fn is_own(condition: &PodCondition) -> bool {
    condition.type_.starts_with("petset.dev/")
}

/// Names the condition in which a runner keeps why a container's probe has not succeeded: its
/// status is `False` and its message the probe's own words.
#[must_use]
pub fn probe_condition(container: &str) -> String {
    format!("petset.dev/probe-{container}")
}

/// Names the condition in which a runner keeps that a container's postStart has not ended.
#[must_use]
pub fn hook_condition(container: &str) -> String {
    format!("petset.dev/post-start-{container}")
}

/// Names the condition in which a runner keeps why the volumes of a pod are not in place.
#[must_use]
pub const fn volumes_condition() -> &'static str {
    "petset.dev/volumes"
}

/// Returns the message of a container that waits for its own hook to end.
#[must_use]
pub fn post_start_message(container: &str) -> String {
    format!("postStart of {container} still runs")
}

/// Returns the container that keeps a pod from being ready: the init step whose turn it is, else
/// what halts, before what only has not come so far.
#[must_use]
pub fn culprit(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    if let Some(step) = unfinished_init(pod).filter(|_| !is_true(status, "Initialized")) {
        return Some(step.status);
    }
    let spec = pod.spec.as_ref();
    let init = status.init_container_statuses.iter().flatten();
    let sidecars = init.filter(|container| is_sidecar(spec, &container.name));
    let containers = status.container_statuses.iter().flatten();
    let unready = sidecars.chain(containers).filter(|one| !one.ready);
    unready.min_by_key(|container| Gravity::of(pod, container))
}

/// How much a container that is not ready needs attention, the most first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Gravity {
    Hopeless,
    Failing,
    Unready,
    Unstarted,
    Completed,
}

impl Gravity {
    fn of(pod: &Pod, container: &ContainerStatus) -> Self {
        if is_hopeless(container) {
            return Self::Hopeless;
        }
        if let Some(end) = terminated(container) {
            return match end.exit_code {
                0 => Self::Completed,
                _ => Self::Failing,
            };
        }
        match waiting(container) {
            None if is_running(container) => Self::Unready,
            None => Self::Unstarted,
            Some(_) if runs_in_hook(pod, container) => Self::Unready,
            Some(waiting) => match reason_of(waiting) {
                None | Some("PodInitializing" | "ContainerCreating") => Self::Unstarted,
                Some(_) => Self::Failing,
            },
        }
    }
}

/// Returns whether a container of the pod runs whose own postStart has not ended.
#[must_use]
pub fn is_in_hook(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let mut containers = containers.into_iter().flatten();
    containers.any(|container| runs_in_hook(pod, container))
}

/// Returns whether a container of the pod runs whose own postStart has not ended.
#[must_use]
pub fn runs_in_hook(pod: &Pod, container: &ContainerStatus) -> bool {
    let told = told_in(pod, &hook_condition(&container.name));
    waiting(container).is_some() && told.is_some()
}

/// Says in one sentence why a pet is not ready; nothing where it is.
///
/// ```
/// let pod = k8s_openapi::api::core::v1::Pod::default();
/// let why = petset::model::printer::why_not_ready(&pod);
/// assert_eq!(why.as_deref(), Some("its runner has not started yet"));
/// ```
#[must_use]
pub fn why_not_ready(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("it is stopping".to_owned());
    }
    let Some(status) = &pod.status else {
        return Some("its runner has not started yet".to_owned());
    };
    if is_true(status, "Ready") {
        return None;
    }
    if let Some(phase @ ("Succeeded" | "Failed")) = status.phase.as_deref() {
        return Some(why_ended(phase, status));
    }
    if is_paused(pod) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        return Some(format!(
            "it is paused: `petset resume {name}` lets it go on"
        ));
    }
    let unplaced = condition(status, "PodScheduled").filter(|placed| placed.status == "False");
    if let Some(why) = unplaced.and_then(|placed| placed.message.clone()) {
        return Some(format!("it is not scheduled: {why}"));
    }
    if let Some(step) = unfinished_init(pod).filter(|_| !is_true(status, "Initialized")) {
        return Some(why_initializing(pod, &step));
    }
    let container = culprit(pod).map(|container| told(pod, container));
    let message = status.message.clone().filter(|message| !message.is_empty());
    let vague = || match status.phase.as_deref() {
        Some("Running") => "its containers are ready, and it will be in a moment".to_owned(),
        Some(_) | None => "its runner has not started yet".to_owned(),
    };
    Some(container.or(message).unwrap_or_else(vague))
}

fn why_ended(phase: &str, status: &PodStatus) -> String {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let cause = text(&status.message).or_else(|| text(&status.reason));
    let containers = status.container_statuses.iter().flatten();
    let mut bad = containers.filter_map(|container| {
        let end = terminated(container).filter(|end| end.exit_code != 0)?;
        Some(format!("container {} {}", container.name, ended(end)))
    });
    let what = if phase == "Failed" {
        "it failed"
    } else {
        "it has ended"
    };
    match cause.or_else(|| bad.next()) {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}

fn why_initializing(pod: &Pod, step: &InitStep<'_>) -> String {
    let (at, of) = (step.at + 1, step.of);
    let name = &step.status.name;
    let sidecar = is_sidecar(pod.spec.as_ref(), name);
    if is_running(step.status) && !sidecar {
        return format!("init container {name} is running ({at} of {of})");
    }
    let fault = why_unready(pod, step.status).told_of(name);
    format!("init {fault} ({at} of {of})")
}

/// Why a container is not ready.
enum WaitCause {
    /// A predicate that follows the container's name.
    State(String),
    /// A fault that needs the container's name before it.
    Named(String),
    /// A fault in words that also stand alone.
    Cause(String),
    /// A sentence that names the container itself.
    Whole(String),
}

impl WaitCause {
    fn told_of(self, container: &str) -> String {
        match self {
            Self::State(text) => format!("container {container} {text}"),
            Self::Named(text) | Self::Cause(text) => format!("container {container}: {text}"),
            Self::Whole(text) => text,
        }
    }
}

/// Tells why one of the containers is not ready; the only one of a pod need not be named.
fn told(pod: &Pod, container: &ContainerStatus) -> String {
    let (_, total) = ready_counts(pod);
    match why_unready(pod, container) {
        WaitCause::Cause(text) if total == 1 => text,
        fault @ (WaitCause::State(_)
        | WaitCause::Named(_)
        | WaitCause::Cause(_)
        | WaitCause::Whole(_)) => fault.told_of(&container.name),
    }
}

fn why_unready(pod: &Pod, container: &ContainerStatus) -> WaitCause {
    if let Some(end) = terminated(container) {
        return WaitCause::State(ended(end));
    }
    if let Some(waiting) = waiting(container) {
        return why_waiting(pod, container, waiting);
    }
    if !is_running(container) {
        return WaitCause::State("has not started yet".to_owned());
    }
    let kind = match container.started {
        Some(false) => "startup",
        Some(true) | None => "readiness",
    };
    match probe_fault(pod, &container.name) {
        Some(fault) => WaitCause::Cause(format!("{kind} probe has not succeeded: {fault}")),
        None => WaitCause::Cause(format!("{kind} probe has not succeeded yet")),
    }
}

fn probe_fault(pod: &Pod, container: &str) -> Option<String> {
    let fault = one_line(told_in(pod, &probe_condition(container))?);
    Some(fault).filter(|fault| !fault.is_empty())
}

/// Returns the message of a condition that does not hold.
fn told_in<'p>(pod: &'p Pod, condition: &str) -> Option<&'p str> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let known = conditions.find(|known| known.type_ == condition && known.status == "False")?;
    known.message.as_deref()
}

/// Joins the lines of a message; of a long one, such as a stack trace, the last line counts.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|it| !it.is_empty());
    let lines: Vec<&str> = lines.collect();
    let all = lines.join("; ");
    if all.chars().count() <= LONG {
        return all;
    }
    let last = lines.last().copied().unwrap_or_default();
    match last.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}...", &last[..end]),
        None => last.to_owned(),
    }
}

fn why_waiting(
    pod: &Pod,
    container: &ContainerStatus,
    waiting: &ContainerStateWaiting,
) -> WaitCause {
    if runs_in_hook(pod, container) {
        return WaitCause::Whole(post_start_message(&container.name));
    }
    let unmounted = told_in(pod, volumes_condition());
    let message = waiting.message.as_deref().or(unmounted).unwrap_or_default();
    // An example may follow on lines of its own; `describe` shows it.
    let first_line = message.lines().next().unwrap_or_default();
    let first_line = first_line.trim_end_matches(", for example:");
    match reason_of(waiting) {
        Some("CrashLoopBackOff") => WaitCause::Named(backing_off(container, message)),
        Some("RunContainerError") => WaitCause::Named(first_line.to_owned()),
        Some("ErrImagePull" | "ErrImageNeverPull" | "ImagePullBackOff" | "InvalidImageName") => {
            WaitCause::Cause(image_fault(&container.image, first_line))
        }
        None | Some("PodInitializing" | "ContainerCreating") => {
            WaitCause::State(match first_line {
                "" => "has not started yet".to_owned(),
                cause => format!("has not started yet: {cause}"),
            })
        }
        Some(reason) if first_line.is_empty() => WaitCause::Named(reason.to_owned()),
        Some(reason) => WaitCause::Named(format!("{reason}: {first_line}")),
    }
}

/// Says what is wrong with an image. Its full name comes once: a digest alone may fill a line.
fn image_fault(image: &str, message: &str) -> String {
    let again = [
        format!("Back-off pulling image \"{image}\": "),
        format!("Failed to apply default image tag \"{image}\": "),
    ];
    let mut again = again.iter();
    let cause = again.find_map(|again| message.strip_prefix(again.as_str()));
    format!("image {image}: {}", cause.unwrap_or(message))
}

/// Shortens `back-off 4s restarting failed container=c pod=p` (I10), and adds what it is for.
fn backing_off(container: &ContainerStatus, message: &str) -> String {
    let delay = message.split(" restarting").next().unwrap_or_default();
    let delay = if delay.starts_with("back-off") {
        delay
    } else {
        "back-off"
    };
    let last = container.last_state.as_ref();
    let last = last.and_then(|state| state.terminated.as_ref());
    match last.and_then(|end| end.message.as_deref().filter(|_| is_start_error(end))) {
        Some(cause) => format!("{delay} after {cause}"),
        None => {
            let cause = last.map(|end| format!(" after {}", with_message(end_text(end), end)));
            format!("{delay} restarting{}", cause.unwrap_or_default())
        }
    }
}

fn ended(end: &ContainerStateTerminated) -> String {
    let unusual = end.reason.as_deref();
    let unusual = unusual.filter(|reason| !matches!(*reason, "" | "Error" | "Completed"));
    let text = match unusual {
        Some(reason) => format!("ended with {} ({reason})", end_text(end)),
        None => format!("ended with {}", end_text(end)),
    };
    with_message(text, end)
}

/// Adds the words that a container left.
fn with_message(text: String, end: &ContainerStateTerminated) -> String {
    let words = one_line(end.message.as_deref().unwrap_or_default());
    match words.as_str() {
        "" => text,
        words => format!("{text}: {words}"),
    }
}

fn end_text(end: &ContainerStateTerminated) -> String {
    match end.signal.filter(|signal| *signal != 0) {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", end.exit_code),
    }
}
