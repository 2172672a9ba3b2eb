//! The kinds of Kubernetes that petset does not run, and names that are no kinds at all.
//!
//! A manifest may hold both: the first are passed over, the second are slips.

use crate::model::kind::ObjectKind;
use crate::model::nearest;

/// Every group of Kubernetes itself, with today's version, and the kinds that it has or had. The
/// earliest group, `extensions`, is last: its kinds have moved.
const GROUPS: [(&str, &[&str]); 26] = [
    (
        "v1",
        &[
            "Binding",
            "ComponentStatus",
            "ConfigMap",
            "DeleteOptions",
            "Endpoints",
            "Event",
            "LimitRange",
            "List",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "RangeAllocation",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "SerializedReference",
            "Service",
            "ServiceAccount",
            "Status",
        ],
    ),
    (
        "admissionregistration.k8s.io/v1",
        &[
            "ExternalAdmissionHookConfiguration",
            "InitializerConfiguration",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &["APIService"]),
    (
        "apps/v1",
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "PetSet",
            "ReplicaSet",
            "Scale",
            "StatefulSet",
        ],
    ),
    ("auditregistration.k8s.io/v1alpha1", &["AuditSink"]),
    (
        "authentication.k8s.io/v1",
        &["SelfSubjectReview", "TokenRequest", "TokenReview"],
    ),
    (
        "authorization.k8s.io/v1",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    ("autoscaling/v2", &["HorizontalPodAutoscaler", "Scale"]),
    (
        "batch/v1",
        &["CronJob", "Job", "JobTemplate", "ScheduledJob"],
    ),
    (
        "certificates.k8s.io/v1",
        &[
            "CertificateSigningRequest",
            "ClusterTrustBundle",
            "PodCertificateRequest",
        ],
    ),
    ("coordination.k8s.io/v1", &["Lease", "LeaseCandidate"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("internal.apiserver.k8s.io/v1alpha1", &["StorageVersion"]),
    (
        "networking.k8s.io/v1",
        &[
            "ClusterCIDR",
            "IPAddress",
            "Ingress",
            "IngressClass",
            "NetworkPolicy",
            "ServiceCIDR",
        ],
    ),
    ("node.k8s.io/v1", &["RuntimeClass"]),
    (
        "policy/v1",
        &["Eviction", "PodDisruptionBudget", "PodSecurityPolicy"],
    ),
    (
        "rbac.authorization.k8s.io/v1",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    (
        "resource.k8s.io/v1",
        &[
            "DeviceClass",
            "DeviceTaintRule",
            "PodSchedulingContext",
            "ResourceClaim",
            "ResourceClaimParameters",
            "ResourceClaimTemplate",
            "ResourceClass",
            "ResourceClassParameters",
            "ResourcePoolStatusRequest",
            "ResourceSlice",
        ],
    ),
    (
        "scheduling.k8s.io/v1",
        &["CompositePodGroup", "PodGroup", "PriorityClass", "Workload"],
    ),
    ("settings.k8s.io/v1alpha1", &["PodPreset"]),
    (
        "storage.k8s.io/v1",
        &[
            "CSIDriver",
            "CSINode",
            "CSIStorageCapacity",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    ),
    ("storagemigration.k8s.io/v1", &["StorageVersionMigration"]),
    (
        "extensions/v1beta1",
        &[
            "DaemonSet",
            "Deployment",
            "HorizontalPodAutoscaler",
            "Ingress",
            "Job",
            "NetworkPolicy",
            "PodSecurityPolicy",
            "ReplicaSet",
            "Scale",
            "ThirdPartyResource",
        ],
    ),
];

/// Workloads of versions that Kubernetes had before the one that petset runs.
const EARLIER: [(&str, &[&str]); 5] = [
    ("apps/v1beta1", &["Deployment"]),
    ("apps/v1beta2", &["DaemonSet", "Deployment", "ReplicaSet"]),
    (
        "extensions/v1beta1",
        &["DaemonSet", "Deployment", "ReplicaSet"],
    ),
    ("batch/v1beta1", &["CronJob"]),
    ("batch/v2alpha1", &["CronJob"]),
];

/// Why a kind that petset does not run is not one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Kubernetes has it, or a cluster may have it as a custom resource.
    Other,
    /// No cluster has it; `StatefulSet of apps/v1` may have been meant.
    Unknown(Option<String>),
}

impl Foreign {
    /// Judges a kind that is none of petset's.
    pub(super) fn of(version: &str, kind: &str) -> Self {
        let is_it = |(home, kinds): &(&str, &[&str])| *home == version && is_among(kinds, kind);
        if EARLIER.iter().any(is_it) {
            return Self::Other;
        }
        if let Some(meant) = ObjectKind::meant(version, kind) {
            return Self::Unknown(Some(meant));
        }
        let group = group_of(version);
        let own = GROUPS.iter().find(|(home, _)| group_of(home) == group);
        match own {
            // The group of a custom resource is a domain.
            None if group.contains('.') => Self::Other,
            Some((_, kinds)) if is_version(version) && is_among(kinds, kind) => Self::Other,
            Some(home) => Self::Unknown(meant(home, kind).or_else(|| meant_anywhere(kind))),
            None => Self::Unknown(meant_anywhere(kind)),
        }
    }
}

fn is_among(kinds: &[&str], kind: &str) -> bool {
    let item = kind.strip_suffix("List").unwrap_or(kind);
    kinds.contains(&kind) || kinds.contains(&item)
}

fn meant_anywhere(kind: &str) -> Option<String> {
    let exactly = GROUPS.iter().find(|(_, kinds)| kinds.contains(&kind));
    exactly
        .and_then(|home| meant(home, kind))
        .or_else(|| GROUPS.iter().find_map(|home| meant(home, kind)))
}

/// Returns the kind of a group that is nearest to a wrong name.
fn meant((version, kinds): &(&str, &[&str]), kind: &str) -> Option<String> {
    let kind = nearest(kind, kinds)?;
    let version = match kind {
        "PetSet" => "apps/v1alpha1",
        _ => version,
    };
    Some(format!("{kind} of {version}"))
}

fn group_of(version: &str) -> &str {
    version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Returns whether the version after a group is one that Kubernetes may give: `v1`, `v2beta1`.
fn is_version(version: &str) -> bool {
    let version = version.rsplit('/').next().unwrap_or_default();
    let stages = ["alpha", "beta"];
    let staged = stages.iter().find_map(|stage| version.split_once(stage));
    let (major, rest) = staged.unwrap_or((version, "1"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    major.strip_prefix('v').is_some_and(is_number) && is_number(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_kubernetes_and_custom_ones_are_passed_over() {
        let others = [
            ("apps/v1beta1", "Deployment"),
            ("extensions/v1beta1", "DaemonSet"),
            ("batch/v1beta1", "CronJob"),
            ("v1", "Namespace"),
            ("v1", "ServiceAccountList"),
            ("extensions/v1beta1", "Ingress"),
            ("networking.k8s.io/v1", "Ingress"),
            ("autoscaling/v2beta2", "HorizontalPodAutoscaler"),
            ("monitoring.coreos.com/v1", "ServiceMonitor"),
            ("apps.kruise.io/v1alpha1", "StatefullSet"),
            ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        ];
        for (version, kind) in others {
            assert_eq!(
                Foreign::of(version, kind),
                Foreign::Other,
                "{version} {kind}"
            );
        }
    }

    #[test]
    fn a_kind_that_no_cluster_has_is_a_slip() {
        let slips = [
            ("apps/v1", "StatefullSet", "StatefulSet of apps/v1"),
            ("apps/v1", "Stateful-Set", "StatefulSet of apps/v1"),
            ("apps/v1", "StatefulSets", "StatefulSet of apps/v1"),
            ("v1", "Servce", "Service of v1"),
            ("v1", "Configmaps", "ConfigMap of v1"),
            ("v1", "Deployment", "Deployment of apps/v1"),
            ("app/v1", "Deployment", "Deployment of apps/v1"),
            ("apps/1", "Deployment", "Deployment of apps/v1"),
            ("v1", "Ingress", "Ingress of networking.k8s.io/v1"),
            ("apps/v1", "Petset", "PetSet of apps/v1alpha1"),
            ("batch/v1", "Cronjob", "CronJob of batch/v1"),
            ("v1", "Template", ""),
            ("v1", "Foo", ""),
        ];
        for (version, kind, meant) in slips {
            let meant = Some(meant.to_owned()).filter(|meant| !meant.is_empty());
            assert_eq!(
                Foreign::of(version, kind),
                Foreign::Unknown(meant),
                "{version} {kind}"
            );
        }
    }
}
