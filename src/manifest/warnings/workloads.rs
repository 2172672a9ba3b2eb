//! What a user should know of workloads that are valid.

use k8s_openapi::api::core::v1::Affinity;

use super::of_pod;
use crate::manifest::remark::{Remark, Remarks};
use crate::manifest::validate::label;
use crate::model::Workload;

/// Remarks on a workload; `path` is that of its pod template.
pub(in super::super) fn of_workload(workload: &Workload, path: &str, remarks: &mut Remarks) {
    let names_pods = match workload {
        Workload::Deployment(_)
        | Workload::ReplicaSet(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => true,
        Workload::ReplicationController(_) | Workload::DaemonSet(_) => false,
    };
    let name = workload.metadata().name.as_deref().unwrap_or_default();
    let complaints = label(name);
    if names_pods && !complaints.is_empty() {
        let text = format!(
            "this is used in Pod names and hostnames, which can result in surprising behavior; a \
             DNS label is recommended: [{}]",
            complaints.join(" ")
        );
        remarks.push(Remark::new("metadata.name", text));
    }
    let template = workload.template();
    if let Some(pod) = template.and_then(|template| template.spec.as_ref()) {
        let mut pod = pod.clone();
        if matches!(workload, Workload::DaemonSet(_)) {
            // These say whether this machine is one of those that are meant.
            (pod.node_selector, pod.node_name, pod.tolerations) = (None, None, None);
            let others =
                |it: &Affinity| it.pod_affinity.is_some() || it.pod_anti_affinity.is_some();
            pod.affinity = pod.affinity.filter(others);
        }
        of_pod(&format!("{path}.spec"), &pod, remarks);
    }
}
