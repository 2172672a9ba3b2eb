//! Patches of objects, as `kubectl patch` takes them. Pure.

mod json_patch;
mod strategic;

use serde_json::{Map, Value, json};

use super::Notes;
use crate::problem::Problem;
use json_patch::Operation;

/// How the text of a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// Lists are merged by the name of their elements.
    Strategic,
    /// Lists are replaced (RFC 7386).
    Merge,
    /// Operations, one after the other (RFC 6902).
    Json,
}

/// A change of an object that is known before the object is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Patch {
    Strategic(Value),
    Merge(Value),
    Json(Vec<Operation>),
}

impl Patch {
    /// Reads a patch from JSON or YAML that has been read already.
    pub(crate) fn of(kind: PatchKind, patch: Value) -> Result<Self, Problem> {
        let is_object = patch.is_object();
        match kind {
            PatchKind::Json => Operation::all(&patch).map(Self::Json),
            PatchKind::Strategic if is_object => Ok(Self::Strategic(patch)),
            PatchKind::Merge if is_object => Ok(Self::Merge(patch)),
            PatchKind::Strategic | PatchKind::Merge => {
                let message = "the patch is not an object";
                let hint = "write the fields that change, such as {\"spec\": {\"replicas\": 3}}; a \
                            list of operations needs --type json";
                Err(Problem::invalid(message).hint(hint))
            }
        }
    }

    /// Sets (`Some`) or removes labels, or annotations, of an object.
    pub(crate) fn of_notes(field: &str, notes: &Notes) -> Self {
        let notes = notes.iter().map(|(key, value)| (key.clone(), json!(value)));
        let notes: Map<String, Value> = notes.collect();
        Self::Merge(json!({"metadata": {field: notes}}))
    }

    /// Changes an object. One that cannot be patched so may be changed by half.
    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), Problem> {
        match self {
            Self::Strategic(patch) => strategic::merge(object, patch),
            Self::Merge(patch) => {
                merge(object, patch);
                Ok(())
            }
            Self::Json(operations) => operations
                .iter()
                .try_for_each(|operation| operation.apply(object)),
        }
    }
}

/// Merges by RFC 7386: null removes, objects are merged, all else is replaced.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (field, value) in patch {
        if value.is_null() {
            target.remove(field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7386, appendix A: what there is, the patch, and what becomes of it.
    const MERGES: [(&str, &str, &str); 15] = [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ];

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn patches_are_merged_as_their_rfc_says() {
        for (before, patch, after) in MERGES {
            let mut object = value(before);
            merge(&mut object, &value(patch));
            assert_eq!(object, value(after), "{before} + {patch}");
        }
    }

    #[test]
    fn a_patch_has_the_form_of_its_kind() {
        let operations = value(r#"[{"op": "remove", "path": "/a"}]"#);
        assert!(Patch::of(PatchKind::Json, operations.clone()).is_ok());
        assert!(Patch::of(PatchKind::Json, value("{}")).is_err());
        assert!(Patch::of(PatchKind::Merge, operations.clone()).is_err());
        assert!(Patch::of(PatchKind::Strategic, operations).is_err());
    }
}
