//! The hash that names the ReplicaSets of a Deployment and the revisions of a DaemonSet: FNV-1a
//! over a dump of the Go value that Kubernetes holds of the pod template (DP03).
//!
//! The dump has every field, the unset ones too, with the names of the Go types. They stand in
//! `template_hash/types.txt`, in the order of Go, and change with the release of Kubernetes.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use super::json;
use super::revision::{FNV_OFFSET, FNV_PRIME, in_safe_letters};
use crate::sorted::sort_by_key;

/// A field of a Go struct; an embedded one shares the JSON object of its struct.
struct Field {
    name: &'static str,
    kind: &'static str,
    json: String,
    embedded: bool,
}

static TYPES: LazyLock<HashMap<&'static str, Vec<Field>>> =
    LazyLock::new(|| types(include_str!("template_hash/types.txt")));

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// Returns the hash of a completed pod template, as it appears in names (DP03, DP04).
///
/// `collisions` is `status.collisionCount`: how often the name for a template was somebody else's.
#[must_use]
pub fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let value = json::to_value(template).unwrap_or_default();
    let mut bytes = dump(&value).into_bytes();
    if let Some(collisions) = collisions {
        bytes.extend(u64::from(collisions.unsigned_abs()).to_le_bytes());
    }
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(FNV_PRIME);
    in_safe_letters(bytes.into_iter().fold(FNV_OFFSET, step))
}

/// Returns a text that is the same for templates that Kubernetes takes to be equal.
pub(super) fn dump_of(template: &PodTemplateSpec) -> String {
    dump(&json::to_value(template).unwrap_or_default())
}

/// Writes the Go value of a template as Kubernetes' hash sees it.
fn dump(template: &Value) -> String {
    let mut text = String::new();
    write_typed("PodTemplateSpec", Some(template), &mut text);
    text
}

/// Writes a value after its type.
fn write_typed(kind: &str, value: Option<&Value>, text: &mut String) {
    let _ = write!(text, "({})", in_package(kind)); // a String takes it
    match kind.strip_prefix('*') {
        Some(pointed) if value.is_some_and(|value| !value.is_null()) => {
            write_value(pointed, value, text);
        }
        Some(_) => text.push_str("<nil>"),
        None => write_value(kind, value, text),
    }
}

fn write_value(kind: &str, value: Option<&Value>, text: &mut String) {
    if let Some(item) = kind.strip_prefix("[]") {
        return write_list(item, value.and_then(Value::as_array), text);
    }
    let fields = value.and_then(Value::as_object);
    match kind {
        "map[string]string" => write_map("string", fields, text),
        "ResourceList" => write_map("resource.Quantity", fields, text),
        "Time" => {
            text.push_str(
                "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}",
            );
        }
        "resource.Quantity" => {
            write_quantity(value.and_then(Value::as_str).unwrap_or_default(), text);
        }
        "intstr.IntOrString" => write_int_or_string(value, text),
        "bool" => text.push_str(if value == Some(&Value::Bool(true)) {
            "true"
        } else {
            "false"
        }),
        "int32" | "int64" => {
            let number = value.and_then(Value::as_i64).unwrap_or_default();
            text.push_str(&number.to_string());
        }
        _ => match TYPES.get(kind) {
            Some(known) => write_struct(known, fields.unwrap_or(&NOTHING), text),
            None => text.push_str(value.and_then(Value::as_str).unwrap_or_default()),
        },
    }
}

fn write_struct(known: &[Field], fields: &Map<String, Value>, text: &mut String) {
    text.push('{');
    for (index, field) in known.iter().enumerate() {
        let _ = write!(text, "{}{}:", if index > 0 { " " } else { "" }, field.name);
        match TYPES.get(field.kind).filter(|_| field.embedded) {
            Some(inner) => {
                let _ = write!(text, "({})", in_package(field.kind));
                write_struct(inner, fields, text);
            }
            None => write_typed(field.kind, fields.get(&field.json), text),
        }
    }
    text.push('}');
}

/// Writes a list; an empty one is none, as it is when it was stored.
fn write_list(item: &str, list: Option<&Vec<Value>>, text: &mut String) {
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return text.push_str("<nil>");
    };
    text.push('[');
    for (index, value) in list.iter().enumerate() {
        text.push_str(if index > 0 { " " } else { "" });
        write_value(item, Some(value), text);
    }
    text.push(']');
}

fn write_map(kind: &str, fields: Option<&Map<String, Value>>, text: &mut String) {
    let Some(fields) = fields.filter(|fields| !fields.is_empty()) else {
        return text.push_str("<nil>");
    };
    let mut sorted: Vec<_> = fields.iter().collect();
    sort_by_key(&mut sorted, |(key, _)| *key);
    text.push_str("map[");
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        let _ = write!(text, "{}{key}:", if index > 0 { " " } else { "" });
        write_value(kind, Some(value), text);
    }
    text.push(']');
}

fn write_int_or_string(value: Option<&Value>, text: &mut String) {
    let (kind, number, string) = match value {
        Some(Value::String(string)) => (1, 0, string.as_str()),
        other => (0, other.and_then(Value::as_i64).unwrap_or_default(), ""),
    };
    let _ = write!(
        text,
        "{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){string}}}"
    );
}

/// Writes a quantity, which Go keeps as a number and a power of ten, and with its text where that
/// is known to be canonical.
///
/// Amounts of more than some fifteen digits, which Go keeps otherwise, have another hash there.
fn write_quantity(quantity: &str, text: &mut String) {
    let (value, scale, format, cached) = parsed_quantity(quantity);
    let shown = if cached { quantity } else { "" };
    let _ = write!(
        text,
        "{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} \
         d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){shown} \
         Format:(resource.Format){format}}}"
    );
}

/// Takes a canonical quantity apart: number, power of ten, format, and whether Go keeps its text.
fn parsed_quantity(quantity: &str) -> (i64, i32, &'static str, bool) {
    if quantity.is_empty() || quantity == "0" {
        return (0, 0, "", !quantity.is_empty());
    }
    let end = quantity.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c));
    let (number, suffix) = quantity.split_at(end.unwrap_or(quantity.len()));
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('0'));
    let plain: i64 = digits.parse().unwrap_or_default();
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let (value, scale, format, cached) = match binary.iter().position(|unit| *unit == suffix) {
        Some(power) => {
            let value = plain.saturating_mul(1 << (10 * (power + 1)));
            (value, 0, "BinarySI", plain & 7 != 0)
        }
        None => {
            let (power, format) = decimal_power(suffix);
            let scale = power - i32::try_from(fraction.len()).unwrap_or_default();
            let canonical = scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0');
            (plain, scale, format, canonical && !digits.is_empty())
        }
    };
    (if negative { -value } else { value }, scale, format, cached)
}

fn decimal_power(suffix: &str) -> (i32, &'static str) {
    let power = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    match power.iter().position(|unit| *unit == suffix) {
        Some(place) => (
            3 * i32::try_from(place).unwrap_or_default() - 9,
            "DecimalSI",
        ),
        None => {
            let exponent = suffix.trim_start_matches(['e', 'E', '+']);
            (exponent.parse().unwrap_or_default(), "DecimalExponent")
        }
    }
}

/// Returns a type as Go prints it: those without a package are of `v1`.
fn in_package(kind: &str) -> String {
    let name = kind.trim_start_matches(['*', '[', ']']);
    let prefix = &kind[..kind.len() - name.len()];
    let package = if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        "v1."
    } else {
        ""
    };
    format!("{prefix}{package}{name}")
}

fn types(table: &'static str) -> HashMap<&'static str, Vec<Field>> {
    let mut types: HashMap<_, Vec<Field>> = HashMap::new();
    let mut current = "";
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let fields = match line.split_once(": ") {
            Some((name, fields)) => {
                current = name;
                fields
            }
            None => line,
        };
        let fields = fields
            .split(',')
            .map(str::trim)
            .filter(|field| !field.is_empty());
        types.entry(current).or_default().extend(fields.map(field));
    }
    types
}

fn field(text: &'static str) -> Field {
    if let Some(kind) = text.strip_prefix('+') {
        return Field {
            name: kind,
            kind,
            json: String::new(),
            embedded: true,
        };
    }
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (name, kind, json) = (word(), word(), word());
    let json = if json.is_empty() {
        json_name(name)
    } else {
        json.to_owned()
    };
    Field {
        name,
        kind,
        json,
        embedded: false,
    }
}

/// Returns the JSON name of a Go field: with its leading capitals small, but for that which begins
/// the second word (`DNSPolicy`: `dnsPolicy`).
fn json_name(name: &str) -> String {
    let capitals = name.chars().take_while(char::is_ascii_uppercase).count();
    let small = if capitals == 1 || capitals == name.len() {
        capitals
    } else {
        capitals - 1
    };
    format!("{}{}", name[..small].to_ascii_lowercase(), &name[small..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hash(change: impl FnOnce(&mut Value), collisions: Option<i32>) -> String {
        let mut template = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "img:v1", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst", "securityContext": {},
            "schedulerName": "default-scheduler"}});
        change(&mut template);
        template_hash(&serde_json::from_value(template).unwrap(), collisions)
    }

    #[test]
    fn the_recorded_templates_have_their_recorded_hashes() {
        // DP03, DP04
        for (image, wanted) in [
            ("img:v1", "69bd9c84c9"),
            ("img:v2", "7fdd4db9cb"),
            ("img:v3", "695f67956f"),
            ("img:v4", "9974d57fd"),
            ("img:v5", "75c8c6cc9"),
            ("img:broken", "7777979b7f"),
            ("img:crash", "d45496d77"),
        ] {
            let found = hash(|t| t["spec"]["containers"][0]["image"] = image.into(), None);
            assert_eq!(found, wanted, "{image}");
        }
        assert_eq!(hash(|_| {}, Some(1)), "5ff7d56854");
    }

    #[test]
    fn every_field_of_the_type_that_is_set_changes_the_hash() {
        // DP03: k8s-openapi says which fields there are; one that the table lacks would be lost.
        let plain = hash(|_| {}, None);
        let volume = |source: Value| {
            let mut volume = source;
            volume["name"] = "v".into();
            json!({"volumes": [volume]})
        };
        let container = |field: Value| json!({"initContainers": [field]});
        for change in [
            volume(json!({"cephfs": {"monitors": ["m"]}})),
            volume(json!({"projected": {"sources": [{"secret": {"name": "s", "items": []}}]}})),
            volume(json!({"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}})),
            volume(
                json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Block"}}}}),
            ),
            container(
                json!({"name": "i", "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}),
            ),
            container(json!({"name": "i", "readinessProbe": {"httpGet": {"port": "web"}}})),
            container(json!({"name": "i", "securityContext": {"seLinuxOptions": {"level": "s"}}})),
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "Exists"}]}]}}}}),
            json!({"serviceAccount": "s"}),
            json!({"setHostnameAsFQDN": true}),
        ] {
            let changed = hash(
                |template| {
                    for (field, value) in change.as_object().unwrap() {
                        template["spec"][field] = value.clone();
                    }
                },
                None,
            );
            assert_ne!(changed, plain, "{change}");
        }
    }

    #[test]
    fn quantities_are_dumped_as_go_holds_them() {
        for (quantity, wanted) in [
            ("500m", (500, -3, "DecimalSI", true)),
            ("1", (1, 0, "DecimalSI", true)),
            ("128Mi", (128 << 20, 0, "BinarySI", false)),
            ("100Mi", (100 << 20, 0, "BinarySI", true)),
            ("1Gi", (1 << 30, 0, "BinarySI", true)),
            ("2k", (2, 3, "DecimalSI", true)),
            ("1e3", (1, 3, "DecimalExponent", true)),
            ("0", (0, 0, "", true)),
        ] {
            assert_eq!(parsed_quantity(quantity), wanted, "{quantity}");
        }
    }
}
