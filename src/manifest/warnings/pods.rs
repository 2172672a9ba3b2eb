//! The fields of sets and pods that petset does not act on.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, PodSpec, Probe, ResourceRequirements, Volume, VolumeMount, VolumeProjection,
};

use super::ignored::{
    Cause, ISOLATED, Ignored, NO_API, NO_CONTAINERS, NO_IMAGES, NO_LIMITS, NO_MESSAGE,
    NO_SCHEDULER, NOT_WATCHED,
};
use super::others::of_claim;
use super::{other_processes, security};
use crate::manifest::remark::{Remark, Remarks};
use crate::manifest::validate::volume_sources;
use crate::model::MAX_SET_NAME;
use crate::model::environment::LONGEST_WORD;
use crate::model::pod::NODE_NAME;
use crate::sorted::SortedSet;

/// Remarks on a set.
pub(in super::super) fn of_set(set: &StatefulSet, remarks: &mut Remarks) {
    let Some(spec) = &set.spec else { return };
    let StatefulSetSpec {
        min_ready_seconds: _,
        ordinals: _,
        persistent_volume_claim_retention_policy: _,
        pod_management_policy: _,
        replicas: _,
        revision_history_limit,
        selector: _,
        service_name: _,
        template,
        update_strategy: _,
        volume_claim_templates,
    } = spec;
    let name = set.metadata.name.as_deref().unwrap_or_default();
    if name.len() > MAX_SET_NAME {
        let text = format!(
            "runs here, but no cluster makes the pods of a set whose name is longer than \
             {MAX_SET_NAME} characters: their revision would not fit into a label"
        );
        remarks.push(Remark::new("metadata.name".to_owned(), text));
    }
    if revision_history_limit.is_some_and(|limit| limit < 0) {
        let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
        remarks.push(Remark::new("spec.revisionHistoryLimit".to_owned(), text));
    }
    if let Some(pod) = &template.spec {
        of_pod("spec.template.spec", pod, remarks);
    }
    for (index, claim) in volume_claim_templates.iter().flatten().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{index}].spec");
        of_claim(&path, claim, remarks);
    }
}

/// Remarks on a pod or a template of one.
pub(in super::super) fn of_pod(path: &str, spec: &PodSpec, remarks: &mut Remarks) {
    let mut ignored = Ignored::below(path);
    pod(&mut ignored, spec);
    for (list, containers) in [
        ("initContainers", spec.init_containers.as_deref()),
        ("containers", Some(spec.containers.as_slice())),
    ] {
        for (index, given) in containers.unwrap_or_default().iter().enumerate() {
            container(&mut ignored, &format!("{list}[{index}]"), given);
            doubled(&format!("{path}.{list}[{index}]"), given, remarks);
            too_long(&format!("{path}.{list}[{index}]"), given, remarks);
        }
    }
    for (index, given) in spec.volumes.iter().flatten().enumerate() {
        volume(&mut ignored, &format!("volumes[{index}]"), given);
    }
    ignored.into_remarks(remarks);
    if spec
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0)
    {
        let text = "must be >= 0; negative values are invalid and will be treated as 1";
        remarks.push(Remark::new(
            format!("{path}.terminationGracePeriodSeconds"),
            text.to_owned(),
        ));
    }
}

fn pod(ignored: &mut Ignored<'_>, spec: &PodSpec) {
    let PodSpec {
        active_deadline_seconds: _,
        affinity,
        automount_service_account_token: _,
        containers: _,
        dns_config,
        dns_policy,
        enable_service_links: _,
        ephemeral_containers: _,
        host_aliases,
        host_ipc: _,
        host_network: _,
        host_pid: _,
        host_users: _,
        hostname: _,
        hostname_override,
        image_pull_secrets,
        init_containers: _,
        node_name,
        node_selector,
        os: _,
        overhead,
        preemption_policy,
        priority,
        priority_class_name,
        readiness_gates,
        resource_claims,
        resources,
        restart_policy: _,
        runtime_class_name,
        scheduler_name,
        scheduling_gates,
        scheduling_group,
        security_context,
        service_account: _,
        service_account_name,
        set_hostname_as_fqdn,
        share_process_namespace,
        subdomain: _,
        termination_grace_period_seconds: _,
        tolerations,
        topology_spread_constraints,
        volumes: _,
    } = spec;
    for (field, given) in [
        ("affinity", affinity.is_some()),
        (
            "nodeName",
            node_name.as_ref().is_some_and(|name| name != NODE_NAME),
        ),
        ("nodeSelector", node_selector.is_some()),
        ("preemptionPolicy", preemption_policy.is_some()),
        ("priority", priority.is_some()),
        ("priorityClassName", priority_class_name.is_some()),
        ("runtimeClassName", runtime_class_name.is_some()),
        // The default is in everything that petset prints.
        (
            "schedulerName",
            scheduler_name
                .as_ref()
                .is_some_and(|name| name != "default-scheduler"),
        ),
        ("schedulingGates", scheduling_gates.is_some()),
        ("schedulingGroup", scheduling_group.is_some()),
        ("tolerations", tolerations.is_some()),
        (
            "topologySpreadConstraints",
            topology_spread_constraints.is_some(),
        ),
    ] {
        ignored.note(field, NO_SCHEDULER, given);
    }
    ignored.note("imagePullSecrets", NO_IMAGES, image_pull_secrets.is_some());
    ignored.note("serviceAccountName", NO_API, service_account_name.is_some());
    ignored.note("overhead", NO_LIMITS, overhead.is_some());
    ignored.note("resourceClaims", NO_LIMITS, resource_claims.is_some());
    ignored.note("resources", NO_LIMITS, has_limits(resources.as_ref()));
    if let Some(context) = security_context {
        security::of_pod(ignored, context);
    }
    let shared = *share_process_namespace == Some(true);
    ignored.note("shareProcessNamespace", ISOLATED, shared);
    ignored.note("readinessGates", NOT_WATCHED, readiness_gates.is_some());
    let dns = dns_policy
        .as_deref()
        .is_some_and(|policy| policy != "ClusterFirst");
    ignored.note("dnsPolicy", ISOLATED, dns);
    ignored.note("dnsConfig", ISOLATED, dns_config.is_some());
    ignored.note("hostAliases", ISOLATED, host_aliases.is_some());
    ignored.note(
        "hostnameOverride",
        NO_CONTAINERS,
        hostname_override.is_some(),
    );
    let as_fqdn = *set_hostname_as_fqdn == Some(true);
    ignored.note("setHostnameAsFQDN", ISOLATED, as_fqdn);
}

fn container(ignored: &mut Ignored<'_>, path: &str, container: &Container) {
    let Container {
        args,
        command,
        env: _,
        env_from: _,
        image: _,
        image_pull_policy: _,
        lifecycle: _,
        liveness_probe,
        name: _,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy: _,
        restart_policy_rules: _,
        security_context,
        startup_probe,
        stdin: _,
        stdin_once: _,
        termination_message_path,
        termination_message_policy: _,
        tty: _,
        volume_devices,
        volume_mounts,
        working_dir: _,
    } = container;
    let at = |field: &str| format!("{path}.{field}");
    other_processes::of_container(ignored, path, container);
    ignored.note(&at("resources"), NO_LIMITS, has_limits(resources.as_ref()));
    ignored.note(&at("resizePolicy"), NO_LIMITS, resize_policy.is_some());
    if let Some(context) = security_context {
        security::of_container(ignored, path, context);
    }
    ignored.note(
        &at("volumeDevices"),
        NO_CONTAINERS,
        volume_devices.is_some(),
    );
    let message = termination_message_path.as_deref();
    let words = command.iter().chain(args).flatten();
    let named = |path: &str| words.clone().any(|word| word.contains(path));
    let message = message.is_some_and(|path| path != "/dev/termination-log" || named(path));
    ignored.note(&at("terminationMessagePath"), NO_MESSAGE, message);
    let own = Cause::always("ignored: a pet has an address and ports of its own");
    for (index, port) in ports.iter().flatten().enumerate() {
        let given = port.host_port.is_some_and(|number| number != 0);
        ignored.note(&at(&format!("ports[{index}].hostPort")), own, given);
    }
    for given in [liveness_probe, readiness_probe, startup_probe] {
        given.iter().for_each(probe);
    }
    for (index, given) in volume_mounts.iter().flatten().enumerate() {
        mount(ignored, &at(&format!("volumeMounts[{index}]")), given);
    }
}

/// Returns whether anything is limited. A request asks a scheduler for a place, which pets have.
fn has_limits(resources: Option<&ResourceRequirements>) -> bool {
    let Some(ResourceRequirements {
        claims,
        limits,
        requests: _,
    }) = resources
    else {
        return false;
    };
    claims.iter().flatten().next().is_some() || limits.iter().flatten().next().is_some()
}

/// All of a probe is acted on.
const fn probe(probe: &Probe) {
    let Probe {
        exec: _,
        failure_threshold: _,
        grpc: _,
        http_get: _,
        initial_delay_seconds: _,
        period_seconds: _,
        success_threshold: _,
        tcp_socket: _,
        termination_grace_period_seconds: _,
        timeout_seconds: _,
    } = probe;
}

fn mount(ignored: &mut Ignored<'_>, path: &str, mount: &VolumeMount) {
    let VolumeMount {
        mount_path: _,
        mount_propagation,
        name: _,
        read_only,
        recursive_read_only: _,
        sub_path: _,
        sub_path_expr: _,
    } = mount;
    let at = |field: &str| format!("{path}.{field}");
    ignored.note(&at("readOnly"), ISOLATED, *read_only == Some(true));
    ignored.note(
        &at("mountPropagation"),
        NO_CONTAINERS,
        mount_propagation.is_some(),
    );
}

fn volume(ignored: &mut Ignored<'_>, path: &str, volume: &Volume) {
    let able = [
        "emptyDir",
        "ephemeral",
        "hostPath",
        "secret",
        "persistentVolumeClaim",
        "downwardAPI",
        "configMap",
        "projected",
    ];
    for (name, given) in volume_sources(volume) {
        let reason =
            Cause::always("petset has no such volumes: a pet that mounts it does not start");
        let foreign = given && !able.contains(&name);
        ignored.note(&format!("{path}.{name}"), reason, foreign);
    }
    let claim = volume.persistent_volume_claim.as_ref();
    let closed = claim.is_some_and(|claim| claim.read_only == Some(true));
    ignored.note(
        &format!("{path}.persistentVolumeClaim.readOnly"),
        ISOLATED,
        closed,
    );
    let projected = volume.projected.iter();
    let sources = projected.flat_map(|projected| projected.sources.iter().flatten());
    for (index, source) in sources.enumerate() {
        let VolumeProjection {
            cluster_trust_bundle,
            config_map: _,
            downward_api: _,
            pod_certificate,
            secret: _,
            service_account_token,
        } = source;
        let path = format!("{path}.projected.sources[{index}]");
        for (field, given) in [
            ("clusterTrustBundle", cluster_trust_bundle.is_some()),
            ("podCertificate", pod_certificate.is_some()),
            ("serviceAccountToken", service_account_token.is_some()),
        ] {
            ignored.note(&format!("{path}.{field}"), NO_API, given);
        }
    }
    let empty = volume.empty_dir.as_ref();
    let medium = empty.and_then(|empty| empty.medium.as_deref());
    let pages = medium.is_some_and(|medium| !matches!(medium, "" | "Memory"));
    let directory = Cause::always("ignored: it is a directory");
    ignored.note(&format!("{path}.emptyDir.medium"), directory, pages);
    ignored.note(
        &format!("{path}.emptyDir.medium"),
        ISOLATED,
        medium == Some("Memory"),
    );
}

/// Remarks on variables that the kernel refuses.
fn too_long(path: &str, container: &Container, remarks: &mut Remarks) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let (name, value) = (&variable.name, variable.value.as_deref());
        let size = name.len() + 1 + value.map_or(0, str::len);
        if size >= LONGEST_WORD {
            let text = format!(
                "the variable {name} of container {} is {size} bytes, the kernel takes \
                 {LONGEST_WORD}: the container cannot start",
                container.name
            );
            remarks.push(Remark::new(format!("{path}.env[{index}].value"), text));
        }
    }
}

/// Remarks of the API server itself: what is given twice in one container.
fn doubled(path: &str, container: &Container, remarks: &mut Remarks) {
    let mut names = SortedSet::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if !names.insert(&variable.name) {
            let name = &variable.name;
            let text = format!(
                "hides previous definition of {name:?}, which may be dropped when using apply"
            );
            remarks.push(Remark::new(format!("{path}.env[{index}]"), text));
        }
    }
    let ports = container.ports.as_deref().unwrap_or_default();
    let key = |index: usize| {
        let port = &ports[index];
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        (
            port.container_port,
            protocol,
            &port.host_port,
            &port.host_ip,
        )
    };
    for index in 0..ports.len() {
        if let Some(first) = (0..index).find(|first| key(*first) == key(index)) {
            let text = format!("duplicate port definition with {path}.ports[{first}]");
            remarks.push(Remark::new(format!("{path}.ports[{index}]"), text));
        }
    }
}
