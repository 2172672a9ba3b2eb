//! What petset can use of the volumes that users make: directories of this machine.

use k8s_openapi::api::core::v1::PersistentVolume;

use super::validate::volume_source;

/// Returns the field of a valid volume that petset cannot act on, and why.
pub(super) fn unusable(volume: &PersistentVolume) -> Option<(String, String)> {
    let spec = volume.spec.as_ref()?;
    let sources = volume_source(spec);
    let foreign = |(name, _): &&(&str, _)| !matches!(*name, "hostPath" | "local");
    if let Some((name, _)) = sources.iter().find(foreign) {
        let why = format!(
            "petset has no volumes of the kind {name}: mount it on this machine, and give the \
             path as hostPath or local"
        );
        return Some((format!("spec.{name}"), why));
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        let why = "petset has no block volumes: a volume is a directory";
        return Some(("spec.volumeMode".to_owned(), why.to_owned()));
    }
    None
}
