//! The words that `kubectl get pods` prints (I15 to I17), and why a pet is not ready yet.

mod selector;
mod why;
mod workloads;

use super::pod::{is_paused, is_true};
use super::workload::pods::phase;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    Pod, PodSpec, PodStatus,
};

pub use selector::{labels_text, selector_text};
pub use why::{
    culprit, hook_condition, is_in_hook, is_own, post_start_message, probe_condition, runs_in_hook,
    volumes_condition, why_not_ready,
};
pub(crate) use workloads::workload_headings;
pub use workloads::{controlled_by, job_status_word, workload_cells, workload_selector};

/// Why a pod has ended that runs again as soon as everything does: how its containers ended is
/// then no fault of theirs.
pub const STOPPED: &str = "Stopped";

/// Returns the STATUS column: `Running`, `Init:1/3`, `CrashLoopBackOff`, `Terminating` ...
#[must_use]
pub fn pod_status_word(pod: &Pod) -> String {
    let default = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&default);
    let phase = status.phase.clone().unwrap_or_else(|| "Pending".to_owned());
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason.as_deref() == Some("NodeLost") {
            return "Unknown".to_owned();
        }
        if !matches!(phase.as_str(), "Succeeded" | "Failed") {
            return "Terminating".to_owned();
        }
    }
    let given = status.reason.clone().filter(|reason| !reason.is_empty());
    if given.as_deref() == Some(STOPPED) {
        return STOPPED.to_owned();
    }
    if is_paused(pod) {
        return "Paused".to_owned();
    }
    let init_word = unfinished_init(pod).map(|step| step.word());
    match init_word {
        Some(word) if !is_true(status, "Initialized") => word,
        word => after_init(status, word.or(given).unwrap_or(phase)),
    }
}

/// The init container that a pod waits for.
struct InitStep<'a> {
    status: &'a ContainerStatus,
    at: usize,
    of: usize,
}

impl InitStep<'_> {
    fn word(&self) -> String {
        let progress = format!("Init:{}/{}", self.at, self.of);
        match self.status.state.as_ref() {
            Some(ContainerState {
                terminated: Some(end),
                ..
            }) => format!("Init:{}", end_word(end)),
            Some(ContainerState {
                waiting: Some(waiting),
                ..
            }) => match reason_of(waiting) {
                None | Some("PodInitializing") => progress,
                Some(reason) => format!("Init:{reason}"),
            },
            Some(_) | None => progress,
        }
    }
}

/// Returns the first init container that is neither done nor a sidecar that has started.
fn unfinished_init(pod: &Pod) -> Option<InitStep<'_>> {
    let spec = pod.spec.as_ref();
    let of = spec.map_or(0, |spec| spec.init_containers.iter().flatten().count());
    let statuses = pod.status.as_ref()?.init_container_statuses.as_deref()?;
    let mut unfinished = statuses.iter().enumerate().filter(|(_, status)| {
        let ended_well = terminated(status).is_some_and(|end| end.exit_code == 0);
        let started = status.started == Some(true) && is_sidecar(spec, &status.name);
        !ended_well && !started
    });
    let (at, status) = unfinished.next()?;
    Some(InitStep { status, at, of })
}

/// Returns the init step whose turn it is: its number, how many there are, and its name; nothing
/// for a pod that is past them.
#[must_use]
pub fn init_step(pod: &Pod) -> Option<(usize, usize, &str)> {
    let status = pod.status.as_ref()?;
    let step = unfinished_init(pod).filter(|_| !is_true(status, "Initialized"))?;
    Some((step.at + 1, step.of, &step.status.name))
}

/// Looks at the containers from the last to the first, so that the first has the last word (I16);
/// but a pod that has failed is not called Completed.
fn after_init(status: &PodStatus, mut word: String) -> String {
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    for container in statuses.iter().rev() {
        let waiting = waiting(container).and_then(reason_of).map(str::to_owned);
        let said = waiting.or_else(|| terminated(container).map(end_word));
        word = said.unwrap_or(word);
    }
    let failed = |container: &ContainerStatus| {
        let end = terminated(container).filter(|end| end.exit_code != 0);
        end.map(end_word)
    };
    if word == "Completed" && status.phase.as_deref() == Some("Failed") {
        word = statuses.iter().find_map(failed).unwrap_or(word);
    }
    let runs = |container: &ContainerStatus| container.ready && is_running(container);
    if word == "Completed" && statuses.iter().any(runs) {
        let ready = is_true(status, "Ready");
        return if ready { "Running" } else { "NotReady" }.to_owned();
    }
    word
}

fn end_word(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.clone().filter(|reason| !reason.is_empty());
    let signal = end.signal.filter(|signal| *signal != 0);
    let signalled = signal.map(|signal| format!("Signal:{signal}"));
    let coded = || format!("ExitCode:{}", end.exit_code);
    reason.or(signalled).unwrap_or_else(coded)
}

fn reason_of(waiting: &ContainerStateWaiting) -> Option<&str> {
    let reason = waiting.reason.as_deref();
    reason.filter(|reason| !reason.is_empty())
}

fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    container.state.as_ref()?.waiting.as_ref()
}

fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn is_running(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

fn is_sidecar(spec: Option<&PodSpec>, name: &str) -> bool {
    let containers = spec.and_then(|spec| spec.init_containers.as_deref());
    let mut containers = containers.unwrap_or_default().iter();
    containers.any(|container| container.name == name && always_restarts(container))
}

fn always_restarts(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Returns whether the pod is past its init containers, as kubectl sees it.
fn is_initialized(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    unfinished_init(pod).is_none() || status.is_some_and(|status| is_true(status, "Initialized"))
}

/// Returns the READY column, `1/2`: of the containers and sidecars, those that are ready (I17).
#[must_use]
pub fn ready_column(pod: &Pod) -> String {
    let (ready, total) = ready_counts(pod);
    format!("{ready}/{total}")
}

/// Returns how many containers and sidecars are ready, and how many there are.
#[must_use]
pub fn ready_counts(pod: &Pod) -> (usize, usize) {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref());
    let sidecars = init
        .unwrap_or_default()
        .iter()
        .filter(|c| always_restarts(c));
    let total = spec.map_or(0, |spec| spec.containers.len()) + sidecars.count();
    let Some(status) = &pod.status else {
        return (0, total);
    };
    let init = status
        .init_container_statuses
        .as_deref()
        .unwrap_or_default();
    let seen = unfinished_init(pod).map_or(init.len(), |step| step.at);
    let ready_sidecars = init[..seen].iter().filter(|container| {
        let started = container.started == Some(true) && terminated(container).is_none();
        container.ready && started && is_sidecar(spec, &container.name)
    });
    let containers = status.container_statuses.iter().flatten();
    let ready = containers.filter(|container| container.ready && is_running(container));
    let ready = if is_initialized(pod) {
        ready.count()
    } else {
        0
    };
    (ready_sidecars.count() + ready, total)
}

/// Returns the RESTARTS column: `0`, `3`, `3 (5s ago)` (I17).
///
/// While the pod initializes it counts its init containers, later its containers and sidecars.
#[must_use]
pub fn restarts(pod: &Pod, now: Timestamp) -> String {
    let counted = counted_for_restarts(pod);
    let count: i32 = counted
        .iter()
        .map(|container| container.restart_count)
        .sum();
    let ends = counted.iter().filter_map(|container| {
        let last = container.last_state.as_ref()?.terminated.as_ref()?;
        last.finished_at.as_ref().map(|time| time.0)
    });
    match ends.max().filter(|_| count != 0) {
        Some(last) => format!("{count} ({} ago)", age(now.duration_since(last))),
        None => count.to_string(),
    }
}

/// Counts pods by their phases, as descriptions of what makes them do.
#[must_use]
pub fn phases(pods: &[Pod]) -> String {
    let count = |wanted: &str| {
        let phases = pods.iter().map(|pod| match phase(pod) {
            "" => "Pending",
            phase => phase,
        });
        phases.filter(|phase| *phase == wanted).count()
    };
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}

fn counted_for_restarts(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let init = status
        .init_container_statuses
        .as_deref()
        .unwrap_or_default();
    if !is_initialized(pod) {
        let seen = unfinished_init(pod).map_or(init.len(), |step| step.at + 1);
        return init[..seen].iter().collect();
    }
    let spec = pod.spec.as_ref();
    let sidecars = init.iter().filter(|c| is_sidecar(spec, &c.name));
    let containers = status.container_statuses.iter().flatten();
    sidecars.chain(containers).collect()
}

/// Prints a duration as kubectl's AGE column does: two units at most, fewer as it grows.
#[must_use]
pub fn age(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => pair(days, 'd', hours % 24, 'h'),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => pair(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

fn pair(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests;
