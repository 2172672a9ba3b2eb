//! Requests to the API.

use serde_json::{Value, json};

use super::*;
use crate::patch::merge;
use crate::recording::Action;

/// What the API says when it makes nothing of a request.
pub(super) type Refusal = String;

impl World {
    pub(super) fn act(&mut self, action: &Action) {
        if action.api.is_empty() {
            return self.steer(action);
        }
        let mut path = action.path.split('/');
        let kind = Kind::of_path(path.next().unwrap()).unwrap();
        let name = self.real(kind, path.next().unwrap_or_default());
        match action.api.as_str() {
            "POST" => {
                let mut object = action.body.clone();
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                defaults::complete(kind, &mut object);
                self.create(kind, &name, object)
                    .expect("the recording made it");
            }
            "PATCH" | "PUT" => self.change(kind, &name, action),
            "DELETE" => {
                let policy = action.body["propagationPolicy"].as_str();
                let policy = policy.unwrap_or(default_policy(kind));
                let at_once = action.body["gracePeriodSeconds"] == 0;
                let all = self.all(kind).map(|(name, _)| name.clone());
                let all: Vec<_> = all
                    .filter(|each| name.is_empty() || *each == name)
                    .collect();
                for name in all {
                    self.delete(kind, &name, policy, at_once);
                }
            }
            other => panic!("{other} is no request"),
        }
    }

    /// Makes an object: it gets what the API server gives it.
    pub(super) fn create(
        &mut self,
        kind: Kind,
        name: &str,
        mut object: Value,
    ) -> Result<(), Refusal> {
        let key = (kind, name.to_owned());
        if self.objects.contains_key(&key) {
            return Err(format!("{name:?} already exists"));
        }
        if kind == Kind::Pod {
            self.check_quota(name)?;
        }
        let uid = if kind == Kind::Pod {
            self.pod_uid(name)
        } else {
            self.uid()
        };
        let fields = object.as_object_mut().unwrap();
        fields.remove("apiVersion");
        fields.remove("kind");
        let meta = &mut object["metadata"];
        meta["uid"] = uid.clone().into();
        meta["namespace"] = "NS".into();
        meta["creationTimestamp"] = write(&self.now);
        if kind.has_generation() {
            meta["generation"] = 1.into();
        }
        match kind {
            Kind::Pod => {
                object["status"] = json!({"phase": "Pending"});
                let node = &object["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                    ["nodeSelectorTerms"][0]["matchFields"][0]["values"][0];
                let node = node.as_str().unwrap_or("node1").to_owned();
                object["spec"]["nodeName"] = node.into();
            }
            Kind::ReplicaSet | Kind::ReplicationController => {
                object["status"] = json!({"replicas": 0});
            }
            Kind::DaemonSet => {
                object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] =
                    "1".into();
                object["status"] = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
                    "desiredNumberScheduled": 0, "numberReady": 0});
            }
            Kind::Job => defaults::select_by_uid(&mut object, &uid, name),
            Kind::Claim | Kind::Volume => self.complete_storage(kind, &mut object),
            Kind::Deployment
            | Kind::StatefulSet
            | Kind::CronJob
            | Kind::Revision
            | Kind::Node
            | Kind::Quota
            | Kind::Class => {}
        }
        self.put(kind, name, object);
        if kind == Kind::Pod {
            self.plan_start(&uid);
        }
        Ok(())
    }

    fn change(&mut self, kind: Kind, name: &str, action: &Action) {
        let old = self.get(kind, name).expect("it is there").clone();
        let mut new = old.clone();
        match action.patch_type.as_str() {
            "json-patch" => {
                for change in action.body.as_array().unwrap() {
                    patch(&mut new, change);
                }
            }
            kind => merge(&mut new, &action.body, kind == "strategic-merge-patch"),
        }
        defaults::complete(kind, &mut new);
        if kind == Kind::Volume {
            self.real_claim(&mut new);
        }
        if kind == Kind::DaemonSet && old["spec"]["template"] != new["spec"]["template"] {
            let key = "deprecated.daemonset.template.generation";
            let generation = &mut new["metadata"]["annotations"][key];
            let next = generation.as_str().unwrap().parse::<i64>().unwrap() + 1;
            *generation = next.to_string().into();
        }
        // Its annotations are passed on, so they count as wanted.
        let annotated = old["metadata"]["annotations"] != new["metadata"]["annotations"];
        if kind == Kind::Deployment && annotated && old["spec"] == new["spec"] {
            let generation = new["metadata"]["generation"].as_i64().unwrap_or(1);
            new["metadata"]["generation"] = (generation + 1).into();
        }
        self.update(kind, name, new);
    }

    /// Replaces an object; a changed spec has the next generation.
    pub(super) fn update(&mut self, kind: Kind, name: &str, mut object: Value) {
        let Some(old) = self.get(kind, name) else {
            return;
        };
        if kind.has_generation() && old["spec"] != object["spec"] {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
            object["metadata"]["generation"] = (generation + 1).into();
        }
        let is_free = object["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty);
        let is_going = !object["metadata"]["deletionTimestamp"].is_null();
        if is_going && is_free && (kind != Kind::Pod || self.stopped.contains(name)) {
            return self.remove(kind, name);
        }
        self.put(kind, name, object);
    }

    pub(super) fn write_status<T: Serialize>(&mut self, kind: Kind, name: &str, status: &T) {
        if let Some(object) = self.get(kind, name) {
            let mut object = object.clone();
            object["status"] = write(status);
            self.put(kind, name, object);
        }
    }

    pub(super) fn delete(&mut self, kind: Kind, name: &str, policy: &str, at_once: bool) {
        let Some(object) = self.get(kind, name) else {
            return;
        };
        let mut object = object.clone();
        if !object["metadata"]["deletionTimestamp"].is_null() && !at_once {
            return;
        }
        let finalizer = match policy {
            _ if kind == Kind::Pod => None,
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ => None,
        };
        let meta = &mut object["metadata"];
        if let Some(finalizer) = finalizer {
            meta["finalizers"] = json!([finalizer]);
        }
        if kind != Kind::Pod && meta["finalizers"].as_array().is_none_or(Vec::is_empty) {
            return self.remove(kind, name);
        }
        meta["deletionTimestamp"] = write(&self.now);
        if kind.has_generation() {
            meta["generation"] = (meta["generation"].as_i64().unwrap_or(1) + 1).into();
        }
        let ended = matches!(
            object["status"]["phase"].as_str(),
            Some("Failed" | "Succeeded")
        );
        self.put(kind, name, object);
        self.plan_soon(Due::Collect);
        if kind == Kind::Pod {
            self.plan_stop(name, at_once || ended);
        }
    }

    fn check_quota(&self, name: &str) -> Result<(), Refusal> {
        let ended = |pod: &Value| {
            matches!(
                pod["status"]["phase"].as_str(),
                Some("Failed" | "Succeeded")
            )
        };
        let used = self.all(Kind::Pod).filter(|(_, pod)| !ended(pod)).count() as u64;
        for (quota, object) in self.all(Kind::Quota) {
            let limit = object["spec"]["hard"]["pods"].as_str();
            let limit = limit.and_then(|limit| limit.parse::<u64>().ok());
            if let Some(limit) = limit.filter(|limit| used >= *limit) {
                return Err(format!(
                    "pods {name:?} is forbidden: exceeded quota: {quota}, requested: pods=1, \
                     used: pods={used}, limited: pods={limit}"
                ));
            }
        }
        Ok(())
    }

    /// Makes up a uid: where several pods are equal the lesser goes, which in the recording is the
    /// one that went (RS11).
    fn pod_uid(&mut self, name: &str) -> String {
        let alias = self.alias(Kind::Pod, name);
        let events = self.recording.steps.iter().flat_map(|step| &step.events);
        let mut going = events.filter(|event| event["ev"] == "pod-terminating");
        let place = going.position(|event| event["pod"] == alias.as_str());
        format!("{:05}-{}", place.unwrap_or(99_999), self.uid())
    }
}

fn default_policy(kind: Kind) -> &'static str {
    match matches!(kind, Kind::ReplicationController | Kind::Job) {
        true => "Orphan",
        false => "Background",
    }
}

/// Applies one operation of a JSON patch.
fn patch(object: &mut Value, change: &Value) {
    let pointer = change["path"].as_str().unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    let parent = object
        .pointer_mut(parent)
        .expect("the patched field has a parent");
    match change["op"].as_str().unwrap() {
        "add" | "replace" => parent[key.as_str()] = change["value"].clone(),
        "remove" => drop(parent.as_object_mut().unwrap().remove(&key)),
        other => panic!("a JSON patch does {other}"),
    }
}
