//! The pod of a runner: reading it, and its part in the private network.

use std::io;

use k8s_openapi::api::core::v1::Pod;

use crate::model::Egress;
use crate::runner::container::Supplies;
use crate::runner::isolation::{self, PodContext};
use crate::store::network::NetworkSpec;
use crate::store::{self, PetLayout};

/// Reads `pod.json`; a pod with a network of its own has its address there.
pub(super) fn read_pod(pet: &PetLayout) -> io::Result<Pod> {
    let mut pod = store::pod_record(pet)?.ok_or(io::ErrorKind::NotFound)?;
    // The supervisor writes the address that the pet has on the host.
    if isolation::has_network(&pod) {
        isolation::move_inside(&mut pod);
    }
    Ok(pod)
}

/// Collects the settings of a sandbox.
pub(super) fn pod_context<'a>(
    pod: &'a Pod,
    ip: &'a str,
    pet: &'a PetLayout,
    supplies: &'a Supplies,
) -> PodContext<'a> {
    PodContext {
        pod,
        ip,
        pet,
        layout: supplies.layout(),
        network: network_spec(pod),
        cluster_domain: supplies.cluster_domain(),
        program: supplies.program(),
        shared: supplies.shared_paths(),
    }
}

/// Returns the request to attach a pet to the private network; `None` for a pet that does not
/// use it.
fn network_spec(pod: &Pod) -> Option<NetworkSpec> {
    let ip = isolation::has_network(pod).then(|| isolation::outer_ip(pod))??;
    let spec = pod.spec.as_ref()?;
    let containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let all: Vec<_> = containers
        .flat_map(|container| container.ports.iter().flatten())
        .collect();
    let of = |protocol: &str| {
        let fits = all
            .iter()
            .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == protocol);
        let mut ports: Vec<u16> = fits
            .filter_map(|port| port.container_port.try_into().ok())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    Some(NetworkSpec {
        ip,
        tcp: of("TCP"),
        udp: of("UDP"),
        egress: Egress::of(pod.metadata.annotations.as_ref()) == Egress::Auto,
    })
}
