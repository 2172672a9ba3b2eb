//! Patches of the API server, for both harnesses that replay recordings.

use serde_json::{Value, json};

/// Applies a merge patch; a strategic one merges lists of named things by their names.
pub(crate) fn merge(target: &mut Value, patch: &Value, strategic: bool) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value, strategic);
                }
            }
        }
        (Value::Array(target), Value::Array(patch))
            if strategic && patch.iter().all(|item| item["name"].is_string()) =>
        {
            for item in patch {
                match target
                    .iter_mut()
                    .find(|known| known["name"] == item["name"])
                {
                    Some(known) => merge(known, item, strategic),
                    None => target.push(item.clone()),
                }
            }
        }
        (target @ Value::Null, Value::Object(_)) => {
            *target = json!({});
            merge(target, patch, strategic);
        }
        (target, patch) => *target = patch.clone(),
    }
}
