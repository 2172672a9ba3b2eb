//! The templates that a Deployment or DaemonSet has had: what `kubectl rollout history` lists, and
//! `undo` goes back to (`history.go` and `rollback.go` of kubectl).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::{is_controlled_by, pods};
use crate::model::deployment::{HASH_LABEL, REVISION_ANNOTATION, is_own_annotation, same_template};
use crate::model::object::Workload;
use crate::model::revision::template_of;
use crate::model::rollout::{RolledBack, note_roll_back};
use crate::model::{CANARY_ANNOTATION, CHANGE_CAUSE};
use crate::problem::{Kind, Problem};
use crate::sorted::sort_by_key;

/// One revision of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct PastTemplate {
    /// Its number.
    pub number: i64,
    /// The name of the ReplicaSet or ControllerRevision.
    pub name: String,
    /// Why it came to be, if that was noted.
    pub cause: Option<String>,
    /// The template; that of a Deployment has the label with its hash.
    pub template: PodTemplateSpec,
    /// The annotations that the Deployment had.
    annotations: BTreeMap<String, String>,
}

/// Returns the revisions of a Deployment, lowest number first: one for each of its ReplicaSets.
#[must_use]
pub fn past_of_sets(deployment: &Workload, sets: &[ReplicaSet]) -> Vec<PastTemplate> {
    let own = sets
        .iter()
        .filter(|set| is_controlled_by(&set.metadata, deployment.metadata()));
    let past = own.filter_map(|set| {
        let number = pods::annotation(&set.metadata, REVISION_ANNOTATION)?;
        Some(PastTemplate {
            number: number.parse().ok()?,
            name: pods::name_of(&set.metadata).to_owned(),
            cause: pods::annotation(&set.metadata, CHANGE_CAUSE).map(str::to_owned),
            template: set.spec.as_ref()?.template.clone().unwrap_or_default(),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
        })
    });
    sorted(past.collect())
}

/// Returns the revisions of a DaemonSet, lowest number first.
///
/// # Errors
///
/// A revision that holds no template is named.
pub fn past_of_revisions(
    set: &Workload,
    revisions: &[ControllerRevision],
) -> Result<Vec<PastTemplate>, Problem> {
    let own = revisions
        .iter()
        .filter(|revision| is_controlled_by(&revision.metadata, set.metadata()));
    let past = own.map(|revision| {
        Ok(PastTemplate {
            number: revision.revision,
            name: pods::name_of(&revision.metadata).to_owned(),
            cause: pods::annotation(&revision.metadata, CHANGE_CAUSE).map(str::to_owned),
            template: template_of(revision)?,
            annotations: BTreeMap::new(),
        })
    });
    Ok(sorted(past.collect::<Result<_, Problem>>()?))
}

fn sorted(mut past: Vec<PastTemplate>) -> Vec<PastTemplate> {
    sort_by_key(&mut past, |one| one.number);
    past
}

/// Finds the revision to go back to: the one with this number, or the last but one.
///
/// # Errors
///
/// There is no such revision.
pub fn past_to_undo(past: &[PastTemplate], number: i64) -> Result<&PastTemplate, Problem> {
    let found = match number {
        0 => past.iter().rev().nth(1),
        number => past.iter().find(|one| one.number == number),
    };
    found.ok_or_else(|| {
        let message = match number {
            0 => "there is no earlier revision to go back to".to_owned(),
            number => format!("unable to find specified revision {number} in history"),
        };
        Problem::new(Kind::NotFound, message)
    })
}

/// Puts the template of an earlier revision in place of the wanted one; says whether it differed.
/// A Deployment gets the annotations that it had then, too.
///
/// # Errors
///
/// A paused Deployment is not taken back, and other kinds have no revisions.
pub fn undo(workload: &mut Workload, to: &PastTemplate) -> Result<bool, Problem> {
    match workload {
        Workload::Deployment(deployment) => {
            let spec = deployment.spec.get_or_insert_default();
            if spec.paused == Some(true) {
                let message = "you cannot rollback a paused deployment; resume it first with \
                               'petset rollout resume' and try again";
                return Err(Problem::new(Kind::Conflict, message));
            }
            if same_template(&spec.template, &to.template) {
                return Ok(false);
            }
            spec.template.clone_from(&to.template);
            if let Some(meta) = &mut spec.template.metadata
                && let Some(labels) = &mut meta.labels
            {
                labels.remove(HASH_LABEL);
            }
            let annotations = deployment.metadata.annotations.get_or_insert_default();
            annotations.retain(|key, _| is_own_annotation(key) && key != CANARY_ANNOTATION);
            let then = to.annotations.iter();
            let then = then.filter(|(key, _)| !is_own_annotation(key));
            annotations.extend(then.map(|(key, value)| (key.clone(), value.clone())));
            Ok(true)
        }
        Workload::DaemonSet(set) => {
            let spec = set.spec.get_or_insert_default();
            let differs = !same_template(&spec.template, &to.template);
            if differs {
                spec.template.clone_from(&to.template);
            }
            Ok(differs)
        }
        Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => Err(no_history(workload)),
    }
}

/// Takes a failed upgrade back, and notes it on the workload.
///
/// # Errors
///
/// The workload cannot go back.
pub fn roll_back(
    workload: &mut Workload,
    to: &PastTemplate,
    note: &RolledBack,
) -> Result<(), Problem> {
    undo(workload, to)?;
    note_roll_back(workload.metadata_mut(), note);
    Ok(())
}

/// Returns the error for a kind without revisions, in kubectl's words.
#[must_use]
pub fn no_history(workload: &Workload) -> Problem {
    let kind = workload.object_kind().with_group();
    Problem::invalid(format!(
        "no history viewer has been implemented for {kind:?}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template(image: &str, labels: Value) -> Value {
        json!({"metadata": {"labels": labels}, "spec": {"containers": [
            {"name": "c", "image": image}]}})
    }

    fn web(image: &str) -> Workload {
        let web = json!({"metadata": {"name": "web", "uid": "u", "annotations": {
                REVISION_ANNOTATION: "3", CHANGE_CAUSE: "third", "a": "b"}},
            "spec": {"selector": {}, "template": template(image, json!({"app": "web"}))}});
        Workload::Deployment(serde_json::from_value(web).unwrap())
    }

    fn set(image: &str, revision: &str, owner: &str) -> ReplicaSet {
        let labels = json!({"app": "web", HASH_LABEL: image});
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
            "uid": owner, "controller": true}]);
        let set = json!({"metadata": {"name": image, "ownerReferences": owner, "annotations": {
                REVISION_ANNOTATION: revision, CHANGE_CAUSE: format!("for {image}"),
                "deployment.kubernetes.io/desired-replicas": "3"}},
            "spec": {"selector": {}, "template": template(image, labels)}});
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn the_replica_sets_of_a_deployment_are_its_history() {
        let sets = [
            set("v3", "10", "u"),
            set("v1", "2", "u"),
            set("v2", "9", "u"),
            set("other", "4", "x"),
            set("odd", "no", "u"),
        ];
        let mut web = web("v3");
        let past = past_of_sets(&web, &sets);
        let numbers: Vec<i64> = past.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [2, 9, 10]);
        assert_eq!(past_to_undo(&past, 0).unwrap().number, 9);
        assert_eq!(past_to_undo(&past, 2).unwrap().number, 2);
        let problem = past_to_undo(&past, 99).unwrap_err();
        let message = "unable to find specified revision 99 in history";
        assert_eq!(problem.message, message);
        assert!(past_to_undo(&past[..1], 0).is_err());

        assert!(!undo(&mut web, &past[2]).unwrap(), "it is so already");
        assert!(undo(&mut web, &past[0]).unwrap());
        let Workload::Deployment(back) = &mut web else {
            panic!("it is a Deployment")
        };
        let meta = json!({REVISION_ANNOTATION: "3", CHANGE_CAUSE: "for v1"});
        assert_eq!(json!(back.metadata.annotations), meta);
        let spec = back.spec.as_mut().unwrap();
        let plain = template("v1", json!({"app": "web"}));
        assert_eq!(spec.template, serde_json::from_value(plain).unwrap());
        spec.paused = Some(true);
        assert_eq!(undo(&mut web, &past[1]).unwrap_err().kind, Kind::Conflict);
    }

    #[test]
    fn the_revisions_of_a_daemon_set_are_its_history() {
        let labels = || json!({"app": "agent"});
        let agent = json!({"metadata": {"name": "agent", "uid": "u"},
            "spec": {"selector": {}, "template": template("v2", labels())}});
        let mut agent = Workload::DaemonSet(serde_json::from_value(agent).unwrap());
        let revision = |image: &str, number: i64| -> ControllerRevision {
            let owner = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent",
                "uid": "u", "controller": true}]);
            let mut data = template(image, labels());
            data["$patch"] = json!("replace");
            let revision = json!({"metadata": {"name": image, "ownerReferences": owner},
                "revision": number, "data": {"spec": {"template": data}}});
            serde_json::from_value(revision).unwrap()
        };
        let past = past_of_revisions(&agent, &[revision("v2", 2), revision("v1", 1)]).unwrap();
        assert!(!undo(&mut agent, &past[1]).unwrap());
        assert!(undo(&mut agent, past_to_undo(&past, 0).unwrap()).unwrap());
        let plain = template("v1", labels());
        let wanted: PodTemplateSpec = serde_json::from_value(plain).unwrap();
        assert_eq!(agent.template(), Some(&wanted));
    }

    #[test]
    fn other_kinds_have_no_history() {
        let set = Workload::ReplicaSet(set("v1", "1", "u"));
        let message = "no history viewer has been implemented for \"ReplicaSet.apps\"";
        assert_eq!(no_history(&set).message, message);
    }
}
