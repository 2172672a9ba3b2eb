//! The kinds of object that users create, each stored in a file of its own below `wanted/`.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::redact;
use crate::model::json;
use crate::model::kind::ObjectKind;
use crate::problem::{Problem, Result};
use crate::yaml;

/// The first line of the file of an object, and the last: without the last one a file that was cut
/// short could be valid YAML. A file with neither was written by a user or an earlier version.
const HEAD: &str = "# An object that petset keeps; its last line says that it is whole.\n";
const TAIL: &str = "# whole\n";

/// Returns the text of the file of an object.
pub(super) fn to_text<T: Kept>(object: &T) -> Result<Vec<u8>> {
    whole_text(&json::to_value(object)?)
}

/// Returns the text of the file of an object that is given as JSON.
pub(super) fn whole_text(object: &Value) -> Result<Vec<u8>> {
    let text = yaml::to_string(object)?;
    Ok(format!("{HEAD}{text}{TAIL}").into_bytes())
}

/// Returns the object of this name that the text of its file holds.
pub(super) fn of_text<T: Kept>(text: &str, name: &str) -> Result<T> {
    let object: T = serde_json::from_str(&json_of_text(text)?)?;
    expect_name(object.metadata().name.as_deref(), name)?;
    Ok(object)
}

/// Returns the same as JSON.
pub(super) fn named_value(text: &str, name: &str) -> Result<Value> {
    let object: Value = serde_json::from_str(&json_of_text(text)?)?;
    expect_name(object["metadata"]["name"].as_str(), name)?;
    Ok(object)
}

/// Returns the text of a file as JSON, if it is whole.
pub(super) fn json_of_text(text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Err(Problem::failed("it is empty").into());
    }
    let marked = text.strip_prefix(HEAD);
    let whole = marked.and_then(|text| text.strip_suffix(TAIL));
    if whole.is_none() && text.starts_with(HEAD.trim_end()) {
        return Err(Problem::failed("its end is missing").into());
    }
    yaml::to_json(whole.unwrap_or(text))
}

fn expect_name(found: Option<&str>, name: &str) -> Result<()> {
    match found {
        Some(other) if other == name => Ok(()),
        Some(other) => Err(Problem::failed(format!("it holds {other:?}")).into()),
        None => Err(Problem::failed("it has no metadata.name").into()),
    }
}

/// The annotation of a claim that names the set it was made for, which may be gone.
pub(crate) const SET_ANNOTATION: &str = "petset.dev/set";

/// An object that users create, stored in one file.
pub(crate) trait Kept:
    Serialize + DeserializeOwned + k8s_openapi::Metadata<Ty = ObjectMeta> + Clone
{
    /// Its kind, which names its folder.
    const OBJECT_KIND: ObjectKind;

    /// Returns the redacted copy for pets; `None` when pets do not see the object.
    fn shown(&self) -> Option<Self> {
        None
    }
}

impl Kept for StatefulSet {
    const OBJECT_KIND: ObjectKind = ObjectKind::StatefulSet;

    fn shown(&self) -> Option<Self> {
        Some(redact::of_set(self))
    }
}

impl Kept for Service {
    const OBJECT_KIND: ObjectKind = ObjectKind::Service;

    fn shown(&self) -> Option<Self> {
        Some(redact::of_service(self))
    }
}

impl Kept for Endpoints {
    const OBJECT_KIND: ObjectKind = ObjectKind::Endpoints;
}

impl Kept for EndpointSlice {
    const OBJECT_KIND: ObjectKind = ObjectKind::EndpointSlice;
}

impl Kept for ConfigMap {
    const OBJECT_KIND: ObjectKind = ObjectKind::ConfigMap;
}

impl Kept for Secret {
    const OBJECT_KIND: ObjectKind = ObjectKind::Secret;
}

impl Kept for PersistentVolumeClaim {
    const OBJECT_KIND: ObjectKind = ObjectKind::PersistentVolumeClaim;
}

impl Kept for PersistentVolume {
    const OBJECT_KIND: ObjectKind = ObjectKind::PersistentVolume;
}

impl Kept for StorageClass {
    const OBJECT_KIND: ObjectKind = ObjectKind::StorageClass;
}

impl Kept for Pod {
    const OBJECT_KIND: ObjectKind = ObjectKind::Pod;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_that_is_cut_anywhere_is_no_object() {
        let map = json!({"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}});
        let map: ConfigMap = serde_json::from_value(map).unwrap();
        let text = String::from_utf8(to_text(&map).unwrap()).unwrap();
        assert_eq!(of_text::<ConfigMap>(&text, "m").unwrap(), map);
        for length in 0..text.len() {
            let cut = of_text::<ConfigMap>(&text[..length], "m");
            assert!(cut.is_err(), "{:?}", &text[..length]);
        }
        let other = of_text::<ConfigMap>(&text, "n").unwrap_err();
        assert_eq!(other.to_string(), "it holds \"m\"");
        let by_hand = "metadata:\n  name: m\ndata:\n  a: '1'\n  b: '2'\n";
        assert_eq!(of_text::<ConfigMap>(by_hand, "m").unwrap(), map);
    }
}
