//! A pod is two files: what its supervisor made, and what its runner sees.

use k8s_openapi::api::core::v1::{Pod, PodStatus};

/// Puts the runner's status into a pod; what only the supervisor knows (its address) stays.
pub(crate) fn merge_status(pod: &mut Pod, seen: Option<PodStatus>) {
    let Some(mut seen) = seen else { return };
    let own = pod.status.take().unwrap_or_default();
    seen.host_ip = own.host_ip.or(seen.host_ip);
    seen.pod_ip = own.pod_ip.or(seen.pod_ip);
    seen.pod_ips = own.pod_ips.or(seen.pod_ips);
    pod.status = Some(seen);
}
