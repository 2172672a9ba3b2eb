//! What differs from run to run, hidden as the recordings hide it.

use serde_json::{Map, Value, json};

use super::recording::Event;

/// The names of one pod that stand in texts about it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    pub(crate) uid: String,
    /// Its address in its own network, and that on the host.
    pub(crate) ips: [String; 2],
}

/// Writes a pod that petset shows as the recordings have it.
pub(crate) fn status(pod: &Value) -> Value {
    let (meta, status) = (&pod["metadata"], &pod["status"]);
    let names = names(pod);
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("phase", status["phase"].clone());
    for name in ["reason", "message"] {
        if let Some(text) = status[name].as_str() {
            put(name, json!(hide(text, &names)));
        }
    }
    put("conditions", conditions(&status["conditions"], &names));
    for (name, from) in [
        ("init", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ] {
        let list = status[from].as_array().filter(|list| !list.is_empty());
        if let Some(list) = list {
            let list: Vec<Value> = list.iter().map(|it| container(it, &names)).collect();
            put(name, Value::Array(list));
        }
    }
    put("podIP", json!(status["podIP"].is_string()));
    put("qosClass", status["qosClass"].clone());
    put("startTime", json!(status["startTime"].is_string()));
    if meta["deletionTimestamp"].is_string() {
        put("deleting", json!(true));
    }
    let grace = meta["deletionGracePeriodSeconds"].as_i64();
    if let Some(grace) = grace.filter(|grace| *grace != 0) {
        put("grace", json!(grace));
    }
    put("generation", meta["generation"].clone());
    if !status["observedGeneration"].is_null() {
        put("observedGeneration", status["observedGeneration"].clone());
    }
    Value::Object(out)
}

/// Returns the names in a pod that petset shows.
pub(crate) fn names(pod: &Value) -> Names {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    Names {
        uid: text(&pod["metadata"]["uid"]),
        ips: [text(&pod["status"]["podIP"]), text(&pod["outerIP"])],
    }
}

/// Writes the conditions, without those that only petset has.
fn conditions(list: &Value, names: &Names) -> Value {
    let mut out = Map::new();
    for condition in list.as_array().into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap();
        if kind.starts_with("petset.dev/") {
            continue;
        }
        let words = ["status", "reason", "message"].map(|it| condition[it].as_str());
        let words: Vec<&str> = words.into_iter().flatten().collect();
        out.insert(kind.to_owned(), json!(hide(&words.join(" "), names)));
    }
    Value::Object(out)
}

fn container(status: &Value, names: &Names) -> Value {
    let last = state(&status["lastState"], names);
    json!({
        "name": status["name"],
        "ready": status["ready"],
        "started": status["started"],
        "restarts": status["restartCount"],
        "state": state(&status["state"], names),
        "last": if last == json!({}) { Value::Null } else { last },
    })
}

fn state(state: &Value, names: &Names) -> Value {
    let mut out = Map::new();
    for (kind, of) in state.as_object().into_iter().flatten() {
        let mut inner = Map::new();
        for name in ["reason", "message", "exitCode", "signal"] {
            let value = match of[name].as_str() {
                Some(text) => json!(hide(text, names)),
                None => of[name].clone(),
            };
            if !value.is_null() {
                inner.insert(name.to_owned(), value);
            }
        }
        out.insert(kind.clone(), Value::Object(inner));
    }
    Value::Object(out)
}

/// Hides the names of a pod, its namespace and the node in a text.
pub(crate) fn hide(text: &str, names: &Names) -> String {
    let mut text = text.replace("_default(", "_NS(").replace("default/", "NS/");
    text = text.replace(" to localhost", " to node");
    text = text.replace(" within 1s:", " within T:");
    let ips = names.ips.iter().map(|ip| (ip, "POD_IP"));
    for (name, placeholder) in ips.chain([(&names.uid, "UID")]) {
        if !name.is_empty() {
            text = text.replace(name, placeholder);
        }
    }
    text
}

/// Returns whether a text of the kubelet speaks of the runtime, of pulling, or of the node, in
/// words that are not petset's.
pub(crate) fn is_foreign(text: &str) -> bool {
    const FOREIGN: [&str; 7] = [
        "KUBELET_ROOT",
        "containerd",
        "rpc error",
        "ull image",
        "ulling image",
        "pulling",
        "already present on machine",
    ];
    FOREIGN.iter().any(|words| text.contains(words))
}

/// Returns whether a message of petset's stands for one of the kubelet's: where that one's words
/// are its own, and where petset adds why.
pub(crate) fn says_the_same(theirs: &str, ours: &str) -> bool {
    let why = ours.strip_prefix(theirs.trim_end());
    is_foreign(theirs) || why.is_some_and(|why| why.is_empty() || why.starts_with(": "))
}

/// Returns whether a text tells of what a cluster does until a volume is found or made.
pub(crate) fn is_binding(text: &str) -> bool {
    const BINDING: [&str; 3] = [
        "running PreBind plugin \"VolumeBinding\"",
        "waiting for ephemeral volume controller",
        "pod has unbound immediate PersistentVolumeClaims",
    ];
    BINDING.iter().any(|it| text.contains(it))
}

/// Returns whether an event tells only of what a cluster does until a volume is found or made, or
/// of a probe that the kubelet runs in a container which it has ended meanwhile.
pub(crate) fn is_clusters(event: &Event) -> bool {
    let binding = is_binding(&event.message);
    let late = event.message.contains("rpc error: code = NotFound");
    (event.reason == "FailedScheduling" && binding) || (event.reason == "Unhealthy" && late)
}

/// Puts a mark in the place of the messages that are the kubelet's own, and of petset's for them.
pub(crate) fn pass_over_foreign(theirs: &mut Value, ours: &mut Value) {
    match (theirs, ours) {
        (Value::String(theirs), Value::String(ours)) if is_foreign(theirs) => {
            "(its own words)".clone_into(theirs);
            "(its own words)".clone_into(ours);
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            for (theirs, ours) in theirs.iter_mut().zip(ours) {
                pass_over_foreign(theirs, ours);
            }
        }
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, theirs) in theirs {
                if let Some(ours) = ours.get_mut(name) {
                    pass_over_foreign(theirs, ours);
                }
            }
        }
        _ => {}
    }
}
