//! The volume mounts of containers.

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::super::fault::Faults;
use super::names::KnownVolumes;
use crate::sorted::SortedSet;

/// Checks the volume mounts of a container.
///
/// The paths of a wrong `subPath` lack the index, as the API server's do.
pub(super) fn volume_mounts(
    faults: &mut Faults,
    path: &str,
    container: &Container,
    known: &KnownVolumes<'_>,
) {
    let list = format!("{path}.volumeMounts");
    let mut taken = SortedSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = format!("{list}[{index}]");
        if mount.name.is_empty() {
            faults.required(&format!("{path}.name"), "");
        }
        if !known.contains_key(mount.name.as_str()) {
            faults.not_found(&format!("{path}.name"), &mount.name);
        }
        let at = format!("{path}.mountPath");
        if mount.mount_path.is_empty() {
            faults.required(&at, "");
        }
        if !taken.insert(&mount.mount_path) {
            faults.invalid_text(&at, &mount.mount_path, "must be unique");
        }
        overlap_with_devices(faults, &path, container, (&mount.name, &mount.mount_path));
        let sub_path = mount.sub_path.as_deref().unwrap_or_default();
        descending(faults, &format!("{list}.subPath"), sub_path);
        let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
        if !expression.is_empty() && !sub_path.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            faults.invalid_text(&format!("{path}.subPathExpr"), expression, detail);
        }
        descending(faults, &format!("{list}.subPathExpr"), expression);
        if let Some(propagation) = mount.mount_propagation.as_deref() {
            let modes = ["Bidirectional", "HostToContainer", "None"];
            if !modes.contains(&propagation) {
                faults.unsupported(&format!("{list}.mountPropagation"), propagation, &modes);
            }
            if propagation == "Bidirectional" && !is_privileged(container) {
                let detail =
                    "Bidirectional mount propagation is available only to privileged containers";
                faults.forbidden(&format!("{list}.mountPropagation"), detail);
            }
        }
        recursive_read_only(faults, &format!("{path}.recursiveReadOnly"), mount);
    }
}

fn is_privileged(container: &Container) -> bool {
    let context = container.security_context.as_ref();
    context.is_some_and(|context| context.privileged == Some(true))
}

fn recursive_read_only(faults: &mut Faults, at: &str, mount: &VolumeMount) {
    let Some(asked) = mount.recursive_read_only.as_deref() else {
        return;
    };
    match asked {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount.read_only != Some(true) {
                faults.forbidden(at, "may only be specified when readOnly is true");
            }
            let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
            if propagation != "None" {
                let detail = "may only be specified when mountPropagation is None or not specified";
                faults.forbidden(at, detail);
            }
        }
        other => faults.unsupported(at, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn overlap_with_devices(
    faults: &mut Faults,
    path: &str,
    container: &Container,
    (name, mount_path): (&str, &str),
) {
    let mut devices = container.volume_devices.iter().flatten();
    if devices.clone().any(|device| device.name == name) {
        let detail = "must not already exist in volumeDevices";
        faults.invalid_text(&format!("{path}.name"), name, detail);
    }
    if devices.any(|device| device.device_path == mount_path) {
        let detail = "must not already exist as a path in volumeDevices";
        faults.invalid_text(&format!("{path}.mountPath"), mount_path, detail);
    }
}

/// Checks the raw devices of a container.
pub(super) fn volume_devices(
    faults: &mut Faults,
    path: &str,
    container: &Container,
    known: &KnownVolumes<'_>,
) {
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        let path = format!("{path}.volumeDevices[{index}]");
        let at = format!("{path}.name");
        if device.name.is_empty() {
            faults.required(&at, "");
        }
        match known.get(device.name.as_str()) {
            None => faults.not_found(&at, &device.name),
            Some(volume)
                if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() =>
            {
                let detail = "can only use volume source type of PersistentVolumeClaim or \
                     Ephemeral for block mode";
                faults.invalid_text(&at, &device.name, detail);
            }
            Some(_) => {}
        }
        if device.device_path.is_empty() {
            faults.required(&format!("{path}.devicePath"), "");
        }
    }
}

/// Notes a path that leaves the place it is relative to.
pub(super) fn descending(faults: &mut Faults, path: &str, text: &str) {
    if text.starts_with('/') {
        faults.invalid_text(path, text, "must be a relative path");
    }
    no_backsteps(faults, path, text);
}

/// Notes a path with `..` in it.
pub(super) fn no_backsteps(faults: &mut Faults, path: &str, text: &str) {
    if text.split('/').any(|part| part == "..") {
        faults.invalid_text(path, text, "must not contain '..'");
    }
}
