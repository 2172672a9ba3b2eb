//! The kernel parameters that a pod may set for itself (V64).

use k8s_openapi::api::core::v1::{PodSpec, Sysctl};

/// Those that reach no further than the pod's own namespaces.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Returns the parameters that a pod asks for, under their names with dots.
pub(crate) fn sysctls(spec: Option<&PodSpec>) -> Vec<Sysctl> {
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let asked = context.and_then(|context| context.sysctls.as_deref());
    let mut all = asked.unwrap_or_default().to_vec();
    for sysctl in &mut all {
        sysctl.name = sysctl.name.replace('/', ".");
    }
    all
}

/// Returns why a kubelet does not admit a pod for the parameters that it asks for.
pub(crate) fn refusal(spec: &PodSpec) -> Option<String> {
    let on_host = spec.host_network == Some(true);
    sysctls(Some(spec))
        .into_iter()
        .find_map(|Sysctl { name, .. }| {
            if !SAFE.contains(&name.as_str()) {
                return Some(format!("forbidden sysctl: {name:?} not allowlisted"));
            }
            let of_host = on_host && name.starts_with("net.");
            of_host.then(|| format!("forbidden sysctl: {name:?} not allowed with host net enabled"))
        })
}
