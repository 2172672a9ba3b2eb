//! Words and short forms that kubectl prints, shared by the reading verbs.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::printer;

/// What is printed where there is nothing.
pub(crate) const NONE: &str = "<none>";

/// Returns the age of an object, in kubectl's short form.
pub(crate) fn age_of(metadata: &ObjectMeta, now: Timestamp) -> String {
    match &metadata.creation_timestamp {
        Some(created) => printer::age(now.duration_since(created.0)),
        None => "<unknown>".to_owned(),
    }
}

/// Returns the words with commas between them.
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

/// Writes a time as `kubectl describe` does.
pub(crate) fn date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
