//! Pod templates as JSON, exactly as the API server writes it: a revision's name depends on every
//! byte.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value, json};

use super::json;
use crate::sorted::sort_by_key;

/// Returns the patch that a revision records: the template, to be put in place whole (C24).
pub(super) fn patch_of(template: &PodTemplateSpec) -> Value {
    let mut template = json::to_value(template).unwrap_or_else(|_| json!({}));
    omit_as_go_does(&mut template);
    if let Value::Object(fields) = &mut template {
        fields.insert("$patch".to_owned(), "replace".into());
    }
    json!({ "spec": { "template": template } })
}

/// Returns a value as Go's encoder would write it: compact, keys sorted, `<`, `>` and `&` escaped.
///
/// The name of a revision depends on every byte of this.
#[must_use]
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => write_fields(fields, text),
    }
}

fn write_fields(fields: &Map<String, Value>, text: &mut String) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sort_by_key(&mut sorted, |(key, _)| *key);
    text.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(key, text);
        text.push(':');
        write(value, text);
    }
    text.push('}');
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for letter in string.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            plain => text.push(plain),
        }
    }
    text.push('"');
}

/// Maps from names to text or quantities: left out where empty, and any value in them counts.
const MAPS: &[&str] = &[
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "options",
    "overhead",
    "requests",
    "volumeAttributes",
];
/// Texts that are left out where empty.
const TEXTS: &[&str] = &[
    "containerName",
    "effect",
    "host",
    "hostIP",
    "hostname",
    "image",
    "medium",
    "nodeName",
    "operator",
    "prefix",
    "priorityClassName",
    "schedulerName",
    "secretName",
    "serviceAccount",
    "serviceAccountName",
    "subPath",
    "subPathExpr",
    "subdomain",
    "terminationMessagePath",
    "value",
    "workingDir",
];
/// Numbers that are left out where zero.
const NUMBERS: &[&str] = &[
    "failureThreshold",
    "hostPort",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "timeoutSeconds",
];
/// Flags that are left out where false.
const FLAGS: &[&str] = &[
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

/// Leaves out of a pod template what the API server leaves out: what Go holds as zero values of
/// fields that are `omitempty`, however the manifest spelled them out.
///
/// `env: [{name: A, value: ""}]` is `{"name":"A"}` there, but a header keeps its empty value.
pub(super) fn omit_as_go_does(value: &mut Value) {
    omit_below("", value);
}

fn omit_below(parent: &str, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| omit_below(parent, item)),
        Value::Object(fields) if !MAPS.contains(&parent) => {
            fields
                .iter_mut()
                .for_each(|(key, value)| omit_below(key, value));
            fields.retain(|key, value| !is_omitted(parent, key, value));
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_omitted(parent: &str, key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag && FLAGS.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && NUMBERS.contains(&key),
        Value::String(text) => text.is_empty() && TEXTS.contains(&key) && parent != "httpHeaders",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty() && MAPS.contains(&key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_escaped_as_go_does() {
        let text = canonical(&json!({"b": "a && b > c", "a": "tab\there \u{1} \"quoted\" ü"}));
        let wanted = r#"{"a":"tab\there \u0001 \"quoted\" ü","b":"a \u0026\u0026 b \u003e c"}"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn zero_values_are_left_out_as_go_does() {
        let mut template = json!({
            "metadata": {"annotations": {}, "labels": {"app": "web", "empty": ""}},
            "spec": {"hostNetwork": false, "shareProcessNamespace": false, "volumes": [],
                "securityContext": {}, "containers": [{"name": "c", "env": [{"name": "A", "value": ""}],
                "resources": {"limits": {}}, "stdin": false, "volumeMounts": [{"name": "v", "readOnly": false, "subPath": ""}],
                "readinessProbe": {"initialDelaySeconds": 0, "httpGet": {"httpHeaders": [{"name": "X", "value": ""}]}}}]},
        });
        omit_as_go_does(&mut template);
        let wanted = json!({
            "metadata": {"labels": {"app": "web", "empty": ""}},
            "spec": {"shareProcessNamespace": false, "securityContext": {},
                "containers": [{"name": "c", "env": [{"name": "A"}], "resources": {},
                "volumeMounts": [{"name": "v"}],
                "readinessProbe": {"httpGet": {"httpHeaders": [{"name": "X", "value": ""}]}}}]},
        });
        assert_eq!(template, wanted);
    }
}
