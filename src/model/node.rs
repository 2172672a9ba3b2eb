//! The one node: this machine, as pods and users see it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::NODE_NAME;

/// Returns this machine as a node: with the labels that a kubelet gives it, and these.
///
/// `arch` is that of the program, in Rust's words, where Kubernetes has Go's.
#[must_use]
pub fn this_node(arch: &str, version: &str, more: &BTreeMap<String, String>) -> Node {
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    let own = [
        ("kubernetes.io/hostname", NODE_NAME),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
    ];
    let mut labels = more.clone();
    labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Node {
        metadata: ObjectMeta {
            name: Some(NODE_NAME.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: None,
        status: Some(NodeStatus {
            conditions: Some(vec![NodeCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                ..NodeCondition::default()
            }]),
            node_info: Some(NodeSystemInfo {
                architecture: arch.to_owned(),
                kubelet_version: version.to_owned(),
                operating_system: "linux".to_owned(),
                ..NodeSystemInfo::default()
            }),
            ..NodeStatus::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;

    use super::*;
    use crate::model::daemon_set::fitness;

    #[test]
    fn a_node_has_the_labels_of_a_kubelet_and_its_users() {
        let more = BTreeMap::from([
            ("disk".to_owned(), "ssd".to_owned()),
            ("kubernetes.io/os".to_owned(), "plan9".to_owned()),
        ]);
        let labels = this_node("aarch64", "v1", &more).metadata.labels.unwrap();
        let text = super::super::printer::labels_text(Some(&labels));
        let wanted = "disk=ssd,kubernetes.io/arch=arm64,kubernetes.io/hostname=localhost,\
                      kubernetes.io/os=linux";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_daemon_set_that_asks_for_this_machine_finds_it() {
        // DS02
        let asking = |key: &str, value: &str| {
            let selector = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let template = PodSpec {
                node_selector: Some(selector),
                ..PodSpec::default()
            };
            let more = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
            fitness(&this_node("x86_64", "", &more), &template).wants_pod
        };
        assert!(asking("kubernetes.io/os", "linux"));
        assert!(asking("kubernetes.io/arch", "amd64"));
        assert!(asking("kubernetes.io/hostname", "localhost"));
        assert!(asking("disk", "ssd"));
        assert!(!asking("disk", "tape"));
    }
}
