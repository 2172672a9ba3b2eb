//! Fields of a pod as text, for variables and for files of the downward API (V08, V20, V21).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use super::quantity::{Quantity, divide_up};
use crate::problem::Problem;

/// The resources of the machine: the values of limits that a container does not set (V21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of storage below the state directory.
    pub storage: u64,
}

/// Returns a field of `pod`, such as `metadata.name` or `metadata.labels['app']`.
///
/// A label or annotation that is not set is empty, as it is for the kubelet.
///
/// # Errors
///
/// Returns the kubelet's words for a field that it does not offer.
pub fn field(pod: &Pod, path: &str) -> Result<String, Problem> {
    if let Some((map, key)) = subscript(path) {
        let values = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(unsupported(path)),
        };
        let value = values.as_ref().and_then(|values| values.get(key));
        return Ok(value.cloned().unwrap_or_default());
    }
    let metadata = &pod.metadata;
    let text = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => metadata.labels.as_ref().map(lines),
        "metadata.annotations" => metadata.annotations.as_ref().map(lines),
        "spec.nodeName" => spec(pod).and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec(pod).map(service_account),
        _ if path.starts_with("status.") => return address(pod, path),
        _ => return Err(unsupported(path)),
    };
    Ok(text.unwrap_or_default())
}

fn unsupported(path: &str) -> Problem {
    Problem::invalid(format!("unsupported fieldPath: {path}"))
}

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

fn service_account(spec: &PodSpec) -> String {
    let name = spec.service_account_name.clone();
    name.unwrap_or_else(|| "default".to_owned())
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.split_once("['")?;
    Some((map, key.strip_suffix("']")?))
}

fn address(pod: &Pod, path: &str) -> Result<String, Problem> {
    let status = pod.status.as_ref();
    let text = match path {
        "status.podIP" => status.and_then(|status| status.pod_ip.clone()),
        "status.hostIP" => status.and_then(|status| status.host_ip.clone()),
        "status.podIPs" => status
            .and_then(|status| status.pod_ips.as_ref())
            .map(|ips| join(ips.iter().map(|ip| &ip.ip))),
        "status.hostIPs" => status
            .and_then(|status| status.host_ips.as_ref())
            .map(|ips| join(ips.iter().map(|ip| &ip.ip))),
        _ => return Err(unsupported(path)),
    };
    Ok(text.unwrap_or_default())
}

fn join<'a>(words: impl Iterator<Item = &'a String>) -> String {
    words.cloned().collect::<Vec<_>>().join(",")
}

/// Prints labels or annotations one a line, sorted: `app="web"` (V08).
fn lines(map: &BTreeMap<String, String>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={}", quote(value));
    map.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Quotes as Go's `%q` does: what is printable stays, the rest is escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            _ if letter.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns a request or limit of a container, divided and rounded up (V21).
///
/// `own` is the container that asks; the reference may name another one of the pod.
///
/// # Errors
///
/// Returns the kubelet's words for a container or resource that does not exist, and for a
/// quantity that is none.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    reference: &ResourceFieldSelector,
    capacity: Capacity,
) -> Result<String, Problem> {
    let container = match reference.container_name.as_deref() {
        None | Some("") => own.ok_or_else(|| Problem::invalid("required value: containerName"))?,
        Some(name) => container_of(pod, name)
            .ok_or_else(|| Problem::invalid(format!("container {name} not found")))?,
    };
    let unsupported = || {
        let resource = &reference.resource;
        Problem::invalid(format!("unsupported container resource : {resource}"))
    };
    let (list, name) = reference.resource.split_once('.').ok_or_else(unsupported)?;
    let amount = amount_of(container, list, name, capacity).ok_or_else(unsupported)??;
    let one = Written("1".to_owned());
    let divisor: Quantity = reference.divisor.as_ref().unwrap_or(&one).0.parse()?;
    let divisor = if divisor.nanos() == 0 {
        Quantity::whole(1)
    } else {
        divisor
    };
    let quotient = match name {
        "cpu" => divide_up(amount.thousandths(), divisor.thousandths()),
        _ => divide_up(amount.units(), divisor.units()),
    };
    Ok(quotient.to_string())
}

fn container_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    let mut containers = spec.containers.iter().chain(init);
    containers.find(|container| container.name == name)
}

/// Returns nothing for a resource that cannot be asked for.
fn amount_of(
    container: &Container,
    list: &str,
    name: &str,
    capacity: Capacity,
) -> Option<Result<Quantity, Problem>> {
    let unset = match name {
        "cpu" => capacity.cpus,
        "memory" => capacity.memory,
        "ephemeral-storage" => capacity.storage,
        _ if name.starts_with("hugepages-") => 0,
        _ => return None,
    };
    let resources = container.resources.as_ref();
    let (values, unset) = match list {
        "limits" => (resources.and_then(|all| all.limits.as_ref()), unset),
        "requests" => (resources.and_then(|all| all.requests.as_ref()), 0),
        _ => return None,
    };
    let given = values.and_then(|values| values.get(name));
    let amount = given.map_or(Ok(Quantity::whole(0)), |quantity| quantity.0.parse());
    let default = |amount: Quantity| {
        if amount.nanos() == 0 {
            Quantity::whole(unset)
        } else {
            amount
        }
    };
    Some(amount.map(default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        let pod = json!({
            "metadata": {"name": "web-0", "namespace": "shop", "uid": "u-1",
                "labels": {"b": "say \"hi\"", "a": "x\ny"}, "annotations": {"k.io/a": "v"}},
            "spec": {"nodeName": "laptop", "containers": [
                {"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}},
                {"name": "d"}]},
            "status": {"podIP": "127.3.1.1", "hostIP": "127.0.0.1",
                "podIPs": [{"ip": "127.3.1.1"}, {"ip": "::1"}], "hostIPs": [{"ip": "127.0.0.1"}]}
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn v20_every_field_of_the_downward_api_is_there() {
        let cases = [
            ("metadata.name", "web-0"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['b']", "say \"hi\""),
            ("metadata.labels['nope']", ""),
            ("metadata.annotations['k.io/a']", "v"),
            ("spec.nodeName", "laptop"),
            ("spec.serviceAccountName", "default"),
            ("status.podIP", "127.3.1.1"),
            ("status.podIPs", "127.3.1.1,::1"),
            ("status.hostIP", "127.0.0.1"),
            ("status.hostIPs", "127.0.0.1"),
        ];
        for (path, value) in cases {
            assert_eq!(field(&pod(), path).as_deref(), Ok(value), "{path}");
        }
        for bad in ["status.phase", "spec.hostname", "spec.x['a']", "metadata"] {
            let fault = Err(Problem::invalid(format!("unsupported fieldPath: {bad}")));
            assert_eq!(field(&pod(), bad), fault);
        }
    }

    #[test]
    fn v08_labels_are_sorted_and_quoted_one_a_line() {
        let labels = field(&pod(), "metadata.labels").unwrap();
        assert_eq!(labels, "a=\"x\\ny\"\nb=\"say \\\"hi\\\"\"");
    }

    #[test]
    fn v21_resources_are_divided_and_rounded_up() {
        let capacity = Capacity {
            cpus: 8,
            memory: 1 << 34,
            storage: 1 << 40,
        };
        let ask = |container: &str, resource_name: &str, divisor: Option<&str>| {
            let reference = ResourceFieldSelector {
                container_name: Some(container.to_owned()),
                divisor: divisor.map(|text| Written(text.to_owned())),
                resource: resource_name.to_owned(),
            };
            resource(&pod(), None, &reference, capacity)
        };
        let cases = [
            ("c", "limits.cpu", None, "2"),
            ("c", "limits.cpu", Some("1m"), "1500"),
            ("c", "requests.cpu", None, "1"),
            ("c", "limits.memory", None, "67108864"),
            ("c", "limits.memory", Some("1Mi"), "64"),
            ("c", "limits.memory", Some("1G"), "1"),
            ("c", "limits.memory", Some("0"), "67108864"),
            ("c", "requests.memory", None, "0"),
            ("d", "limits.cpu", None, "8"),
            ("d", "limits.memory", Some("1Gi"), "16"),
            ("d", "limits.ephemeral-storage", Some("1Ti"), "1"),
            ("d", "limits.hugepages-2Mi", None, "0"),
        ];
        for (container, name, divisor, value) in cases {
            assert_eq!(
                ask(container, name, divisor).as_deref(),
                Ok(value),
                "{name} {divisor:?}"
            );
        }
        let fault = ask("c", "limits.gpu", None);
        assert_eq!(
            fault,
            Err(Problem::invalid(
                "unsupported container resource : limits.gpu"
            ))
        );
        assert_eq!(
            ask("x", "limits.cpu", None),
            Err(Problem::invalid("container x not found"))
        );
    }
}
