//! The descriptions of volumes and of their classes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::Page;
use crate::cli::shared::session::Session;
use crate::cli::shared::storage::claim_of;
use crate::cli::shared::words::{NONE, modes, or_none};
use crate::model::binder::is_default_class;
use crate::problem::Result;

pub(super) fn write_volume(
    session: &Session,
    volume: &PersistentVolume,
    now: Timestamp,
    page: &mut Page,
) -> Result<()> {
    let meta = &volume.metadata;
    let spec = volume.spec.clone().unwrap_or_default();
    let status = volume.status.clone().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    page.field(0, "Name", name);
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    let finalizers = meta.finalizers.clone().unwrap_or_default();
    page.field(0, "Finalizers", format!("[{}]", finalizers.join(" ")));
    page.field(
        0,
        "StorageClass",
        spec.storage_class_name.unwrap_or_default(),
    );
    let phase = status.phase.unwrap_or_else(|| "Pending".to_owned());
    let phase = match meta.deletion_timestamp {
        Some(_) => "Terminating (it goes when no claim is bound to it any more)".to_owned(),
        None => phase,
    };
    page.field(0, "Status", phase);
    page.field(0, "Claim", claim_of(volume).unwrap_or_default());
    let policy = spec.persistent_volume_reclaim_policy;
    page.field(0, "Reclaim Policy", policy.unwrap_or_default());
    page.field(
        0,
        "Access Modes",
        modes(&spec.access_modes.unwrap_or_default()),
    );
    page.field(0, "VolumeMode", spec.volume_mode.unwrap_or_default());
    let capacity = spec.capacity.unwrap_or_default();
    let capacity = capacity.get("storage").map(|size| size.0.clone());
    page.field(0, "Capacity", capacity.unwrap_or_default());
    match spec.node_affinity {
        None => page.field(0, "Node Affinity", NONE),
        Some(_) => page.field(0, "Node Affinity", "this machine, the only node"),
    }
    page.field(0, "Message", status.message.unwrap_or_default());
    page.heading(0, "Source");
    if let Some(host) = &spec.host_path {
        page.field(1, "Type", "HostPath (bare host directory volume)");
        page.field(1, "Path", &host.path);
        let kind = host.type_.as_deref().unwrap_or_default();
        page.field(1, "HostPathType", kind);
    } else if let Some(local) = &spec.local {
        let kind = "LocalVolume (a persistent volume backed by local storage on a node)";
        page.field(1, "Type", kind);
        page.field(1, "Path", &local.path);
    }
    let scope = Scope::of_storage("persistentvolume", name, None);
    page.events(scope.events_in_default(session)?, now);
    Ok(())
}

pub(super) fn write_class(class: &StorageClass, page: &mut Page) {
    let meta = &class.metadata;
    page.field(0, "Name", meta.name.as_deref().unwrap_or_default());
    let default = if is_default_class(class) { "Yes" } else { "No" };
    page.field(0, "IsDefaultClass", default);
    let pairs = |pairs: Option<&std::collections::BTreeMap<String, String>>| {
        let pairs = pairs.into_iter().flatten();
        let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        or_none(Some(pairs.join(",")).filter(|text| !text.is_empty()))
    };
    page.field(0, "Annotations", pairs(meta.annotations.as_ref()));
    page.field(0, "Provisioner", &class.provisioner);
    page.field(0, "Parameters", pairs(class.parameters.as_ref()));
    let expansion = match class.allow_volume_expansion {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    };
    page.field(0, "AllowVolumeExpansion", expansion);
    let options = class.mount_options.as_deref().unwrap_or_default();
    match options {
        [] => page.field(0, "MountOptions", NONE),
        options => page.list(0, "MountOptions", options),
    }
    let policy = class.reclaim_policy.as_deref().unwrap_or("Delete");
    page.field(0, "ReclaimPolicy", policy);
    let mode = class.volume_binding_mode.as_deref().unwrap_or("Immediate");
    page.field(0, "VolumeBindingMode", mode);
    page.field(0, "Events", NONE);
}
