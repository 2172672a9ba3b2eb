//! Values as the API server shows them when it refuses a change of the whole: with the fields of
//! its own types, which manifests write otherwise and in another order.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimSpec, PersistentVolumeSpec, PodTemplateSpec,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{PrettyFormatter, Serializer as JsonSerializer};
use serde_json::{Value, json};
use similar::udiff::UnifiedHunkHeader;
use similar::{DiffOp, DiffTag, group_diff_ops};

use crate::model::json;

/// The types and their fields.
const SHAPES: &str = include_str!("internal.txt");

/// Parts of a pod that the API server keeps in its security context.
const OF_CONTEXT: [&str; 5] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "hostUsers",
];

/// Shows a pod template in one line.
pub(super) fn template(template: &PodTemplateSpec) -> String {
    let mut value = json::to_value(template).unwrap_or_default();
    if let Some(Value::Object(pod)) = value.get_mut("spec") {
        let moved = OF_CONTEXT.map(|field| (field, pod.remove(field)));
        let context = pod.entry("securityContext").or_insert_with(|| json!({}));
        for (field, value) in moved {
            if let Some(value) = value {
                context[field] = value;
            }
        }
    }
    let shown = Shown::of("PodTemplateSpec", &value);
    serde_json::to_string(&shown).unwrap_or_default()
}

/// Shows the spec of a claim in lines.
pub(super) fn claim(spec: &PersistentVolumeClaimSpec) -> String {
    let value = json::to_value(spec).unwrap_or_default();
    lines(&Shown::of("PersistentVolumeClaimSpec", &value))
}

/// Shows in lines where the data of a volume is.
pub(super) fn volume_source(spec: &PersistentVolumeSpec) -> String {
    let value = json::to_value(spec).unwrap_or_default();
    lines(&Shown::of("PersistentVolumeSource", &value))
}

/// Shows what differs between two texts, with the lines around it.
///
/// Lines are matched as Python's `difflib` does, which the API server follows: first the longest
/// run of equal lines, of several that are as long the first, then what is before and after it.
pub(super) fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let mut changes = Vec::new();
    compare(&before, &after, (0, 0), &mut changes);
    let mut text = String::new();
    for hunk in group_diff_ops(changes, 3) {
        text.push_str(&format!("{}\n", UnifiedHunkHeader::new(&hunk)));
        for change in hunk {
            let (tag, old, new) = change.as_tag_tuple();
            let (removed, added) = match tag {
                DiffTag::Equal => (" ", None),
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => ("-", Some(new)),
            };
            let removed = before[old].iter().map(|line| (removed, line));
            let added = added.map(|new| after[new].iter().map(|line| ("+", line)));
            for (sign, line) in removed.chain(added.into_iter().flatten()) {
                text.push_str(&format!("{sign}{line}\n"));
            }
        }
    }
    text
}

/// Collects how lines of `after` came from lines of `before`; `at` are the places of both in the
/// texts that they are from.
fn compare(before: &[&str], after: &[&str], at: (usize, usize), changes: &mut Vec<DiffOp>) {
    let (old_index, new_index) = at;
    let (old_len, new_len) = (before.len(), after.len());
    let run = |old: usize, new: usize| {
        let pairs = before[old..].iter().zip(&after[new..]);
        pairs.take_while(|(one, other)| one == other).count()
    };
    let mut longest = (0, 0, 0);
    for old in 0..old_len {
        for new in 0..new_len {
            let len = run(old, new);
            if len > longest.0 {
                longest = (len, old, new);
            }
        }
    }
    match (longest, old_len, new_len) {
        ((0, _, _), 0, 0) => {}
        ((0, _, _), _, _) => changes.push(DiffOp::Replace {
            old_index,
            old_len,
            new_index,
            new_len,
        }),
        ((len, old, new), _, _) => {
            compare(&before[..old], &after[..new], at, changes);
            let (old_index, new_index) = (old_index + old, new_index + new);
            changes.push(DiffOp::Equal {
                old_index,
                new_index,
                len,
            });
            let rest = (old_index + len, new_index + len);
            compare(&before[old + len..], &after[new + len..], rest, changes);
        }
    }
}

fn lines(shown: &Shown) -> String {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b" ");
    let written = shown.serialize(&mut JsonSerializer::with_formatter(&mut text, formatter));
    match written {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A value with its fields in the order of the type.
enum Shown {
    Plain(Value),
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
}

impl Shown {
    /// Shows a value of this type that a manifest wrote.
    fn of(name: &str, value: &Value) -> Self {
        let shapes = SHAPES.lines();
        let mut shape = shapes.filter_map(|line| line.split_once(' '));
        let Some((_, fields)) = shape.find(|(known, _)| *known == name) else {
            return Self::Plain(value.clone());
        };
        let fields = fields.split(' ');
        let shown = fields.flat_map(|field| match field.split_once(':') {
            Some((name, kind)) => {
                let (name, key) = match name.split_once('/') {
                    Some((name, key)) => (name, key.to_owned()),
                    None => (name, lower_first(name)),
                };
                let value = value.get(&key).unwrap_or(&Value::Null);
                vec![(name.to_owned(), Self::field(kind, value))]
            }
            None => metadata(&value["metadata"]),
        });
        Self::Fields(shown.collect())
    }

    fn field(kind: &str, value: &Value) -> Self {
        let is_missing = value.is_null();
        let listed = kind.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match (kind, listed) {
            ("s", _) if is_missing => Self::Plain(json!("")),
            ("i", _) if is_missing => Self::Plain(json!(0)),
            ("b", _) if is_missing => Self::Plain(json!(false)),
            ("s" | "i" | "b" | "n", _) => Self::Plain(value.clone()),
            (_, Some(kind)) => match value.as_array() {
                Some(items) => Self::List(items.iter().map(|it| Self::of(kind, it)).collect()),
                None => Self::Plain(Value::Null),
            },
            (kind, None) => match kind.strip_prefix('?') {
                Some(_) if is_missing => Self::Plain(Value::Null),
                Some(kind) => Self::of(kind, value),
                None => Self::of(kind, value),
            },
        }
    }
}

/// Shows the metadata of a template, which is written as in manifests.
fn metadata(meta: &Value) -> Vec<(String, Shown)> {
    let fields = ["name", "generateName", "namespace", "labels", "annotations"];
    let given = fields.into_iter().filter_map(|field| {
        let value = meta.get(field)?;
        Some((field.to_owned(), Shown::Plain(value.clone())))
    });
    given.collect()
}

/// Returns the name of a field in manifests: `DNSPolicy` is `dnsPolicy` there, and `TTY` `tty`.
fn lower_first(name: &str) -> String {
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let lowered = match capitals {
        _ if capitals == name.len() => capitals,
        0 | 1 => capitals,
        _ => capitals - 1,
    };
    let (first, rest) = name.split_at(lowered);
    format!("{}{rest}", first.to_ascii_lowercase())
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_names_in_manifests() {
        let names = [
            ("DNSPolicy", "dnsPolicy"),
            ("TTY", "tty"),
            ("HostIPC", "hostIPC"),
            ("SELinuxOptions", "seLinuxOptions"),
            ("Image", "image"),
        ];
        for (name, lower) in names {
            assert_eq!(lower_first(name), lower);
        }
    }

    #[test]
    fn every_kind_of_a_field_that_is_named_has_its_shape() {
        let names: Vec<&str> = SHAPES
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let kinds = SHAPES.lines().filter(|line| !line.starts_with('#'));
        let kinds = kinds.flat_map(|line| line.split(' ').filter_map(|it| it.split_once(':')));
        for (field, kind) in kinds {
            let kind = kind.trim_matches(['[', ']', '?']);
            let known = matches!(kind, "s" | "i" | "b" | "n") || names.contains(&kind);
            assert!(known, "{field}: {kind}");
        }
    }
}
