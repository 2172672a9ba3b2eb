//! Changed config maps and secrets, and the pods that go on with what they have read of them.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

use super::session::{Session, say};
use crate::model::environment::{fixed_references, secret_entries};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::pod::set_of;
use crate::model::{Namespace, ObjectRef};
use crate::problem::Result;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::Edit;

/// Config maps and secrets whose content a command has changed.
#[derive(Debug, Default)]
pub(crate) struct ChangedConfig(Vec<(ObjectKind, ObjectRef)>);

impl ChangedConfig {
    /// Notes an object that is about to be stored, if it exists with other content.
    pub(crate) fn note(&mut self, edit: &Edit<'_>, object: &Object) -> Result<()> {
        let full = ObjectRef::of(object.metadata())?;
        let changes = match object {
            Object::ConfigMap(new) => {
                let old: Option<ConfigMap> = edit.find(&full.namespace, &full.name)?;
                old.is_some_and(|old| {
                    (&old.data, &old.binary_data) != (&new.data, &new.binary_data)
                })
            }
            Object::Secret(new) => {
                let old: Option<Secret> = edit.find(&full.namespace, &full.name)?;
                old.is_some_and(|old| secret_entries(&old) != secret_entries(new))
            }
            Object::StatefulSet(_)
            | Object::Service(_)
            | Object::PersistentVolumeClaim(_)
            | Object::Endpoints(_)
            | Object::EndpointSlice(_)
            | Object::ControllerRevision(_)
            | Object::Workload(_)
            | Object::PersistentVolume(_)
            | Object::StorageClass(_)
            | Object::Pod(_) => false,
        };
        if changes {
            self.0.push((object.kind(), full));
        }
        Ok(())
    }

    /// Finds the pods that run now and do not follow the changes.
    pub(crate) fn readers(&self, session: &Session) -> Result<ConfigReaders> {
        let mut readers = ConfigReaders::default();
        let namespaces: SortedSet<&Namespace> =
            self.0.iter().map(|(_, it)| &it.namespace).collect();
        for namespace in namespaces {
            for pod in session.pets(namespace)? {
                let fixed = fixed_references(&pod);
                let own = self.0.iter().filter(|(_, it)| it.namespace == *namespace);
                let own = own.filter(|(kind, it)| fixed.has(*kind, it.name.as_str()));
                let titles: Vec<String> = own
                    .map(|(kind, it)| format!("{}/{}", kind.singular(), it.name))
                    .collect();
                if !titles.is_empty() && has_read(&pod) {
                    readers.0.push((namespace.clone(), pod, titles));
                }
            }
        }
        Ok(readers)
    }
}

/// Pods that go on with what they have read of config maps and secrets, and what that is.
#[derive(Debug, Default)]
pub(crate) struct ConfigReaders(Vec<(Namespace, Pod, Vec<String>)>);

impl ConfigReaders {
    /// Says which of the pods are still there, and how they get the new content.
    pub(crate) fn say(&self, session: &Session) -> Result<()> {
        let mut groups: SortedMap<(Namespace, String, String), Vec<String>> = SortedMap::new();
        for (namespace, pod, titles) in &self.0 {
            let ObjectRef { name, .. } = ObjectRef::of(&pod.metadata)?;
            let now = session.pet(namespace, &name)?;
            if now.is_none_or(|now| now.metadata.uid != pod.metadata.uid) {
                continue;
            }
            let set = set_of(&pod.metadata);
            let restart = set.map_or_else(|| format!("pod/{name}"), str::to_owned);
            let group = (namespace.clone(), restart, titles.join(" and "));
            groups.entry(group).or_default().push(name.to_string());
        }
        for ((namespace, restart, titles), pods) in groups {
            let option = match namespace.as_str() {
                "default" => String::new(),
                other => format!(" -n {other}"),
            };
            let (pods, goes) = match pods.as_slice() {
                [pod] => (pod.clone(), "goes"),
                pods => (pods.join(", "), "go"),
            };
            say(format!(
                "note: {pods} {goes} on with what was read of {titles} at the start (environment, \
                 subPath); `petset restart{option} {restart}` gives the new content"
            ));
        }
        Ok(())
    }
}

/// Returns whether a container of the pod has been started, and none is to come that reads anew.
fn has_read(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}
