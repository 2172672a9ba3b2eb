//! Facts about a pod: the set that controls it, and whether it is ready.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// A container that was restarted so often in vain will not mend itself (31 s with the default
/// back-off).
const HOPELESS_RESTARTS: i32 = 6;

/// Returns the owner that controls an object, if there is one.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Returns the name of the set that controls an object, if there is one.
pub(crate) fn set_of(meta: &ObjectMeta) -> Option<&str> {
    let set = controller_of(meta).filter(|owner| owner.kind == "StatefulSet")?;
    Some(&set.name)
}

/// Returns whether the pod's condition Ready is true, also while the pod is terminating.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| is_true(status, "Ready"))
}

/// Returns the condition of this type, such as `Ready`.
pub(crate) fn condition<'s>(status: &'s PodStatus, of: &str) -> Option<&'s PodCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == of)
}

/// Returns whether the condition of this type is true.
pub(crate) fn is_true(status: &PodStatus, of: &str) -> bool {
    condition(status, of).is_some_and(|condition| condition.status == "True")
}

/// Returns whether a container will not become ready without a change by the user.
pub(crate) fn is_hopeless(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("CrashLoopBackOff") => container.restart_count >= HOPELESS_RESTARTS,
        Some(
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerConfigError",
        ) => true,
        _ => false,
    }
}
