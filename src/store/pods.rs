//! The two files of a pod: `pod.json`, which its supervisor writes, and `status.json`, which its
//! runner writes.

use std::io;

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::damage::{cause, is_damage};
use super::files::{Sync, read_json, remove, replace_json};
use super::paths::{Layout, PetLayout};
use super::{redact, reserve, view};

/// The reason of the status of a pod about which nothing is known now.
pub(crate) const UNKNOWN: &str = "Unknown";

/// Returns a pod as its supervisor has written it; `None` when there is no pod. A record without
/// name or uid is damaged.
pub(crate) fn pod_record(files: &PetLayout) -> io::Result<Option<Pod>> {
    let pod: Option<Pod> = read_json(&files.pod())?;
    match pod {
        Some(pod) if !is_whole_pod(files, &pod) => {
            let message = format!("{}: it is not complete", files.pod().display());
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
        pod => Ok(pod),
    }
}

/// Returns whether this is a record of the pod with these files.
pub(crate) fn is_whole_pod(files: &PetLayout, pod: &Pod) -> bool {
    let name = files.root().file_name().and_then(|name| name.to_str());
    pod.metadata.name.as_deref() == name && pod.metadata.uid.is_some()
}

/// Returns a pod with the status that its runner has written; `None` when there is no pod. A status
/// that is damaged is unknown, and the reason says so.
pub(crate) fn read_pod(files: &PetLayout) -> io::Result<Option<Pod>> {
    Ok(read_with_presence(files)?.map(|(pod, _)| pod))
}

/// Returns the same pod as a kubelet shows it: it has its address for ever, and shows it once its
/// runner says that it can be there.
///
/// What looks for peers takes [`read_pod`]: a pet that asks who its peers are may be that early.
pub(crate) fn read_shown_pod(files: &PetLayout) -> io::Result<Option<Pod>> {
    let Some((mut pod, is_there)) = read_with_presence(files)? else {
        return Ok(None);
    };
    if let Some(status) = pod.status.as_mut().filter(|_| !is_there) {
        (status.pod_ip, status.pod_ips) = (None, None);
    }
    Ok(Some(pod))
}

/// Returns a pod with its runner's status, and whether that says that the pod has been there.
fn read_with_presence(files: &PetLayout) -> io::Result<Option<(Pod, bool)>> {
    let Some(mut pod) = pod_record(files)? else {
        return Ok(None);
    };
    let seen: io::Result<Option<PodStatus>> = read_json(&files.status());
    let is_there = matches!(&seen, Ok(Some(seen)) if has_address(seen));
    match seen {
        Err(error) if is_damage(&error) => {
            let status = pod.status.get_or_insert_default();
            status.reason = Some(UNKNOWN.to_owned());
            let path = files.status();
            status.message = Some(format!("{} is damaged: {}", path.display(), cause(&error)));
        }
        seen => merge_status(&mut pod, seen?),
    }
    Ok(Some((pod, is_there)))
}

/// Returns whether a runner says that its pod has been there: it shows an address, runs, or shows a
/// container that has run, as all runners do.
fn has_address(seen: &PodStatus) -> bool {
    let lists = [&seen.init_container_statuses, &seen.container_statuses];
    let mut containers = lists.into_iter().flatten().flatten();
    let ran = containers.any(|container| {
        let runs = container.state.as_ref().and_then(|it| it.running.as_ref());
        let last = container.last_state.as_ref();
        runs.is_some() || last.is_some_and(|last| last.terminated.is_some())
    });
    seen.pod_ip.is_some() || ran || seen.phase.as_deref() == Some("Running")
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

/// Does the same for a pod that is to end, on a full disk too. What pets see of it may then be
/// older.
pub(crate) fn publish_end_of_pod(layout: &Layout, files: &PetLayout, pod: &Pod) -> io::Result<()> {
    reserve::replace(layout, &files.pod(), &serde_json::to_vec(pod)?, Sync::No)?;
    let shown = serde_json::to_vec(&redact::of_pod(pod))?;
    match view::show(layout, &files.pod(), &shown) {
        Err(error) if reserve::is_full(&error) => Ok(()),
        shown => shown,
    }
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
        let pod =
            json!({"metadata": {"name": "web-0", "uid": "u"}, "status": {"podIP": "127.7.1.1"}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        publish_pod(&layout, &files, &pod).unwrap();
        let fresh = read_pod(&files).unwrap().unwrap();
        assert_eq!(fresh.metadata, pod.metadata);
        let ip = fresh.status.unwrap().pod_ip;
        assert_eq!(ip.as_deref(), Some("127.7.1.1"), "its peers look it up");
        let shown = read_shown_pod(&files).unwrap().unwrap().status.unwrap();
        assert_eq!(
            shown.pod_ip, None,
            "its runner has not said that it is there"
        );
        let status: PodStatus =
            serde_json::from_value(json!({"phase": "Running", "podIP": "10.7.1.1"})).unwrap();
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
