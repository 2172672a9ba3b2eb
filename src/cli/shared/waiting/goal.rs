//! What a verb waits for.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::shared::render::clean;
use crate::model::ObjectName;

/// What a verb waits for; the set is as this command left it.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    /// Everything that this set asks for is so.
    Settled(StatefulSet),
    /// The set is gone, and its pets with it.
    Gone(StatefulSet),
    /// The pet with this name and uid is gone, and its set is settled again.
    Replaced {
        set: StatefulSet,
        pet: ObjectName,
        uid: String,
    },
    /// No pet of the set runs any more, because of `petset stop`.
    Stopped(StatefulSet),
    /// The pod, which belongs to no set, is ready, or has done what it is for.
    PodUp(Pod),
    /// The pod is gone.
    PodGone(Pod),
    /// Nothing of the pod runs any more, because of `petset stop`.
    PodStopped(Pod),
}

impl Goal {
    /// Returns the metadata of the set or pod.
    pub(super) const fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Settled(set) | Self::Gone(set) | Self::Stopped(set) => &set.metadata,
            Self::Replaced { set, .. } => &set.metadata,
            Self::PodUp(pod) | Self::PodGone(pod) | Self::PodStopped(pod) => &pod.metadata,
        }
    }

    /// Tells whether it may be reached by pets that only have been started, and end at once.
    pub(super) fn is_rash(&self) -> bool {
        let pod = match self {
            Self::Settled(set) | Self::Replaced { set, .. } => {
                let spec = set.spec.as_ref();
                let spec = spec.filter(|spec| spec.replicas != Some(0));
                spec.and_then(|spec| spec.template.spec.as_ref())
            }
            Self::PodUp(pod) => pod.spec.as_ref(),
            Self::Gone(_) | Self::Stopped(_) | Self::PodGone(_) | Self::PodStopped(_) => None,
        };
        pod.is_some_and(|pod| {
            let mut containers = pod.containers.iter();
            containers.any(|one| one.readiness_probe.is_none())
        })
    }

    /// Tells whether pets have to run for it.
    pub(super) const fn needs_pets(&self) -> bool {
        matches!(
            self,
            Self::Settled(_) | Self::Replaced { .. } | Self::PodUp(_)
        )
    }
}

/// How far a goal is.
pub(in crate::cli) enum GoalState {
    Reached,
    /// A sentence without its full stop.
    Waiting(String),
}

/// Puts the last lines of a pet's log below a message.
pub(super) fn quoted(pet: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| format!("\n    | {}", clean(line)));
    format!("; the last lines of {pet}:{}", lines.collect::<String>())
}
