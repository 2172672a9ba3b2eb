//! The API: requests, and the objects that it keeps.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::patch::merge;
use crate::recording::Action;

impl World {
    pub(super) fn act(&mut self, action: &Action) {
        if action.api.is_empty() {
            return self.steer(action);
        }
        let (kind, rest) = action.path.split_once('/').unwrap_or((&action.path, ""));
        let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
        match (action.api.as_str(), kind) {
            ("POST", "statefulsets") => self.create_set(action.body.clone()),
            ("POST", "pods") => self.create_pod(read(&action.body)),
            ("POST", "persistentvolumeclaims") => self.create_claim(read(&action.body)),
            ("PATCH" | "PUT", "statefulsets") if part == "scale" => {
                let replicas = action.body["spec"]["replicas"].clone();
                self.edit_set(name, |set| set["spec"]["replicas"] = replicas);
            }
            ("PATCH", "statefulsets") => {
                let strategic = action.patch_type.starts_with("strategic");
                self.edit_set(name, |set| merge(set, &action.body, strategic));
            }
            ("PUT", "statefulsets") => {
                let given = ["spec", "metadata"].map(|part| (part, action.body[part].clone()));
                self.edit_set(name, |set| {
                    set["spec"] = given[0].1.clone();
                    for part in ["labels", "annotations"] {
                        set["metadata"][part] = given[1].1[part].clone();
                    }
                });
            }
            ("DELETE", "statefulsets") => {
                for set in named(&self.sets, name) {
                    self.delete_set(&set, &action.body);
                }
            }
            ("DELETE", "pods") => {
                let now = action.body["gracePeriodSeconds"] == 0;
                for pod in named(&self.pods, name) {
                    self.delete_pod(&pod, now);
                }
            }
            ("DELETE", "persistentvolumeclaims") => {
                for claim in named(&self.claims, name) {
                    self.delete_claim(&claim);
                }
            }
            ("DELETE", "controllerrevisions") => self.delete_revision(name),
            ("PATCH", "controllerrevisions") => {
                let revision = patched(self.revision(name), &action.body);
                *self.revision(name) = revision;
            }
            ("PATCH" | "PUT", "pods") => self.patch_pod(name, &action.body),
            ("PATCH" | "PUT", "persistentvolumeclaims") => self.patch_claim(name, &action.body),
            (verb, _) => panic!("unknown action: {verb} {}", action.path),
        }
    }

    pub(super) fn create_set(&mut self, body: Value) {
        let uid = self.uid();
        let mut set = defaults::complete(body, self.gate);
        set.metadata.uid = Some(uid);
        set.metadata.generation = Some(1);
        set.metadata.creation_timestamp = Some(Time(self.now));
        set.status = Some(StatefulSetStatus::default());
        let name = set.metadata.name.clone().unwrap();
        self.note(json!({"ev": "sts-created", "sts": name}));
        self.sets.insert(name, set);
    }

    fn edit_set(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let old = &self.sets[name];
        let mut value = serde_json::to_value(old).unwrap();
        edit(&mut value);
        let mut set = defaults::complete(value, self.gate);
        if set.spec != old.spec {
            set.metadata.generation = set.metadata.generation.map(|generation| generation + 1);
            let generation = set.metadata.generation;
            self.note(json!({"ev": "sts-spec-changed", "sts": name, "generation": generation}));
        }
        self.sets.insert(name.to_owned(), set);
    }

    fn create_claim(&mut self, mut claim: PersistentVolumeClaim) {
        claim.metadata.uid = Some(self.uid());
        let name = claim.metadata.name.clone().unwrap();
        let owners = owner_words(
            claim
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default(),
        );
        self.note(json!({"ev": "pvc-created", "pvc": name, "owners": owners}));
        self.claims.insert(name, claim);
    }

    pub(super) fn patch_pod(&mut self, name: &str, patch: &Value) {
        let old = self.pods[name].metadata.clone();
        let pod: Pod = patched(&self.pods[name], patch);
        if pod.metadata.labels != old.labels {
            self.note(json!({"ev": "pod-labels", "pod": name}));
        }
        if pod.metadata.owner_references != old.owner_references {
            let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
            self.note(json!({"ev": "pod-owners", "pod": name, "owners": owner_words(owners)}));
        }
        self.pods.insert(name.to_owned(), pod);
    }

    pub(super) fn patch_claim(&mut self, name: &str, patch: &Value) {
        let old = self.claims[name].metadata.clone();
        let claim: PersistentVolumeClaim = patched(&self.claims[name], patch);
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

    pub(super) fn delete_set(&mut self, name: &str, options: &Value) {
        let set = self.sets.get_mut(name).unwrap();
        set.metadata.deletion_timestamp = Some(Time(self.now));
        if options["propagationPolicy"] == "Orphan" {
            set.metadata.finalizers = Some(vec!["orphan".to_owned()]);
        }
    }

    pub(super) fn create_revision(&mut self, mut revision: ControllerRevision) {
        revision.metadata.uid = Some(self.uid());
        revision.metadata.creation_timestamp = Some(Time(self.now));
        let name = revision.metadata.name.clone().unwrap();
        let event =
            json!({"ev": "rev-created", "name": self.alias(&name), "revision": revision.revision});
        self.note(event);
        self.revisions.push(revision);
    }

    pub(super) fn revision(&mut self, name: &str) -> &mut ControllerRevision {
        let mut all = self.revisions.iter_mut();
        all.find(|revision| revision.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    pub(super) fn delete_revision(&mut self, name: &str) {
        self.revisions
            .retain(|revision| revision.metadata.name.as_deref() != Some(name));
        self.note(json!({"ev": "rev-deleted", "name": self.alias(name)}));
    }

    pub(super) fn own_revision(&mut self, name: &str, owner: Option<OwnerReference>) {
        let owners: Vec<_> = owner.into_iter().collect();
        self.note(
            json!({"ev": "rev-owners", "name": self.alias(name), "owners": owner_words(&owners)}),
        );
        self.revision(name).metadata.owner_references = Some(owners);
    }

    pub(super) fn create_pod(&mut self, mut pod: Pod) {
        let (uid, name) = (self.uid(), pod.metadata.name.clone().unwrap());
        assert!(
            !self.pods.contains_key(&name),
            "two pods of one identity: {name}"
        );
        pod.status.get_or_insert_default();
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

    pub(super) fn delete_pod(&mut self, name: &str, at_once: bool) {
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

    pub(super) fn own_pod(&mut self, name: &str, owner: Option<OwnerReference>) {
        let owners: Vec<_> = owner.into_iter().collect();
        self.note(json!({"ev": "pod-owners", "pod": name, "owners": owner_words(&owners)}));
        let pod = self.pods.get_mut(name).unwrap();
        pod.metadata.owner_references = Some(owners);
    }

    pub(super) fn delete_claim(&mut self, name: &str) {
        self.claims
            .get_mut(name)
            .unwrap()
            .metadata
            .deletion_timestamp = Some(Time(self.now));
        self.note(json!({"ev": "pvc-terminating", "pvc": name}));
        self.free_claims();
    }

    /// Removes claims that are to go and that no pod uses any more.
    pub(super) fn free_claims(&mut self) {
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

    pub(super) fn note(&mut self, event: Value) {
        self.events.push(event);
    }

    pub(super) fn uid(&mut self) -> String {
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
        let labels = pod.metadata.labels.as_ref();
        let revision = labels.and_then(|labels| labels.get(REVISION_LABEL));
        self.alias(revision.map_or("", String::as_str))
    }
}

fn read<T: DeserializeOwned>(body: &Value) -> T {
    serde_json::from_value(body.clone()).expect("the recording has an object here")
}

fn patched<T: Serialize + DeserializeOwned>(object: &T, patch: &Value) -> T {
    let mut value = serde_json::to_value(object).unwrap();
    merge(&mut value, patch, false);
    read(&value)
}

/// Lists the objects that a path means: one, or all where it names none.
fn named<T>(objects: &BTreeMap<String, T>, name: &str) -> Vec<String> {
    let all = objects.keys().filter(|key| name.is_empty() || *key == name);
    all.cloned().collect()
}
