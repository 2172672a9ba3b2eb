//! Deployments, jobs, volumes and their like: the answers of a real API server are petset's.

use serde_json::{Value, json};

use super::super::fault::Faults;
use super::super::{
    check_claim_update, check_class_update, check_volume_update, check_workload_update,
    complete_workload,
};
use super::recorded::{Verdict, changed, judge, recording, warnings_of};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;

const ANSWERS: &str = "validation-workloads.json";
const DEFAULTS: &str = "defaults-workloads.json";

/// Cases that need a server, or in which petset differs on purpose.
const ELSEWHERE: [(&str, &str); 4] = [
    ("apiVersion extensions/v1beta1", "a file has no URL"),
    ("apiVersion batch/v1beta1", "a file has no URL"),
    (
        "stale resourceVersion",
        "a precondition of the server's storage",
    ),
    (
        "status in the main resource",
        "the status is no part of an update, which the server answers with its own",
    ),
];

fn is_elsewhere(case: &Value) -> bool {
    let name = case["case"].as_str().unwrap();
    ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name)
}

/// Returns the kinds of a recording, each with what is told of it.
fn kinds(recording: &Value) -> impl Iterator<Item = (ObjectKind, &Value)> {
    let kinds = recording["kinds"].as_object().unwrap().iter();
    kinds.map(|(name, told)| {
        let object = told.get("baseline").or_else(|| told.get("manifest"));
        let version = object.unwrap()["apiVersion"].as_str().unwrap();
        let kind = ObjectKind::of_manifest(version, name);
        (kind.unwrap_or_else(|| panic!("{name}")), told)
    })
}

/// Returns the causes that the API server would list.
fn causes(faults: &Faults) -> Value {
    let cause = |text: &str| {
        let reasons = [
            ("Invalid value", "FieldValueInvalid"),
            ("Required value", "FieldValueRequired"),
            ("Unsupported value", "FieldValueNotSupported"),
            ("Duplicate value", "FieldValueDuplicate"),
            ("Not found", "FieldValueNotFound"),
            ("Forbidden", "FieldValueForbidden"),
            ("Too long", "FieldValueTooLong"),
            ("Too many", "FieldValueTooMany"),
        ];
        let mut reasons = reasons.into_iter();
        let found = reasons.find_map(|(start, reason)| text.starts_with(start).then_some(reason));
        found.unwrap_or_else(|| panic!("{text}"))
    };
    let causes = faults.0.iter().map(|fault| {
        let reason = cause(&fault.message);
        json!({"reason": reason, "message": fault.message, "field": fault.path})
    });
    causes.collect()
}

/// Compares a verdict with the recorded answer; returns how they differ.
fn differs(case: &Value, found: &Verdict) -> Option<String> {
    let accepted = case["accepted"].as_bool().unwrap();
    let expected = case["message"].as_str().unwrap_or_default();
    let told = (accepted, expected);
    let verdict = (found.message.is_empty(), found.message.as_str());
    if told != verdict {
        return Some(format!("  server: {told:?}\n  petset: {verdict:?}"));
    }
    let listed = case.get("causes").cloned();
    let own = listed.as_ref().map(|_| causes(&found.faults));
    if listed != own {
        return Some(format!("  server: {listed:?}\n  petset: {own:?}"));
    }
    let warnings = warnings_of(case);
    let missing = |text: &String| accepted && !found.warnings.contains(text);
    let missing: Vec<&String> = warnings.iter().filter(|text| missing(text)).collect();
    (!missing.is_empty()).then(|| format!("  no warning {missing:?} in {:?}", found.warnings))
}

#[test]
fn a_new_workload_or_volume_is_accepted_or_refused_as_the_api_server_does() {
    let Some(recording) = recording(ANSWERS) else {
        return;
    };
    let (mut wrong, mut number) = (Vec::new(), 0);
    for (kind, told) in kinds(&recording) {
        for case in told["create"].as_array().unwrap() {
            number += 1;
            if is_elsewhere(case) {
                continue;
            }
            let found = judge(kind, &changed(&told["baseline"], &case["change"]));
            if let Some(difference) = differs(case, &found) {
                wrong.push(format!("{}: {}\n{difference}", kind.as_str(), case["case"]));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
    assert!(number >= 194, "only {number} cases");
}

/// Returns the object that the server keeps of a manifest.
fn stored(kind: ObjectKind, manifest: &Value) -> Value {
    let Verdict {
        object, message, ..
    } = judge(kind, manifest);
    assert_eq!(message, "", "{manifest}");
    let mut object = object.unwrap();
    object.metadata_mut().uid = Some("UID".to_owned());
    if let Object::Workload(workload) = &mut object {
        complete_workload(workload, "UID");
    }
    object.to_json().unwrap()
}

/// Returns what the server says to a change.
fn answer(kind: ObjectKind, old: &Value, new: &Value) -> Option<String> {
    let parsed = |value: &Value| judge(kind, value).object.unwrap();
    let (mut old, mut new) = (parsed(old), parsed(new));
    for object in [&mut old, &mut new] {
        object.metadata_mut().uid = Some("UID".to_owned());
    }
    let checked = match (&old, &mut new) {
        (Object::Workload(old), Object::Workload(new)) => check_workload_update(old, new),
        (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new)) => {
            check_claim_update(old, new)
        }
        (Object::PersistentVolume(old), Object::PersistentVolume(new)) => {
            check_volume_update(old, new)
        }
        (Object::StorageClass(old), Object::StorageClass(new)) => check_class_update(old, new),
        _ => panic!("{kind:?}"),
    };
    checked.err().map(|problem| problem.message)
}

#[test]
fn a_change_of_a_workload_or_volume_is_accepted_or_refused_as_the_api_server_does() {
    let Some(recording) = recording(ANSWERS) else {
        return;
    };
    let (mut wrong, mut number) = (Vec::new(), 0);
    for (kind, told) in kinds(&recording) {
        let mut baseline = told["baseline"].clone();
        if kind == ObjectKind::PersistentVolumeClaim {
            // The claim of the recording must not be bound. Its class is called as its namespace.
            baseline["spec"]["storageClassName"] = json!("ns");
            baseline["spec"]["selector"] = json!({"matchLabels": {"none": "none"}});
        }
        let old = stored(kind, &baseline);
        for case in told["update"].as_array().unwrap() {
            number += 1;
            if is_elsewhere(case) {
                continue;
            }
            let found = answer(kind, &old, &changed(&old, &case["change"]));
            // Objects without a namespace have its name in theirs.
            let plain = |it: &str| it.replace("\"NS-", "\"").replace("\"NS\"", "\"ns\"");
            let expected = case["message"].as_str().map(plain);
            if found != expected {
                let case = &case["case"];
                let told = format!("  server: {expected:?}\n  petset: {found:?}");
                wrong.push(format!("{}: {case}\n{told}", kind.as_str()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
    assert!(number >= 51, "only {number} cases");
}

/// Removes what only a server adds: its notes on the object, and finalizers.
fn without_server(mut object: Value) -> Value {
    let meta = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "generation",
        "creationTimestamp",
        "namespace",
        "finalizers",
    ] {
        meta.remove(field);
    }
    drop_empty_metadata(&mut object);
    object
}

/// Go's encoder writes the metadata of templates also where they are empty.
fn drop_empty_metadata(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, value| name != "metadata" || *value != json!({}));
        fields.values_mut().for_each(drop_empty_metadata);
    }
}

#[test]
fn dp01_rs02_ds01_jb01_cj01_pv01_what_is_left_out_is_filled_in_as_the_api_server_does() {
    let Some(recording) = recording(DEFAULTS) else {
        return;
    };
    for (kind, told) in kinds(&recording) {
        let manifest = &told["manifest"];
        let own = without_server(stored(kind, manifest));
        let returned = without_server(told["returned"].clone());
        assert_eq!(own, returned, "{}", kind.as_str());
        for variant in told["variants"].as_array().unwrap() {
            let own = stored(kind, &changed(manifest, &variant["change"]));
            let own = without_server(own);
            assert_eq!(own["spec"], variant["spec"], "{}", variant["case"]);
        }
    }
}
