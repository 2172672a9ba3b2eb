//! The metadata that the API server would give an object.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::problem::Result;
use crate::supervisor::new_uid;

/// Gives a new object its uid, generation and creation time.
pub(crate) fn initialize(meta: &mut ObjectMeta) -> Result<()> {
    meta.uid = Some(new_uid()?);
    meta.generation = Some(1);
    meta.creation_timestamp = Some(Time(Timestamp::now()));
    meta.deletion_timestamp = None;
    Ok(())
}

/// Gives the new version of an object the identity of the old one.
pub(crate) fn keep_identity(old: &ObjectMeta, new: &mut ObjectMeta) {
    new.uid.clone_from(&old.uid);
    new.creation_timestamp.clone_from(&old.creation_timestamp);
}

/// Marks an object as being deleted. A grace period that was given before can only get shorter.
pub(crate) fn mark_deleted(meta: &mut ObjectMeta, grace: Option<i64>) {
    let given = meta.deletion_grace_period_seconds;
    meta.deletion_grace_period_seconds = given.into_iter().chain(grace).min();
    let now = || Time(Timestamp::now());
    meta.deletion_timestamp.get_or_insert_with(now);
}
