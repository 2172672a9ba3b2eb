//! Whether the template that a Deployment has now has proved itself, before it gets another.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::session::Session;
use crate::model::deployment::{canaries, same_template};
use crate::model::rollout::{failed_revisions, mark_failed, unmark_failed};
use crate::model::workload::{WorkProgress, pods, progress};
use crate::model::{ObjectRef, PetSeen, Workload};
use crate::problem::Result;

/// What is known of the wanted template of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// All pods became available with it: the ReplicaSet's name.
    Good(String),
    /// A pod cannot become ready with it.
    Failed(String),
    /// It is not known yet.
    Open,
}

impl Proof {
    /// Notes it at the Deployment, so that no rollback goes to a template that failed.
    pub(crate) fn note_on(&self, meta: &mut ObjectMeta) {
        match self {
            Self::Good(set) if failed_revisions(meta).contains(&set.as_str()) => {
                unmark_failed(meta, set);
            }
            Self::Failed(set) => mark_failed(meta, set),
            Self::Good(_) | Self::Open => {}
        }
    }
}

impl Session {
    /// Returns what is known of the template that a workload has now.
    pub(crate) fn proof_of_template(&self, workload: &Workload) -> Result<Proof> {
        let Workload::Deployment(deployment) = workload else {
            return Ok(Proof::Open);
        };
        let namespace = ObjectRef::of(workload.metadata())?.namespace;
        let sets = self.sets_of_deployment(workload, &namespace)?;
        let is_wanted = |template| {
            let spec = deployment.spec.as_ref();
            spec.is_some_and(|spec| same_template(&spec.template, template))
        };
        let current = sets.iter().find(|set| {
            let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
            template.is_some_and(is_wanted)
        });
        let Some(current) = current else {
            return Ok(Proof::Open);
        };
        let name = pods::name_of(&current.metadata).to_owned();
        let is_stuck = |pod| PetSeen::of(pod).stuck;
        Ok(match progress(workload) {
            WorkProgress::Done if canaries(deployment).is_none() => Proof::Good(name),
            WorkProgress::Failed(_) => Proof::Failed(name),
            WorkProgress::Done | WorkProgress::Waiting(_) => {
                let own = self.current_pods_of(&namespace, workload)?;
                match own.iter().any(is_stuck) {
                    true => Proof::Failed(name),
                    false => Proof::Open,
                }
            }
        })
    }
}
