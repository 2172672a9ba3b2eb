//! Formatting of values as kubectl prints them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::printer;

/// The text for an empty value.
pub(crate) const NONE: &str = "<none>";

/// Returns the age of an object, in kubectl's short form.
pub(crate) fn age_of(metadata: &ObjectMeta, now: Timestamp) -> String {
    match &metadata.creation_timestamp {
        Some(created) => printer::age(now.duration_since(created.0)),
        None => "<unknown>".to_owned(),
    }
}

/// Joins the words with commas.
pub(crate) fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    or_none(Some(words.join(",")))
}

/// Returns the text, or `<none>` where there is none.
pub(crate) fn or_none(text: Option<String>) -> String {
    let text = text.filter(|text| !text.is_empty());
    text.unwrap_or_else(|| NONE.to_owned())
}

/// Lists the ports of a service: `80/TCP,443:30443/TCP`.
pub(crate) fn ports(spec: &ServiceSpec) -> String {
    let ports = spec.ports.iter().flatten().map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        match port.node_port.filter(|port| *port > 0) {
            Some(node) => format!("{}:{node}/{protocol}", port.port),
            None => format!("{}/{protocol}", port.port),
        }
    });
    let ports: Vec<String> = ports.collect();
    joined(ports.iter().map(String::as_str))
}

/// Lists access modes in kubectl's short form: `RWO,ROX`.
pub(crate) fn modes(modes: &[String]) -> String {
    let short = modes.iter().map(|mode| match mode.as_str() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    });
    let short: Vec<&str> = short.collect();
    short.join(",")
}

/// Formats a time as `kubectl describe` does.
pub(crate) fn date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Formats a number of bytes: `3.1 MiB`.
pub(crate) fn byte_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    match tenth {
        0 => format!("{whole} {}", UNITS[unit]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1_536, "1.5 KiB"),
            (3_250_585, "3.1 MiB"),
            (1 << 50, "1024 TiB"),
        ];
        for (bytes, words) in table {
            assert_eq!(byte_size(bytes), words);
        }
    }
}
