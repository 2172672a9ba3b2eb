//! The fields that may change of an existing set (C32), PetSet (C82) or pod.

mod storage;
mod workloads;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::defaults::{default_pod, pull_policy};
use super::fault::Faults;
use super::validate::{validate_pod, validate_stateful_set};
use crate::model::quantity::Quantity;
use crate::model::{KIND_ANNOTATION, PETSET, json};
use crate::problem::Problem;
use crate::sorted::{SortedSet, sort_by_key};

pub use storage::{check_claim_update, check_class_update, check_volume_update};
pub use workloads::check_workload_update;

const IMMUTABLE: &str = "field is immutable";

const FORBIDDEN: &str = "updates to statefulset spec for fields other than 'replicas', \
     'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', \
     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

const FORBIDDEN_OF_PETSET: &str = "updates to petset spec for fields other than 'replicas' and \
     the template's 'containers' are forbidden";

/// Checks a set that was changed by a verb, as the API server would check it.
pub(crate) fn check(set: &StatefulSet) -> Result<(), Problem> {
    let faults = validate_stateful_set(set, true);
    if faults.is_empty() {
        return Ok(());
    }
    let name = set.metadata.name.as_deref().unwrap_or_default();
    Err(Problem::invalid(faults.about("StatefulSet.apps", name)))
}

/// Checks that `new` may take the place of `old`; both are complete.
///
/// Unless that shall be as strict as the API server, claim templates may be added and enlarged,
/// and what is written as a PetSet may change as much as a StatefulSet.
pub(crate) fn check_update(
    old: &StatefulSet,
    new: &StatefulSet,
    strict: bool,
) -> Result<(), Problem> {
    let new_name = same_name(&old.metadata, &new.metadata)?;
    let mut faults = validate_stateful_set(new, true);
    let fixed = |set: &StatefulSet| set.spec.as_ref().map(fixed_part);
    let (mut before, after) = (fixed(old), fixed(new));
    if !strict && let (Some(before), Some(after)) = (&mut before, &after) {
        grow_claims(before, after);
    }
    let mut way_out = None;
    if before != after {
        faults.forbidden("spec", FORBIDDEN);
        way_out = Some(how_to_change(&new_name, &before, &after));
    } else if strict && is_petset(new) && other_than_containers(old) != other_than_containers(new) {
        faults.forbidden("spec", FORBIDDEN_OF_PETSET);
        let (before, after) = (other_than_containers(old), other_than_containers(new));
        way_out = Some(how_to_change(&new_name, &before, &after));
    }
    match faults.0.as_slice() {
        [] => Ok(()),
        [only] if only.kind == super::fault::FaultKind::Ours => {
            Err(Problem::invalid(only.to_string()))
        }
        _ => {
            let mut problem = Problem::invalid(faults.about("StatefulSet.apps", &new_name));
            problem.hints.extend(way_out);
            Err(problem)
        }
    }
}

/// Returns the name that an object keeps, or refuses another.
fn same_name(old: &ObjectMeta, new: &ObjectMeta) -> Result<String, Problem> {
    let name = |meta: &ObjectMeta| meta.name.clone().unwrap_or_default();
    let (old, new) = (name(old), name(new));
    if old == new {
        return Ok(new);
    }
    let message =
        format!("the name of the object ({new}) does not match the name on the URL ({old})");
    Err(Problem::invalid(message))
}

/// Refuses what is wrong, if anything is; `kind` has its group.
fn conclude(faults: &Faults, kind: &str, name: &str) -> Result<(), Problem> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(faults.about(kind, name))),
    }
}

/// Names the fields that may not change, and the way to change them nevertheless.
fn how_to_change<T: Serialize>(name: &str, before: &T, after: &T) -> String {
    format!(
        "{}: `petset delete {name} --cascade=orphan` deletes the set and leaves its pets and \
         volumes, and `petset create -f` makes it again from the manifest",
        what_differs(before, after)
    )
}

/// Names the fields in which two specs differ.
fn what_differs<T: Serialize>(before: &T, after: &T) -> String {
    let value = |spec: &T| json::to_value(spec).unwrap_or_default();
    let mut fields = Vec::new();
    differences("spec", &value(before), &value(after), &mut fields);
    let differ = match fields.len() {
        1 => "differs",
        _ => "differ",
    };
    format!("{} {differ}", fields.join(", "))
}

/// Collects the paths at which two values differ.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: SortedSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (one, other) = (one.get(key), other.get(key));
                let (one, other) = (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
                differences(&format!("{path}.{key}"), one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{at}]"), one, other, found);
            }
        }
        (one, other) if one != other => found.push(path.to_owned()),
        _ => {}
    }
}

fn is_petset(set: &StatefulSet) -> bool {
    let notes = set.metadata.annotations.as_ref();
    notes.is_some_and(|notes| {
        notes
            .get(KIND_ANNOTATION)
            .is_some_and(|kind| kind == PETSET)
    })
}

/// Returns the spec of a PetSet without what could be changed of one.
fn other_than_containers(set: &StatefulSet) -> Option<StatefulSetSpec> {
    let mut spec = set.spec.clone()?;
    spec.replicas = None;
    if let Some(pod) = &mut spec.template.spec {
        pod.containers.clear();
    }
    Some(spec)
}

/// Lets the claim templates of `old` become those of `new` as far as they were added, enlarged or
/// labelled otherwise, which touches no data.
fn grow_claims(old: &mut StatefulSetSpec, new: &StatefulSetSpec) {
    let name = |claim: &PersistentVolumeClaim| claim.metadata.name.clone();
    let wanted = new.volume_claim_templates.as_deref().unwrap_or_default();
    let mut grown = old.volume_claim_templates.take().unwrap_or_default();
    for claim in &mut grown {
        let same = wanted.iter().find(|other| name(other) == name(claim));
        if let Some(same) = same {
            claim.metadata.labels.clone_from(&same.metadata.labels);
            let notes = &same.metadata.annotations;
            claim.metadata.annotations.clone_from(notes);
        }
        if let Some(same) = same.filter(|same| size(same) >= size(claim))
            && let (Some(spec), Some(wished)) = (&mut claim.spec, &same.spec)
        {
            spec.resources.clone_from(&wished.resources);
        }
    }
    let known: Vec<_> = grown.iter().map(name).collect();
    let added = wanted.iter().filter(|claim| !known.contains(&name(claim)));
    grown.extend(added.cloned());
    // Their order means nothing.
    sort_by_key(&mut grown, |claim| {
        wanted.iter().position(|other| name(other) == name(claim))
    });
    old.volume_claim_templates = (!grown.is_empty()).then_some(grown);
}

/// Returns how much a claim asks for, in a unit that is good for comparisons.
fn size(claim: &PersistentVolumeClaim) -> Option<i128> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    let size = resources.requests.as_ref()?.get("storage")?;
    size.0.parse().ok().map(Quantity::nanos)
}

/// Returns the spec without what may change.
fn fixed_part(spec: &StatefulSetSpec) -> StatefulSetSpec {
    let StatefulSetSpec {
        min_ready_seconds: _,
        ordinals: _,
        persistent_volume_claim_retention_policy: _,
        pod_management_policy,
        replicas: _,
        revision_history_limit: _,
        selector,
        service_name,
        template: _,
        update_strategy: _,
        volume_claim_templates,
    } = spec.clone();
    StatefulSetSpec {
        pod_management_policy,
        selector,
        service_name: service_name.filter(|name| !name.is_empty()),
        volume_claim_templates: volume_claim_templates.filter(|claims| !claims.is_empty()),
        ..StatefulSetSpec::default()
    }
}

const FORBIDDEN_OF_POD: &str = "pod updates may not change fields other than \
     `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
     `spec.tolerations` (only additions to existing tolerations),\
     `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks that `new`, which is complete, may take the place of the pod `old`, which an owner may
/// have let go that made it from a template.
///
/// Fields that a file leaves out stay as they were: a new image does not change the pull policy.
pub(crate) fn check_pod_update(old: &Pod, new: &mut Pod) -> Result<(), Problem> {
    let old = &complete(old);
    keep_pull_policies(old, new);
    let mut faults = validate_pod(new);
    let mut cause = "for anything else".to_owned();
    if let (Some(before), Some(after)) = (&old.spec, &new.spec) {
        counts(&mut faults, before, after);
        deadline(&mut faults, before, after);
        let may = may_become(before, after);
        if faults.is_empty() && *after != may {
            faults.forbidden("spec", FORBIDDEN_OF_POD);
            cause = what_differs(&may, after);
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let again = format!("{cause}: `petset delete pod/{name}` and create it again");
    Err(Problem::invalid(faults.about("Pod", name)).hint(again))
}

fn complete(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    default_pod(&mut pod);
    pod
}

fn keep_pull_policies(old: &Pod, new: &mut Pod) {
    let (Some(before), Some(after)) = (&old.spec, &mut new.spec) else {
        return;
    };
    let known = before.init_containers.iter().flatten();
    let known: Vec<&Container> = known.chain(&before.containers).collect();
    let given = after.init_containers.iter_mut().flatten();
    for container in given.chain(&mut after.containers) {
        let image = container.image.as_deref().unwrap_or_default();
        let defaulted = container.image_pull_policy.as_deref() == Some(pull_policy(image));
        let same = known.iter().find(|one| one.name == container.name);
        if let Some(same) = same.filter(|_| defaulted) {
            container
                .image_pull_policy
                .clone_from(&same.image_pull_policy);
        }
    }
}

fn counts(faults: &mut Faults, old: &PodSpec, new: &PodSpec) {
    let inits = |spec: &PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    let pairs = [
        (
            "spec.containers",
            old.containers.len(),
            new.containers.len(),
        ),
        ("spec.initContainers", inits(old), inits(new)),
    ];
    for (path, before, after) in pairs {
        if before != after {
            faults.forbidden(path, "pod updates may not add or remove containers");
        }
    }
}

fn deadline(faults: &mut Faults, old: &PodSpec, new: &PodSpec) {
    let path = "spec.activeDeadlineSeconds";
    match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (Some(_), None) => {
            faults.invalid(
                path,
                "null",
                "must not update from a positive integer to nil value",
            );
        }
        (Some(before), Some(after)) if after > before => {
            faults.invalid(path, after, "must be less than or equal to previous value");
        }
        _ => {}
    }
}

/// Returns the spec that `old` becomes when all of `new` that may change is taken over.
fn may_become(old: &PodSpec, new: &PodSpec) -> PodSpec {
    let mut spec = old.clone();
    spec.active_deadline_seconds = new.active_deadline_seconds;
    let take = |mine: &mut Vec<Container>, given: &[Container]| {
        for (mine, given) in mine.iter_mut().zip(given) {
            mine.image.clone_from(&given.image);
        }
    };
    take(&mut spec.containers, &new.containers);
    if let (Some(mine), Some(given)) = (&mut spec.init_containers, &new.init_containers) {
        take(mine, given);
    }
    let (before, after) = (&old.tolerations, &new.tolerations);
    let kept = |one| after.iter().flatten().any(|other| other == one);
    if before.iter().flatten().all(kept) {
        spec.tolerations.clone_from(after);
    }
    let grace = |spec: &PodSpec| spec.termination_grace_period_seconds;
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(new) == Some(1) {
        spec.termination_grace_period_seconds = Some(1);
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::defaults::{complete_set, default_pod};

    /// A complete set; what is given is put into its spec.
    fn set(change: Value) -> StatefulSet {
        let mut set = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
            "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}});
        for (field, value) in change.as_object().unwrap() {
            set["spec"][field] = value.clone();
        }
        let mut set = serde_json::from_value(set).unwrap();
        complete_set(&mut set);
        set
    }

    fn other_image() -> Value {
        json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "v2"}]}})
    }

    #[test]
    fn c32_what_may_change_of_a_set() {
        let may = [
            json!({"replicas": 3, "minReadySeconds": 1, "revisionHistoryLimit": 1}),
            json!({"ordinals": {"start": 1}, "template": other_image()}),
            json!({"updateStrategy": {"type": "OnDelete"}}),
            json!({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}),
        ];
        for change in may {
            check_update(&set(json!({})), &set(change), true).unwrap();
        }
        let may_not = [
            json!({"serviceName": "other"}),
            json!({"podManagementPolicy": "Parallel"}),
            json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}),
            json!({"volumeClaimTemplates": []}),
        ];
        for change in may_not {
            let refused = check_update(&set(json!({})), &set(change), true).unwrap_err();
            let words = "Forbidden: updates to statefulset spec for fields other than 'replicas', \
                'ordinals',";
            assert!(refused.message.contains(words), "{}", refused.message);
            assert!(refused.hints[0].contains("--cascade=orphan"), "{refused:?}");
            assert!(refused.message.ends_with("are forbidden"));
        }
    }

    #[test]
    fn c82_of_a_strict_petset_only_replicas_and_containers_change() {
        let petset = |change| {
            let mut set = set(change);
            let notes = set.metadata.annotations.get_or_insert_default();
            notes.insert(KIND_ANNOTATION.to_owned(), PETSET.to_owned());
            set
        };
        let old = petset(json!({}));
        let may = petset(json!({"replicas": 3, "template": other_image()}));
        check_update(&old, &may, true).unwrap();
        let mut template = other_image();
        template["spec"]["hostNetwork"] = true.into();
        for change in [json!({"template": template}), json!({"minReadySeconds": 1})] {
            let new = petset(change);
            let refused = check_update(&old, &new, true).unwrap_err();
            assert!(
                refused.message.contains(FORBIDDEN_OF_PETSET),
                "{}",
                refused.message
            );
            check_update(&old, &new, false).unwrap();
        }
    }

    fn pod(spec: Value) -> Pod {
        let pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec});
        let mut pod = serde_json::from_value(pod).unwrap();
        default_pod(&mut pod);
        pod
    }

    fn with_image(image: &str) -> Pod {
        pod(json!({"containers": [{"name": "c", "image": image}]}))
    }

    fn refused(old: &Pod, mut new: Pod) -> String {
        check_pod_update(old, &mut new).unwrap_err().message
    }

    #[test]
    fn a_pod_takes_another_image_and_keeps_its_pull_policy() {
        let mut new = with_image("busybox:2");
        check_pod_update(&with_image("busybox"), &mut new).unwrap();
        let policy = new.spec.unwrap().containers[0].image_pull_policy.clone();
        assert_eq!(policy.as_deref(), Some("Always"));
    }

    #[test]
    fn nothing_else_of_a_pod_may_change() {
        let old = with_image("busybox");
        let command = json!({"containers": [{"name": "c", "image": "busybox", "command": ["sh"]}]});
        let words = refused(&old, pod(command));
        let start = "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields \
                     other than `spec.containers[*].image`,`spec.initContainers[*].image`,";
        assert!(words.starts_with(start), "{words}");
        let (before, after) = (&old.spec, &pod(json!({"containers": [{"name": "d"}]})).spec);
        let words = what_differs(before, after);
        assert!(words.starts_with("spec.containers[0]."), "{words}");
        let two = json!({"containers": [{"name": "c", "image": "a"}, {"name": "d", "image": "b"}]});
        let words = refused(&old, pod(two));
        assert_eq!(
            words,
            "Pod \"p\" is invalid: spec.containers: Forbidden: pod updates may not add or remove \
             containers"
        );
    }

    #[test]
    fn a_deadline_only_comes_nearer() {
        let with = |seconds: Option<i64>| {
            let mut pod = with_image("busybox");
            pod.spec.as_mut().unwrap().active_deadline_seconds = seconds;
            pod
        };
        check_pod_update(&with(None), &mut with(Some(9))).unwrap();
        check_pod_update(&with(Some(9)), &mut with(Some(8))).unwrap();
        assert!(refused(&with(Some(9)), with(Some(10))).contains("less than or equal to previous"));
        assert!(refused(&with(Some(9)), with(None)).contains("to nil value"));
    }
}
