//! The fake kubelet of the recordings.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

/// What the fake kubelet is up to, and what it was told to hold back.
#[derive(Clone, Default)]
pub(super) struct Kubelet {
    pub(super) due: BTreeMap<(Timestamp, u32), Due>,
    order: u32,
    pub(super) hold_ready: BTreeSet<String>,
    pub(super) hold_start: BTreeSet<String>,
    pub(super) hold_delete: BTreeSet<String>,
}

#[derive(Clone)]
pub(super) enum Due {
    Start(String),
    Gone(String),
}

impl Kubelet {
    pub(super) fn plan(&mut self, at: Timestamp, due: Due) {
        self.order += 1;
        self.due.insert((at, self.order), due);
    }
}

impl World {
    pub(super) fn steer(&mut self, action: &Action) {
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

    pub(super) fn start(&mut self, uid: &str) {
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

    pub(super) fn set_ready(&mut self, name: &str, ready: bool) {
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

    pub(super) fn gone(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        self.note(
            json!({"ev": "pod-deleted", "pod": name, "rev": self.revision_of(&self.pods[&name])}),
        );
        self.pods.remove(&name);
        self.free_claims();
    }

    pub(super) fn name_of(&self, uid: &str) -> Option<String> {
        let has = |pod: &&Pod| pod.metadata.uid.as_deref() == Some(uid);
        self.pods.values().find(has)?.metadata.name.clone()
    }

    pub(super) fn status_of(&mut self, name: &str) -> &mut k8s_openapi::api::core::v1::PodStatus {
        self.pods
            .get_mut(name)
            .unwrap()
            .status
            .get_or_insert_default()
    }
}
