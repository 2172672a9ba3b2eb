//! The values the API server fills in where a manifest gives none.
//!
//! A revision's name is a hash over the completed pod template (C26), so this follows the API
//! server to the letter, also where petset has no use for a field.

mod endpoints;
mod storage;
mod workloads;

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    ClientIPConfig, Container, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod, PodSpec, Probe,
    ResourceFieldSelector, ResourceRequirements, Secret, SecurityContext, Service, ServicePort,
    SessionAffinityConfig, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::model::pod::NODE_NAME;
use crate::model::quantity::Quantity;

pub(crate) use endpoints::{default_endpoints, default_slice};
pub(crate) use storage::{default_class, default_persistent_volume};
pub use workloads::complete_workload;
pub(crate) use workloads::default_workload;

const FILE_MODE: i32 = 0o644;

/// Completes a set as `apps/v1` does (C29), with its pod template and claim templates.
pub fn complete_set(set: &mut StatefulSet) {
    let spec = set.spec.get_or_insert_default();
    let strategy = spec.update_strategy.get_or_insert_default();
    default_update_strategy(strategy);
    fill(&mut spec.pod_management_policy, "OrderedReady");
    spec.replicas.get_or_insert(1);
    spec.revision_history_limit.get_or_insert(10);
    default_retention(spec);
    default_pod_spec(spec.template.spec.get_or_insert_default());
    for claim in spec.volume_claim_templates.iter_mut().flatten() {
        default_claim(claim);
    }
}

fn default_update_strategy(strategy: &mut StatefulSetUpdateStrategy) {
    fill(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy
            .rolling_update
            .get_or_insert_with(RollingUpdateStatefulSetStrategy::default);
        rolling.partition.get_or_insert(0);
    }
}

fn default_retention(spec: &mut StatefulSetSpec) {
    let policy = spec
        .persistent_volume_claim_retention_policy
        .get_or_insert_with(StatefulSetPersistentVolumeClaimRetentionPolicy::default);
    fill(&mut policy.when_deleted, "Retain");
    fill(&mut policy.when_scaled, "Retain");
}

/// Completes a claim, or the template of one.
pub(crate) fn default_claim(claim: &mut PersistentVolumeClaim) {
    let spec = claim.spec.get_or_insert_default();
    fill(&mut spec.volume_mode, "Filesystem");
    if let Some(resources) = &mut spec.resources {
        for amounts in [&mut resources.limits, &mut resources.requests] {
            amounts.iter_mut().flatten().for_each(round_up);
        }
    }
    let status = claim
        .status
        .get_or_insert_with(PersistentVolumeClaimStatus::default);
    fill(&mut status.phase, "Pending");
}

/// Completes a pod that stands alone; unlike a template it gets requests from limits (V57).
pub(crate) fn default_pod(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    spec.enable_service_links.get_or_insert(true);
    // What petset prints names the one node.
    spec.node_name.take_if(|node| node == NODE_NAME);
    default_pod_spec(spec);
    for container in spec
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
    {
        let Some(resources) = &mut container.resources else {
            continue;
        };
        for (name, limit) in resources.limits.iter().flatten() {
            let requests = resources.requests.get_or_insert_default();
            requests
                .entry(name.clone())
                .or_insert_with(|| limit.clone());
        }
    }
}

fn default_pod_spec(spec: &mut PodSpec) {
    fill(&mut spec.dns_policy, "ClusterFirst");
    fill(&mut spec.restart_policy, "Always");
    fill(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(30);
    let account = spec.service_account_name.clone();
    spec.service_account_name = account.or_else(|| spec.service_account.clone());
    spec.service_account = spec.service_account_name.clone();
    let on_host = spec.host_network == Some(true);
    for container in spec
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
    {
        default_container(container, on_host);
    }
    spec.volumes.iter_mut().flatten().for_each(default_volume);
}

fn default_container(container: &mut Container, on_host: bool) {
    if container.image_pull_policy.is_none() {
        let image = container.image.as_deref().unwrap_or_default();
        container.image_pull_policy = Some(pull_policy(image).to_owned());
    }
    fill(
        &mut container.termination_message_path,
        "/dev/termination-log",
    );
    fill(&mut container.termination_message_policy, "File");
    default_resources(container.resources.get_or_insert_default());
    for port in container.ports.iter_mut().flatten() {
        fill(&mut port.protocol, "TCP");
        if on_host && port.host_port.is_none() {
            port.host_port = Some(port.container_port);
        }
    }
    container.env.iter_mut().flatten().for_each(default_env);
    for probe in [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ] {
        probe.iter_mut().for_each(default_probe);
    }
    container.lifecycle.iter_mut().for_each(default_lifecycle);
    if let Some(SecurityContext { proc_mount, .. }) = &mut container.security_context
        && proc_mount.as_deref() == Some("")
    {
        *proc_mount = None;
    }
}

fn default_resources(resources: &mut ResourceRequirements) {
    for amounts in [&mut resources.limits, &mut resources.requests] {
        amounts.iter_mut().flatten().for_each(round_up);
    }
}

fn round_up((_, amount): (&String, &mut Amount)) {
    if let Ok(quantity) = amount.0.parse::<Quantity>() {
        amount.0 = quantity.in_milli().to_string();
    }
}

fn default_env(variable: &mut EnvVar) {
    let Some(source) = &mut variable.value_from else {
        return;
    };
    source.field_ref.iter_mut().for_each(default_field);
    source
        .resource_field_ref
        .iter_mut()
        .for_each(default_resource_field);
    if let Some(file) = &mut source.file_key_ref {
        file.optional.get_or_insert(false);
    }
}

fn default_field(field: &mut ObjectFieldSelector) {
    fill(&mut field.api_version, "v1");
}

fn default_resource_field(field: &mut ResourceFieldSelector) {
    field.divisor.get_or_insert_with(|| Amount("0".to_owned()));
}

fn default_probe(probe: &mut Probe) {
    fill_number(&mut probe.timeout_seconds, 1);
    fill_number(&mut probe.period_seconds, 10);
    fill_number(&mut probe.success_threshold, 1);
    fill_number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(default_http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn default_http_get(get: &mut HTTPGetAction) {
    fill(&mut get.path, "/");
    fill(&mut get.scheme, "HTTP");
}

fn default_lifecycle(lifecycle: &mut Lifecycle) {
    for hook in [&mut lifecycle.post_start, &mut lifecycle.pre_stop] {
        if let Some(LifecycleHandler {
            http_get: Some(get),
            ..
        }) = hook
        {
            default_http_get(get);
        }
    }
}

fn default_volume(volume: &mut Volume) {
    if !has_source(volume) {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(host_path) = &mut volume.host_path {
        host_path.type_.get_or_insert_default();
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        for item in downward.items.iter_mut().flatten() {
            item.field_ref.iter_mut().for_each(default_field);
            item.resource_field_ref
                .iter_mut()
                .for_each(default_resource_field);
        }
    }
    default_projected(volume);
    if let Some(image) = &mut volume.image
        && image.pull_policy.is_none()
    {
        let reference = image.reference.as_deref().unwrap_or_default();
        image.pull_policy = Some(pull_policy(reference).to_owned());
    }
    if let Some(template) = volume
        .ephemeral
        .as_mut()
        .and_then(|ephemeral| ephemeral.volume_claim_template.as_mut())
    {
        fill(&mut template.spec.volume_mode, "Filesystem");
    }
}

fn default_projected(volume: &mut Volume) {
    let Some(projected) = &mut volume.projected else {
        return;
    };
    projected.default_mode.get_or_insert(FILE_MODE);
    for source in projected.sources.iter_mut().flatten() {
        if let Some(token) = &mut source.service_account_token {
            token.expiration_seconds.get_or_insert(3600);
        }
        let items = source.downward_api.iter_mut();
        for item in items.flat_map(|downward| downward.items.iter_mut().flatten()) {
            item.field_ref.iter_mut().for_each(default_field);
            item.resource_field_ref
                .iter_mut()
                .for_each(default_resource_field);
        }
    }
}

/// Returns whether the volume names any source, known to petset or not.
pub(crate) fn has_source(volume: &Volume) -> bool {
    let unnamed = Volume {
        name: String::new(),
        ..volume.clone()
    };
    unnamed != Volume::default()
}

/// Completes a service.
///
/// Which address a service gets is not decided here.
pub(crate) fn default_service(service: &mut Service) {
    let spec = service.spec.get_or_insert_default();
    fill(&mut spec.session_affinity, "None");
    fill(&mut spec.type_, "ClusterIP");
    if spec.session_affinity.as_deref() == Some("ClientIP") {
        let config = spec
            .session_affinity_config
            .get_or_insert_with(SessionAffinityConfig::default);
        let client = config.client_ip.get_or_insert_with(ClientIPConfig::default);
        client.timeout_seconds.get_or_insert(10_800);
    }
    spec.ports
        .iter_mut()
        .flatten()
        .for_each(default_service_port);
    let kind = spec.type_.as_deref().unwrap_or_default();
    if matches!(kind, "NodePort" | "LoadBalancer") {
        fill(&mut spec.external_traffic_policy, "Cluster");
    }
    if kind == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    if kind != "ExternalName" {
        fill(&mut spec.internal_traffic_policy, "Cluster");
    }
    match spec.cluster_ip.as_deref() {
        Some(ip) if !ip.is_empty() && spec.cluster_ips.is_none() => {
            spec.cluster_ips = Some(vec![ip.to_owned()]);
        }
        Some(_) | None => {}
    }
}

fn default_service_port(port: &mut ServicePort) {
    fill(&mut port.protocol, "TCP");
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => port.target_port = Some(IntOrString::Int(port.port)),
        Some(IntOrString::String(name)) if name.is_empty() => {
            port.target_port = Some(IntOrString::Int(port.port));
        }
        Some(IntOrString::Int(_) | IntOrString::String(_)) => {}
    }
}

/// Completes a secret: `stringData` goes into `data`, where it wins.
pub(crate) fn default_secret(secret: &mut Secret) {
    fill(&mut secret.type_, "Opaque");
    for (key, text) in secret.string_data.take().into_iter().flatten() {
        let bytes = k8s_openapi::ByteString(text.into_bytes());
        secret.data.get_or_insert_default().insert(key, bytes);
    }
}

/// Returns when an image would be pulled: always, if its tag is `latest` or left out.
pub(super) fn pull_policy(image: &str) -> &'static str {
    if image.is_empty() || image.contains('@') || image.trim() != image {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn fill(field: &mut Option<String>, value: &str) {
    if field.as_deref().is_none_or(str::is_empty) {
        *field = Some(value.to_owned());
    }
}

fn fill_number(field: &mut Option<i32>, value: i32) {
    if field.is_none_or(|number| number == 0) {
        *field = Some(value);
    }
}
