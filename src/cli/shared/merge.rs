//! The new version of a set: what a file says, merged with what verbs noted on the old one.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::cause::note_cause_of_file;
use super::isolation;
use super::metadata;
use super::session::Session;
use crate::manifest;
use crate::model::rollout::{annotate, annotation};
use crate::model::{
    FAILED_REVISIONS_ANNOTATION, HOST_PATHS_ANNOTATION, KIND_ANNOTATION, OWN_PREFIX,
    PAUSED_ANNOTATION, PRE_SCALE_DOWN_ANNOTATION, RESTARTED_ANNOTATION, STRICT_ANNOTATION,
};
use crate::problem::Result;

/// Returns the new version of an existing set that a file asks for.
///
/// Annotations of verbs, such as a pause or a restart, stay unless the file sets them. Those of an
/// upgrade go when the template changes.
pub(crate) fn merged(
    session: &Session,
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
    manifest::check_update(old, &set, session.is_strict(old))?;
    isolation::keep_level(&old.metadata, &mut set.metadata);
    keep_notes(old, &mut set);
    let template = |set: &StatefulSet| set.spec.as_ref().map(|spec| spec.template.clone());
    if template(old) != template(&set) {
        note_cause_of_file(&mut set);
    }
    // A changed hook runs once for each generation, so it needs a new one.
    let hook = |set| annotation(set, PRE_SCALE_DOWN_ANNOTATION);
    let changed = set.spec != old.spec || hook(&set) != hook(old);
    metadata::keep_identity(&old.metadata, &mut set.metadata);
    set.metadata.generation = old.metadata.generation.map(|of| of + i64::from(changed));
    Ok(set)
}

/// Keeps the template's restart annotation: a file without it must not cause another roll-out.
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
        let for_life = [
            PAUSED_ANNOTATION,
            HOST_PATHS_ANNOTATION,
            FAILED_REVISIONS_ANNOTATION,
        ]
        .contains(&key.as_str());
        let stays = ours && (same || for_life);
        if stays && annotation(new, &key).is_none() {
            annotate(new, &key, Some(&value));
        }
    }
}
