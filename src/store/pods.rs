//! The two files of a pod: `pod.json`, which its supervisor writes, and `status.json`, which its
//! runner writes.

use std::io;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::files::{Sync, read_json, remove, replace_json};
use super::paths::{Layout, PetLayout};
use super::{redact, view};

/// Returns a pod with the status that its runner has written; `None` when there is no pod.
pub(crate) fn read_pod(files: &PetLayout) -> io::Result<Option<Pod>> {
    let Some(mut pod) = read_json::<Pod>(&files.pod())? else {
        return Ok(None);
    };
    merge_status(&mut pod, read_json(&files.status())?);
    Ok(Some(pod))
}

/// Puts the runner's status into a pod; the fields of the supervisor (the address) are kept.
pub(crate) fn merge_status(pod: &mut Pod, seen: Option<PodStatus>) {
    let Some(mut seen) = seen else { return };
    let own = pod.status.take().unwrap_or_default();
    seen.host_ip = own.host_ip.or(seen.host_ip);
    seen.pod_ip = own.pod_ip.or(seen.pod_ip);
    seen.pod_ips = own.pod_ips.or(seen.pod_ips);
    seen.qos_class = own.qos_class.or(seen.qos_class);
    pod.status = Some(seen);
}

/// Replaces `pod.json`, and its redacted copy for pets.
pub(crate) fn publish_pod(layout: &Layout, files: &PetLayout, pod: &Pod) -> io::Result<()> {
    replace_json(&files.pod(), pod, Sync::No)?;
    let shown = serde_json::to_vec(&redact::of_pod(pod))?;
    view::show(layout, &files.pod(), &shown)
}

/// Removes `pod.json`, and all files of the pod from the view of pets.
pub(crate) fn withdraw_pod(layout: &Layout, files: &PetLayout) -> io::Result<()> {
    remove(&files.pod())?;
    view::hide(layout, files.root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_read_with_its_runners_status_and_keeps_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let files = layout.pet(&"default".parse().unwrap(), "web-0");
        assert_eq!(read_pod(&files).unwrap(), None);
        let pod = json!({"metadata": {"name": "web-0"}, "status": {"podIP": "127.7.1.1"}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        publish_pod(&layout, &files, &pod).unwrap();
        assert_eq!(read_pod(&files).unwrap(), Some(pod));
        let status: PodStatus = serde_json::from_value(json!({"phase": "Running"})).unwrap();
        view::publish(&layout, &files.status(), &status).unwrap();
        let read = read_pod(&files).unwrap().unwrap().status.unwrap();
        assert_eq!(read.phase.as_deref(), Some("Running"));
        assert_eq!(read.pod_ip.as_deref(), Some("127.7.1.1"));
        let seen = layout.view().pet(&"default".parse().unwrap(), "web-0");
        assert!(seen.pod().exists() && seen.status().exists());
        withdraw_pod(&layout, &files).unwrap();
        assert!(!seen.root().exists() && !files.pod().exists());
    }
}
