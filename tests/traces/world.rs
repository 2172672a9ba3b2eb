//! A simulated cluster: an API that keeps objects, the fake kubelet of the recordings, and the
//! controller under test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use petset::model::{
    Outcome, Policy, REVISION_LABEL, Rules, Seen, Set, Step as Do, claim_for, pod_for, reconcile,
};
use serde_json::{Value, json};

use crate::compare::Order;
use crate::defaults::default_set;
use crate::recording::{Action, Recording, Step};

/// Events of one step after which its world is taken to be restless.
const MAX_EVENTS: usize = 2_000;
/// Passes at one moment after which a set is taken to be restless.
const MAX_PASSES: usize = 200;

/// Whether requests made in a row let the controller look at each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Race {
    /// The requests win: all are made before it looks.
    Requests,
    /// The controller wins: it looks after each.
    Controller,
}

/// Everything there is.
#[derive(Clone)]
pub(crate) struct World {
    rules: Rules,
    gate: bool,
    ready_delay: SignedDuration,
    delete_delay: SignedDuration,
    aliases: BTreeMap<String, String>,
    now: Timestamp,
    uids: u32,
    pub(crate) sets: BTreeMap<String, StatefulSet>,
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) claims: BTreeMap<String, PersistentVolumeClaim>,
    pub(crate) revisions: Vec<ControllerRevision>,
    kubelet: Kubelet,
    wakes: BTreeSet<Timestamp>,
    events: Vec<Value>,
    /// Reasons and messages of the events that the controller told so far.
    pub(crate) told: BTreeSet<(String, String)>,
}

/// What the fake kubelet is up to, and what it was told to hold back.
#[derive(Clone, Default)]
struct Kubelet {
    due: BTreeMap<(Timestamp, u32), Due>,
    order: u32,
    hold_ready: BTreeSet<String>,
    hold_start: BTreeSet<String>,
    hold_delete: BTreeSet<String>,
}

#[derive(Clone)]
enum Due {
    Start(String),
    Gone(String),
}

impl Kubelet {
    fn plan(&mut self, at: Timestamp, due: Due) {
        self.order += 1;
        self.due.insert((at, self.order), due);
    }
}

impl World {
    pub(crate) fn of(recording: &Recording, recover_broken: bool) -> Self {
        let names = recording.revision_names.iter();
        Self {
            rules: Rules {
                recover_broken,
                max_unavailable: recording.gate(),
            },
            gate: recording.gate(),
            ready_delay: SignedDuration::from_millis(recording.ready_delay_ms),
            delete_delay: SignedDuration::from_millis(recording.delete_delay_ms),
            aliases: names
                .map(|(alias, name)| (name.clone(), alias.clone()))
                .collect(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            uids: 0,
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            revisions: Vec::new(),
            kubelet: Kubelet::default(),
            wakes: BTreeSet::new(),
            events: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    /// Performs a step until nothing more happens; returns what was observed.
    pub(crate) fn play(&mut self, step: &Step, winner: Race) -> Vec<Value> {
        self.events.clear();
        if step.api_error.is_some() {
            return Vec::new(); // the API refused it: nothing was to happen
        }
        let mut actions: VecDeque<&Action> = step.actions.iter().collect();
        loop {
            let at_once = actions.front().map(|action| action.after_events);
            while let Some(action) = actions.front()
                && at_once == Some(action.after_events)
                && action.after_events <= self.events.len()
            {
                self.act(action);
                actions.pop_front();
                if winner == Race::Controller {
                    self.settle();
                }
            }
            self.settle();
            let restless = self.events.len() > MAX_EVENTS;
            assert!(!restless, "step {:?} does not come to rest", step.title);
            let ready = |action: &&&Action| action.after_events <= self.events.len();
            if actions.front().filter(ready).is_some() || self.advance() {
                continue;
            }
            let Some(action) = actions.pop_front() else {
                break;
            };
            self.act(action); // it was to happen after events that did not come
        }
        std::mem::take(&mut self.events)
    }

    /// Says how exactly the order of a step's events can be compared.
    pub(crate) fn order(&self, step: &Step) -> Order {
        let deletes =
            |action: &Action| action.api == "DELETE" && action.path.starts_with("statefulsets");
        if step.actions.iter().any(deletes) {
            return Order::SetDeleted;
        }
        let sets: Vec<_> = self
            .sets
            .values()
            .map(|set| Set::of(set).unwrap())
            .collect();
        if sets.iter().any(|set| set.policy == Policy::Parallel) {
            return Order::Parallel;
        }
        if self.gate {
            Order::Several
        } else {
            Order::Exact
        }
    }

    /// Runs the controller until it has nothing more to do now.
    fn settle(&mut self) {
        for _ in 0..MAX_PASSES {
            let names: Vec<_> = self.sets.keys().cloned().collect();
            let active = names.iter().filter(|name| self.pass(name)).count();
            if active == 0 {
                return;
            }
        }
        panic!("the set does not come to rest: {:?}", self.events);
    }

    /// Lets time pass until something is due; says whether anything was.
    fn advance(&mut self) -> bool {
        self.wakes = self
            .wakes
            .split_off(&(self.now + SignedDuration::from_nanos(1)));
        let due = self.kubelet.due.keys().next().map(|(at, _)| *at);
        let Some(next) = due.into_iter().chain(self.wakes.first().copied()).min() else {
            return false;
        };
        self.now = next.max(self.now);
        while let Some(entry) = self.kubelet.due.first_entry()
            && entry.key().0 <= self.now
        {
            match entry.remove() {
                Due::Start(uid) => self.start(&uid),
                Due::Gone(uid) => self.gone(&uid),
            }
        }
        true
    }

    /// Makes one pass of the controller over a set; says whether it did anything.
    fn pass(&mut self, name: &str) -> bool {
        let set = self.sets[name].clone();
        let want = Set::of(&set).unwrap();
        let status = set.status.clone().unwrap_or_default();
        let (pods, claims) = (self.pods.values(), self.claims.values());
        let seen = Seen::of(&want, status, self.revisions.clone(), pods, claims);
        let Outcome {
            status,
            steps,
            wake_at,
        } = reconcile(&want, &seen, self.rules, self.now);
        self.wakes.extend(wake_at);
        let mut active = set.status.as_ref() != Some(&status);
        self.sets.get_mut(name).unwrap().status = Some(status);
        for step in steps {
            active |= !matches!(step, Do::Await { .. });
            let told = step.event(&want);
            self.told
                .extend(told.map(|(reason, message)| (reason.to_owned(), message)));
            self.perform(&set, step);
        }
        active
    }

    fn perform(&mut self, set: &StatefulSet, step: Do) {
        let name = set.metadata.name.clone().unwrap();
        let owner = Set::of(set).unwrap().owner_reference();
        match step {
            Do::CreateRevision(revision) => self.create_revision(*revision),
            Do::RenumberRevision { name, number } => {
                self.revision(&name).revision = number;
                self.note(
                    json!({"ev": "rev-renumbered", "name": self.alias(&name), "revision": number}),
                );
            }
            Do::AdoptRevision { name } => self.own_revision(&name, Some(owner)),
            Do::ReleaseRevision { name } => self.own_revision(&name, None),
            Do::DeleteRevision { name } => self.delete_revision(&name),
            Do::CreateClaim {
                claim,
                template,
                ordinal,
            } => {
                let made = claim_for(set, &template, ordinal).unwrap();
                assert_eq!(made.metadata.name.as_ref(), Some(&claim));
                self.claims.insert(claim.clone(), made);
                self.note(json!({"ev": "pvc-created", "pvc": claim, "owners": []}));
            }
            Do::OwnClaim { claim, owners } => {
                self.note(
                    json!({"ev": "pvc-owners", "pvc": claim, "owners": owner_words(&owners)}),
                );
                let claim = self.claims.get_mut(&claim).unwrap();
                claim.metadata.owner_references = Some(owners);
            }
            Do::DeleteClaim { claim } => self.delete_claim(&claim),
            Do::CreatePet { ordinal, revision } => {
                let revision = self.revision(&revision).clone();
                self.create_pod(pod_for(set, ordinal, &revision).unwrap());
            }
            Do::DeletePet {
                ordinal,
                uid,
                why: _,
            } => {
                let pod = format!("{name}-{ordinal}");
                assert_eq!(self.pods[&pod].metadata.uid.as_ref(), Some(&uid));
                self.delete_pod(&pod, false);
            }
            Do::AdoptPet { ordinal } => self.own_pod(&format!("{name}-{ordinal}"), Some(owner)),
            Do::ReleasePet { ordinal } => self.own_pod(&format!("{name}-{ordinal}"), None),
            Do::Await { .. } => {}
            Do::RunHook { .. } | Do::RollBack { .. } | Do::Fulfil { .. } => {
                unreachable!("the recorded sets have no wishes of petset's own")
            }
            Do::Finish => self.remove_set(&name, &owner.uid),
        }
    }

    fn remove_set(&mut self, name: &str, uid: &str) {
        let own = self
            .revisions
            .iter()
            .filter(|revision| is_owned_by(&revision.metadata, uid));
        let own: Vec<_> = own
            .map(|revision| revision.metadata.name.clone().unwrap())
            .collect();
        for revision in own {
            self.delete_revision(&revision);
        }
        self.sets.remove(name);
        self.note(json!({"ev": "sts-deleted", "sts": name}));
    }
}

/// The API.
impl World {
    fn act(&mut self, action: &Action) {
        if action.api.is_empty() {
            return self.steer(action);
        }
        let (kind, name) = action.path.split_once('/').unwrap_or((&action.path, ""));
        match (action.api.as_str(), kind) {
            ("POST", "statefulsets") => self.create_set(action.body.clone()),
            ("PATCH", "statefulsets") => self.patch_set(name, action),
            ("DELETE", "statefulsets") => self.delete_set(name, &action.body),
            ("DELETE", "pods") => {
                let now = action.body["gracePeriodSeconds"] == 0;
                let all: Vec<_> = self.pods.keys().cloned().collect();
                for pod in all.iter().filter(|pod| name.is_empty() || *pod == name) {
                    self.delete_pod(pod, now);
                }
            }
            ("DELETE", "persistentvolumeclaims") => self.delete_claim(name),
            ("PATCH", "pods") => self.patch_pod(name, &action.body),
            ("PATCH", "persistentvolumeclaims") => self.patch_claim(name, &action.body),
            other => panic!("the recording does {other:?}, which this world does not know"),
        }
    }

    fn create_set(&mut self, mut body: Value) {
        default_set(&mut body, self.gate);
        let uid = self.uid();
        let mut set: StatefulSet = serde_json::from_value(body).unwrap();
        set.metadata.uid = Some(uid);
        set.metadata.generation = Some(1);
        set.metadata.creation_timestamp = Some(Time(self.now));
        set.status = Some(StatefulSetStatus::default());
        let name = set.metadata.name.clone().unwrap();
        self.note(json!({"ev": "sts-created", "sts": name}));
        self.sets.insert(name, set);
    }

    fn patch_set(&mut self, name: &str, action: &Action) {
        let old = &self.sets[name];
        let mut value = serde_json::to_value(old).unwrap();
        merge(
            &mut value,
            &action.body,
            action.patch_type.starts_with("strategic"),
        );
        default_set(&mut value, self.gate);
        let mut set: StatefulSet = serde_json::from_value(value).unwrap();
        if set.spec != old.spec {
            set.metadata.generation = set.metadata.generation.map(|generation| generation + 1);
            let generation = set.metadata.generation;
            self.note(json!({"ev": "sts-spec-changed", "sts": name, "generation": generation}));
        }
        self.sets.insert(name.to_owned(), set);
    }

    fn patch_pod(&mut self, name: &str, patch: &Value) {
        let old = self.pods[name].metadata.clone();
        let mut pod = serde_json::to_value(&self.pods[name]).unwrap();
        merge(&mut pod, patch, false);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        if pod.metadata.labels != old.labels {
            self.note(json!({"ev": "pod-labels", "pod": name}));
        }
        if pod.metadata.owner_references != old.owner_references {
            let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
            self.note(json!({"ev": "pod-owners", "pod": name, "owners": owner_words(owners)}));
        }
        self.pods.insert(name.to_owned(), pod);
    }

    fn patch_claim(&mut self, name: &str, patch: &Value) {
        let old = self.claims[name].metadata.clone();
        let mut claim = serde_json::to_value(&self.claims[name]).unwrap();
        merge(&mut claim, patch, false);
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        if claim.metadata.owner_references != old.owner_references {
            let owners = claim
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default();
            self.note(json!({"ev": "pvc-owners", "pvc": name, "owners": owner_words(owners)}));
        }
        self.claims.insert(name.to_owned(), claim);
    }

    fn delete_set(&mut self, name: &str, options: &Value) {
        let set = self.sets.get_mut(name).unwrap();
        set.metadata.deletion_timestamp = Some(Time(self.now));
        if options["propagationPolicy"] == "Orphan" {
            set.metadata.finalizers = Some(vec!["orphan".to_owned()]);
        }
    }

    fn create_revision(&mut self, mut revision: ControllerRevision) {
        revision.metadata.uid = Some(self.uid());
        revision.metadata.creation_timestamp = Some(Time(self.now));
        let name = revision.metadata.name.clone().unwrap();
        let event =
            json!({"ev": "rev-created", "name": self.alias(&name), "revision": revision.revision});
        self.note(event);
        self.revisions.push(revision);
    }

    fn revision(&mut self, name: &str) -> &mut ControllerRevision {
        let mut all = self.revisions.iter_mut();
        all.find(|revision| revision.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    fn delete_revision(&mut self, name: &str) {
        self.revisions
            .retain(|revision| revision.metadata.name.as_deref() != Some(name));
        self.note(json!({"ev": "rev-deleted", "name": self.alias(name)}));
    }

    fn own_revision(&mut self, name: &str, owner: Option<OwnerReference>) {
        let owners: Vec<_> = owner.into_iter().collect();
        self.note(
            json!({"ev": "rev-owners", "name": self.alias(name), "owners": owner_words(&owners)}),
        );
        self.revision(name).metadata.owner_references = Some(owners);
    }

    fn create_pod(&mut self, mut pod: Pod) {
        let (uid, name) = (self.uid(), pod.metadata.name.clone().unwrap());
        assert!(
            !self.pods.contains_key(&name),
            "two pods of one identity: {name}"
        );
        pod.metadata.uid = Some(uid.clone());
        pod.metadata.creation_timestamp = Some(Time(self.now));
        let claims = claims_of(&pod);
        for claim in &claims {
            assert!(
                self.claims.contains_key(claim),
                "{name} was made before its claim {claim}"
            );
        }
        self.note(
            json!({"ev": "pod-created", "pod": name, "rev": self.revision_of(&pod),
            "image": image_of(&pod), "claims": claims}),
        );
        if !self.kubelet.hold_start.contains(&name) {
            self.kubelet
                .plan(self.now + self.ready_delay, Due::Start(uid));
        }
        self.pods.insert(name, pod);
    }

    fn delete_pod(&mut self, name: &str, at_once: bool) {
        let pod = &self.pods[name];
        if pod.metadata.deletion_timestamp.is_some() && !at_once {
            return;
        }
        let uid = pod.metadata.uid.clone().unwrap();
        let ended = matches!(phase_of(pod), "Failed" | "Succeeded");
        self.note(json!({"ev": "pod-terminating", "pod": name, "rev": self.revision_of(&self.pods[name])}));
        self.pods.get_mut(name).unwrap().metadata.deletion_timestamp = Some(Time(self.now));
        if at_once {
            self.gone(&uid);
        } else if !self.kubelet.hold_delete.contains(name) {
            let delay = if ended {
                SignedDuration::from_millis(1)
            } else {
                self.delete_delay
            };
            self.kubelet.plan(self.now + delay, Due::Gone(uid));
        }
    }

    fn own_pod(&mut self, name: &str, owner: Option<OwnerReference>) {
        let owners: Vec<_> = owner.into_iter().collect();
        self.note(json!({"ev": "pod-owners", "pod": name, "owners": owner_words(&owners)}));
        let pod = self.pods.get_mut(name).unwrap();
        pod.metadata.owner_references = Some(owners);
    }

    fn delete_claim(&mut self, name: &str) {
        self.claims
            .get_mut(name)
            .unwrap()
            .metadata
            .deletion_timestamp = Some(Time(self.now));
        self.note(json!({"ev": "pvc-terminating", "pvc": name}));
        self.free_claims();
    }

    /// Removes claims that are to go and that no pod uses any more.
    fn free_claims(&mut self) {
        let used: BTreeSet<_> = self.pods.values().flat_map(claims_of).collect();
        let free = self.claims.iter().filter(|(name, claim)| {
            claim.metadata.deletion_timestamp.is_some() && !used.contains(*name)
        });
        let free: Vec<_> = free.map(|(name, _)| name.clone()).collect();
        for name in free {
            self.claims.remove(&name);
            self.note(json!({"ev": "pvc-deleted", "pvc": name}));
        }
    }

    fn note(&mut self, event: Value) {
        self.events.push(event);
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    /// Returns what the recording calls a revision; its real name if it does not know it.
    pub(crate) fn alias(&self, name: &str) -> String {
        self.aliases
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    pub(crate) fn revision_of(&self, pod: &Pod) -> String {
        let labels = pod.metadata.labels.as_ref().unwrap();
        self.alias(&labels[REVISION_LABEL])
    }
}

/// The fake kubelet.
impl World {
    fn steer(&mut self, action: &Action) {
        let name = action.pod.clone();
        match action.kubelet.as_str() {
            "set-ready" => {
                let ready = action.value == true;
                if ready {
                    self.kubelet.hold_ready.remove(&name);
                } else {
                    self.kubelet.hold_ready.insert(name.clone());
                }
                self.set_ready(&name, ready);
            }
            "set-phase" => {
                let phase = action.value.as_str().unwrap();
                self.status_of(&name).phase = Some(phase.to_owned());
                self.note(json!({"ev": "pod-phase", "pod": name, "phase": phase}));
                self.set_ready(&name, false);
            }
            "hold-ready" => drop(self.kubelet.hold_ready.insert(name)),
            "unhold-ready" => drop(self.kubelet.hold_ready.remove(&name)),
            "hold-start" => drop(self.kubelet.hold_start.insert(name)),
            "unhold-start" => drop(self.kubelet.hold_start.remove(&name)),
            "hold-delete" => drop(self.kubelet.hold_delete.insert(name)),
            "unhold-delete" => drop(self.kubelet.hold_delete.remove(&name)),
            "release-start" => {
                self.kubelet.hold_start.remove(&name);
                let uid = self.pods[&name].metadata.uid.clone().unwrap();
                self.kubelet
                    .plan(self.now + self.ready_delay, Due::Start(uid));
            }
            "release-delete" => {
                self.kubelet.hold_delete.remove(&name);
                let uid = self.pods[&name].metadata.uid.clone().unwrap();
                self.gone(&uid);
            }
            other => panic!("the recording tells the kubelet to {other}, which it does not know"),
        }
    }

    fn start(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let image = image_of(&self.pods[&name]);
        if self.pods[&name].metadata.deletion_timestamp.is_some() || image.contains("broken") {
            return;
        }
        self.status_of(&name).phase = Some("Running".to_owned());
        if image.contains("crash") || self.kubelet.hold_ready.contains(&name) {
            self.note(json!({"ev": "pod-running-notready", "pod": name}));
        } else {
            self.set_ready(&name, true);
        }
    }

    fn set_ready(&mut self, name: &str, ready: bool) {
        let now = self.now;
        let conditions = self.status_of(name).conditions.get_or_insert_default();
        let before = conditions
            .iter()
            .any(|condition| condition.status == "True");
        *conditions = vec![PodCondition {
            type_: "Ready".to_owned(),
            status: if ready { "True" } else { "False" }.to_owned(),
            last_transition_time: Some(Time(now)),
            ..PodCondition::default()
        }];
        let rev = self.revision_of(&self.pods[name]);
        match (before, ready) {
            (false, true) => self.note(json!({"ev": "pod-ready", "pod": name, "rev": rev})),
            (true, false) => self.note(json!({"ev": "pod-unready", "pod": name})),
            (true, true) | (false, false) => {}
        }
    }

    fn gone(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        self.note(
            json!({"ev": "pod-deleted", "pod": name, "rev": self.revision_of(&self.pods[&name])}),
        );
        self.pods.remove(&name);
        self.free_claims();
    }

    fn name_of(&self, uid: &str) -> Option<String> {
        let has = |pod: &&Pod| pod.metadata.uid.as_deref() == Some(uid);
        self.pods.values().find(has)?.metadata.name.clone()
    }

    fn status_of(&mut self, name: &str) -> &mut k8s_openapi::api::core::v1::PodStatus {
        self.pods
            .get_mut(name)
            .unwrap()
            .status
            .get_or_insert_default()
    }
}

pub(crate) fn phase_of(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

pub(crate) fn image_of(pod: &Pod) -> String {
    let spec = pod.spec.as_ref().unwrap();
    spec.containers[0].image.clone().unwrap()
}

pub(crate) fn owner_words(owners: &[OwnerReference]) -> Vec<String> {
    let words = owners.iter().map(|owner| {
        let role = if owner.controller == Some(true) {
            ":controller"
        } else {
            ""
        };
        format!("{}/{}{role}", owner.kind, owner.name)
    });
    words.collect()
}

fn is_owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    meta.owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == uid)
}

fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| claim.claim_name.clone()).collect()
}

/// Applies a merge patch; a strategic one merges lists of named things by their names.
fn merge(target: &mut Value, patch: &Value, strategic: bool) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value, strategic);
                }
            }
        }
        (Value::Array(target), Value::Array(patch))
            if strategic && patch.iter().all(|item| item["name"].is_string()) =>
        {
            for item in patch {
                match target
                    .iter_mut()
                    .find(|known| known["name"] == item["name"])
                {
                    Some(known) => merge(known, item, strategic),
                    None => target.push(item.clone()),
                }
            }
        }
        (target @ Value::Null, Value::Object(_)) => {
            *target = json!({});
            merge(target, patch, strategic);
        }
        (target, patch) => *target = patch.clone(),
    }
}
