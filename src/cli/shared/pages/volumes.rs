//! The volumes of a pod within a description.

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, EphemeralVolumeSource, PersistentVolumeClaimVolumeSource, Volume,
    VolumeProjection,
};

use super::page::Page;
use crate::cli::shared::words::NONE;
use crate::model::Namespace;
use crate::model::pod::claim_of;
use crate::store::{Backing, Layout, backing_of, place_of};

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
        page.field(level, "Type", "HostPath (bare host directory volume)");
        page.field(level, "Path", &host.path);
        let kind = host.type_.as_deref().unwrap_or_default();
        return page.field(level, "HostPathType", kind);
    }
    if !write_source(level, volume, page) {
        return page.field(level, "Type", "not known to petset");
    }
    let Some(pod) = pod else { return };
    if let Some(claim) = claim_of(pod.name, volume) {
        return write_directory(level, &claim, pod, page);
    }
    let own = pod.layout.pet(pod.namespace, pod.name).volumes();
    let path = own.join(&volume.name);
    page.field(level, "Directory", path.display().to_string());
}

/// Writes where the data of a claim are, if that is known.
fn write_directory(level: usize, claim: &str, pod: &PodVolumes<'_>, page: &mut Page) {
    let path = match backing_of(pod.layout, pod.namespace, claim) {
        Ok(Backing::Made(path)) => Some(path),
        Ok(Backing::Given(volume)) => place_of(pod.layout, &volume).ok(),
        Ok(Backing::Missing | Backing::Unbound | Backing::Lost(_)) | Err(_) => None,
    };
    let path = path.map_or_else(|| NONE.to_owned(), |path| path.display().to_string());
    page.field(level, "Directory", path);
}

fn write_claim(
    level: usize,
    claim: &PersistentVolumeClaimVolumeSource,
    pod: Option<&PodVolumes<'_>>,
    page: &mut Page,
) {
    let kind =
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
    page.field(level, "Type", kind);
    page.field(level, "ClaimName", &claim.claim_name);
    let read_only = claim.read_only.unwrap_or(false);
    page.field(level, "ReadOnly", read_only.to_string());
    if let Some(pod) = pod {
        write_directory(level, &claim.claim_name, pod, page);
    }
}

/// Writes the source of a volume that petset creates with the pet; returns whether it is known.
fn write_source(level: usize, volume: &Volume, page: &mut Page) -> bool {
    if let Some(empty) = &volume.empty_dir {
        let kind = "EmptyDir (a temporary directory that shares a pod's lifetime)";
        page.field(level, "Type", kind);
        page.field(level, "Medium", empty.medium.as_deref().unwrap_or_default());
        let limit = empty.size_limit.as_ref().map(|limit| limit.0.as_str());
        let limit = limit.filter(|limit| *limit != "0");
        page.field(level, "SizeLimit", limit.unwrap_or("<unset>"));
    } else if let Some(map) = &volume.config_map {
        page.field(
            level,
            "Type",
            "ConfigMap (a volume populated by a ConfigMap)",
        );
        page.field(level, "Name", &map.name);
        page.field(level, "Optional", yes_or_no(map.optional));
    } else if let Some(secret) = &volume.secret {
        page.field(level, "Type", "Secret (a volume populated by a Secret)");
        let name = secret.secret_name.as_deref().unwrap_or_default();
        page.field(level, "SecretName", name);
        page.field(level, "Optional", yes_or_no(secret.optional));
    } else if let Some(downward) = &volume.downward_api {
        let kind = "DownwardAPI (a volume populated by information about the pod)";
        page.field(level, "Type", kind);
        write_items(level, downward.items.as_deref().unwrap_or_default(), page);
    } else if let Some(projected) = &volume.projected {
        let kind = "Projected (a volume that contains injected data from multiple sources)";
        page.field(level, "Type", kind);
        let sources = projected.sources.iter().flatten();
        sources.for_each(|source| write_projection(level, source, page));
    } else if let Some(ephemeral) = &volume.ephemeral {
        write_ephemeral(level, ephemeral, page);
    } else {
        return false;
    }
    true
}

fn yes_or_no(optional: Option<bool>) -> String {
    optional.unwrap_or(false).to_string()
}

fn write_items(level: usize, items: &[DownwardAPIVolumeFile], page: &mut Page) {
    page.heading(level, "Items");
    for item in items {
        let field = item.field_ref.as_ref().map(|field| &field.field_path);
        let resource = item.resource_field_ref.as_ref().map(|it| &it.resource);
        if let Some(source) = field.or(resource) {
            page.row(level + 1, &[&format!("{source} -> {}", item.path)]);
        }
    }
}

fn write_projection(level: usize, source: &VolumeProjection, page: &mut Page) {
    if let Some(secret) = &source.secret {
        page.field(level, "SecretName", &secret.name);
        page.field(level, "Optional", yes_or_no(secret.optional));
    } else if source.downward_api.is_some() {
        page.field(level, "DownwardAPI", "true");
    } else if let Some(map) = &source.config_map {
        page.field(level, "ConfigMapName", &map.name);
        page.field(level, "Optional", yes_or_no(map.optional));
    } else if let Some(token) = &source.service_account_token {
        let seconds = token.expiration_seconds.unwrap_or(3600);
        page.field(level, "TokenExpirationSeconds", seconds.to_string());
    }
}

fn write_ephemeral(level: usize, ephemeral: &EphemeralVolumeSource, page: &mut Page) {
    let kind = "EphemeralVolume (an inline specification for a volume that gets created and \
                deleted with the pod)";
    page.field(level, "Type", kind);
    let Some(template) = &ephemeral.volume_claim_template else {
        return;
    };
    let spec = &template.spec;
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    page.field(level, "StorageClass", class);
    page.field(
        level,
        "Volume",
        spec.volume_name.as_deref().unwrap_or_default(),
    );
    let meta = template.metadata.clone().unwrap_or_default();
    page.pairs(level, "Labels", "=", meta.labels.as_ref());
    page.pairs(level, "Annotations", ": ", meta.annotations.as_ref());
    page.field(level, "Capacity", "");
    page.field(level, "Access Modes", "");
    let mode = spec.volume_mode.as_deref().unwrap_or("Filesystem");
    page.field(level, "VolumeMode", mode);
}
