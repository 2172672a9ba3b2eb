//! The volumes of a pod within a description.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume};

use super::page::Page;
use crate::cli::shared::words::NONE;
use crate::model::Namespace;
use crate::store::Layout;

/// The pet whose volumes are described, so that their real paths are shown.
pub(crate) struct PodVolumes<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) namespace: &'a Namespace,
    pub(crate) name: &'a str,
}

/// Adds the volumes of a pod to a page.
pub(crate) fn write(
    level: usize,
    volumes: &[Volume],
    pod: Option<&PodVolumes<'_>>,
    page: &mut Page,
) {
    if volumes.is_empty() {
        return page.field(level, "Volumes", NONE);
    }
    page.heading(level, "Volumes");
    for volume in volumes {
        page.heading(level + 1, &volume.name);
        write_one(level + 2, volume, pod, page);
    }
}

fn write_one(level: usize, volume: &Volume, pod: Option<&PodVolumes<'_>>, page: &mut Page) {
    if let Some(claim) = &volume.persistent_volume_claim {
        return write_claim(level, claim, pod, page);
    }
    if let Some(host) = &volume.host_path {
        page.field(level, "Type", "HostPath (a path of this machine)");
        page.field(level, "Path", &host.path);
        let kind = host.type_.as_deref().unwrap_or_default();
        return page.field(level, "HostPathType", kind);
    }
    if !write_source(level, volume, page) {
        return page.field(level, "Type", "not known to petset");
    }
    if let Some(pod) = pod {
        let pet = pod.layout.pet(pod.namespace, pod.name);
        let path = pet.volumes().join(&volume.name);
        page.field(level, "Path", path.display().to_string());
    }
}

fn write_claim(
    level: usize,
    claim: &PersistentVolumeClaimVolumeSource,
    pod: Option<&PodVolumes<'_>>,
    page: &mut Page,
) {
    let kind = "PersistentVolumeClaim (its data outlives the pet)";
    page.field(level, "Type", kind);
    page.field(level, "ClaimName", &claim.claim_name);
    let read_only = claim.read_only.unwrap_or(false);
    page.field(level, "ReadOnly", read_only.to_string());
    if let Some(pod) = pod {
        let path = pod.layout.volume(pod.namespace, &claim.claim_name);
        page.field(level, "Path", path.display().to_string());
    }
}

/// Writes the source of a volume that petset creates with the pet; returns whether it is known.
fn write_source(level: usize, volume: &Volume, page: &mut Page) -> bool {
    let optional = |optional: Option<bool>| optional.unwrap_or(false).to_string();
    if volume.empty_dir.is_some() {
        page.field(level, "Type", "EmptyDir (it goes with the pet)");
    } else if let Some(map) = &volume.config_map {
        page.field(level, "Type", "ConfigMap");
        page.field(level, "Name", &map.name);
        page.field(level, "Optional", optional(map.optional));
    } else if let Some(secret) = &volume.secret {
        page.field(level, "Type", "Secret");
        let name = secret.secret_name.as_deref().unwrap_or_default();
        page.field(level, "SecretName", name);
        page.field(level, "Optional", optional(secret.optional));
    } else if volume.downward_api.is_some() {
        page.field(level, "Type", "DownwardAPI (files about the pet itself)");
    } else if volume.projected.is_some() {
        let kind = "Projected (several sources in one directory)";
        page.field(level, "Type", kind);
    } else {
        return false;
    }
    true
}
