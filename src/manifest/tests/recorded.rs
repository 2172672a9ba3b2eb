//! What a real API server was asked, and what petset makes of the same.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::draft::Draft;
use super::super::fault::{FaultKind, Faults};
use super::super::old::Era;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::yaml;

/// Reads a file of recordings, which lies beside the project; without it a test does nothing, or
/// fails where `PETSET_TEST_REQUIRE` names `conformance`.
pub(super) fn recording(name: &str) -> Option<Value> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = project.ancestors().skip(1).take(2);
    let mut beside = above.map(|above| above.join("shared/conformance"));
    let beside = || beside.find(|folder| folder.is_dir()).unwrap_or_default();
    let folder = std::env::var_os("PETSET_CONFORMANCE").map_or_else(beside, PathBuf::from);
    let file = folder.join(name);
    let error = match std::fs::read(&file) {
        Ok(text) => return Some(serde_json::from_slice(&text).unwrap()),
        Err(error) => error,
    };
    let required = std::env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == "conformance"),
        "PETSET_TEST_REQUIRE demands conformance, but {}: {error}",
        file.display()
    );
    println!("skipped: {}: {error}", file.display());
    None
}

/// Applies `{"spec.ports[0].name": value}`, where `<removed>` removes; where a path names nothing
/// that is there, its rest is a key with dots in it.
pub(super) fn changed(baseline: &Value, change: &Value) -> Value {
    let mut object = baseline.clone();
    for (path, value) in change.as_object().into_iter().flatten() {
        let path = path.replace('[', ".").replace(']', "");
        change_one(&mut object, &path, value);
    }
    object
}

fn change_one(parent: &mut Value, path: &str, value: &Value) {
    match parent {
        Value::Object(map) => {
            if let Some((key, rest)) = path.split_once('.')
                && let Some(inner) = map.get_mut(key)
            {
                return change_one(inner, rest, value);
            }
            if value == "<removed>" {
                map.remove(path);
            } else {
                map.insert(path.to_owned(), value.clone());
            }
        }
        Value::Array(list) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            match list.get_mut(index.parse::<usize>().unwrap()) {
                Some(item) if rest.is_empty() => *item = value.clone(),
                Some(item) => change_one(item, rest, value),
                None => list.push(value.clone()),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            panic!("{path} leads into a single value")
        }
    }
}

/// What petset makes of a manifest.
pub(super) struct Verdict {
    pub(super) object: Option<Object>,
    pub(super) faults: Faults,
    pub(super) warnings: Vec<String>,
    /// What the API server would answer; nothing if the manifest is accepted.
    pub(super) message: String,
}

/// Reads a manifest that was sent to the place of objects of this kind.
pub(super) fn judge(kind: ObjectKind, manifest: &Value) -> Verdict {
    let documents = yaml::read(&manifest.to_string());
    assert_eq!(documents.faults, []);
    let root = &documents.roots[0];
    let given = root.text("kind").unwrap_or_default();
    if given != kind.as_str() {
        let version = kind.api_version();
        let message = format!("no kind {given:?} is registered for version {version:?}");
        let mut faults = Faults::default();
        faults.push("kind", message, FaultKind::Decoding);
        return verdict(kind, None, faults, Vec::new(), given, "");
    }
    let mut draft = Draft::new(root, Era::Current);
    let object = draft.object(kind);
    let meta = root.entry("metadata");
    let name = meta.and_then(|entry| entry.node.text("name"));
    let name = name.unwrap_or_default();
    let warnings = draft.warnings.iter();
    let warnings = warnings.map(|remark| format!("{}: {}", remark.path, remark.text));
    let warnings = warnings.collect();
    verdict(kind, object, draft.faults, warnings, given, name)
}

fn verdict(
    kind: ObjectKind,
    object: Option<Object>,
    faults: Faults,
    warnings: Vec<String>,
    given: &str,
    name: &str,
) -> Verdict {
    let is_decoding =
        |kind: FaultKind| matches!(kind, FaultKind::Decoding | FaultKind::UnknownField);
    let decoding = faults.0.iter().find(|fault| is_decoding(fault.kind));
    let message = match decoding {
        Some(fault) => {
            let strict = if fault.kind == FaultKind::UnknownField {
                "strict decoding error: "
            } else {
                ""
            };
            let (own, message) = (kind.as_str(), &fault.message);
            format!("{given} in version \"v1\" cannot be handled as a {own}: {strict}{message}")
        }
        None if faults.is_empty() => String::new(),
        None => faults.about(&kind.with_group(), name),
    };
    Verdict {
        object,
        faults,
        warnings,
        message,
    }
}

/// Returns the texts of the warnings that the server sent with its answer.
pub(super) fn warnings_of(case: &Value) -> Vec<String> {
    let warnings = case["warnings"].as_array().into_iter().flatten();
    let text = |warning: &Value| {
        let quoted = warning.as_str().unwrap().strip_prefix("299 - ").unwrap();
        serde_json::from_str(quoted).unwrap()
    };
    warnings.map(text).collect()
}
