//! Workloads, whose six kinds are kept alike: `wanted/<ns>/<kind>/<name>.yaml` is what users and
//! controllers want, and `seen/<ns>/workloads/<kind>/<name>.json` is the status that the supervisor
//! saw last, with the uid of the object that it is about.

use std::io;

use anyhow::Context;
use serde_json::{Value, json};

use super::damage::is_damage;
use super::directory::Store;
use super::edit::Edit;
use super::files::{self, Sync};
use super::kept::{named_value, whole_text};
use super::paths::Layout;
use super::reserve;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{Namespace, ObjectName, ObjectRef, Workload};
use crate::problem::Result;

impl Store {
    /// Returns a wanted workload, without a status; `None` when there is none of that name.
    pub(crate) fn workload(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Workload>> {
        self.read_object(ObjectKind::Workload(kind), namespace, name, |text| {
            Ok(Workload::from_json(
                kind,
                &named_value(text, name.as_str())?,
            )?)
        })
    }

    /// Puts the status that was seen last into a workload. One that another object of this name had
    /// says nothing.
    pub(crate) fn fill_in_status(&self, workload: &mut Workload) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(workload.metadata())?;
        let path = self
            .layout()
            .workload_status(&namespace, workload.kind(), &name);
        let seen: Option<Value> = files::read_json(&path)?;
        let own = |seen: &Value| seen["uid"].as_str() == workload.metadata().uid.as_deref();
        if let Some(seen) = seen.filter(own) {
            workload
                .set_status(&seen["status"])
                .map_err(io::Error::from)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(())
    }
}

impl Edit<'_> {
    /// Returns a wanted workload; the changes of this edit are not visible.
    pub(crate) fn find_workload(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Workload>> {
        self.store().workload(kind, namespace, name)
    }

    /// Stores a workload without its status, replacing the one of that name.
    pub(crate) fn put_workload(&mut self, workload: &Workload) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(workload.metadata())?;
        let kind = ObjectKind::Workload(workload.kind());
        let mut value = workload.to_json()?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        let path = self.layout().wanted_object(&namespace, kind, &name);
        if self
            .store()
            .fault_of(kind, &namespace, &name)
            .is_some_and(|_| path.exists())
        {
            drop(self.set_aside(&namespace, kind, &name));
        }
        self.write(path, whole_text(&value)?);
        Ok(())
    }
}

/// Writes the status of a workload. It need not be synced where it can be observed again; that of
/// one that ends is written on a full disk too.
pub(crate) fn publish_workload_status(
    layout: &Layout,
    workload: &Workload,
    sync: Sync,
) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(workload.metadata())?;
    let path = layout.workload_status(&namespace, workload.kind(), &name);
    let wish = || format!("cannot write {}", path.display());
    let status = workload.status_json()?;
    let record = json!({"uid": workload.metadata().uid, "status": status});
    let bytes = serde_json::to_vec(&record)?;
    match workload.metadata().deletion_timestamp {
        Some(_) => reserve::replace(layout, &path, &bytes, sync).with_context(wish),
        None => files::replace(&path, &bytes, sync).with_context(wish),
    }
}

/// Returns whether a status cannot be read, so that it has to be seen again.
pub(crate) fn is_damaged_status(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(is_damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_comes_back_with_the_status_of_its_own_uid() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (namespace, name) = (Namespace::default(), "front".parse().unwrap());
        let template = json!({"metadata": {}, "spec": {"containers": [{"name": "c"}]}});
        let text = json!({
            "metadata": {"name": "front", "namespace": "default", "uid": "u1"},
            "spec": {"replicas": 2, "selector": {}, "template": template},
            "status": {"replicas": 2, "readyReplicas": 1},
        });
        let kind = WorkloadKind::ReplicaSet;
        let set = Workload::from_json(kind, &text).unwrap();
        store
            .edit("test", None, |edit| edit.put_workload(&set))
            .unwrap();
        let wanted = store
            .layout()
            .wanted()
            .join("default/replicaset/front.yaml");
        let wanted = std::fs::read_to_string(wanted).unwrap();
        assert!(!wanted.contains("readyReplicas"), "{wanted}");
        publish_workload_status(store.layout(), &set, Sync::No).unwrap();
        let path = dir
            .path()
            .join("seen/default/workloads/replicaset/front.json");
        let record: Value = files::read_json(&path).unwrap().unwrap();
        let status = json!({"replicas": 2, "readyReplicas": 1});
        assert_eq!(record, json!({"uid": "u1", "status": status}));

        let read = || store.workload(kind, &namespace, &name).unwrap().unwrap();
        let mut found = read();
        assert_eq!(found.status_json().unwrap(), Value::Null);
        store.fill_in_status(&mut found).unwrap();
        assert_eq!(found, set);
        let mut another = read();
        another.metadata_mut().uid = Some("u2".to_owned());
        store.fill_in_status(&mut another).unwrap();
        assert_eq!(another.status_json().unwrap(), Value::Null);

        std::fs::write(&path, "{").unwrap();
        let fault = store.fill_in_status(&mut found).unwrap_err();
        assert!(is_damaged_status(&fault), "{fault:#}");
    }
}
