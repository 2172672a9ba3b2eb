//! What a pod says about its isolation, and the addresses that it has inside and outside.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Pod, Service};

use crate::model::ISOLATION_ANNOTATION;
use crate::model::address::Block;

/// The variable that gives a pet the number of its private network's block.
pub(crate) const NETWORK_VARIABLE: &str = "PETSET_NETWORK_BLOCK";

/// Returns whether a pod has a sandbox.
pub(crate) fn is_full(pod: &Pod) -> bool {
    let notes = pod.metadata.annotations.as_ref();
    notes.and_then(|notes| notes.get(ISOLATION_ANNOTATION)) == Some(&"full".to_owned())
}

/// Returns whether all containers of a pod share one process namespace, which only isolated ones
/// have (`shareProcessNamespace`).
pub(crate) fn shares_processes(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    spec.is_some_and(|spec| spec.share_process_namespace == Some(true))
}

/// Returns whether a container of a pod may ask the kernel for what others may not: it is
/// privileged, or its system calls are not filtered as usual.
pub(super) fn is_less_confined(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let of_pod = spec.and_then(|spec| spec.security_context.as_ref()?.seccomp_profile.as_ref());
    let inits = spec.and_then(|spec| spec.init_containers.as_ref());
    let mains = spec.map(|spec| &spec.containers);
    let mut all = inits.into_iter().chain(mains).flatten();
    all.any(|container| {
        let context = container.security_context.as_ref();
        let profile = context.and_then(|context| context.seccomp_profile.as_ref());
        let privileged = context.is_some_and(|context| context.privileged == Some(true));
        let profile = profile.or(of_pod);
        privileged || profile.is_some_and(|profile| profile.type_ != "RuntimeDefault")
    })
}

/// Returns whether a pod uses the private network rather than the host's.
pub(in crate::runner) fn has_network(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    is_full(pod) && spec.is_none_or(|spec| spec.host_network != Some(true))
}

/// Replaces the address that the host finds a pod at by the one it has in the private network.
pub(crate) fn move_inside(pod: &mut Pod) {
    let Some(status) = &mut pod.status else {
        return;
    };
    status.pod_ip.iter_mut().for_each(translate_inside);
    let all = status.pod_ips.iter_mut().flatten();
    all.for_each(|one| translate_inside(&mut one.ip));
}

/// Replaces the cluster IPs of a service by those that hold in the private network.
pub(in crate::runner) fn move_service_inside(service: &mut Service) {
    let Some(spec) = &mut service.spec else {
        return;
    };
    spec.cluster_ip.iter_mut().for_each(translate_inside);
    let all = spec.cluster_ips.iter_mut().flatten();
    all.for_each(translate_inside);
}

/// Replaces an address of a state directory by the one that holds inside.
fn translate_inside(text: &mut String) {
    if let Ok(ip) = text.parse::<Ipv4Addr>()
        && let Some(block) = Block::of(ip)
    {
        *text = block.inside(ip).to_string();
    }
}

/// Returns the address at which the host finds a pod of the private network.
pub(in crate::runner) fn outer_ip(pod: &Pod) -> Option<Ipv4Addr> {
    let ip = pod.status.as_ref()?.pod_ip.as_ref()?;
    let ip: Ipv4Addr = ip.parse().ok()?;
    Some(Block::of(ip)?.outside(ip))
}

/// Returns the variable that a container of the private network has beside the usual ones.
pub(in crate::runner) fn variables(pod: &Pod) -> Option<(String, String)> {
    let ip = has_network(pod).then(|| outer_ip(pod))??;
    let block = Block::of(ip)?.number();
    Some((NETWORK_VARIABLE.to_owned(), block.to_string()))
}
