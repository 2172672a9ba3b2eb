//! Volumes and where they come from.

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, ProjectedVolumeSource, Volume,
    VolumeProjection,
};

use super::super::fault::Faults;
use super::container::{FILE_FIELDS, field_ref, resource_field};
use super::mounts::{descending, no_backsteps};
use super::names::KnownVolumes;
use super::names::{label, note};
use crate::model::quantity::Quantity;
use crate::sorted::SortedSet;

/// Checks the volumes of a pod and returns the sound ones.
pub(super) fn volumes<'v>(
    faults: &mut Faults,
    path: &str,
    volumes: Option<&'v [Volume]>,
) -> KnownVolumes<'v> {
    let mut known = KnownVolumes::new();
    for (index, volume) in volumes.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut wrong = Faults::default();
        source(&mut wrong, &path, volume);
        let at = format!("{path}.name");
        match volume.name.as_str() {
            "" => wrong.required(&at, ""),
            name => note(&mut wrong, &at, name, label(name)),
        }
        if known.contains_key(volume.name.as_str()) {
            wrong.duplicate(&at, &volume.name);
        }
        if wrong.is_empty() {
            known.insert(&volume.name, volume);
        }
        faults.extend(wrong);
    }
    known
}

/// Checks the source; where several are given, the first counts and the others are forbidden.
fn source(faults: &mut Faults, path: &str, volume: &Volume) {
    let mut given = Vec::new();
    for (name, is_given) in sources(volume) {
        if !is_given {
            continue;
        }
        if given.is_empty() {
            known_source(faults, path, name, volume);
        } else {
            let detail = "may not specify more than 1 volume type";
            faults.forbidden(&format!("{path}.{name}"), detail);
        }
        given.push(name);
    }
}

/// Lists the possible sources in the order in which the API server looks at them.
pub(crate) const fn sources(volume: &Volume) -> [(&'static str, bool); 30] {
    [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        (
            "awsElasticBlockStore",
            volume.aws_elastic_block_store.is_some(),
        ),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        (
            "persistentVolumeClaim",
            volume.persistent_volume_claim.is_some(),
        ),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        (
            "photonPersistentDisk",
            volume.photon_persistent_disk.is_some(),
        ),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ]
}

fn known_source(faults: &mut Faults, path: &str, name: &str, volume: &Volume) {
    let path = format!("{path}.{name}");
    if let Some(empty) = &volume.empty_dir {
        let size = empty
            .size_limit
            .as_ref()
            .map(|size| size.0.parse::<Quantity>());
        if let Some(Ok(size)) = size
            && size.nanos() < 0
        {
            let detail = "SizeLimit field must be a valid resource quantity";
            faults.forbidden(&format!("{path}.sizeLimit"), detail);
        }
    } else if let Some(host) = &volume.host_path {
        host_path(faults, &path, host);
    } else if let Some(secret) = &volume.secret {
        if secret.secret_name.as_deref().unwrap_or_default().is_empty() {
            faults.required(&format!("{path}.secretName"), "");
        }
        files(faults, &path, secret.default_mode, secret.items.as_deref());
    } else if let Some(claim) = &volume.persistent_volume_claim {
        if claim.claim_name.is_empty() {
            faults.required(&format!("{path}.claimName"), "");
        }
    } else if let Some(downward) = &volume.downward_api {
        mode(
            faults,
            &format!("{path}.defaultMode"),
            downward.default_mode,
        );
        downward_files(faults, &path, downward.items.as_deref());
    } else if let Some(config) = &volume.config_map {
        if config.name.is_empty() {
            faults.required(&format!("{path}.name"), "");
        }
        files(faults, &path, config.default_mode, config.items.as_deref());
    } else if let Some(sources) = &volume.projected {
        projected(faults, &path, sources);
    }
}

/// Checks a path of the machine.
pub(super) fn host_path(faults: &mut Faults, path: &str, host: &HostPathVolumeSource) {
    let at = format!("{path}.path");
    match host.path.as_str() {
        "" => return faults.required(&at, ""),
        text => no_backsteps(faults, &at, text),
    }
    let types = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    let given = host.type_.as_deref().unwrap_or_default();
    if !types.contains(&given) {
        faults.unsupported(&format!("{path}.type"), given, &types);
    }
}

fn mode(faults: &mut Faults, path: &str, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        faults.invalid(path, mode, detail);
    }
}

fn files(faults: &mut Faults, path: &str, default: Option<i32>, items: Option<&[KeyToPath]>) {
    mode(faults, &format!("{path}.defaultMode"), default);
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        if item.key.is_empty() {
            faults.required(&format!("{path}.key"), "");
        }
        file_path(faults, &format!("{path}.path"), &item.path);
        mode(faults, &format!("{path}.mode"), item.mode);
    }
}

fn file_path(faults: &mut Faults, path: &str, text: &str) {
    if text.is_empty() {
        return faults.required(path, "");
    }
    descending(faults, path, text);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        faults.invalid_text(path, text, "must not start with '..'");
    }
}

fn downward_files(faults: &mut Faults, path: &str, items: Option<&[DownwardAPIVolumeFile]>) {
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        file_path(faults, &format!("{path}.path"), &item.path);
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), None) => {
                field_ref(faults, &format!("{path}.fieldRef"), field, &FILE_FIELDS);
            }
            (None, Some(field)) => {
                resource_field(faults, &format!("{path}.resourceFieldRef"), field, true);
            }
            (Some(_), Some(_)) => {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                faults.invalid_text(&path, "resource", detail);
            }
            (None, None) => {
                faults.required(&path, "one of fieldRef and resourceFieldRef is required");
            }
        }
        mode(faults, &format!("{path}.mode"), item.mode);
    }
}

fn projected(faults: &mut Faults, path: &str, projected: &ProjectedVolumeSource) {
    mode(
        faults,
        &format!("{path}.defaultMode"),
        projected.default_mode,
    );
    let mut paths = SortedSet::new();
    for (index, source) in projected.sources.iter().flatten().enumerate() {
        let at = format!("{path}.sources[{index}]");
        projection(faults, &at, source);
        for text in projected_paths(source) {
            if !paths.insert(text) {
                faults.invalid_text(path, text, "conflicting duplicate paths");
            }
        }
    }
}

fn projection(faults: &mut Faults, path: &str, source: &VolumeProjection) {
    if let Some(secret) = &source.secret {
        let path = format!("{path}.secret");
        if secret.name.is_empty() {
            faults.required(&format!("{path}.name"), "");
        }
        files(faults, &path, None, secret.items.as_deref());
    }
    if let Some(config) = &source.config_map {
        let path = format!("{path}.configMap");
        if config.name.is_empty() {
            faults.required(&format!("{path}.name"), "");
        }
        files(faults, &path, None, config.items.as_deref());
    }
    if let Some(downward) = &source.downward_api {
        downward_files(
            faults,
            &format!("{path}.downwardAPI"),
            downward.items.as_deref(),
        );
    }
    if let Some(token) = &source.service_account_token {
        file_path(
            faults,
            &format!("{path}.serviceAccountToken.path"),
            &token.path,
        );
    }
}

fn projected_paths(source: &VolumeProjection) -> impl Iterator<Item = &str> {
    let secret = source
        .secret
        .iter()
        .flat_map(|secret| secret.items.iter().flatten());
    let config = source.config_map.iter();
    let config = config.flat_map(|config| config.items.iter().flatten());
    let downward = source.downward_api.iter();
    let downward = downward.flat_map(|downward| downward.items.iter().flatten());
    let keys = secret.chain(config).map(|item| item.path.as_str());
    keys.chain(downward.map(|item| item.path.as_str()))
}
