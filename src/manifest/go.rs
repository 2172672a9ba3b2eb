//! Names that Kubernetes' Go source gives to types which are plain text in its JSON.

/// Returns the Go type of a field whose JSON type does not tell it.
pub(super) fn field_type(owner: &str, field: &str) -> Option<&'static str> {
    let named = match (owner, field) {
        ("StatefulSetSpec", "podManagementPolicy") => "v1.PodManagementPolicyType",
        ("StatefulSetUpdateStrategy", "type") => "v1.StatefulSetUpdateStrategyType",
        ("StatefulSetPersistentVolumeClaimRetentionPolicy", _) => {
            "v1.PersistentVolumeClaimRetentionPolicyType"
        }
        ("Container" | "EphemeralContainer", "imagePullPolicy") => "v1.PullPolicy",
        ("Container" | "EphemeralContainer", "terminationMessagePolicy") => {
            "v1.TerminationMessagePolicy"
        }
        ("Container", "restartPolicy") => "v1.ContainerRestartPolicy",
        ("PodSpec", "restartPolicy") => "v1.RestartPolicy",
        ("PodSpec", "dnsPolicy") => "v1.DNSPolicy",
        ("PodSpec", "preemptionPolicy") => "v1.PreemptionPolicy",
        ("ContainerPort" | "ServicePort", "protocol") => "v1.Protocol",
        ("HTTPGetAction", "scheme") => "v1.URIScheme",
        ("VolumeMount", "mountPropagation") => "v1.MountPropagationMode",
        ("HostPathVolumeSource", "type") => "v1.HostPathType",
        ("EmptyDirVolumeSource", "medium") => "v1.StorageMedium",
        ("PersistentVolumeClaimSpec", "accessModes") => "v1.PersistentVolumeAccessMode",
        ("PersistentVolumeClaimSpec", "volumeMode") => "v1.PersistentVolumeMode",
        ("ServiceSpec", "type") => "v1.ServiceType",
        ("ServiceSpec", "sessionAffinity") => "v1.ServiceAffinity",
        ("ServiceSpec", "externalTrafficPolicy") => "v1.ServiceExternalTrafficPolicy",
        ("LabelSelectorRequirement", "operator") => "v1.LabelSelectorOperator",
        ("Toleration", "operator") => "v1.TolerationOperator",
        ("Toleration", "effect") => "v1.TaintEffect",
        ("Secret", "type") => "v1.SecretType",
        ("ResourceRequirements" | "VolumeResourceRequirements", "limits" | "requests") => {
            "v1.ResourceList"
        }
        ("ObjectMeta", "uid") => "types.UID",
        _ => return None,
    };
    Some(named)
}
