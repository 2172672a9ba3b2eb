//! The fake kubelet of the recordings.

use serde_json::{Value, json};

use super::kinds::controller;
use super::watch::{image, is_ready};
use super::*;
use crate::recording::Action;

const EXIT_DELAY: i64 = 300;
const RESTART_DELAY: i64 = 500;
const TERMINATED: i64 = 143;

impl World {
    pub(super) fn steer(&mut self, action: &Action) {
        let name = self.real(Kind::Pod, &action.pod);
        let hold = |what: &str| (what.to_owned(), name.clone());
        match action.kubelet.as_str() {
            "set-ready" => {
                let ready = action.value == true;
                self.change_pod(&name, |pod, now| set_ready(pod, ready, now));
            }
            "set-phase" => {
                let phase = action.value.clone();
                self.change_pod(&name, |pod, now| end(pod, phase, json!({}), now));
            }
            "exit" => self.exit_pod(&self.uid_of(&name), action.value.as_i64()),
            "disrupt" => {
                let reason = action.value.clone();
                self.change_pod(&name, |pod, now| {
                    end(pod, "Failed".into(), json!({}), now);
                    let disruption =
                        json!({"type": "DisruptionTarget", "status": "True", "reason": reason});
                    pod["status"]["conditions"]
                        .as_array_mut()
                        .unwrap()
                        .push(disruption);
                });
            }
            "restarts" => {
                let count = action.value.clone();
                self.change_pod(&name, |pod, _| set_restarts(pod, count));
            }
            "hold-ready" => drop(self.holds.insert(hold("ready"))),
            "unhold-ready" => drop(self.holds.remove(&hold("ready"))),
            "release-ready" => {
                self.holds.remove(&hold("ready"));
                self.change_pod(&name, |pod, now| set_ready(pod, true, now));
            }
            "hold-start" => drop(self.holds.insert(hold("start"))),
            "unhold-start" => drop(self.holds.remove(&hold("start"))),
            "release-start" => {
                self.holds.remove(&hold("start"));
                self.plan_start(&self.uid_of(&name));
            }
            "hold-delete" => drop(self.holds.insert(hold("delete"))),
            "unhold-delete" => drop(self.holds.remove(&hold("delete"))),
            "release-delete" => {
                self.holds.remove(&hold("delete"));
                self.plan_in(0, Due::Stopped(self.uid_of(&name)));
            }
            other => panic!("the recording tells the kubelet to {other}, which it does not know"),
        }
    }

    /// Plans the start of a pod for when it started in the recording, if it did in this step.
    pub(super) fn plan_start(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let due = Due::Start(uid.to_owned());
        let started =
            ["pod-ready", "pod-running-notready"].map(|event| self.recorded(event, &name));
        match started.into_iter().flatten().next() {
            Some(at) => self.plan_at(at, due),
            None => self.plan_in(self.recording.ready_delay_ms, due),
        }
    }

    /// Plans the end of a pod that is to be deleted.
    pub(super) fn plan_stop(&mut self, name: &str, at_once: bool) {
        if self.holds.contains(&("delete".to_owned(), name.to_owned())) && !at_once {
            return;
        }
        let due = Due::Stopped(self.uid_of(name));
        let is_held = self.get(Kind::Pod, name).unwrap()["metadata"]["finalizers"].is_array();
        let event = if is_held { "pod-phase" } else { "pod-deleted" };
        match self.recorded(event, name) {
            Some(at) => self.plan_at(at, due),
            None if at_once => self.plan_in(2, due),
            None => self.plan_in(self.recording.delete_delay_ms, due),
        }
    }

    /// Returns when something that is still to come was seen to happen to a pod in this step.
    fn recorded(&self, event: &str, name: &str) -> Option<Timestamp> {
        let step = &self.recording.steps[self.step];
        let alias = self.alias(Kind::Pod, name);
        let mut times = step.times(event, &alias).map(|after| self.start + after);
        times.find(|at| *at > self.now)
    }

    pub(super) fn start_pod(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let pod = self.get(Kind::Pod, &name).unwrap().clone();
        let image = image(&pod["spec"]).as_str().unwrap().to_owned();
        let held = |what: &str| self.holds.contains(&(what.to_owned(), name.clone()));
        let going = !pod["metadata"]["deletionTimestamp"].is_null();
        if pod["status"]["phase"] != "Pending" || going || held("start") || image.contains("broken")
        {
            return;
        }
        let ready = !image.contains("crash") && !held("ready");
        self.change_pod(&name, |pod, now| {
            pod["status"]["phase"] = "Running".into();
            pod["status"]["startTime"] = write(&now);
            set_ready(pod, ready, now);
        });
        if exit_code(&image).is_none() {
            return;
        }
        let due = Due::Exit(uid.to_owned());
        match self.recorded("pod-phase", &name) {
            Some(at) => self.plan_at(at, due),
            None => self.plan_in(EXIT_DELAY, due),
        }
    }

    /// Ends the program of a pod; without a code it is the one that its image names.
    pub(super) fn exit_pod(&mut self, uid: &str, code: Option<i64>) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let pod = self.get(Kind::Pod, &name).unwrap().clone();
        if pod["status"]["phase"] != "Running" && code.is_none() {
            return;
        }
        let image = image(&pod["spec"]).as_str().unwrap().to_owned();
        let code = code.or(exit_code(&image)).unwrap_or_default();
        if code != 0 && pod["spec"]["restartPolicy"] != "Never" {
            return self.restart_container(uid);
        }
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        self.change_pod(&name, |pod, now| {
            let ended = json!({"terminated": {"exitCode": code, "finishedAt": now}});
            end(pod, phase.into(), ended, now);
        });
    }

    pub(super) fn restart_container(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let pod = self.get(Kind::Pod, &name).unwrap();
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let count = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
        self.change_pod(&name, |pod, _| {
            set_restarts(pod, (count.unwrap_or_default() + 1).into());
        });
        self.plan_in(RESTART_DELAY, Due::Restart(uid.to_owned()));
    }

    /// A pod that was to stop has: it goes, unless a finalizer holds it.
    pub(super) fn stopped(&mut self, uid: &str) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        if self.holds.contains(&("delete".to_owned(), name.clone())) {
            return;
        }
        let pod = self.get(Kind::Pod, &name).unwrap();
        if pod["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            return self.remove(Kind::Pod, &name);
        }
        let of_job = controller(pod).is_some_and(|owner| owner["kind"] == "Job");
        let ended = matches!(
            pod["status"]["phase"].as_str(),
            Some("Failed" | "Succeeded")
        );
        self.stopped.insert(name.clone());
        if of_job && !ended {
            self.change_pod(&name, |pod, now| {
                let killed = json!({"terminated": {"exitCode": TERMINATED, "finishedAt": now}});
                end(pod, "Failed".into(), killed, now);
            });
        }
    }

    fn change_pod(&mut self, name: &str, change: impl FnOnce(&mut Value, Timestamp)) {
        let mut pod = self.get(Kind::Pod, name).expect("the pod is there").clone();
        change(&mut pod, self.now);
        self.put(Kind::Pod, name, pod);
    }

    pub(super) fn name_of(&self, uid: &str) -> Option<String> {
        let mut pods = self.all(Kind::Pod);
        let found = pods.find(|(_, pod)| pod["metadata"]["uid"] == uid);
        found.map(|(name, _)| name.clone())
    }

    fn uid_of(&self, name: &str) -> String {
        let pod = self
            .get(Kind::Pod, name)
            .unwrap_or_else(|| panic!("there is no pod {name}"));
        pod["metadata"]["uid"].as_str().unwrap().to_owned()
    }
}

fn set_ready(pod: &mut Value, ready: bool, now: Timestamp) {
    if is_ready(pod) == ready && pod["status"]["conditions"].is_array() {
        return;
    }
    let status = if ready { "True" } else { "False" };
    pod["status"]["conditions"] =
        json!([{"type": "Ready", "status": status, "lastTransitionTime": now}]);
}

fn set_restarts(pod: &mut Value, count: Value) {
    let image = image(&pod["spec"]);
    pod["status"]["containerStatuses"] = json!([{"name": "c", "image": image, "imageID": "",
        "ready": false, "restartCount": count}]);
}

fn end(pod: &mut Value, phase: Value, state: Value, now: Timestamp) {
    pod["status"]["phase"] = phase;
    pod["status"]["conditions"] =
        json!([{"type": "Ready", "status": "False", "lastTransitionTime": now}]);
    let image = image(&pod["spec"]);
    pod["status"]["containerStatuses"] = json!([{"name": pod["spec"]["containers"][0]["name"],
        "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
}

/// Returns the code with which the program of an image ends by itself: `img:exit42`.
fn exit_code(image: &str) -> Option<i64> {
    image.split_once("exit")?.1.parse().ok()
}
