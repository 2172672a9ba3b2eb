//! What the API server fills in, as far as the recordings need it.
//!
//! It stands in for the manifest reader's own defaults.

use serde_json::{Map, Value, json};

/// Fills in what a `StatefulSet` leaves out.
pub(crate) fn default_set(set: &mut Value, gate: bool) {
    set["metadata"]["namespace"] = "default".into();
    let spec = &mut set["spec"];
    let fields = [
        ("replicas", json!(1)),
        ("podManagementPolicy", json!("OrderedReady")),
        ("revisionHistoryLimit", json!(10)),
        ("serviceName", json!("")),
        ("updateStrategy", json!({"type": "RollingUpdate"})),
        ("persistentVolumeClaimRetentionPolicy", json!({})),
    ];
    fill(spec, fields);
    let keep = [
        ("whenDeleted", json!("Retain")),
        ("whenScaled", json!("Retain")),
    ];
    fill(&mut spec["persistentVolumeClaimRetentionPolicy"], keep);
    default_strategy(&mut spec["updateStrategy"], gate);
    default_template(&mut spec["template"]);
    for claim in spec["volumeClaimTemplates"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        fill(
            claim,
            [
                ("apiVersion", json!("v1")),
                ("kind", json!("PersistentVolumeClaim")),
            ],
        );
        fill(&mut claim["spec"], [("volumeMode", json!("Filesystem"))]);
    }
}

fn default_strategy(strategy: &mut Value, gate: bool) {
    fill(strategy, [("type", json!("RollingUpdate"))]);
    if strategy["type"] != "RollingUpdate" {
        return;
    }
    fill(strategy, [("rollingUpdate", json!({}))]);
    let rolling = &mut strategy["rollingUpdate"];
    fill(rolling, [("partition", json!(0))]);
    if gate {
        fill(rolling, [("maxUnavailable", json!(1))]);
    } else if let Some(fields) = rolling.as_object_mut() {
        fields.remove("maxUnavailable");
    }
}

fn default_template(template: &mut Value) {
    let spec = &mut template["spec"];
    let fields = [
        ("dnsPolicy", json!("ClusterFirst")),
        ("restartPolicy", json!("Always")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
    ];
    fill(spec, fields);
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            default_container(container);
        }
    }
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|_, value| !value.is_null()); // indexing a missing field made it null
    }
}

fn default_container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'));
    let pull = match tag {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    };
    let fields = [
        ("imagePullPolicy", json!(pull)),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ];
    fill(container, fields);
}

fn fill<const N: usize>(object: &mut Value, fields: [(&str, Value); N]) {
    if object.is_null() {
        *object = Value::Object(Map::new());
    }
    let object = object.as_object_mut().expect("an object");
    for (key, value) in fields {
        object.entry(key).or_insert(value);
    }
}
