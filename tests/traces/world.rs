//! A simulated cluster: an API that keeps objects, the fake kubelet of the recordings, and the
//! controller under test.

mod api;
mod defaults;
mod kubelet;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use petset::model::{
    Outcome, Policy, REVISION_LABEL, Rules, Seen, Set, Step as Do, claim_for, pod_for, reconcile,
};
use serde_json::{Value, json};

use crate::compare::Order;
use crate::recording::{Action, Recording, Step};
use kubelet::{Due, Kubelet};

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
