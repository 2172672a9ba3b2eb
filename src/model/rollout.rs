//! Roll-outs: what `kubectl rollout` says of one and does to one, and what petset adds to it.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::canonical::patch_of;
use super::edit::{replace_template, set_partition};
use super::revision::{by_age, template_of};
use super::wish::{
    CANARY_ANNOTATION, FAILED_REVISIONS_ANNOTATION, ON_FAILURE_ANNOTATION, PAUSE_AFTER_ANNOTATION,
    PAUSED_ANNOTATION, PROGRESS_DEADLINE_ANNOTATION, ROLLED_BACK_ANNOTATION,
};
use crate::problem::{Kind, Problem};
use crate::sorted::sort_by;

/// How many failed revisions a set remembers.
const KEPT_FAILURES: usize = 10;

/// How far a roll-out is, in the words of `kubectl rollout status` (C35).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The line to print.
    pub line: String,
    /// Nothing is left to do.
    pub done: bool,
}

/// The note that the supervisor leaves on a set whose upgrade it rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// The generation that was taken back.
    pub generation: i64,
    /// The revision that failed.
    pub from: String,
    /// The revision that is wanted again.
    pub to: String,
    /// The pet that failed.
    pub pet: String,
    /// The fault of the pet.
    pub why: String,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// When it was taken back.
    pub time: Timestamp,
}

/// Returns the line that `kubectl rollout status` would print (C35).
pub fn standing(set: &StatefulSet, status: &StatefulSetStatus) -> Result<Standing, Problem> {
    let spec = set.spec.clone().unwrap_or_default();
    let strategy = spec.update_strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        let message = "rollout status is only available for RollingUpdate strategy type";
        return Err(Problem::new(Kind::Failed, message));
    }
    let going = |line: String| Ok(Standing { line, done: false });
    let done = |line: String| Ok(Standing { line, done: true });
    let observed = status.observed_generation.unwrap_or_default();
    if observed == 0 || set.metadata.generation.unwrap_or_default() > observed {
        return going("Waiting for statefulset spec update to be observed...".to_owned());
    }
    let replicas = spec.replicas.unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or_default();
    if ready < replicas {
        return going(format!(
            "Waiting for {} pods to be ready...",
            replicas - ready
        ));
    }
    let updated = status.updated_replicas.unwrap_or_default();
    if let Some(rolling) = strategy.rolling_update {
        let wished = replicas - rolling.partition.unwrap_or_default();
        if updated < wished {
            return going(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {wished} new pods \
                 have been updated..."
            ));
        }
        return done(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    let revision = |name: &Option<String>| name.clone().unwrap_or_default();
    let (current, update) = (&status.current_revision, &status.update_revision);
    if update != current {
        return going(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
            revision(update)
        ));
    }
    done(format!(
        "statefulset rolling update complete {} pods at revision {}...",
        status.current_replicas.unwrap_or_default(),
        revision(current)
    ))
}

/// Sorts revisions, oldest first.
pub fn sort_revisions(revisions: &mut [ControllerRevision]) {
    sort_by(revisions, by_age);
}

/// Returns whether a revision records just the template that the set wants.
#[must_use]
pub fn is_wanted(set: &StatefulSet, revision: &ControllerRevision) -> bool {
    let wanted = set.spec.as_ref().map(|spec| patch_of(&spec.template));
    revision.data.as_ref().map(|data| &data.0) == wanted.as_ref()
}

/// Finds the revision to go back to: the one with this number, or the newest that is not wanted.
pub fn revision_to_undo<'a>(
    set: &StatefulSet,
    revisions: &'a [ControllerRevision],
    number: Option<i64>,
) -> Result<&'a ControllerRevision, Problem> {
    let found = match number {
        Some(number) => revisions.iter().find(|one| one.revision == number),
        None => {
            let others = revisions.iter().filter(|one| !is_wanted(set, one));
            others.max_by(|one, two| by_age(one, two))
        }
    };
    found.ok_or_else(|| {
        let message = match number {
            Some(number) => format!("unable to find specified revision {number} in history"),
            None => "there is no earlier revision to go back to".to_owned(),
        };
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let hint = format!("see which there are with `petset rollout history {name}`");
        Problem::new(Kind::NotFound, message).hint(hint)
    })
}

/// Puts the template of an earlier revision in place of the wanted one; says whether it differed.
///
/// This also ends a canary or a pause that held the upgrade up.
pub fn undo(set: &mut StatefulSet, revision: &ControllerRevision) -> Result<bool, Problem> {
    if is_wanted(set, revision) {
        return Ok(false);
    }
    replace_template(set, template_of(revision)?)?;
    if is_canary(set) {
        promote(set)?;
    }
    resume(set);
    Ok(true)
}

/// Takes a failed upgrade back, and notes it on the set.
pub fn roll_back(
    set: &mut StatefulSet,
    revision: &ControllerRevision,
    note: &RolledBack,
) -> Result<(), Problem> {
    undo(set, revision)?;
    note_roll_back(&mut set.metadata, note);
    Ok(())
}

/// Notes on an object that its upgrade was taken back.
pub(in crate::model) fn note_roll_back(meta: &mut ObjectMeta, taken_back: &RolledBack) {
    forget_failure(meta);
    mark_failed(meta, &taken_back.from);
    let text = serde_json::to_string(taken_back).unwrap_or_default();
    put_note(meta, ROLLED_BACK_ANNOTATION, Some(&text));
}

/// Returns the note that the supervisor left when it rolled an upgrade back.
#[must_use]
pub fn rolled_back(meta: &ObjectMeta) -> Option<RolledBack> {
    serde_json::from_str(note(meta, ROLLED_BACK_ANNOTATION)?).ok()
}

/// Notes that a revision was given up because a pet failed.
pub fn mark_failed(meta: &mut ObjectMeta, revision: &str) {
    let mut names = failed_revisions(meta);
    names.retain(|name| *name != revision);
    let kept = names.len().saturating_sub(KEPT_FAILURES - 1);
    names.drain(..kept);
    names.push(revision);
    let text = names.join(",");
    put_note(meta, FAILED_REVISIONS_ANNOTATION, Some(&text));
}

/// Notes that a revision has proved itself since.
pub fn unmark_failed(meta: &mut ObjectMeta, revision: &str) {
    let mut names = failed_revisions(meta);
    names.retain(|name| *name != revision);
    let text = Some(names.join(",")).filter(|text| !text.is_empty());
    put_note(meta, FAILED_REVISIONS_ANNOTATION, text.as_deref());
}

/// Lists the names of the revisions that were given up because a pet failed.
#[must_use]
pub fn failed_revisions(meta: &ObjectMeta) -> Vec<&str> {
    let names = note(meta, FAILED_REVISIONS_ANNOTATION).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).collect()
}

/// Takes the wishes of an earlier upgrade off an object.
pub fn forget_failure(meta: &mut ObjectMeta) {
    for key in [
        ON_FAILURE_ANNOTATION,
        PROGRESS_DEADLINE_ANNOTATION,
        ROLLED_BACK_ANNOTATION,
    ] {
        put_note(meta, key, None);
    }
}

/// Lets only the highest `pets` pets have the new template, until it is promoted.
pub fn set_canary(set: &mut StatefulSet, pets: u32) -> Result<(), Problem> {
    let replicas = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let replicas = u32::try_from(replicas).unwrap_or_default();
    let before = set_partition(set, replicas.saturating_sub(pets))?.from;
    if !is_canary(set) {
        annotate(set, CANARY_ANNOTATION, Some(&before.to_string()));
    }
    Ok(())
}

/// Returns whether only some pets have the new template, and the others wait for a promotion.
#[must_use]
pub fn is_canary(set: &StatefulSet) -> bool {
    annotation(set, CANARY_ANNOTATION).is_some()
}

/// Lets all pets have the new template; says whether anything held them back.
pub fn promote(set: &mut StatefulSet) -> Result<bool, Problem> {
    let before = annotation(set, CANARY_ANNOTATION).and_then(|text| text.parse().ok());
    annotate(set, CANARY_ANNOTATION, None);
    let change = set_partition(set, before.unwrap_or(0))?;
    Ok(change.is_real() | resume(set))
}

/// Holds every pet at the revision it has; says whether that is new.
pub fn pause(set: &mut StatefulSet) -> bool {
    let before = annotation(set, PAUSED_ANNOTATION) == Some("true");
    annotate(set, PAUSED_ANNOTATION, Some("true"));
    !before
}

/// Lets a roll go on; says whether anything held it.
pub fn resume(set: &mut StatefulSet) -> bool {
    let before = annotation(set, PAUSED_ANNOTATION) == Some("true");
    let bounded = annotation(set, PAUSE_AFTER_ANNOTATION).is_some();
    annotate(set, PAUSED_ANNOTATION, None);
    annotate(set, PAUSE_AFTER_ANNOTATION, None);
    before || bounded
}

/// Returns an annotation of a set.
#[must_use]
pub fn annotation<'a>(set: &'a StatefulSet, key: &str) -> Option<&'a str> {
    note(&set.metadata, key)
}

/// Returns an annotation of any object.
#[must_use]
pub fn note<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Puts an annotation on a set, or takes it off.
pub fn annotate(set: &mut StatefulSet, key: &str, value: Option<&str>) {
    put_note(&mut set.metadata, key, value);
}

/// Puts an annotation on any object, or takes it off.
pub fn put_note(meta: &mut ObjectMeta, key: &str, value: Option<&str>) {
    let annotations = meta.annotations.get_or_insert_default();
    match value {
        Some(value) => drop(annotations.insert(key.to_owned(), value.to_owned())),
        None => drop(annotations.remove(key)),
    }
    if annotations.is_empty() {
        meta.annotations = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Set;
    use crate::model::revision::wanted_revision;

    fn set(image: &str) -> StatefulSet {
        let set = json!({"metadata": {"name": "web", "generation": 2, "uid": "u"}, "spec": {
            "replicas": 4, "selector": {}, "updateStrategy": {"type": "RollingUpdate",
                "rollingUpdate": {"partition": 0}},
            "template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
        serde_json::from_value(set).unwrap()
    }

    fn revision(image: &str, number: i64) -> ControllerRevision {
        wanted_revision(&Set::of(&set(image)).unwrap(), number, 0)
    }

    fn line(set: &StatefulSet, status: Value) -> String {
        let status = serde_json::from_value(status).unwrap();
        standing(set, &status).unwrap().line
    }

    #[test]
    fn a_roll_out_stands_in_kubectls_words() {
        // C35
        let mut set = set("v1");
        let seen = |ready: i32, updated: i32| {
            json!({"observedGeneration": 2, "replicas": 4, "readyReplicas": ready,
                "updatedReplicas": updated, "currentReplicas": 4 - updated,
                "currentRevision": "web-1", "updateRevision": "web-2"})
        };
        assert_eq!(
            line(&set, json!({"observedGeneration": 1, "replicas": 4})),
            "Waiting for statefulset spec update to be observed..."
        );
        assert_eq!(line(&set, seen(2, 0)), "Waiting for 2 pods to be ready...");
        assert_eq!(
            line(&set, seen(4, 1)),
            "Waiting for partitioned roll out to finish: 1 out of 4 new pods have been updated..."
        );
        assert_eq!(
            line(&set, seen(4, 4)),
            "partitioned roll out complete: 4 new pods have been updated..."
        );
        let strategy = set.spec.as_mut().unwrap().update_strategy.as_mut().unwrap();
        strategy.rolling_update = None;
        assert_eq!(
            line(&set, seen(4, 3)),
            "waiting for statefulset rolling update to complete 3 pods at revision web-2..."
        );
        let mut over = seen(4, 4);
        (over["currentRevision"], over["currentReplicas"]) = (json!("web-2"), json!(4));
        assert_eq!(
            line(&set, over),
            "statefulset rolling update complete 4 pods at revision web-2..."
        );
        let strategy = set.spec.as_mut().unwrap().update_strategy.as_mut().unwrap();
        strategy.type_ = Some("OnDelete".to_owned());
        assert!(standing(&set, &StatefulSetStatus::default()).is_err());
    }

    #[test]
    fn an_undo_wants_the_same_template_and_so_the_same_name() {
        // C27, R09
        let revisions = [revision("v1", 1), revision("v2", 2), revision("v3", 3)];
        let mut set = set("v3");
        let to = revision_to_undo(&set, &revisions, None).unwrap();
        assert_eq!(to.revision, 2);
        assert!(undo(&mut set, to).unwrap());
        let again = wanted_revision(&Set::of(&set).unwrap(), 4, 0);
        assert_eq!(again.metadata.name, revisions[1].metadata.name);
        assert!(!undo(&mut set, &revisions[1]).unwrap(), "it is so already");
        assert!(revision_to_undo(&set, &revisions, Some(9)).is_err());
        assert!(revision_to_undo(&set, &revisions[1..2], None).is_err());
    }

    #[test]
    fn a_canary_is_promoted_to_the_partition_that_was_before() {
        let mut set = set("v2");
        let partition = |set: &StatefulSet| {
            let strategy = set.spec.clone().unwrap().update_strategy.unwrap();
            strategy.rolling_update.unwrap().partition
        };
        set_canary(&mut set, 1).unwrap();
        assert_eq!(partition(&set), Some(3));
        set_canary(&mut set, 2).unwrap();
        assert_eq!(partition(&set), Some(2));
        assert!(promote(&mut set).unwrap());
        assert_eq!((partition(&set), is_canary(&set)), (Some(0), false));
        assert!(!promote(&mut set).unwrap());
    }

    #[test]
    fn an_undo_ends_the_pause_and_the_canary() {
        let mut set = set("v2");
        set_canary(&mut set, 1).unwrap();
        assert!(pause(&mut set));
        assert!(!pause(&mut set));
        assert!(undo(&mut set, &revision("v1", 1)).unwrap());
        assert_eq!(set.metadata.annotations, None);
    }
}
