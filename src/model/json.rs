//! Kubernetes objects as JSON values, by way of JSON text.
//!
//! The compiler makes the whole code of a type once more for each serializer and deserializer that
//! meets it, which for a pod takes seconds of every build. Files hold JSON text, so the serializer
//! and the deserializer of text are there already; everything else goes through them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns an object as a JSON value.
pub(crate) fn to_value<T: Serialize>(object: &T) -> serde_json::Result<Value> {
    parsed(&serde_json::to_vec(object)?)
}

/// Returns the object that a JSON value holds.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_str(&value.to_string())
}

/// Not generic, so that it is compiled once.
fn parsed(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text)
}
