//! The volumes of a pod within a description.

use k8s_openapi::api::core::v1::Volume;

use super::page::Page;
use crate::cli::shared::words::NONE;
use crate::model::Namespace;
use crate::store::Layout;

/// Where the volumes of a pet are: with it, their directories are shown too.
pub(crate) struct PodVolumes<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) namespace: &'a Namespace,
    pub(crate) name: &'a str,
}

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
    let own = pod.map(|pod| {
        let pet = pod.layout.pet(pod.namespace, pod.name);
        pet.volumes().join(&volume.name).display().to_string()
    });
    let mut kind = |kind: &str| page.field(level, "Type", kind);
    if let Some(claim) = &volume.persistent_volume_claim {
        kind("PersistentVolumeClaim (its data outlives the pet)");
        page.field(level, "ClaimName", &claim.claim_name);
        let read_only = claim.read_only.unwrap_or(false);
        page.field(level, "ReadOnly", read_only.to_string());
        if let Some(pod) = pod {
            let path = pod.layout.volume(pod.namespace, &claim.claim_name);
            page.field(level, "Path", path.display().to_string());
        }
        return;
    }
    if let Some(host) = &volume.host_path {
        kind("HostPath (a path of this machine)");
        page.field(level, "Path", &host.path);
        page.field(
            level,
            "HostPathType",
            host.type_.as_deref().unwrap_or_default(),
        );
        return;
    }
    if volume.empty_dir.is_some() {
        kind("EmptyDir (it goes with the pet)");
    } else if let Some(map) = &volume.config_map {
        kind("ConfigMap");
        page.field(level, "Name", &map.name);
        page.field(level, "Optional", map.optional.unwrap_or(false).to_string());
    } else if let Some(secret) = &volume.secret {
        kind("Secret");
        page.field(
            level,
            "SecretName",
            secret.secret_name.as_deref().unwrap_or_default(),
        );
        page.field(
            level,
            "Optional",
            secret.optional.unwrap_or(false).to_string(),
        );
    } else if volume.downward_api.is_some() {
        kind("DownwardAPI (files about the pet itself)");
    } else if volume.projected.is_some() {
        kind("Projected (several sources in one directory)");
    } else {
        return kind("not known to petset");
    }
    if let Some(own) = own {
        page.field(level, "Path", own);
    }
}
