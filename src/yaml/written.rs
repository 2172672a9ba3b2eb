//! YAML as petset itself writes it and reads it back.
//!
//! The sole user of `serde_yaml`, with `quoting.rs`. Manifests are read by `tree.rs` instead,
//! because `serde_yaml` follows YAML 1.2 and Kubernetes does not.

use serde::Serialize;

use super::plain;
use super::quoting::quoted;
use crate::problem::Result;

/// Writes a value as one YAML document.
pub(crate) fn to_string<T: Serialize>(value: &T) -> Result<String> {
    Ok(quoted(serde_yaml::to_string(value)?))
}

/// Returns what [`to_string`] wrote as the text of JSON.
pub(crate) fn to_json(text: &str) -> Result<String> {
    if let Some(json) = plain::to_json(text) {
        return Ok(json);
    }
    let value: serde_json::Value = serde_yaml::from_str(text)?;
    Ok(value.to_string())
}
