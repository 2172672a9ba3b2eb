//! The description of a claim.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
};

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::Page;
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{joined, modes, or_none};
use crate::model::pod::claims_of;
use crate::model::{Namespace, ObjectName};
use crate::problem::Result;
use crate::store::{Backing, SET_ANNOTATION, backing_of, place_of};

pub(super) fn write(
    session: &Session,
    claim: &PersistentVolumeClaim,
    now: Timestamp,
    page: &mut Page,
) -> Result<()> {
    let meta = &claim.metadata;
    let name: ObjectName = meta.name.as_deref().unwrap_or_default().parse()?;
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let (spec, status) = (claim.spec.clone(), claim.status.clone());
    let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
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
    let volume = spec.volume_name.as_deref().unwrap_or_default();
    page.field(0, "Volume", volume);
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    let finalizers = meta.finalizers.clone().unwrap_or_default();
    page.field(0, "Finalizers", format!("[{}]", finalizers.join(" ")));
    write_size(&spec, &status, page);
    let owners = meta.owner_references.iter().flatten();
    let owners: Vec<String> = owners
        .map(|owner| format!("{}/{}", owner.kind, owner.name))
        .collect();
    let users = users(session, &namespace, name.as_str())?;
    page.field(
        0,
        "Used By",
        or_none(Some(users).filter(|it| !it.is_empty())),
    );
    let owners = Some(owners.join(", ")).filter(|it| !it.is_empty());
    page.field(0, "Goes With", or_none(owners));
    page.field(
        0,
        "Directory",
        directory(session, &namespace, name.as_str())?,
    );
    let notes = meta.annotations.as_ref();
    let set = notes.and_then(|notes| notes.get(SET_ANNOTATION));
    let kind = "persistentvolumeclaim";
    let scope = Scope::of_storage(kind, name.as_str(), set.map(String::as_str));
    page.events(scope.events(session)?, now);
    Ok(())
}

fn write_size(
    spec: &PersistentVolumeClaimSpec,
    status: &PersistentVolumeClaimStatus,
    page: &mut Page,
) {
    let capacity = status.capacity.as_ref();
    let size = capacity.and_then(|capacity| capacity.get("storage"));
    page.field(
        0,
        "Capacity",
        size.map(|size| size.0.clone()).unwrap_or_default(),
    );
    let given = status.access_modes.as_deref().unwrap_or_default();
    page.field(0, "Access Modes", modes(given));
    let mode = spec.volume_mode.as_deref().unwrap_or("Filesystem");
    page.field(0, "VolumeMode", mode);
}

/// Returns where the data are on this machine.
fn directory(session: &Session, namespace: &Namespace, claim: &str) -> Result<String> {
    let layout = session.store.layout();
    let path = match backing_of(layout, namespace, claim)? {
        Backing::Made(path) => Some(path),
        Backing::Given(volume) => place_of(layout, &volume).ok(),
        Backing::Missing | Backing::Unbound | Backing::Lost(_) => None,
    };
    Ok(or_none(path.map(|path| path.display().to_string())))
}

fn users(session: &Session, namespace: &Namespace, claim: &str) -> Result<String> {
    let pets = session.pets(namespace)?;
    let using = pets
        .iter()
        .filter(|pod| claims_of(pod).any(|it| it == claim));
    Ok(joined(using.filter_map(|pod| pod.metadata.name.as_deref())))
}
