//! Storing an object as a file declares it, whether there is one of its name or not.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::bare;
use super::cause::note_cause_of_file;
use super::compare::{Applied, Declared, is_same};
use super::isolation;
use super::merge::merged;
use super::metadata;
use super::session::Session;
use super::startable::MissingArgs;
use super::storage;
use super::workloads;
use crate::model::ObjectRef;
use crate::model::object::Object;
use crate::problem::{Kind, Problem, Result};
use crate::store::Edit;

/// Stores an object, and returns what became of it.
pub(crate) fn put(
    session: &Session,
    edit: &mut Edit<'_>,
    object: &mut Object,
    missing: MissingArgs,
) -> Result<Applied> {
    match object {
        Object::StatefulSet(set) => put_set(session, edit, set.as_mut(), missing),
        Object::Service(service) => put_object(edit, service.as_mut()),
        Object::ConfigMap(map) => put_object(edit, map.as_mut()),
        Object::Secret(secret) => put_object(edit, secret.as_mut()),
        Object::PersistentVolumeClaim(claim) => {
            storage::check_claim(session, claim)?;
            put_object(edit, claim.as_mut())
        }
        Object::Pod(pod) => bare::apply(session, edit, pod.as_mut(), missing),
        Object::Endpoints(endpoints) => put_object(edit, endpoints.as_mut()),
        Object::EndpointSlice(slice) => put_object(edit, slice.as_mut()),
        Object::Workload(workload) => workloads::apply(session, edit, workload.as_mut()),
        Object::PersistentVolume(volume) => {
            storage::complete(session, volume)?;
            put_object(edit, volume.as_mut())
        }
        Object::StorageClass(class) => put_object(edit, class.as_mut()),
        Object::ControllerRevision(_) => Ok(Applied::Unchanged),
    }
}

fn put_set(
    session: &Session,
    edit: &mut Edit<'_>,
    set: &mut StatefulSet,
    missing: MissingArgs,
) -> Result<Applied> {
    let (wanted, old) = wanted_set(session, set)?;
    *set = wanted;
    let word = match &old {
        None => {
            note_cause_of_file(set);
            metadata::initialize(&mut set.metadata)?;
            Applied::Created
        }
        Some(old) if is_same(old, set) => return Ok(Applied::Unchanged),
        Some(old) => {
            isolation::refuse_host_paths_of(set)?;
            missing.check_set(session, set, Some(old))?;
            Applied::Configured
        }
    };
    edit.put(set)?;
    Ok(word)
}

fn put_object<T: Declared>(edit: &mut Edit<'_>, object: &mut T) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let word = match edit.find::<T>(&namespace, &name)? {
        None => {
            metadata::initialize(object.metadata_mut())?;
            Applied::Created
        }
        Some(old) if is_same(&old, object) => return Ok(Applied::Unchanged),
        Some(old) => {
            object.check_update(&old)?;
            object.keep_assigned(&old);
            let (meta, before) = (object.metadata_mut(), old.metadata());
            metadata::keep_identity(before, meta);
            meta.owner_references.clone_from(&before.owner_references);
            Applied::Configured
        }
    };
    edit.put(object)?;
    Ok(word)
}

/// Returns a set as it would be once the file is applied, and as it is now.
pub(crate) fn wanted_set(
    session: &Session,
    given: &StatefulSet,
) -> Result<(StatefulSet, Option<StatefulSet>)> {
    let ObjectRef { namespace, name } = ObjectRef::of(&given.metadata)?;
    let Some(old) = session.store.find::<StatefulSet>(&namespace, &name)? else {
        return Ok((given.clone(), None));
    };
    if old.metadata.deletion_timestamp.is_some() {
        let message = format!("{name} is still being deleted");
        let hint = format!("wait for its end with `petset wait {name} --for delete`");
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    }
    Ok((merged(session, &old, given, false)?, Some(old)))
}
