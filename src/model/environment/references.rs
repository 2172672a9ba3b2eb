//! Which objects a pod is made from, so that only those are read.

use k8s_openapi::api::core::v1::{Container, Pod, Volume};

use crate::model::kind::ObjectKind;
use crate::sorted::SortedSet;

/// The names of the objects that a pod is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Names of config maps.
    pub config_maps: SortedSet<String>,
    /// Names of secrets.
    pub secrets: SortedSet<String>,
    /// Whether all services of the namespace are wanted (`enableServiceLinks`).
    pub services: bool,
}

/// Lists the objects that `pod` needs.
#[must_use]
pub fn references(pod: &Pod) -> References {
    let mut wanted = References::default();
    let Some(spec) = &pod.spec else {
        return wanted;
    };
    wanted.services = spec.enable_service_links.unwrap_or(true);
    let init = spec.init_containers.iter().flatten();
    for container in spec.containers.iter().chain(init) {
        wanted.add_container(container);
    }
    for volume in spec.volumes.iter().flatten() {
        wanted.add_volume(volume);
    }
    wanted
}

/// Lists the objects of which a pod goes on with what its containers have read when they started:
/// those of their variables, and those that are mounted in parts (`subPath`).
#[must_use]
pub fn fixed_references(pod: &Pod) -> References {
    let mut fixed = References::default();
    let Some(spec) = &pod.spec else {
        return fixed;
    };
    for container in &spec.containers {
        fixed.add_container(container);
        let mounts = container.volume_mounts.iter().flatten();
        let given = |path: &Option<String>| path.as_deref().is_some_and(|path| !path.is_empty());
        let parts = mounts.filter(|mount| given(&mount.sub_path) || given(&mount.sub_path_expr));
        for mount in parts {
            let mut volumes = spec.volumes.iter().flatten();
            let volume = volumes.find(|volume| volume.name == mount.name);
            volume
                .into_iter()
                .for_each(|volume| fixed.add_volume(volume));
        }
    }
    fixed
}

impl References {
    /// Returns whether an object of a kind and name is among them.
    pub(crate) fn has(&self, kind: ObjectKind, name: &str) -> bool {
        match kind {
            ObjectKind::ConfigMap => self.config_maps.contains(name),
            ObjectKind::Secret => self.secrets.contains(name),
            ObjectKind::StatefulSet
            | ObjectKind::Service
            | ObjectKind::PersistentVolumeClaim
            | ObjectKind::Pod
            | ObjectKind::Endpoints
            | ObjectKind::EndpointSlice
            | ObjectKind::ControllerRevision
            | ObjectKind::Workload(_)
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass
            | ObjectKind::Eviction
            | ObjectKind::Overlay => false,
        }
    }

    fn add_config_map(&mut self, name: &str) {
        self.config_maps.insert(name.to_owned());
    }

    fn add_secret(&mut self, name: &str) {
        self.secrets.insert(name.to_owned());
    }

    fn add_container(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            if let Some(from) = &source.config_map_ref {
                self.add_config_map(&from.name);
            }
            if let Some(from) = &source.secret_ref {
                self.add_secret(&from.name);
            }
        }
        let variables = container.env.iter().flatten();
        for value in variables.filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(key) = &value.config_map_key_ref {
                self.add_config_map(&key.name);
            }
            if let Some(key) = &value.secret_key_ref {
                self.add_secret(&key.name);
            }
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        if let Some(from) = &volume.config_map {
            self.add_config_map(&from.name);
        }
        let secret = volume.secret.as_ref();
        if let Some(name) = secret.and_then(|from| from.secret_name.as_ref()) {
            self.add_secret(name);
        }
        let projected = volume.projected.as_ref();
        for source in projected.iter().flat_map(|all| &all.sources).flatten() {
            if let Some(from) = &source.config_map {
                self.add_config_map(&from.name);
            }
            if let Some(from) = &source.secret {
                self.add_secret(&from.name);
            }
        }
    }
}
