//! The answers of a real API server to good and bad manifests are petset's answers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::check_update;
use super::super::fault::{FaultKind, Faults};
use super::super::load::Draft;
use super::super::old::Era;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::yaml;

/// Cases that need a server, or in which petset differs on purpose.
const ELSEWHERE: [(&str, &str); 9] = [
    ("namespace mismatch with the URL", "a file has no URL"),
    ("apiVersion apps/v1beta1", "petset reads old API versions"),
    (
        "unknown field, fieldValidation=Ignore",
        "petset is always strict",
    ),
    (
        "unknown field, fieldValidation=Warn",
        "petset is always strict",
    ),
    ("metadata.uid", "a precondition of the server's storage"),
    (
        "stale resourceVersion",
        "a precondition of the server's storage",
    ),
    (
        "create a set that already exists",
        "the verb's answer, not the manifest's",
    ),
    (
        "GET of an unknown set",
        "the verb's answer, not the manifest's",
    ),
    (
        "create in an unknown namespace",
        "petset has no namespace objects",
    ),
];
/// Names that the API server accepts although the pods cannot have them (R24).
const TOO_LONG_FOR_PODS: [&str; 1] = ["name 63 chars"];

fn recording() -> Option<Value> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let folder = std::env::var_os("PETSET_CONFORMANCE").map_or(default, PathBuf::from);
    let file = folder.join("validation.json");
    match std::fs::read(&file) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(error) => {
            println!("skipped: {}: {error}", file.display());
            None
        }
    }
}

/// Applies `{"spec.ports[0].name": value}`, where `<removed>` removes.
fn changed(baseline: &Value, change: &Value) -> Value {
    let mut object = baseline.clone();
    for (path, value) in change.as_object().into_iter().flatten() {
        let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Object(map) if value == "<removed>" => {
                map.remove(last);
            }
            Value::Object(map) => {
                map.insert(last.to_owned(), value.clone());
            }
            Value::Array(list) => match list.get_mut(last.parse::<usize>().unwrap()) {
                Some(item) => *item = value.clone(),
                None => list.push(value.clone()),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                panic!("{path} leads into a single value")
            }
        }
    }
    object
}

struct Verdict {
    object: Option<Object>,
    faults: Faults,
    warnings: Vec<String>,
    message: String,
}

fn judge(manifest: &Value) -> Verdict {
    let documents = yaml::read(&manifest.to_string());
    assert_eq!(documents.faults, []);
    let root = &documents.roots[0];
    if root.text("kind") != Some("StatefulSet") {
        let kind = root.text("kind").unwrap_or_default();
        let message = format!("no kind {kind:?} is registered for version \"apps/v1\"");
        let mut faults = Faults::default();
        faults.push("kind", message, FaultKind::Decoding);
        return verdict(None, faults, Vec::new(), kind, "");
    }
    let mut draft = Draft::new(root, Era::Current);
    let object = draft.object(ObjectKind::StatefulSet);
    let meta = root.entry("metadata");
    let name = meta.and_then(|entry| entry.node.text("name"));
    let warnings = draft
        .warnings
        .iter()
        .map(|remark| format!("{}: {}", remark.path, remark.text))
        .collect();
    verdict(
        object,
        draft.faults,
        warnings,
        "StatefulSet",
        name.unwrap_or_default(),
    )
}

fn verdict(
    object: Option<Object>,
    faults: Faults,
    warnings: Vec<String>,
    kind: &str,
    name: &str,
) -> Verdict {
    let decoding = faults
        .0
        .iter()
        .find(|fault| matches!(fault.kind, FaultKind::Decoding | FaultKind::UnknownField));
    let message = match decoding {
        Some(fault) => {
            let strict = if fault.kind == FaultKind::UnknownField {
                "strict decoding error: "
            } else {
                ""
            };
            format!(
                "{kind} in version \"v1\" cannot be handled as a StatefulSet: {strict}{}",
                fault.message
            )
        }
        None if faults.is_empty() => String::new(),
        None => faults.about("StatefulSet.apps", name),
    };
    Verdict {
        object,
        faults,
        warnings,
        message,
    }
}

fn without_scheme(message: &str) -> &str {
    message.split(" in scheme ").next().unwrap()
}

#[test]
fn a_new_set_is_accepted_or_refused_as_the_api_server_does() {
    let Some(recording) = recording() else { return };
    let mut wrong = Vec::new();
    for case in recording["create"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            continue;
        }
        let found = judge(&changed(&recording["baseline"], &case["change"]));
        let expected = case["message"].as_str().unwrap_or_default();
        if TOO_LONG_FOR_PODS.contains(&name) {
            assert_eq!(found.faults.0[0].kind, FaultKind::Ours, "{name}");
            continue;
        }
        if found.message != without_scheme(expected) {
            wrong.push(format!(
                "{name}\n  server: {expected}\n  petset: {}",
                found.message
            ));
        }
        for warning in case["warnings"].as_array().into_iter().flatten() {
            let text = warning.as_str().unwrap().strip_prefix("299 - ").unwrap();
            let text: String = serde_json::from_str(text).unwrap();
            if !found.warnings.contains(&text) {
                wrong.push(format!(
                    "{name}\n  no warning: {text}\n  but {:?}",
                    found.warnings
                ));
            }
        }
        if let (Some(stored), Some(object)) = (case.get("storedSpec"), &found.object) {
            let spec = object.to_json().unwrap()["spec"].clone();
            if spec != *stored {
                wrong.push(format!("{name}\n  stored: {stored}\n  petset: {spec}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn an_update_is_accepted_or_refused_as_the_api_server_does() {
    let Some(recording) = recording() else { return };
    let stored = |change: &Value| match judge(&changed(&recording["baseline"], change)) {
        Verdict {
            object: Some(Object::StatefulSet(set)),
            ..
        } => *set,
        Verdict { message, .. } => panic!("{change}: {message}"),
    };
    let old = stored(&json!({}));
    for case in recording["update"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            continue;
        }
        let change = changed(&recording["baseline"], &case["change"]);
        let new = judge(&change).object;
        let Some(Object::StatefulSet(new)) = new else {
            panic!("{name}: not decoded");
        };
        let found = check_update(&old, &new, true)
            .err()
            .map(|problem| problem.message);
        assert_eq!(found.as_deref(), case["message"].as_str(), "{name}");
    }
}

#[test]
fn what_the_api_server_refuses_only_later_is_refused_at_once() {
    let Some(recording) = recording() else { return };
    for case in recording["deferred"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let mut set = recording["baseline"].clone();
        set["metadata"]["name"] = json!("def");
        if let Some(length) = name.strip_prefix("name of ") {
            let length: usize = length.trim_end_matches(" chars").parse().unwrap();
            set["metadata"]["name"] = json!("a".repeat(length));
            set["spec"]["replicas"] = json!(1);
            let fits = length + "-0".len() <= 63;
            assert_eq!(judge(&set).faults.is_empty(), fits, "{name}");
            continue;
        }
        let found = judge(&changed(&set, &case["change"]));
        assert_eq!(
            found.message,
            case["message"].as_str().unwrap_or_default(),
            "{name}"
        );
    }
}
