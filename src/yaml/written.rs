//! YAML as petset itself writes it and reads it back.
//!
//! The sole user of `serde_yaml`, with `quoting.rs`. Manifests are read by `tree.rs` instead,
//! because `serde_yaml` follows YAML 1.2 and Kubernetes does not.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::quoting::quoted;
use crate::problem::Result;

/// Writes a value as one YAML document.
pub(crate) fn to_string<T: Serialize>(value: &T) -> Result<String> {
    Ok(quoted(serde_yaml::to_string(value)?))
}

/// Reads back what [`to_string`] wrote.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T> {
    Ok(serde_yaml::from_str(text)?)
}
