//! The rules for names, labels and keys.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::fault::Faults;
use crate::sorted::SortedMap;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
     characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  \
     or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
     'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const OLD_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
     '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
     'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
     characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
     'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must \
     start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
     regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' \
     or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
     '[-._a-zA-Z0-9]+')";
const VARIABLE: &str = "a valid environment variable name must consist only of printable ASCII \
     characters other than '='";

/// The faults of a name, usually none.
pub(in super::super) type Complaints = Vec<String>;

/// Checks a DNS label, such as the name of a set, a container or a volume.
pub(in super::super) fn label(text: &str) -> Complaints {
    let mut complaints = too_long(text, 63, "characters");
    if !is_label(text) {
        let only_dots = text.split('.').all(is_label);
        complaints.push(
            if only_dots {
                "must not contain dots"
            } else {
                LABEL
            }
            .to_owned(),
        );
    }
    complaints
}

/// Checks a DNS subdomain, such as the name of a config map.
pub(super) fn subdomain(text: &str) -> Complaints {
    let mut complaints = too_long(text, 253, "characters");
    if !text.split('.').all(is_label) {
        complaints.push(SUBDOMAIN.to_owned());
    }
    complaints
}

/// Checks an old DNS label, which begins with a letter: the name of a service.
pub(super) fn service_name(text: &str) -> Complaints {
    let mut complaints = too_long(text, 63, "characters");
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        complaints.push(OLD_LABEL.to_owned());
    }
    complaints
}

/// Checks the value of a label.
pub(super) fn label_value(text: &str) -> Complaints {
    let mut complaints = too_long(text, 63, "bytes");
    if !text.is_empty() && !is_qualified(text) {
        complaints.push(LABEL_VALUE.to_owned());
    }
    complaints
}

/// Checks the key of a label or annotation: a name with an optional prefix.
pub(super) fn qualified(text: &str) -> Complaints {
    let mut complaints = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            let optional =
                "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {QUALIFIED} {optional}")];
        }
        Some(("", name)) => {
            complaints.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let wrong = subdomain(prefix).into_iter();
            complaints.extend(wrong.map(|fault| format!("prefix part {fault}")));
            name
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    }
    let long = too_long(name, 63, "bytes").into_iter();
    complaints.extend(long.map(|fault| format!("name part {fault}")));
    if !is_qualified(name) {
        complaints.push(format!("name part {QUALIFIED}"));
    }
    complaints
}

/// Checks a key of a config map or secret, which becomes a file name.
pub(super) fn config_key(text: &str) -> Complaints {
    let mut complaints = too_long(text, 253, "characters");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        complaints.push(CONFIG_KEY.to_owned());
    }
    match text {
        "." => complaints.push("must not be '.'".to_owned()),
        ".." => complaints.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

/// Checks the name of an environment variable.
pub(super) fn variable(text: &str) -> Complaints {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    match text {
        "" => vec!["environment variable name must be non-empty".to_owned()],
        _ if text.bytes().all(printable) => Vec::new(),
        _ => vec![VARIABLE.to_owned()],
    }
}

/// Checks the name of a port.
pub(super) fn port_name(text: &str) -> Complaints {
    let mut complaints = too_long(text, 15, "characters");
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let mut add = |wrong: bool, complaint: &str| {
        if wrong {
            complaints.push(complaint.to_owned());
        }
    };
    let odd = text.is_empty() || !text.bytes().all(allowed);
    add(
        odd,
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    let letter = text.bytes().any(|byte| byte.is_ascii_lowercase());
    add(!letter, "must contain at least one letter (a-z)");
    add(text.contains("--"), "must not contain consecutive hyphens");
    let edge = text.starts_with('-') || text.ends_with('-');
    add(edge, "must not begin or end with a hyphen");
    complaints
}

/// Checks the number of a port.
pub(super) fn port_number(number: i32) -> Complaints {
    match number {
        1..=65535 => Vec::new(),
        _ => vec!["must be between 1 and 65535, inclusive".to_owned()],
    }
}

fn too_long(text: &str, most: usize, unit: &str) -> Complaints {
    let long = text.len() > most;
    let complaint = long.then(|| format!("must be no more than {most} {unit}"));
    complaint.into_iter().collect()
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Notes each complaint about `text`.
pub(super) fn note(faults: &mut Faults, path: &str, text: &str, complaints: Complaints) {
    for complaint in complaints {
        faults.invalid_text(path, text, &complaint);
    }
}

/// Notes what is wrong with a name that must be there.
pub(super) fn note_required(
    faults: &mut Faults,
    path: &str,
    text: &str,
    rule: fn(&str) -> Complaints,
) {
    match text {
        "" => faults.required(path, ""),
        text => note(faults, path, text, rule(text)),
    }
}

/// Checks labels, or a selector that looks like them.
pub(in super::super) fn labels(
    faults: &mut Faults,
    path: &str,
    labels: Option<&BTreeMap<String, String>>,
) {
    for (key, value) in labels.into_iter().flatten() {
        note(faults, path, key, qualified(key));
        note(faults, path, value, label_value(value));
    }
}

/// Checks annotations: their keys, in any case, and their size.
pub(in super::super) fn annotations(
    faults: &mut Faults,
    path: &str,
    annotations: Option<&BTreeMap<String, String>>,
) {
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        note(faults, path, key, qualified(&key.to_lowercase()));
        size += key.len() + value.len();
    }
    if size > 256 * 1024 {
        faults.add(path, "Too long: may not be more than 262144 bytes");
    }
}

/// Checks an object's metadata; `rule` is the one for its name.
pub(super) fn metadata(faults: &mut Faults, meta: &ObjectMeta, rule: fn(&str) -> Complaints) {
    if let Some(prefix) = meta
        .generate_name
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        let sample = format!("{}a", prefix.trim_end_matches('-'));
        note(faults, "metadata.generateName", prefix, rule(&sample));
    }
    match meta.name.as_deref().unwrap_or_default() {
        "" if meta.generate_name.is_some() => {}
        "" => faults.required("metadata.name", "name or generateName is required"),
        name => note(faults, "metadata.name", name, rule(name)),
    }
    if let Some(namespace) = meta.namespace.as_deref().filter(|text| !text.is_empty()) {
        note(faults, "metadata.namespace", namespace, label(namespace));
    }
    labels(faults, "metadata.labels", meta.labels.as_ref());
    annotations(faults, "metadata.annotations", meta.annotations.as_ref());
    for (index, name) in meta.finalizers.iter().flatten().enumerate() {
        note(
            faults,
            &format!("metadata.finalizers[{index}]"),
            name,
            qualified(name),
        );
    }
}

/// Notes a number that is no port.
pub(super) fn numbered(faults: &mut Faults, path: &str, number: i32) {
    for complaint in port_number(number) {
        faults.invalid(path, number, &complaint);
    }
}

/// The volumes of a pod that are sound, by name.
pub(super) type KnownVolumes<'v> = SortedMap<&'v str, &'v Volume>;
