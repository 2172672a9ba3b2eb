//! The volumes that stand for the directories which petset makes for claims.

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::bind::{bind, bound_volume};
use super::{BindStep, VOLUME_PROTECTION, is_bound, volume_of};

/// The annotation of a volume that was made for a claim.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Who makes them here.
const PROVISIONER: &str = "petset.dev/directory";

/// Returns the name of the volume that would be made for a claim.
fn own_name(claim: &PersistentVolumeClaim) -> Option<String> {
    let uid = claim.metadata.uid.as_deref()?;
    Some(format!("pvc-{uid}"))
}

/// Returns whether a claim is bound to the directory that was made for it.
#[must_use]
pub fn is_provisioned(claim: &PersistentVolumeClaim) -> bool {
    volume_of(claim).is_some_and(|volume| own_name(claim).as_deref() == Some(volume))
}

/// Returns the volume that stands for the directory of a claim. It is kept nowhere: the claim says
/// all of it.
#[must_use]
pub fn provisioned_volume(
    claim: &PersistentVolumeClaim,
    path: &str,
    reclaim: &str,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let source = HostPathVolumeSource {
        path: path.to_owned(),
        type_: Some(String::new()),
    };
    let by = (PROVISIONED_BY.to_owned(), PROVISIONER.to_owned());
    let volume = PersistentVolume {
        metadata: ObjectMeta {
            name: own_name(claim),
            uid: claim.metadata.uid.clone(),
            creation_timestamp: claim.metadata.creation_timestamp.clone(),
            finalizers: Some(vec![VOLUME_PROTECTION.to_owned()]),
            annotations: Some([by].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|it| it.requests),
            host_path: Some(source),
            persistent_volume_reclaim_policy: Some(reclaim.to_owned()),
            storage_class_name: Some(spec.storage_class_name.unwrap_or_default()),
            volume_mode: spec
                .volume_mode
                .or_else(|| Some(super::fit::FILESYSTEM.to_owned())),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    };
    bound_volume(&volume, claim)
}

/// Returns the claim, bound to the directory that was made for it, whatever volume it named;
/// `None` if it is so already, and as large as it asks to be.
#[must_use]
pub fn bind_to_directory(claim: &PersistentVolumeClaim) -> Option<PersistentVolumeClaim> {
    let mut unnamed = claim.clone();
    if let Some(spec) = unnamed.spec.as_mut().filter(|_| !is_bound(claim)) {
        spec.volume_name = None;
    }
    let volume = provisioned_volume(claim, "", "");
    let steps = bind(&volume, &unnamed).into_iter();
    let mut claims = steps.filter_map(|step| match step {
        BindStep::UpdateClaim(claim) => Some(*claim),
        BindStep::UpdateVolume(_) | BindStep::Provision | BindStep::Tell(_) => None,
    });
    claims.next()
}
