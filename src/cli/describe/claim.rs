//! The description of a claim.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
};

use crate::cli::shared::pages::Page;
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{joined, or_none};
use crate::model::pod::claims_of;
use crate::model::{Namespace, ObjectName};
use crate::problem::Result;

pub(super) fn write(
    session: &Session,
    claim: &PersistentVolumeClaim,
    page: &mut Page,
) -> Result<()> {
    let meta = &claim.metadata;
    let name: ObjectName = meta.name.as_deref().unwrap_or_default().parse()?;
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let (spec, status) = (claim.spec.clone(), claim.status.clone());
    let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
    let path = session.store.layout().volume(&namespace, name.as_str());
    let phase = if meta.deletion_timestamp.is_some() {
        "Terminating (it goes when no pet uses it any more)"
    } else {
        status.phase.as_deref().unwrap_or("Pending")
    };
    page.field(0, "Name", name.as_str());
    page.field(0, "Namespace", namespace.as_str());
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    page.field(0, "StorageClass", class);
    page.field(0, "Status", phase);
    let volume = path.is_dir().then(|| path.display().to_string());
    page.field(0, "Volume", volume.unwrap_or_default());
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    write_size(&spec, &status, page);
    let owners = meta.owner_references.iter().flatten();
    let owners: Vec<String> = owners
        .map(|owner| format!("{}/{}", owner.kind, owner.name))
        .collect();
    page.field(0, "Goes With", or_none(Some(owners.join(", "))));
    page.field(0, "Used By", users(session, &namespace, name.as_str())?);
    Ok(())
}

fn write_size(
    spec: &PersistentVolumeClaimSpec,
    status: &PersistentVolumeClaimStatus,
    page: &mut Page,
) {
    let capacity = status.capacity.as_ref();
    let size = capacity.and_then(|capacity| capacity.get("storage"));
    page.field(0, "Capacity", or_none(size.map(|size| size.0.clone())));
    let modes = status.access_modes.as_ref().or(spec.access_modes.as_ref());
    let modes = modes.map(|modes| modes.join(","));
    page.field(0, "Access Modes", or_none(modes));
}

fn users(session: &Session, namespace: &Namespace, claim: &str) -> Result<String> {
    let pets = session.pets(namespace)?;
    let using = pets
        .iter()
        .filter(|pod| claims_of(pod).any(|it| it == claim));
    Ok(joined(using.filter_map(|pod| pod.metadata.name.as_deref())))
}
