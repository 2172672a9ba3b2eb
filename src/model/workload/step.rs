//! What a pass of a controller returns: a status, steps, and when to look again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The status to publish, the steps to take, and when to look again.
///
/// Performing steps, a new status, and anything that is seen to change call for another pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciled<S, M = ()> {
    /// The status to publish, if all steps succeed.
    pub status: S,
    /// The steps, in order; if one fails, the rest waits for the next pass.
    pub steps: Vec<WorkStep>,
    /// When time alone makes a difference next.
    pub wake_at: Option<Timestamp>,
    /// What the controller remembers until the next pass.
    pub remembered: M,
}

/// Moves a time to wake at forward, if another one is earlier.
pub(in crate::model) fn wake_by(wake_at: &mut Option<Timestamp>, at: Timestamp) {
    *wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkStep {
    /// Make a pod; the performer gives it uid and creation time. Pods of one batch may be made side
    /// by side, and a batch begins when the one before has succeeded whole (RS04).
    CreatePod {
        /// The pod.
        pod: Box<Pod>,
        /// The batch that it belongs to.
        batch: usize,
    },
    /// Delete a pod.
    DeletePod {
        /// The pod.
        name: String,
    },
    /// Give a pod a controller, or none.
    OwnPod {
        /// The pod.
        name: String,
        /// The controller.
        owner: Option<OwnerReference>,
    },
    /// Take the finalizer of Jobs off a pod, whose end is counted (JB04, JB08).
    FreePod {
        /// The pod.
        name: String,
    },
    /// Make a ReplicaSet; the performer gives it uid, creation time and generation.
    CreateSet(Box<ReplicaSet>),
    /// Replace metadata and spec of a ReplicaSet.
    UpdateSet(Box<ReplicaSet>),
    /// Delete a ReplicaSet.
    DeleteSet {
        /// The ReplicaSet.
        name: String,
    },
    /// Give a ReplicaSet a controller, or none.
    OwnSet {
        /// The ReplicaSet.
        name: String,
        /// The controller.
        owner: Option<OwnerReference>,
    },
    /// Record a revision; the performer gives it uid and creation time.
    CreateRevision(Box<ControllerRevision>),
    /// Give a revision a higher number, because its template is wanted again (DS18).
    RenumberRevision {
        /// The revision.
        name: String,
        /// Its new number.
        number: i64,
    },
    /// Delete a revision.
    DeleteRevision {
        /// The revision.
        name: String,
    },
    /// Give a revision a controller, or none.
    OwnRevision {
        /// The revision.
        name: String,
        /// The controller.
        owner: Option<OwnerReference>,
    },
    /// Make a Job; the performer gives it uid, creation time and what the API server adds (JB02).
    CreateJob(Box<Job>),
    /// Delete a Job, its pods after it.
    DeleteJob {
        /// The Job.
        name: String,
    },
    /// Replace the annotations of the object itself.
    Annotate(BTreeMap<String, String>),
    /// Go back to the template of an earlier ReplicaSet, because a pod of the wanted one failed.
    RollBack {
        /// The ReplicaSet that failed.
        from: String,
        /// The ReplicaSet whose template is wanted again.
        to: String,
        /// The pod that failed.
        pod: String,
        /// The fault of the pod.
        why: String,
    },
    /// Publish a status before the steps that follow, which rely on it (JB08).
    Publish(Box<JobStatus>),
    /// Delete the object itself, its dependents before it (JB20).
    Finish,
    /// Tell an event of the object.
    Tell(Told),
}

/// An event of the object that a pass is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its type.
    pub tone: Tone,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

impl Told {
    /// Makes a `Normal` event.
    #[must_use]
    pub fn normal(reason: &str, message: impl Into<String>) -> Self {
        Self {
            tone: Tone::Normal,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Makes a `Warning` event.
    #[must_use]
    pub fn warning(reason: &str, message: impl Into<String>) -> Self {
        Self {
            tone: Tone::Warning,
            ..Self::normal(reason, message)
        }
    }
}

impl WorkStep {
    /// Returns the event to tell once the step was performed, or failed with a message (RS17, JB38,
    /// CJ13, DS21, DP53).
    #[must_use]
    pub fn told(&self, failure: Option<&str>) -> Option<Told> {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let (reason, done, doing) = match self {
            Self::CreatePod { pod, .. } => {
                let done = format!("Created pod: {}", name(&pod.metadata.name));
                ("Create", done, "creating")
            }
            Self::DeletePod { name } => ("Delete", format!("Deleted pod: {name}"), "deleting"),
            Self::CreateJob(job) => {
                let done = format!("Created job {}", name(&job.metadata.name));
                ("Create", done, "creating job")
            }
            Self::DeleteJob { name } => ("Delete", format!("Deleted job {name}"), "deleting job"),
            Self::CreateSet(set) => {
                let set = name(&set.metadata.name);
                return failure.map(|why| {
                    let message = format!("Failed to create new replica set {set:?}: {why}");
                    Told::warning("ReplicaSetCreateError", message)
                });
            }
            Self::OwnPod { .. }
            | Self::FreePod { .. }
            | Self::UpdateSet(_)
            | Self::DeleteSet { .. }
            | Self::OwnSet { .. }
            | Self::CreateRevision(_)
            | Self::RenumberRevision { .. }
            | Self::DeleteRevision { .. }
            | Self::OwnRevision { .. }
            | Self::Annotate(_)
            | Self::RollBack { .. }
            | Self::Publish(_)
            | Self::Finish => return None,
            Self::Tell(told) => return Some(told.clone()),
        };
        Some(match failure {
            None => Told::normal(&format!("Successful{reason}"), done),
            Some(failure) => Told::warning(
                &format!("Failed{reason}"),
                format!("Error {doing}: {failure}"),
            ),
        })
    }
}
