//! The answers of a real API server to good and bad manifests are petset's answers.

use serde_json::{Value, json};

use super::super::check_update;
use super::super::fault::FaultKind;
use super::recorded::{Verdict, changed, judge, recording, warnings_of};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;

const SET: ObjectKind = ObjectKind::StatefulSet;

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

fn without_scheme(message: &str) -> &str {
    message.split(" in scheme ").next().unwrap()
}

#[test]
fn a_new_set_is_accepted_or_refused_as_the_api_server_does() {
    let Some(recording) = recording("validation.json") else {
        return;
    };
    let mut wrong = Vec::new();
    for case in recording["create"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            continue;
        }
        let found = judge(SET, &changed(&recording["baseline"], &case["change"]));
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
        for text in warnings_of(case) {
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
    let Some(recording) = recording("validation.json") else {
        return;
    };
    let stored = |change: &Value| match judge(SET, &changed(&recording["baseline"], change)) {
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
        let new = judge(SET, &change).object;
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
    let Some(recording) = recording("validation.json") else {
        return;
    };
    for case in recording["deferred"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let mut set = recording["baseline"].clone();
        set["metadata"]["name"] = json!("def");
        if let Some(length) = name.strip_prefix("name of ") {
            let length: usize = length.trim_end_matches(" chars").parse().unwrap();
            set["metadata"]["name"] = json!("a".repeat(length));
            set["spec"]["replicas"] = json!(1);
            let fits = length + "-0".len() <= 63;
            assert_eq!(judge(SET, &set).faults.is_empty(), fits, "{name}");
            continue;
        }
        let found = judge(SET, &changed(&set, &case["change"]));
        assert_eq!(
            found.message,
            case["message"].as_str().unwrap_or_default(),
            "{name}"
        );
    }
}
