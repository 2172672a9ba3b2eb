//! What the view reads of the state directory, by the readers of `get`.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
#[cfg(feature = "live")]
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::shared::session::Session;
#[cfg(feature = "live")]
use crate::model::ObjectName;
use crate::model::endpoints::ServiceRecord;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::{Namespace, ObjectRef, Workload};
use crate::problem::Result;
#[cfg(feature = "live")]
use crate::sorted::sort_by_key;
use crate::store::SetReport;

/// Returns the namespaces that are shown.
pub(super) fn namespaces(session: &Session, all: bool) -> Result<Vec<Namespace>> {
    match all {
        true => session.namespaces(),
        false => Ok(vec![session.namespace.clone()]),
    }
}

/// The objects of some namespaces, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) root: String,
    pub(super) sets: Vec<(StatefulSet, Option<SetReport>)>,
    pub(super) workloads: Vec<Workload>,
    pub(super) pods: Vec<Pod>,
    pub(super) services: Vec<(Service, Option<ServiceRecord>)>,
}

impl Readings {
    /// Reads everything.
    pub(super) fn read(session: &Session, namespaces: &[Namespace]) -> Result<Self> {
        let mut seen = Self {
            root: session.store.layout().root().display().to_string(),
            ..Self::default()
        };
        for namespace in namespaces {
            seen.read_workloads(session, namespace)?;
            seen.read_services(session, namespace)?;
            seen.pods.extend(session.pets(namespace)?);
        }
        Ok(seen)
    }

    /// Reads one pod again.
    #[cfg(feature = "live")]
    pub(super) fn read_pod_again(
        &mut self,
        session: &Session,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<()> {
        let place = self.pods.iter().position(|pod| {
            pod.metadata.name.as_deref() == Some(name.as_str()) && is_in(&pod.metadata, namespace)
        });
        match (place, session.known_pet(namespace, name)?) {
            (Some(place), Some(pod)) => self.pods[place] = pod,
            (Some(place), None) => drop(self.pods.remove(place)),
            // Its place among the others is that of the list.
            (None, Some(_)) => self.read_pods_again(session, namespace)?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Reads the pods of a namespace again.
    #[cfg(feature = "live")]
    pub(super) fn read_pods_again(
        &mut self,
        session: &Session,
        namespace: &Namespace,
    ) -> Result<()> {
        self.pods.retain(|pod| !is_in(&pod.metadata, namespace));
        self.pods.extend(session.pets(namespace)?);
        sort_by_key(&mut self.pods, |pod| pod.metadata.namespace.clone());
        Ok(())
    }

    /// Reads the sets and workloads of a namespace again.
    #[cfg(feature = "live")]
    pub(super) fn read_workloads_again(
        &mut self,
        session: &Session,
        namespace: &Namespace,
    ) -> Result<()> {
        self.sets
            .retain(|(set, _)| !is_in(&set.metadata, namespace));
        self.workloads.retain(|it| !is_in(it.metadata(), namespace));
        self.read_workloads(session, namespace)?;
        sort_by_key(&mut self.sets, |(set, _)| set.metadata.namespace.clone());
        sort_by_key(&mut self.workloads, |it| it.metadata().namespace.clone());
        Ok(())
    }

    /// Reads the services of a namespace again.
    #[cfg(feature = "live")]
    pub(super) fn read_services_again(
        &mut self,
        session: &Session,
        namespace: &Namespace,
    ) -> Result<()> {
        self.services
            .retain(|(it, _)| !is_in(&it.metadata, namespace));
        self.read_services(session, namespace)?;
        sort_by_key(&mut self.services, |(it, _)| it.metadata.namespace.clone());
        Ok(())
    }

    fn read_workloads(&mut self, session: &Session, namespace: &Namespace) -> Result<()> {
        for item in session.items(ObjectKind::StatefulSet, namespace)? {
            let Object::StatefulSet(set) = item else {
                continue;
            };
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let report = session.report(namespace, name)?;
            let report = report.filter(|it| set.metadata.uid.as_deref() == Some(&it.uid));
            self.sets.push((*set, report));
        }
        for kind in WorkloadKind::ALL {
            self.workloads.extend(session.workloads(kind, namespace)?);
        }
        Ok(())
    }

    fn read_services(&mut self, session: &Session, namespace: &Namespace) -> Result<()> {
        for item in session.items(ObjectKind::Service, namespace)? {
            let Object::Service(service) = item else {
                continue;
            };
            let name = ObjectRef::of(&service.metadata)?.name;
            let record = session.record(namespace, &name)?;
            self.services.push((*service, record));
        }
        Ok(())
    }
}

#[cfg(feature = "live")]
fn is_in(meta: &ObjectMeta, namespace: &Namespace) -> bool {
    meta.namespace.as_deref().unwrap_or("default") == namespace.as_str()
}
