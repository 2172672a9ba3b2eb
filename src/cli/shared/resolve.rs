//! What a name on the command line is the name of: a set, a pet or a workload.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::bare;
use super::names::{OwnerRef, TargetRef};
use super::session::Session;
use super::stopped;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{ObjectName, SetName};
use crate::problem::Result;

/// The object that a target names.
#[derive(Debug)]
pub(crate) enum Resolved {
    Set(SetName),
    Pet(ObjectName),
    Workload(WorkloadKind, ObjectName),
}

/// What makes pods: a set or a workload.
#[derive(Debug)]
pub(crate) enum NamedOwner {
    Set(SetName),
    Workload(WorkloadKind, ObjectName),
}

/// Finds the object that a target names. A bare name that several have is the set's, then the
/// pet's.
pub(crate) fn resolve(session: &Session, target: &TargetRef) -> Result<Resolved> {
    let name = match target {
        TargetRef::Set(name) => return Ok(Resolved::Set(name.clone())),
        TargetRef::Pet(name) => return Ok(Resolved::Pet(name.clone())),
        TargetRef::Workload(kind, name) => return Ok(Resolved::Workload(*kind, name.clone())),
        TargetRef::Either(name) => name,
    };
    let namespace = &session.namespace;
    let set = session.store.find::<StatefulSet>(namespace, name)?;
    let pet = session.store.layout().pet(namespace, name.as_str());
    let pet = pet.pod().exists()
        || bare::find(session, namespace, name)?.is_some()
        || stopped::find(session, namespace, name.as_str())?.is_some();
    match (set, pet) {
        (None, true) => Ok(Resolved::Pet(name.clone())),
        (Some(_), _) => Ok(Resolved::Set(name.as_str().parse()?)),
        (None, false) => match workload_of(session, name)? {
            Some(kind) => Ok(Resolved::Workload(kind, name.clone())),
            None => Err(session.not_found("sets or pets", name.as_str()).into()),
        },
    }
}

/// Finds the set or workload that is named. A bare name that nothing has is taken for a set's.
pub(crate) fn owner(session: &Session, named: &OwnerRef) -> Result<NamedOwner> {
    let name = match named {
        OwnerRef::Set(name) => return Ok(NamedOwner::Set(name.clone())),
        OwnerRef::Workload(kind, name) => return Ok(NamedOwner::Workload(*kind, name.clone())),
        OwnerRef::Either(name) => name,
    };
    let object: ObjectName = name.as_str().parse()?;
    let sets = session
        .store
        .names(&session.namespace, ObjectKind::StatefulSet)?;
    if sets.contains(&object) {
        return Ok(NamedOwner::Set(name.clone()));
    }
    Ok(match workload_of(session, &object)? {
        Some(kind) => NamedOwner::Workload(kind, object),
        None => NamedOwner::Set(name.clone()),
    })
}

/// Returns the kind of the workload that has a name; the first, if several have it.
fn workload_of(session: &Session, name: &ObjectName) -> Result<Option<WorkloadKind>> {
    for kind in WorkloadKind::ALL {
        let found = session.store.workload(kind, &session.namespace, name)?;
        if found.is_some() {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}
