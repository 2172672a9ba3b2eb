//! The goals that a verb waits for.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::shared::files;
use crate::cli::shared::render::clean;
use crate::cli::shared::workloads::pod_spec;
use crate::model::kind::WorkloadKind;
use crate::model::object::Object;
use crate::model::{ObjectName, Workload};

/// What a verb waits for, with the object as the verb has stored it.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    /// The state of the set is as its spec says.
    Settled(StatefulSet),
    /// The set is gone, and its pets with it.
    Gone(StatefulSet),
    /// The pet with this name and uid is gone, and its set is settled again.
    Replaced {
        set: StatefulSet,
        pet: ObjectName,
        uid: String,
    },
    /// The pet with this name and uid is gone.
    PetGone {
        set: StatefulSet,
        pet: ObjectName,
        uid: String,
    },
    /// No pet of the set runs, because of `petset stop`.
    Stopped(StatefulSet),
    /// The bare pod is ready, or has completed.
    PodUp(Pod),
    /// The bare pod is gone.
    PodGone(Pod),
    /// No container of the pod runs, or it is gone.
    PodStopped(Pod),
    /// The workload has come to what its spec asks for.
    WorkloadDone(Box<Workload>),
    /// The workload is gone, and what it has made with it.
    WorkloadGone(Box<Workload>),
}

impl Goal {
    /// Returns what to wait for once these objects are stored: sets, then pods, then workloads.
    pub(crate) fn all_of(objects: &[Object]) -> Vec<Self> {
        let sets = files::sets(objects).cloned().map(Self::Settled);
        let pods = files::pods(objects).cloned().map(Self::PodUp);
        let workloads = files::workloads(objects).cloned();
        let workloads = workloads.map(|it| Self::WorkloadDone(it.into()));
        sets.chain(pods).chain(workloads).collect()
    }

    /// Returns the metadata of the object.
    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Settled(set) | Self::Gone(set) | Self::Stopped(set) => &set.metadata,
            Self::Replaced { set, .. } | Self::PetGone { set, .. } => &set.metadata,
            Self::PodUp(pod) | Self::PodGone(pod) | Self::PodStopped(pod) => &pod.metadata,
            Self::WorkloadDone(workload) | Self::WorkloadGone(workload) => workload.metadata(),
        }
    }

    /// Returns whether a pet could count as ready before it has proved to stay up.
    pub(super) fn may_be_premature(&self) -> bool {
        let pod = match self {
            Self::Settled(set) | Self::Replaced { set, .. } => {
                let spec = set.spec.as_ref();
                let spec = spec.filter(|spec| spec.replicas != Some(0));
                spec.and_then(|spec| spec.template.spec.as_ref())
            }
            Self::PodUp(pod) => pod.spec.as_ref(),
            Self::WorkloadDone(workload) => match workload.kind() {
                WorkloadKind::Job | WorkloadKind::CronJob => None,
                WorkloadKind::Deployment
                | WorkloadKind::ReplicaSet
                | WorkloadKind::ReplicationController
                | WorkloadKind::DaemonSet => pod_spec(workload),
            },
            Self::WorkloadGone(_)
            | Self::Gone(_)
            | Self::PetGone { .. }
            | Self::Stopped(_)
            | Self::PodGone(_)
            | Self::PodStopped(_) => None,
        };
        pod.is_some_and(|pod| {
            let mut containers = pod.containers.iter();
            containers.any(|one| one.readiness_probe.is_none())
        })
    }

    /// Returns how many seconds a pet may take to stop.
    pub(in crate::cli) fn grace_period(&self) -> i64 {
        let pod = match self {
            Self::Settled(set)
            | Self::Gone(set)
            | Self::Stopped(set)
            | Self::PetGone { set, .. }
            | Self::Replaced { set, .. } => {
                let spec = set.spec.as_ref();
                spec.and_then(|spec| spec.template.spec.as_ref())
            }
            Self::PodUp(pod) | Self::PodGone(pod) | Self::PodStopped(pod) => pod.spec.as_ref(),
            Self::WorkloadDone(workload) | Self::WorkloadGone(workload) => pod_spec(workload),
        };
        let own = pod.and_then(|pod| pod.termination_grace_period_seconds);
        own.unwrap_or(30)
    }

    /// Returns whether pets must run to reach it.
    pub(super) const fn needs_pets(&self) -> bool {
        matches!(
            self,
            Self::Settled(_) | Self::Replaced { .. } | Self::PodUp(_) | Self::WorkloadDone(_)
        )
    }
}

/// Whether a goal is reached.
pub(in crate::cli) enum GoalState {
    Reached,
    /// What it waits for: a sentence without its full stop.
    Waiting(String),
}

/// Formats the last lines of a log as the end of a message.
pub(super) fn quoted(pet: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| format!("\n    | {}", clean(line)));
    format!("; the last lines of {pet}:{}", lines.collect::<String>())
}
