//! Pets: what counts of a pod for its set, and the pod that a set makes for an ordinal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimVolumeSource, Pod, PodSpec, PodStatus, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::name::claim_name;
use super::pod::{condition, controller_of, is_hopeless};
use super::printer::{is_in_hook, why_not_ready};
use super::revision::template_of;
use super::set::{PETSET, Set, controller_reference};
use super::wish::KIND_ANNOTATION;
use super::{Ordinal, PetName};
use crate::problem::Problem;

/// The label that holds a pet's own name (C04).
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label that holds a pet's ordinal (C04).
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// The label that holds the name of a pet's revision (C04).
pub const REVISION_LABEL: &str = "controller-revision-hash";
/// Annotations in which PetSets kept the identity of their pods (C06).
const PETSET_HOSTNAME: &str = "pod.beta.kubernetes.io/hostname";
const PETSET_SUBDOMAIN: &str = "pod.beta.kubernetes.io/subdomain";
/// PetSets of Kubernetes 1.3: `"false"` holds the set at this pet, for debugging (C81, D06).
pub const INITIALIZED_ANNOTATION: &str = "pod.alpha.kubernetes.io/initialized";

/// On a pod: how far the command is that runs before it goes for good, as JSON ([`ScaleDownHook`]).
pub const HOOK_ANNOTATION: &str = "petset.dev/pre-scale-down-outcome";

/// A pet as it is now: what its set needs to know of its pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PetSeen {
    /// Its name.
    pub name: String,
    /// The uid of its pod, which differs from that of the next pod of this name.
    pub uid: String,
    /// The revision it was made from.
    pub revision: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its labels, against which the set's selector is held.
    pub labels: BTreeMap<String, String>,
    /// The uid of the set that controls it; none if it was orphaned.
    pub owner: Option<String>,
    /// Its phase.
    pub phase: Phase,
    /// Its condition Ready is true, and no annotation says otherwise.
    pub ready: bool,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// Since when it is not ready; since it was made, if it never was.
    pub unready_since: Option<Timestamp>,
    /// A container of it runs whose postStart has not ended.
    pub in_hook: bool,
    /// It has been asked to stop.
    pub terminating: bool,
    /// How many seconds it may take to stop.
    pub grace: Option<i64>,
    /// Why it is not ready; empty if it is.
    pub waiting: String,
    /// It will not become ready without a change by the user: a crash loop, a missing image.
    pub stuck: bool,
    /// How far the command is that runs in it before it goes for good.
    pub hook: Option<ScaleDownHook>,
}

/// The command that runs in a pet before its set is scaled below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDownHook {
    /// The generation of the set that it ran for; each one asks anew.
    pub generation: i64,
    /// Its outcome.
    pub outcome: HookOutcome,
}

/// The outcome of the command that runs in a pet before it is scaled away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookOutcome {
    /// It runs.
    Running,
    /// The pet may go.
    Done,
    /// The pet may not go, and this is why.
    Failed(String),
}

/// The phase of a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Claims, images, init steps: its main processes have not all been started.
    #[default]
    Pending,
    /// Its main processes have been started.
    Running,
    /// All main processes ended well, for good.
    Succeeded,
    /// All main processes ended, one of them badly, for good.
    Failed,
}

impl Phase {
    pub(super) fn of(text: Option<&str>) -> Self {
        match text {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Pending,
        }
    }
}

impl PetSeen {
    /// A pet that a step has just made for a set.
    pub(super) fn just_made(
        set: &Set,
        ordinal: Ordinal,
        revision: String,
        uid: String,
        now: Timestamp,
    ) -> Self {
        Self {
            name: set.pet_name(ordinal),
            uid,
            labels: set.template_labels.clone(),
            owner: Some(set.uid.clone()),
            revision,
            created: Some(now),
            unready_since: Some(now),
            ..Self::default()
        }
    }

    /// Reads what counts of a pod whose status has been filled in.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let meta = &pod.metadata;
        let status = pod.status.clone().unwrap_or_default();
        let condition = condition(&status, "Ready");
        let held = is_held(meta);
        let ready = condition.is_some_and(|ready| ready.status == "True") && !held;
        let labels = meta.labels.clone().unwrap_or_default();
        let changed = condition.and_then(|ready| ready.last_transition_time.as_ref());
        let since = changed
            .or(meta.creation_timestamp.as_ref())
            .map(|time| time.0);
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            revision: labels.get(REVISION_LABEL).cloned().unwrap_or_default(),
            labels,
            owner: controller_of(meta).map(|owner| owner.uid.clone()),
            phase: Phase::of(status.phase.as_deref()),
            ready,
            ready_since: since.filter(|_| ready),
            unready_since: since.filter(|_| !ready),
            in_hook: is_in_hook(pod),
            terminating: meta.deletion_timestamp.is_some(),
            grace: meta.deletion_grace_period_seconds,
            waiting: match (ready, held) {
                (true, _) => String::new(),
                (false, true) => format!("annotation {INITIALIZED_ANNOTATION} is \"false\""),
                (false, false) => why_not_ready(pod).unwrap_or_default(),
            },
            stuck: is_stuck(&status),
            hook: hook_of(meta),
        }
    }

    /// Returns whether it runs and is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.ready
    }
}

/// Says that a pet is stopping, and how long that may take.
#[must_use]
pub fn stopping(name: &str, grace: Option<i64>) -> String {
    match grace.filter(|&seconds| seconds > 0) {
        Some(seconds) => format!("{name} is stopping, up to {seconds}s"),
        None => format!("{name} is stopping"),
    }
}

/// Reads how far the pet's hook is; nonsense counts as not begun.
fn hook_of(meta: &ObjectMeta) -> Option<ScaleDownHook> {
    let noted = meta.annotations.as_ref()?.get(HOOK_ANNOTATION)?;
    serde_json::from_str(noted).ok()
}

/// Returns whether a pod will not become ready without a change by the user.
fn is_stuck(status: &PodStatus) -> bool {
    let lists = [&status.init_container_statuses, &status.container_statuses];
    lists.into_iter().flatten().flatten().any(is_hopeless)
}

fn is_held(meta: &ObjectMeta) -> bool {
    let annotation = meta.annotations.as_ref();
    let value = annotation.and_then(|all| all.get(INITIALIZED_ANNOTATION));
    value.is_some_and(|value| {
        matches!(
            value.as_str(),
            "false" | "False" | "FALSE" | "f" | "F" | "0"
        )
    })
}

impl Set {
    /// Returns the ordinal of a pod that is named like a pet of this set (C01).
    #[must_use]
    pub fn ordinal_of(&self, pod: &str) -> Option<Ordinal> {
        let ordinal = pod.strip_prefix(self.name.as_str())?.strip_prefix('-')?;
        if ordinal.contains('-') {
            return None;
        }
        let pet: PetName = pod.parse().ok()?;
        Some(pet.ordinal())
    }
}

/// Makes the pod of an ordinal at a revision (C01-C05, C07). It has no uid yet.
///
/// The template is the revision's, everything else is the set's as it is now. A claim template
/// wins over a volume of the same name (R25).
pub fn pod_for(
    set: &StatefulSet,
    ordinal: Ordinal,
    revision: &ControllerRevision,
) -> Result<Pod, Problem> {
    let template = template_of(revision)?;
    let set_name = set.metadata.name.clone().unwrap_or_default();
    let name = format!("{set_name}-{ordinal}");
    let owner = set.metadata.uid.as_deref().unwrap_or_default();
    let given = template.metadata.unwrap_or_default();
    let mut labels = given.labels.unwrap_or_default();
    labels.insert(POD_NAME_LABEL.to_owned(), name.clone());
    labels.insert(POD_INDEX_LABEL.to_owned(), ordinal.to_string());
    let revision_name = revision.metadata.name.clone().unwrap_or_default();
    labels.insert(REVISION_LABEL.to_owned(), revision_name);

    let mut spec = template.spec.unwrap_or_default();
    spec.hostname = Some(name.clone());
    let set_spec = set.spec.as_ref();
    let service = set_spec.and_then(|spec| spec.service_name.clone());
    spec.subdomain = service.filter(|service| !service.is_empty());
    spec.volumes = volumes(set, ordinal, spec.volumes.take().unwrap_or_default());
    Ok(Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{set_name}-")),
            generation: Some(1),
            name: Some(name),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: annotations_of(set, given.annotations, &spec),
            finalizers: given.finalizers,
            owner_references: Some(vec![controller_reference(
                "apps/v1",
                "StatefulSet",
                &set_name,
                owner,
            )]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: Some(PodStatus {
            phase: Some("Pending".to_owned()),
            ..PodStatus::default()
        }),
    })
}

/// Adds what programs written for PetSets read of their identity (C06).
fn annotations_of(
    set: &StatefulSet,
    given: Option<BTreeMap<String, String>>,
    pod: &PodSpec,
) -> Option<BTreeMap<String, String>> {
    let notes = set.metadata.annotations.as_ref();
    if notes
        .and_then(|notes| notes.get(KIND_ANNOTATION))
        .map(String::as_str)
        != Some(PETSET)
    {
        return given;
    }
    let mut annotations = given.unwrap_or_default();
    let identity = [
        (PETSET_HOSTNAME, &pod.hostname),
        (PETSET_SUBDOMAIN, &pod.subdomain),
    ];
    for (key, value) in identity {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value.clone());
        }
    }
    Some(annotations)
}

fn volumes(set: &StatefulSet, ordinal: Ordinal, own: Vec<Volume>) -> Option<Vec<Volume>> {
    let set_name = set.metadata.name.as_deref().unwrap_or_default();
    let spec = set.spec.as_ref();
    let templates = spec
        .and_then(|spec| spec.volume_claim_templates.as_deref())
        .unwrap_or_default();
    let names: Vec<&str> = templates
        .iter()
        .filter_map(|claim| claim.metadata.name.as_deref())
        .collect();
    let claimed = names.iter().map(|template| Volume {
        name: (*template).to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(template, set_name, ordinal),
            read_only: None,
        }),
        ..Volume::default()
    });
    let others = own
        .into_iter()
        .filter(|volume| !names.contains(&volume.name.as_str()));
    let all: Vec<Volume> = claimed.chain(others).collect();
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(pod: Value) -> PetSeen {
        PetSeen::of(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_pet_says_what_keeps_it_from_being_ready() {
        let pet = seen(json!({"status": {}}));
        assert_eq!(pet.waiting, "its runner has not started yet");
    }

    #[test]
    fn an_old_debugging_stop_holds_a_ready_pet() {
        // C81, D06
        let pod = |initialized: &str| {
            seen(
                json!({"metadata": {"annotations": {INITIALIZED_ANNOTATION: initialized}},
                "spec": {"containers": []},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
            )
        };
        assert!(pod("true").is_ready());
        assert!(!pod("false").is_ready());
        assert!(pod("false").waiting.contains("initialized"));
    }

    #[test]
    fn a_pod_gets_its_identity_and_its_claims() {
        // C01-C05, C07, C66, R25: a claim wins over a volume of its name
        let set = json!({"metadata": {"name": "web", "namespace": "default", "uid": "set-uid"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "serviceName": "peers",
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [],
                    "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {}}]}});
        let set: StatefulSet = serde_json::from_value(set).unwrap();
        let want = Set::of(&set).unwrap();
        let revision = crate::model::revision::wanted_revision(&want, 1, 0);
        let pod = serde_json::to_value(pod_for(&set, Ordinal(1), &revision).unwrap()).unwrap();
        let labels = json!({"app": "web", POD_NAME_LABEL: "web-1", POD_INDEX_LABEL: "1",
            REVISION_LABEL: revision.metadata.name});
        assert_eq!(pod["metadata"]["labels"], labels);
        assert_eq!(pod["metadata"]["generateName"], "web-");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "set-uid");
        assert_eq!(pod["spec"]["hostname"], "web-1");
        assert_eq!(pod["spec"]["subdomain"], "peers");
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}},
            {"name": "tmp", "emptyDir": {}}]);
        assert_eq!(pod["spec"]["volumes"], volumes);
        let claim = crate::model::claim_for(&set, "data", Ordinal(1))
            .unwrap()
            .metadata;
        assert_eq!(claim.name.as_deref(), Some("data-web-1"));
        assert_eq!(
            serde_json::to_value(claim.labels).unwrap(),
            json!({"a": "b", "app": "web"})
        );
    }

    #[test]
    fn a_pet_of_a_petset_carries_its_identity_in_annotations_too() {
        // C06
        let set = json!({"metadata": {"name": "web", "uid": "set-uid",
                "annotations": {KIND_ANNOTATION: PETSET}},
            "spec": {"selector": {}, "serviceName": "peers",
                "template": {"metadata": {"annotations": {"own": "1"}}, "spec": {"containers": []}}}});
        let set: StatefulSet = serde_json::from_value(set).unwrap();
        let want = Set::of(&set).unwrap();
        let revision = crate::model::revision::wanted_revision(&want, 1, 0);
        let pod = pod_for(&set, Ordinal(1), &revision).unwrap();
        let identity = json!({"own": "1", PETSET_HOSTNAME: "web-1", PETSET_SUBDOMAIN: "peers"});
        assert_eq!(
            serde_json::to_value(pod.metadata.annotations).unwrap(),
            identity
        );
    }

    #[test]
    fn only_names_of_its_own_pets_have_an_ordinal() {
        // C01, C66
        let set = json!({"metadata": {"name": "web"}, "spec": {"selector": {}, "template": {}}});
        let want = Set::of(&serde_json::from_value(set).unwrap()).unwrap();
        assert_eq!(want.ordinal_of("web-10"), Some(Ordinal(10)));
        for other in [
            "web", "web-", "web-x", "web-a-1", "db-1", "web-01", "webb-1",
        ] {
            assert_eq!(want.ordinal_of(other), None, "{other}");
        }
    }
}
