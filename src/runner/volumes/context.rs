//! What the volumes of a pod are made from.

use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::model::Namespace;
use crate::model::environment::Sources;
use crate::model::fields::Capacity;
use crate::store::Layout;

/// A pod, and the objects that its volumes refer to.
pub(in crate::runner) struct VolumeContext<'a> {
    pub(in crate::runner) layout: &'a Layout,
    pub(in crate::runner) namespace: &'a Namespace,
    pub(in crate::runner) pod: &'a Pod,
    pub(in crate::runner) sources: &'a Sources,
    pub(in crate::runner) capacity: Capacity,
    /// Whether the files that petset writes are given to a group afterwards.
    pub(in crate::runner) grouped: bool,
}

impl VolumeContext<'_> {
    pub(super) fn pod_name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns the volumes that the pod asks for.
    pub(super) fn volumes(&self) -> &[Volume] {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.volumes.as_deref())
            .unwrap_or_default()
    }
}
