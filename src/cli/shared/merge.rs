//! What a file says, put in the place of what is wanted now.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::isolation;
use super::session::Session;
use crate::manifest;
use crate::model::rollout::{annotate, annotation};
use crate::model::{
    HOST_PATHS_ANNOTATION, KIND_ANNOTATION, OWN_PREFIX, PAUSED_ANNOTATION,
    PRE_SCALE_DOWN_ANNOTATION, RESTARTED_ANNOTATION, STRICT_ANNOTATION, json,
};
use crate::problem::Result;
use crate::store::Kept;

impl Session {
    /// Returns the set that a file asks for, where there is one of that name already.
    ///
    /// What verbs have noted on the present one and the file does not speak of stays: a pause, a
    /// restart. What belongs to an upgrade goes, unless the template stays as it is.
    pub(crate) fn merged(
        &self,
        old: &StatefulSet,
        new: &StatefulSet,
        keep_replicas: bool,
    ) -> Result<StatefulSet> {
        let mut set = new.clone();
        keep_restart(old, &mut set);
        if let (Some(spec), Some(before)) = (&mut set.spec, &old.spec)
            && keep_replicas
        {
            spec.replicas = before.replicas;
        }
        manifest::check_update(old, &set, self.is_strict(old))?;
        isolation::keep(&old.metadata, &mut set.metadata);
        keep_notes(old, &mut set);
        // Another hook has to run, too, and does so for another generation.
        let hook = |set| annotation(set, PRE_SCALE_DOWN_ANNOTATION);
        let changed = set.spec != old.spec || hook(&set) != hook(old);
        let (meta, before) = (&mut set.metadata, &old.metadata);
        meta.uid.clone_from(&before.uid);
        meta.creation_timestamp
            .clone_from(&before.creation_timestamp);
        meta.generation = before.generation.map(|of| of + i64::from(changed));
        Ok(set)
    }

    /// Says whether a set shall behave exactly as under Kubernetes.
    pub(crate) fn is_strict(&self, set: &StatefulSet) -> bool {
        self.store.settings().strict || annotation(set, STRICT_ANNOTATION) == Some("true")
    }
}

/// A restart is noted in the template: a file that knows nothing of it must not undo it.
fn keep_restart(old: &StatefulSet, new: &mut StatefulSet) {
    let template = |set: &StatefulSet| set.spec.as_ref()?.template.metadata.clone();
    let noted = template(old).and_then(|meta| meta.annotations?.remove(RESTARTED_ANNOTATION));
    let (Some(noted), Some(spec)) = (noted, &mut new.spec) else {
        return;
    };
    let meta = spec.template.metadata.get_or_insert_default();
    let annotations = meta.annotations.get_or_insert_default();
    annotations
        .entry(RESTARTED_ANNOTATION.to_owned())
        .or_insert(noted);
}

fn keep_notes(old: &StatefulSet, new: &mut StatefulSet) {
    let rolled = |set: &StatefulSet| {
        let spec = set.spec.clone().unwrap_or_default();
        (spec.template, spec.update_strategy)
    };
    let same = rolled(old) == rolled(new);
    let notes = old.metadata.annotations.clone().unwrap_or_default();
    let of_file = [
        KIND_ANNOTATION,
        PRE_SCALE_DOWN_ANNOTATION,
        STRICT_ANNOTATION,
    ];
    for (key, value) in notes {
        let ours = key.starts_with(OWN_PREFIX) && !of_file.contains(&key.as_str());
        let for_life = [PAUSED_ANNOTATION, HOST_PATHS_ANNOTATION].contains(&key.as_str());
        let stays = ours && (same || for_life);
        if stays && annotation(new, &key).is_none() {
            annotate(new, &key, Some(&value));
        }
    }
}

/// Tells whether two objects ask for the same, whatever the state directory added to one.
pub(crate) fn is_same<T: Kept>(found: &T, given: &T) -> Result<bool> {
    Ok(bare(found)? == bare(given)?)
}

/// Returns an object without what the state directory adds.
pub(crate) fn bare<T: Kept>(object: &T) -> Result<Value> {
    let mut object = object.clone();
    let ObjectMeta {
        uid,
        creation_timestamp,
        generation,
        owner_references,
        ..
    } = object.metadata_mut();
    (*uid, *generation) = (None, None);
    (*creation_timestamp, *owner_references) = (None, None);
    let mut object = json::to_value(&object)?;
    forget_address(&mut object);
    Ok(object)
}

/// A virtual address is the state directory's to give.
fn forget_address(object: &mut Value) {
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    if let Some(spec) = spec.filter(|spec| spec.get("clusterIP") != Some(&Value::from("None"))) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
}
