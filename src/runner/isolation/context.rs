//! What the runner knows about a pet that its sandbox is made from.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::store::network::NetworkSpec;
use crate::store::{Layout, PetLayout};

/// A pod and the settings of its state directory.
#[derive(Debug)]
pub(in crate::runner) struct PodContext<'a> {
    pub(in crate::runner) pod: &'a Pod,
    /// The pod's address, as the pod itself sees it.
    pub(in crate::runner) ip: &'a str,
    pub(in crate::runner) pet: &'a PetLayout,
    pub(in crate::runner) layout: &'a Layout,
    /// The pod's address and ports in the private network; `None` if it uses the host's.
    pub(in crate::runner) network: Option<NetworkSpec>,
    pub(in crate::runner) cluster_domain: &'a str,
    /// The file of this program.
    pub(in crate::runner) program: &'a Path,
    /// Paths of the host that every pet sees and may write to.
    pub(in crate::runner) shared: &'a [PathBuf],
}
