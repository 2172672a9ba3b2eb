//! Config maps, secrets and claims.

use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, Secret,
};

use super::super::fault::Faults;
use super::names::{self, config_key, note, subdomain};
use super::selector;
use crate::model::quantity::Quantity;

const MAX_BYTES: usize = 1024 * 1024;

/// Checks a config map.
pub(crate) fn validate_config_map(map: &ConfigMap) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &map.metadata, subdomain);
    let mut size = 0;
    for (key, value) in map.data.iter().flatten() {
        let path = format!("data[{key}]");
        note(&mut faults, &path, key, config_key(key));
        if map
            .binary_data
            .as_ref()
            .is_some_and(|binary| binary.contains_key(key))
        {
            faults.invalid_text(&path, key, "duplicate of key present in binaryData");
        }
        size += value.len();
    }
    for (key, value) in map.binary_data.iter().flatten() {
        note(
            &mut faults,
            &format!("binaryData[{key}]"),
            key,
            config_key(key),
        );
        size += value.0.len();
    }
    if size > MAX_BYTES {
        faults.add(
            "",
            format!("Too long: may not be more than {MAX_BYTES} bytes"),
        );
    }
    faults
}

/// Checks a secret.
pub(crate) fn validate_secret(secret: &Secret) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &secret.metadata, subdomain);
    let mut size = 0;
    for (key, value) in secret.data.iter().flatten() {
        note(&mut faults, &format!("data[{key}]"), key, config_key(key));
        size += value.0.len();
    }
    if size > MAX_BYTES {
        faults.add(
            "data",
            format!("Too long: may not be more than {MAX_BYTES} bytes"),
        );
    }
    faults
}

/// Checks a claim.
pub(crate) fn validate_claim(claim: &PersistentVolumeClaim) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &claim.metadata, subdomain);
    claim_spec(&mut faults, "spec", &claim.spec.clone().unwrap_or_default());
    faults
}

/// Checks the spec of a claim or of a claim template.
pub(super) fn claim_spec(faults: &mut Faults, path: &str, spec: &PersistentVolumeClaimSpec) {
    let at = format!("{path}.accessModes");
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        faults.required(&at, "at least 1 access mode is required");
    }
    if let Some(given) = &spec.selector {
        selector::selector(faults, &format!("{path}.selector"), given);
    }
    access_modes(faults, &at, modes);
    storage(faults, path, spec);
    if let Some(class) = spec
        .storage_class_name
        .as_deref()
        .filter(|class| !class.is_empty())
    {
        note(
            faults,
            &format!("{path}.storageClassName"),
            class,
            subdomain(class),
        );
    }
    if let Some(mode) = spec.volume_mode.as_deref()
        && !matches!(mode, "Block" | "Filesystem")
    {
        faults.unsupported(
            &format!("{path}.volumeMode"),
            mode,
            &["Block", "Filesystem"],
        );
    }
}

/// Checks the ways in which a volume may be used.
pub(super) fn access_modes(faults: &mut Faults, path: &str, modes: &[String]) {
    let known = [
        "ReadOnlyMany",
        "ReadWriteMany",
        "ReadWriteOnce",
        "ReadWriteOncePod",
    ];
    for mode in modes {
        if !known.contains(&mode.as_str()) {
            faults.unsupported(path, mode, &known);
        }
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        faults.forbidden(path, detail);
    }
}

fn storage(faults: &mut Faults, path: &str, spec: &PersistentVolumeClaimSpec) {
    let requests = spec
        .resources
        .as_ref()
        .and_then(|wanted| wanted.requests.as_ref());
    let at = format!("{path}.resources[storage]");
    let Some(size) = requests.and_then(|requests| requests.get("storage")) else {
        return faults.required(&at, "");
    };
    if let Ok(size) = size.0.parse::<Quantity>() {
        let shown = size.to_string();
        if size.nanos() <= 0 {
            faults.invalid_text(&at, &shown, "must be greater than zero");
        }
    }
}
