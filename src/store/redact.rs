//! Redacted copies of objects for pets, without commands, variables and annotations.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::ISOLATION_ANNOTATION;

/// Returns the redacted copy of a set.
pub(crate) fn of_set(set: &StatefulSet) -> StatefulSet {
    let mut set = set.clone();
    strip(&mut set.metadata);
    if let Some(spec) = &mut set.spec {
        strip(spec.template.metadata.get_or_insert_default());
        spec.template.spec.iter_mut().for_each(strip_pod);
    }
    set
}

/// Returns the redacted copy of a service.
pub(crate) fn of_service(service: &Service) -> Service {
    let mut service = service.clone();
    strip(&mut service.metadata);
    service
}

/// Returns the redacted copy of a pod.
pub(crate) fn of_pod(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    strip(&mut pod.metadata);
    pod.spec.iter_mut().for_each(strip_pod);
    pod
}

/// Removes annotations, which may hold secrets, such as a copy of the whole manifest.
fn strip(meta: &mut ObjectMeta) {
    if let Some(notes) = &mut meta.annotations {
        notes.retain(|name, _| name == ISOLATION_ANNOTATION);
    }
    meta.managed_fields = None;
}

fn strip_pod(spec: &mut PodSpec) {
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        *container = Container {
            name: std::mem::take(&mut container.name),
            image: container.image.take(),
            ports: container.ports.take(),
            restart_policy: container.restart_policy.take(),
            ..Container::default()
        };
    }
    spec.volumes = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_shown_without_what_it_runs_and_its_variables() {
        let pod = json!({"metadata": {"name": "db-0", "annotations": {"note": "hush",
            "petset.dev/isolation": "full"}}, "spec": {
            "containers": [{"name": "db", "image": "db", "command": ["hush"], "args": ["hush"],
                "env": [{"name": "PASSWORD", "value": "hush"}], "ports": [{"containerPort": 1}],
                "readinessProbe": {"exec": {"command": ["hush"]}}}],
            "initContainers": [{"name": "init", "command": ["hush"]}],
            "volumes": [{"name": "v", "hostPath": {"path": "/hush"}}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let shown = serde_json::to_string(&of_pod(&pod)).unwrap();
        assert!(!shown.contains("hush"), "{shown}");
        for word in ["db-0", "containerPort", "init", "petset.dev/isolation"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }
}
