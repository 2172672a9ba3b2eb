//! Looking at every record of a state directory, for `petset doctor`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::damage::is_kept_aside;
use super::files::{names_in, read_json};
use super::{RunnerRecord, SetReport, Store, pod_record};
use crate::model::endpoints::ServiceRecord;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{Namespace, ObjectName};
use crate::problem::{Result, hints_of};

const WANTED: [ObjectKind; 8] = [
    ObjectKind::StatefulSet,
    ObjectKind::Service,
    ObjectKind::Endpoints,
    ObjectKind::EndpointSlice,
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
    ObjectKind::PersistentVolumeClaim,
    ObjectKind::Pod,
];

/// What is wrong with the files of a state directory.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Objects that cannot be read, each with what to do.
    pub(crate) wanted: Vec<(String, String)>,
    /// Records that cannot be read, and that the supervisor or a runner can write again.
    pub(crate) observed: Vec<String>,
    /// What is left of files that were damaged.
    pub(crate) kept: Vec<PathBuf>,
}

/// Reads every record.
pub(crate) fn inspect(store: &Store) -> Result<Inspection> {
    let layout = store.layout();
    let mut found = Inspection::default();
    for namespace in store.namespaces()? {
        let workloads = WorkloadKind::ALL.map(ObjectKind::Workload);
        for kind in WANTED.into_iter().chain(workloads) {
            found.look_at_wanted(store, kind, &namespace)?;
            found.look_for_kept(&layout.wanted_kind(&namespace, kind));
        }
    }
    for kind in [ObjectKind::PersistentVolume, ObjectKind::StorageClass] {
        // They belong to no namespace.
        let any = Namespace::default();
        found.look_at_wanted(store, kind, &any)?;
        found.look_for_kept(&layout.wanted_kind(&any, kind));
    }
    for namespace in namespaces_in(&layout.seen()) {
        let revisions = layout.revisions(&namespace, "any");
        found.look_below::<Vec<ControllerRevision>>(revisions.parent().unwrap_or(&revisions));
        found.look_below::<PersistentVolumeClaim>(&layout.claims(&namespace));
        found.look_below::<SetReport>(&layout.set_statuses(&namespace));
        found.look_below::<ServiceRecord>(&layout.endpoints(&namespace));
        let revisions = layout.daemon_revisions(&namespace, "any");
        found.look_below::<Vec<ControllerRevision>>(revisions.parent().unwrap_or(&revisions));
        for kind in WorkloadKind::ALL {
            found.look_below::<Value>(&layout.workload_statuses(&namespace, kind));
        }
    }
    found.look_for_kept(&layout.seen());
    for namespace in namespaces_in(&layout.pets()) {
        for pod in names_in(&layout.pets_of(&namespace)).unwrap_or_default() {
            let files = layout.pet(&namespace, &pod);
            found.note(&files.pod(), pod_record(&files).err());
            found.look_at::<PodStatus>(&files.status());
            found.look_at::<RunnerRecord>(&files.runner());
            found.look_for_kept(files.root());
        }
    }
    Ok(found)
}

fn namespaces_in(dir: &Path) -> Vec<Namespace> {
    let names = names_in(dir).unwrap_or_default();
    let folders = names.iter().filter(|name| dir.join(name).is_dir());
    folders.filter_map(|name| name.parse().ok()).collect()
}

impl Inspection {
    fn look_at_wanted(
        &mut self,
        store: &Store,
        kind: ObjectKind,
        namespace: &Namespace,
    ) -> Result<()> {
        let names: Vec<ObjectName> = store.names(namespace, kind)?;
        for name in names {
            if let Some(fault) = store.fault_of(kind, namespace, &name) {
                let hints: Vec<&str> = hints_of(&fault).collect();
                self.wanted.push((format!("{fault:#}"), hints.join("; ")));
            }
        }
        Ok(())
    }

    fn look_below<T: DeserializeOwned>(&mut self, dir: &Path) {
        let names = names_in(dir).unwrap_or_default();
        let records = names.iter().filter(|name| name.ends_with(".json"));
        records.for_each(|name| self.look_at::<T>(&dir.join(name)));
        self.look_for_kept(dir);
    }

    fn look_at<T: DeserializeOwned>(&mut self, path: &Path) {
        self.note(path, read_json::<T>(path).err());
    }

    fn note(&mut self, path: &Path, fault: Option<io::Error>) {
        let fault = fault.map(|error| error.to_string());
        let named = |fault: String| match fault.starts_with('/') {
            true => fault,
            false => format!("{}: {fault}", path.display()),
        };
        self.observed.extend(fault.map(named));
    }

    fn look_for_kept(&mut self, dir: &Path) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let kept = names.filter(|name| is_kept_aside(name));
        self.kept.extend(kept.map(|name| dir.join(name)));
    }
}
