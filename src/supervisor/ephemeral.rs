//! The claims of ephemeral volumes: made for one pod, owned by it, and gone with it (V60).

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::perform::new_uid;
use super::state::Supervisor;
use crate::model::ObjectRef;
use crate::model::pod::claim_of;
use crate::problem::{Kind, Problem, Result};

/// Marks the claim of an ephemeral volume.
const ANNOTATION: &str = "petset.dev/ephemeral";

impl Supervisor {
    /// Makes the claims of a pod's ephemeral volumes, as far as they are missing.
    pub(super) fn make_ephemeral_claims(&mut self, pod: &Pod, key: &ObjectRef) -> Result<()> {
        let spec = pod.spec.as_ref();
        let volumes = spec.and_then(|spec| spec.volumes.as_deref());
        for volume in volumes.unwrap_or_default() {
            if volume.ephemeral.is_some() {
                self.make_ephemeral_claim(pod, volume, key)?;
            }
        }
        Ok(())
    }

    fn make_ephemeral_claim(&mut self, pod: &Pod, volume: &Volume, key: &ObjectRef) -> Result<()> {
        let Some(name) = claim_of(key.name.as_str(), volume) else {
            return Ok(());
        };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let place = self.world.place_mut(&key.namespace);
        if let Some(there) = place.claims.get(&name) {
            return refuse_other_owner(there, &name, key, &uid);
        }
        let mut claim = claim_for(volume, pod, &name, &uid);
        claim.metadata.uid = Some(new_uid()?);
        self.store_claim(&key.namespace, name, claim)?;
        self.tend_storage(Instant::now());
        Ok(())
    }
}

fn refuse_other_owner(
    there: &PersistentVolumeClaim,
    name: &str,
    key: &ObjectRef,
    uid: &str,
) -> Result<()> {
    let mut owners = there.metadata.owner_references.iter().flatten();
    if owners.any(|owner| owner.uid == uid) {
        return Ok(());
    }
    let (namespace, pod) = (&key.namespace, &key.name);
    let message = format!(
        "PVC \"{namespace}/{name}\" was not created for pod \"{namespace}/{pod}\" (pod is not owner)"
    );
    Err(Problem::new(Kind::Conflict, message).into())
}

fn claim_for(volume: &Volume, pod: &Pod, name: &str, uid: &str) -> PersistentVolumeClaim {
    let source = volume.ephemeral.clone().unwrap_or_default();
    let template = source.volume_claim_template.unwrap_or_default();
    let given = template.metadata.unwrap_or_default();
    let mut annotations = given.annotations.unwrap_or_default();
    annotations.insert(ANNOTATION.to_owned(), volume.name.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: pod.metadata.namespace.clone(),
            labels: given.labels,
            annotations: Some(annotations),
            creation_timestamp: Some(Time(Timestamp::now())),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: pod.metadata.name.clone().unwrap_or_default(),
                uid: uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec),
        status: Some(PersistentVolumeClaimStatus {
            phase: Some("Pending".to_owned()),
            ..PersistentVolumeClaimStatus::default()
        }),
    }
}
