//! Objects that make pods from a template without giving them an identity.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::model::json;
use crate::model::kind::{ObjectKind, WorkloadKind};

/// An object that makes pods from a template, in its current API version, with defaults filled in.
#[expect(
    clippy::large_enum_variant,
    reason = "an object holds its workload in a box"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// Rolls from one replica set to the next.
    Deployment(Deployment),
    /// Keeps a number of equal pods.
    ReplicaSet(ReplicaSet),
    /// Does the same, in the words of the first Kubernetes.
    ReplicationController(ReplicationController),
    /// Keeps a pod on each node.
    DaemonSet(DaemonSet),
    /// Runs pods until enough of them have succeeded.
    Job(Job),
    /// Makes jobs by a schedule.
    CronJob(CronJob),
}

/// Does the same with a workload of whatever kind.
macro_rules! each {
    ($workload:expr, $inner:ident => $result:expr) => {
        match $workload {
            Workload::Deployment($inner) => $result,
            Workload::ReplicaSet($inner) => $result,
            Workload::ReplicationController($inner) => $result,
            Workload::DaemonSet($inner) => $result,
            Workload::Job($inner) => $result,
            Workload::CronJob($inner) => $result,
        }
    };
}

impl Workload {
    /// Returns the kind of the workload.
    pub(crate) const fn kind(&self) -> WorkloadKind {
        match self {
            Self::Deployment(_) => WorkloadKind::Deployment,
            Self::ReplicaSet(_) => WorkloadKind::ReplicaSet,
            Self::ReplicationController(_) => WorkloadKind::ReplicationController,
            Self::DaemonSet(_) => WorkloadKind::DaemonSet,
            Self::Job(_) => WorkloadKind::Job,
            Self::CronJob(_) => WorkloadKind::CronJob,
        }
    }

    /// Returns the kind of the workload among those of all objects.
    pub(crate) const fn object_kind(&self) -> ObjectKind {
        ObjectKind::Workload(self.kind())
    }

    /// Returns the name with its kind before it: `deployment.apps/web`.
    pub(crate) fn full_name(&self) -> String {
        let name = self.metadata().name.as_deref().unwrap_or_default();
        format!("{}/{name}", self.object_kind().singular())
    }

    /// Returns the workload's metadata.
    pub(crate) const fn metadata(&self) -> &ObjectMeta {
        each!(self, workload => &workload.metadata)
    }

    /// Returns the workload's metadata, to change it.
    pub(crate) const fn metadata_mut(&mut self) -> &mut ObjectMeta {
        each!(self, workload => &mut workload.metadata)
    }

    /// Returns the template of the pods that the workload makes in the end.
    pub(crate) fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(deployment) => Some(&deployment.spec.as_ref()?.template),
            Self::ReplicaSet(set) => set.spec.as_ref()?.template.as_ref(),
            Self::ReplicationController(controller) => controller.spec.as_ref()?.template.as_ref(),
            Self::DaemonSet(set) => Some(&set.spec.as_ref()?.template),
            Self::Job(job) => Some(&job.spec.as_ref()?.template),
            Self::CronJob(job) => {
                let made = &job.spec.job_template;
                Some(&made.spec.as_ref()?.template)
            }
        }
    }

    /// Returns the template, to change it.
    pub(crate) fn template_mut(&mut self) -> Option<&mut PodTemplateSpec> {
        match self {
            Self::Deployment(deployment) => Some(&mut deployment.spec.as_mut()?.template),
            Self::ReplicaSet(set) => set.spec.as_mut()?.template.as_mut(),
            Self::ReplicationController(controller) => controller.spec.as_mut()?.template.as_mut(),
            Self::DaemonSet(set) => Some(&mut set.spec.as_mut()?.template),
            Self::Job(job) => Some(&mut job.spec.as_mut()?.template),
            Self::CronJob(job) => Some(&mut job.spec.job_template.spec.as_mut()?.template),
        }
    }

    /// Returns the workload of a kind that JSON holds.
    pub(crate) fn from_json(kind: WorkloadKind, value: &Value) -> serde_json::Result<Self> {
        Ok(match kind {
            WorkloadKind::Deployment => Self::Deployment(json::from_value(value)?),
            WorkloadKind::ReplicaSet => Self::ReplicaSet(json::from_value(value)?),
            WorkloadKind::ReplicationController => {
                Self::ReplicationController(json::from_value(value)?)
            }
            WorkloadKind::DaemonSet => Self::DaemonSet(json::from_value(value)?),
            WorkloadKind::Job => Self::Job(json::from_value(value)?),
            WorkloadKind::CronJob => Self::CronJob(json::from_value(value)?),
        })
    }

    /// Returns the status as JSON; null where there is none.
    pub(crate) fn status_json(&self) -> serde_json::Result<Value> {
        each!(self, workload => json::to_value(&workload.status))
    }

    /// Replaces the status by one that is given as JSON.
    pub(crate) fn set_status(&mut self, status: &Value) -> serde_json::Result<()> {
        each!(self, workload => workload.status = json::from_value(status)?);
        Ok(())
    }

    /// Returns the workload as users want it, without what is seen of it.
    pub(crate) fn without_status(&self) -> Self {
        let mut wanted = self.clone();
        each!(&mut wanted, workload => workload.status = None);
        wanted
    }

    /// Returns whether another workload asks for the same.
    pub(crate) fn has_same_spec(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Deployment(one), Self::Deployment(two)) => one.spec == two.spec,
            (Self::ReplicaSet(one), Self::ReplicaSet(two)) => one.spec == two.spec,
            (Self::ReplicationController(one), Self::ReplicationController(two)) => {
                one.spec == two.spec
            }
            (Self::DaemonSet(one), Self::DaemonSet(two)) => one.spec == two.spec,
            (Self::Job(one), Self::Job(two)) => one.spec == two.spec,
            (Self::CronJob(one), Self::CronJob(two)) => one.spec == two.spec,
            (_, _) => false,
        }
    }

    /// Takes the spec of another workload of this kind.
    pub(crate) fn take_spec_of(&mut self, other: &Self) {
        match (self, other) {
            (Self::Deployment(one), Self::Deployment(two)) => one.spec.clone_from(&two.spec),
            (Self::ReplicaSet(one), Self::ReplicaSet(two)) => one.spec.clone_from(&two.spec),
            (Self::ReplicationController(one), Self::ReplicationController(two)) => {
                one.spec.clone_from(&two.spec);
            }
            (Self::DaemonSet(one), Self::DaemonSet(two)) => one.spec.clone_from(&two.spec),
            (Self::Job(one), Self::Job(two)) => one.spec.clone_from(&two.spec),
            (Self::CronJob(one), Self::CronJob(two)) => one.spec.clone_from(&two.spec),
            (_, _) => {}
        }
    }

    /// Returns the workload as JSON, with its `apiVersion` and `kind`.
    pub(crate) fn to_json(&self) -> serde_json::Result<Value> {
        each!(self, workload => json::to_value(workload))
    }
}
