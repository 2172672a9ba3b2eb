//! Whether a name on the command line is that of a set or of a pet.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::bare;
use super::names::TargetRef;
use super::session::Session;
use super::stopped;
use crate::model::{ObjectName, SetName};
use crate::problem::Result;

/// The object that a target names.
#[derive(Debug)]
pub(crate) enum Resolved {
    Set(SetName),
    Pet(ObjectName),
}

/// Finds the object that a target names. A bare name that both a set and a pet have is the set's.
pub(crate) fn resolve(session: &Session, target: &TargetRef) -> Result<Resolved> {
    let name = match target {
        TargetRef::Set(name) => return Ok(Resolved::Set(name.clone())),
        TargetRef::Pet(name) => return Ok(Resolved::Pet(name.clone())),
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
        (None, false) => Err(session.not_found("sets or pets", name.as_str()).into()),
    }
}
