//! Objects as documents: their fields in alphabetical order, as kubectl prints them.

use std::fmt;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::jsonpath::JsonPath;
use crate::model::json;
use crate::model::object::Object;
use crate::model::patch::{Patch, PatchKind};
use crate::problem::{Problem, Result};
use crate::yaml;

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

    /// Reads a patch for documents, from JSON or YAML.
    pub(crate) fn read_patch(kind: PatchKind, text: &str) -> Result<Patch> {
        let documents = yaml::read(text);
        if let Some(fault) = documents.faults.first() {
            let message = format!("the patch cannot be read: {}: {}", fault.at, fault.message);
            return Err(Problem::invalid(message).into());
        }
        let [root] = &documents.roots[..] else {
            return Err(Problem::invalid("the patch is to be one document").into());
        };
        Ok(Patch::of(kind, root.value.to_json())?)
    }

    /// Returns the document without what is observed.
    pub(crate) fn without_status(mut self) -> Self {
        if let Some(fields) = self.0.as_object_mut() {
            fields.remove("status");
        }
        self
    }

    /// Returns the document as it is with a patch.
    pub(crate) fn patched(&self, patch: &Patch) -> Result<Self, Problem> {
        let mut value = self.0.clone();
        patch.apply(&mut value)?;
        Ok(Self(value))
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

impl Document {
    /// Returns the status of one of the conditions in the status of an object.
    pub(crate) fn condition(&self, name: &str) -> Option<String> {
        let conditions = self.0.pointer("/status/conditions")?.as_array()?;
        let is_it = |condition: &&Value| {
            let kind = condition["type"].as_str();
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
        };
        let found = conditions.iter().find(is_it)?;
        found["status"].as_str().map(str::to_owned)
    }

    /// Returns what a template prints for the document.
    pub(crate) fn fill(&self, template: &JsonPath) -> Result<String> {
        template.fill(&self.0)
    }

    /// Returns what a template finds in the document, as JSON.
    pub(crate) fn fill_as_json(&self, template: &JsonPath) -> Result<String> {
        template.fill_as_json(&self.0)
    }

    /// Returns the first value that a path finds in the document.
    pub(super) fn first(&self, path: &JsonPath) -> Result<Option<Value>> {
        path.first(&self.0)
    }

    /// Returns what a path finds in the document, as it stands in a column.
    pub(crate) fn cell(&self, path: &JsonPath) -> Result<String> {
        path.cell(&self.0)
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
