//! Pods and pod templates.

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::super::fault::Faults;
use super::container::{containers, init_containers};
use super::names::{self, label, note, subdomain};
use super::volume::volumes;
use super::{one_of, security};

/// Checks a completed pod.
pub(crate) fn validate_pod(pod: &Pod) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &pod.metadata, subdomain);
    let spec = pod.spec.clone().unwrap_or_default();
    whole_spec(&mut faults, "spec", &spec);
    // There are no objects of that kind.
    let class = spec.runtime_class_name.as_deref().unwrap_or_default();
    if !class.is_empty() {
        let detail = format!("pod rejected: RuntimeClass {class:?} not found");
        faults.forbidden("spec.runtimeClassName", &detail);
    }
    faults
}

/// Checks the spec of a pod that is no pet.
pub(super) fn whole_spec(faults: &mut Faults, path: &str, spec: &PodSpec) {
    pod_spec(faults, path, spec);
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            note(faults, &format!("{path}.{field}"), name, label(name));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds.filter(|seconds| *seconds < 1) {
        let detail = "must be between 1 and 2147483647, inclusive";
        faults.invalid(&format!("{path}.activeDeadlineSeconds"), seconds, detail);
    }
}

/// Checks what pods and pets have in common.
pub(super) fn pod_spec(faults: &mut Faults, path: &str, spec: &PodSpec) {
    let known = volumes(faults, &format!("{path}.volumes"), spec.volumes.as_deref());
    containers(faults, path, spec, &known);
    init_containers(faults, path, spec, &known);
    let policies = ["Always", "OnFailure", "Never"];
    let policy = spec.restart_policy.as_deref();
    one_of(faults, &format!("{path}.restartPolicy"), policy, &policies);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    let policy = spec.dns_policy.as_deref();
    one_of(faults, &format!("{path}.dnsPolicy"), policy, &policies);
    let selector = spec.node_selector.as_ref();
    names::labels(faults, &format!("{path}.nodeSelector"), selector);
    dns_config(faults, path, spec);
    for (field, name) in [
        ("serviceAccountName", &spec.service_account_name),
        ("nodeName", &spec.node_name),
        ("priorityClassName", &spec.priority_class_name),
        ("runtimeClassName", &spec.runtime_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            note(faults, &format!("{path}.{field}"), name, subdomain(name));
        }
    }
    host_aliases(faults, path, spec);
    host_name(faults, path, spec);
    if let Some(context) = &spec.security_context {
        security::of_pod(faults, &format!("{path}.securityContext"), context);
    }
    let os = spec.os.as_ref().map(|os| os.name.as_str());
    if let Some(os) = os.filter(|os| !matches!(*os, "linux" | "windows")) {
        faults.unsupported(&format!("{path}.os.name"), os, &["linux", "windows"]);
    }
}

/// Checks the name that a pod has inside, whatever its own name is.
fn host_name(faults: &mut Faults, path: &str, spec: &PodSpec) {
    let Some(name) = spec.hostname_override.as_deref() else {
        return;
    };
    let at = format!("{path}.hostnameOverride");
    note(faults, &at, name, subdomain(name));
    if name.len() > 64 {
        faults.invalid_text(&at, name, "must be no more than 64 characters");
    }
    for (field, given) in [
        ("setHostnameAsFQDN", spec.set_hostname_as_fqdn),
        ("hostNetwork", spec.host_network),
    ] {
        if given == Some(true) {
            let detail = format!("may not be specified when {field} is true");
            faults.forbidden(&at, &detail);
        }
    }
}

fn dns_config(faults: &mut Faults, path: &str, spec: &PodSpec) {
    let config = spec.dns_config.as_ref();
    let servers = config.and_then(|config| config.nameservers.as_deref());
    let servers = servers.unwrap_or_default();
    let at = format!("{path}.dnsConfig.nameservers");
    if spec.dns_policy.as_deref() == Some("None") && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        faults.required(&at, detail);
    }
    if servers.len() > 3 {
        let value = serde_json::json!(servers);
        faults.invalid(&at, value, "must not have more than 3 nameservers");
    }
}

fn host_aliases(faults: &mut Faults, path: &str, spec: &PodSpec) {
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        if alias.ip.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            faults.invalid_text(&format!("{path}.ip"), &alias.ip, detail);
        }
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            let path = format!("{path}.hostnames[{index}]");
            note(faults, &path, name, subdomain(name));
        }
    }
}
