//! What the view reads of the state directory, by the readers of `get`.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};

use crate::cli::shared::session::Session;
use crate::model::endpoints::ServiceRecord;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::{Namespace, ObjectRef, Workload};
use crate::problem::Result;
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
