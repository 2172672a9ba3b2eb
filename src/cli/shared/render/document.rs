//! Objects as documents: their fields in alphabetical order, as kubectl prints them.

use std::fmt;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use crate::model::json;
use crate::model::object::Object;
use crate::problem::Result;

/// An object without its Rust type, ready to be compared, searched and printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Document(Value);

impl Document {
    /// Makes a document of an object.
    pub(crate) fn of<T: Serialize>(object: &T) -> Result<Self> {
        let value = json::to_value(object).context("cannot write an object as JSON")?;
        Ok(Self(value))
    }

    /// Makes a document of an object of whatever kind, with its `apiVersion` and `kind`.
    pub(crate) fn of_object(object: &Object) -> Result<Self> {
        object.to_json().map(Self)
    }

    /// Returns the value at a JSON pointer, a string without its quotes.
    pub(crate) fn text_at(&self, pointer: &str) -> Option<String> {
        self.0.pointer(pointer).map(|value| match value {
            Value::String(text) => text.clone(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        })
    }
}

impl fmt::Display for Document {
    /// Writes the document as JSON on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A `List` of Kubernetes objects.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List {
    api_version: &'static str,
    items: Vec<Document>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<ListMetadata>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: &'static str,
}

impl List {
    /// Makes a list as manifests have it, without metadata.
    pub(crate) const fn plain(items: Vec<Document>) -> Self {
        Self {
            api_version: "v1",
            items,
            kind: "List",
            metadata: None,
        }
    }

    /// Makes a list as `kubectl get` prints it.
    pub(crate) fn fetched(items: Vec<Document>) -> Self {
        let metadata = Some(ListMetadata {
            resource_version: "",
        });
        Self {
            metadata,
            ..Self::plain(items)
        }
    }
}
