//! The containers of a pet, and the default one.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::cli::shared::pods;
use crate::model::printer;
use crate::problem::{Kind, Problem, Result};

/// The annotation that names the default container, as in kubectl.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Returns all containers, init containers first.
pub(crate) fn all(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let init = spec.init_containers.iter().flatten();
    let all = init.chain(&spec.containers);
    all.map(|container| container.name.clone()).collect()
}

/// Returns whether the container is the only one that is not an init container.
pub(crate) fn is_only_choice(pod: &Pod, container: &str) -> bool {
    let main = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    matches!(main, Some([only]) if only.name == container)
}

/// Lists all containers for a message: `c, sidecar, prepare (init)`.
pub(crate) fn list(pod: &Pod) -> String {
    let Some(spec) = &pod.spec else {
        return String::new();
    };
    let main = spec.containers.iter().map(|c| c.name.clone());
    let init = spec.init_containers.iter().flatten();
    let init = init.map(|c| format!("{} (init)", c.name));
    main.chain(init).collect::<Vec<_>>().join(", ")
}

/// Returns the container of this name, which has to exist.
pub(crate) fn named(pod: &Pod, name: &str) -> Result<String> {
    let found = all(pod).into_iter().find(|container| container == name);
    found.ok_or_else(|| {
        let pet = pod.metadata.name.as_deref().unwrap_or_default();
        let message = format!("container {name} is not valid for pod {pet}");
        let hint = format!("it has: {}", list(pod));
        Problem::new(Kind::NotFound, message).hint(hint).into()
    })
}

/// Returns the default container: the one of the annotation, else the first one. While the pet
/// initializes, it is the current init container.
pub(crate) fn default(pod: &Pod) -> String {
    let annotations = pod.metadata.annotations.as_ref();
    let chosen = annotations.and_then(|all| all.get(DEFAULT_CONTAINER));
    let chosen = chosen.filter(|chosen| all(pod).contains(chosen));
    let spec = pod.spec.as_ref();
    let first = spec.and_then(|spec| spec.containers.first());
    let main = chosen.cloned().or(first.map(|first| first.name.clone()));
    let main = main.unwrap_or_default();
    if has_started(pod, &main) {
        return main;
    }
    current_init(pod).unwrap_or(main)
}

/// Returns the init container that runs, or the one that failed.
fn current_init(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_deref()?;
    let mut at = statuses.iter().filter(|status| {
        let state = status.state.as_ref();
        let ended = state.and_then(|state| state.terminated.as_ref());
        was_started(status) && ended.is_none_or(|end| end.exit_code != 0)
    });
    // A sidecar keeps running while later init containers run.
    at.next_back().map(|status| status.name.clone())
}

/// Returns the status of a container or init container.
pub(crate) fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    all.find(|status| status.name == container)
}

fn was_started(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    let began = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    began || has_ended(status)
}

fn has_ended(status: &ContainerStatus) -> bool {
    let last = status.last_state.as_ref();
    last.is_some_and(|state| state.terminated.is_some())
}

fn has_started(pod: &Pod, container: &str) -> bool {
    status(pod, container).is_some_and(was_started)
}

/// Returns whether the container has a previous run.
pub(crate) fn has_ended_before(pod: &Pod, container: &str) -> bool {
    status(pod, container).is_some_and(has_ended)
}

/// Returns whether the container has ended and does not run again.
pub(crate) fn has_ended_for_good(pod: &Pod, container: &str) -> bool {
    let state = status(pod, container).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.terminated.is_some())
}

/// Refuses a container that has not been started: it has no log.
pub(crate) fn expect_started(pod: &Pod, container: &str) -> Result<()> {
    if has_started(pod, container) {
        return Ok(());
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let waiting = status(pod, container).and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone());
    let reason = reason.unwrap_or_else(|| printer::pod_status_word(pod));
    let message =
        format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}");
    let why = pods::why_not_ready(pod).unwrap_or(reason);
    let hint = format!("{name} waits: {why}; follow it with `petset logs -f {name}`");
    Err(Problem::new(Kind::Failed, message).hint(hint).into())
}
