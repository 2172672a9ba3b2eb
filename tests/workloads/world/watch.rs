//! What is observed of the objects, and who looks at a change.

use petset::model::workload::Told;
use petset::model::workload::Tone;
use serde_json::{Map, Value, json};

use super::kinds::controller;
use super::*;

impl World {
    /// Puts an object in its place; what differs from before is observed.
    pub(super) fn put(&mut self, kind: Kind, name: &str, mut object: Value) {
        tidy(&mut object);
        in_seconds(&mut object);
        let key = (kind, name.to_owned());
        let old = self.objects.insert(key, object.clone());
        match &old {
            None => self.note_created(kind, name, &object),
            Some(old) => self.note_changes(kind, name, old, &object),
        }
        if old.as_ref() == Some(&object) {
            return;
        }
        if old.is_none_or(|old| old["status"] != object["status"]) {
            self.note_status(kind, name, &object);
        }
        self.wake(kind, name, &object);
    }

    /// Removes an object for good.
    pub(super) fn remove(&mut self, kind: Kind, name: &str) {
        if let Some(object) = self.objects.remove(&(kind, name.to_owned())) {
            self.note(kind, name, "deleted", json!({}));
            self.failures.remove(&(kind, name.to_owned()));
            self.wake(kind, name, &object);
            self.plan_soon(Due::Collect);
        }
    }

    fn note(&mut self, kind: Kind, name: &str, what: &str, more: Value) {
        let mut event =
            json!({"ev": format!("{}-{what}", kind.short()), kind.short(): self.alias(kind, name)});
        let more: Map<String, Value> = serde_json::from_value(more).unwrap();
        event.as_object_mut().unwrap().extend(more);
        if kind != Kind::Quota && kind != Kind::Class && kind.short() != "node"
            || what == "taints"
            || what == "labels"
        {
            self.events.push(event);
        }
    }

    fn note_created(&mut self, kind: Kind, name: &str, object: &Value) {
        let owner = self.owner_words(object);
        let spec = &object["spec"];
        let mut more = json!({});
        match kind {
            Kind::Pod => {
                more = json!({"owner": owner, "image": image(spec)});
                let claims: Vec<_> = storage::claims_of(object).collect();
                if !claims.is_empty() {
                    more["claims"] = claims.into();
                }
                let annotations = &object["metadata"]["annotations"];
                if let Some(index) =
                    annotations["batch.kubernetes.io/job-completion-index"].as_str()
                {
                    more["index"] = index.parse::<i64>().unwrap().into();
                    more["hostname"] = spec["hostname"].clone();
                }
                let failures = &annotations["batch.kubernetes.io/job-index-failure-count"];
                if failures.is_string() {
                    more["indexFailureCount"] = failures.clone();
                }
            }
            Kind::ReplicaSet | Kind::ReplicationController => {
                more = json!({"replicas": spec["replicas"], "image": image(&spec["template"]["spec"]), "owner": owner});
                if object["metadata"]["annotations"].is_object() {
                    more["annotations"] = object["metadata"]["annotations"].clone();
                }
            }
            Kind::Revision => more = json!({"revision": object["revision"]}),
            Kind::Job if !owner.is_empty() => {
                let annotations = object["metadata"]["annotations"].as_object();
                let keys: Vec<_> = annotations
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key)
                    .collect();
                more = json!({"owner": owner, "annotations": keys});
            }
            Kind::Claim | Kind::Volume => more = storage::created_words(kind, object),
            Kind::Deployment
            | Kind::DaemonSet
            | Kind::StatefulSet
            | Kind::Job
            | Kind::CronJob
            | Kind::Node
            | Kind::Quota
            | Kind::Class => {}
        }
        self.note(kind, name, "created", more);
    }

    fn note_changes(&mut self, kind: Kind, name: &str, old: &Value, new: &Value) {
        let (was, is) = (&old["metadata"], &new["metadata"]);
        if kind != Kind::Pod && kind != Kind::Node {
            self.note_spec(kind, name, old, new);
        }
        if kind == Kind::Node && old["spec"]["taints"] != new["spec"]["taints"] {
            let taints = new["spec"]["taints"].as_array().into_iter().flatten();
            let text =
                |taint: &Value, key: &str| taint[key].as_str().unwrap_or_default().to_owned();
            let words = |taint: &Value| {
                let (key, value) = (text(taint, "key"), text(taint, "value"));
                format!("{key}={value}:{}", text(taint, "effect"))
            };
            let taints: Vec<_> = taints.map(words).collect();
            self.note(kind, name, "taints", json!({ "taints": taints }));
        }
        if was["labels"] != is["labels"] {
            self.note(kind, name, "labels", json!({"labels": is["labels"]}));
        }
        if matches!(kind, Kind::Claim | Kind::Volume) {
            self.note_storage(kind, name, old, new);
        }
        if was["annotations"] != is["annotations"] && kind != Kind::Pod && kind != Kind::Node {
            let changed = changed(&was["annotations"], &is["annotations"]);
            self.note(kind, name, "annotations", json!({ "changed": changed }));
        }
        if was["ownerReferences"] != is["ownerReferences"] {
            let owner = self.owner_words(new);
            let owners: Vec<_> = Some(owner)
                .filter(|owner| !owner.is_empty())
                .into_iter()
                .collect();
            let owners: Vec<_> = owners
                .iter()
                .map(|owner| format!("{owner}:controller"))
                .collect();
            self.note(kind, name, "owners", json!({ "owners": owners }));
        }
        let finalizers = is["finalizers"].as_array().cloned().unwrap_or_default();
        let begins = was["deletionTimestamp"].is_null() && !is["deletionTimestamp"].is_null();
        if begins {
            let more = match finalizers.is_empty() {
                true => json!({}),
                false => json!({ "finalizers": finalizers }),
            };
            self.note(kind, name, "terminating", more);
        } else if was["finalizers"] != is["finalizers"] {
            self.note(
                kind,
                name,
                "finalizers",
                json!({ "finalizers": finalizers }),
            );
        }
        if kind == Kind::Pod {
            self.note_pod(name, old, new);
        }
        let phase = &new["status"]["phase"];
        if matches!(kind, Kind::Claim | Kind::Volume) && old["status"]["phase"] != *phase {
            let mut more = json!({ "phase": phase });
            if new["status"]["message"].is_string() {
                more["message"] = new["status"]["message"].clone();
            }
            self.note(kind, name, "phase", more);
        }
    }

    fn note_storage(&mut self, kind: Kind, name: &str, old: &Value, new: &Value) {
        let (was, is) = (&old["spec"], &new["spec"]);
        let claim = storage::claim_words(new);
        if storage::claim_words(old) != claim {
            self.note(kind, name, "claim", json!({ "claim": claim }));
        }
        for (what, field) in [("volume", "volumeName"), ("class", "storageClassName")] {
            if was[field] != is[field] && kind == Kind::Claim {
                self.note(kind, name, what, json!({ what: is[field] }));
            }
        }
    }

    fn note_spec(&mut self, kind: Kind, name: &str, old: &Value, new: &Value) {
        if kind == Kind::Revision && old["revision"] != new["revision"] {
            self.note(
                kind,
                name,
                "renumbered",
                json!({"revision": new["revision"]}),
            );
        }
        let generation = &new["metadata"]["generation"];
        let begins = old["metadata"]["deletionTimestamp"] != new["metadata"]["deletionTimestamp"];
        if old["metadata"]["generation"] == *generation || begins {
            return;
        }
        let (from, to) = (&old["spec"]["replicas"], &new["spec"]["replicas"]);
        if matches!(kind, Kind::ReplicaSet | Kind::ReplicationController) && from != to {
            self.note(kind, name, "scaled", json!({"from": from, "to": to}));
        } else {
            let generation = &new["metadata"]["generation"];
            self.note(
                kind,
                name,
                "spec-changed",
                json!({ "generation": generation }),
            );
        }
    }

    fn note_pod(&mut self, name: &str, old: &Value, new: &Value) {
        let phase = |pod: &Value| {
            pod["status"]["phase"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let ended = |phase: &str| matches!(phase, "Failed" | "Succeeded");
        let (was, is) = (phase(old), phase(new));
        if was != is && ended(&is) {
            return self.note(Kind::Pod, name, "phase", json!({ "phase": is }));
        }
        match (is_ready(old), is_ready(new)) {
            (false, true) => self.note(Kind::Pod, name, "ready", json!({})),
            (true, false) => self.note(Kind::Pod, name, "unready", json!({})),
            (false, false) if was != is && is == "Running" => {
                self.note(Kind::Pod, name, "running-notready", json!({}));
            }
            (true, true) | (false, false) => {}
        }
    }

    fn note_status(&mut self, kind: Kind, name: &str, object: &Value) {
        if kind.is_shown() || kind == Kind::ReplicaSet {
            let mut status = self.status_words(object);
            if status.as_object().is_some_and(serde_json::Map::is_empty) {
                return;
            }
            status["obj"] = format!("{}/{}", kind.short(), self.alias(kind, name)).into();
            self.history.push(status);
        }
    }

    pub(super) fn tell(&mut self, kind: Kind, name: &str, told: &Told) {
        let tone = match told.tone {
            Tone::Normal => "Normal",
            Tone::Warning => "Warning",
        };
        let event = json!({"obj": format!("{}/{}", kind.short(), self.alias(kind, name)), "type": tone,
            "reason": told.reason, "message": self.shorten(&told.message)});
        self.told.push(event);
    }

    /// Returns a status as recordings show it.
    pub(crate) fn status_words(&self, object: &Value) -> Value {
        let mut status = object["status"].clone();
        if !status.is_object() {
            return json!({});
        }
        let fields = status.as_object_mut().unwrap();
        fields.retain(|_, value| !value.is_null());
        if let Some(conditions) = fields.get("conditions").cloned() {
            let shown = conditions
                .as_array()
                .into_iter()
                .flatten()
                .map(|condition| {
                    let text =
                        |key: &str| self.shorten(condition[key].as_str().unwrap_or_default());
                    (
                        text("type"),
                        json!([text("status"), text("reason"), text("message")]),
                    )
                });
            fields.insert("conditions".to_owned(), Value::Object(shown.collect()));
        }
        for (key, value) in fields.iter_mut() {
            match key.as_str() {
                "startTime" | "completionTime" | "lastScheduleTime" | "lastSuccessfulTime" => {
                    *value = "T".into();
                }
                "uncountedTerminatedPods" => {
                    let lists = value.as_object().into_iter().flatten();
                    let counts = lists
                        .map(|(key, list)| (key.clone(), json!(list.as_array().unwrap().len())));
                    *value = Value::Object(counts.collect());
                }
                "active" if value.is_array() => {
                    let names = value.as_array().unwrap().iter();
                    let names =
                        names.map(|job| self.alias(Kind::Job, job["name"].as_str().unwrap()));
                    *value = names.collect();
                }
                _ => {}
            }
        }
        status
    }

    /// Returns the controller of an object in words, `ReplicaSet/RS1`; nothing if it has none.
    pub(crate) fn owner_words(&self, object: &Value) -> String {
        let Some(owner) = controller(object) else {
            return String::new();
        };
        let (kind, name) = (
            owner["kind"].as_str().unwrap(),
            owner["name"].as_str().unwrap(),
        );
        let alias = Kind::of_name(kind).map_or(name.to_owned(), |kind| self.alias(kind, name));
        format!("{kind}/{alias}")
    }

    /// Plans what looks at a change.
    fn wake(&mut self, kind: Kind, name: &str, object: &Value) {
        let owner = controller(object).cloned();
        let owner = owner.and_then(|owner| {
            let kind = Kind::of_name(owner["kind"].as_str()?)?;
            Some((kind, owner["name"].as_str()?.to_owned()))
        });
        match kind {
            Kind::Pod => {
                match owner {
                    Some((Kind::Job, job)) if self.get(Kind::Job, &job).is_some() => {
                        self.plan_batched(Due::Look(Kind::Job, job));
                    }
                    Some((Kind::ReplicaSet, set)) => self.look_soon(Kind::ReplicaSet, &set),
                    Some((kind, owner)) => self.look_soon(kind, &owner),
                    None => self.look_at_matching(object),
                }
                if object["metadata"]["finalizers"].is_array() {
                    self.look_soon(Kind::Pod, name);
                }
                self.wake_claims_of(object);
                // A Deployment looks when a pod is gone, for Recreate (DP40).
                let gone = self.get(Kind::Pod, name).is_none();
                let all: Vec<_> = self
                    .all(Kind::Deployment)
                    .map(|(name, _)| name.clone())
                    .collect();
                for deployment in all.into_iter().filter(|_| gone) {
                    self.look_soon(Kind::Deployment, &deployment);
                }
            }
            Kind::Node => self.look_at_node(),
            Kind::Deployment
            | Kind::ReplicaSet
            | Kind::ReplicationController
            | Kind::DaemonSet
            | Kind::StatefulSet
            | Kind::Job
            | Kind::CronJob
            | Kind::Revision => {
                if kind == Kind::Job && self.get(kind, name).is_some() {
                    self.wake_job(name, object);
                } else {
                    self.look_soon(kind, name);
                }
                match owner {
                    Some((kind, owner)) => self.look_soon(kind, &owner),
                    None if kind == Kind::ReplicaSet => self.look_at_matching(object),
                    None => {}
                }
            }
            Kind::Claim | Kind::Volume => self.wake_storage(kind, name, object),
            Kind::Quota | Kind::Class => {}
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            self.plan_soon(Due::Collect);
        }
    }

    /// A changed spec is looked at at once, anything else a second later (JB05).
    fn wake_job(&mut self, name: &str, object: &Value) {
        let key = (Kind::Job, name.to_owned());
        let generation = object["metadata"]["generation"].clone();
        let deleted = !object["metadata"]["deletionTimestamp"].is_null();
        if self.generations.insert(key, generation.clone()) != Some(generation) || deleted {
            self.look_soon(Kind::Job, name);
        } else {
            self.plan_batched(Due::Look(Kind::Job, name.to_owned()));
        }
    }

    fn look_at_matching(&mut self, object: &Value) {
        let kinds = [
            Kind::ReplicaSet,
            Kind::ReplicationController,
            Kind::DaemonSet,
            Kind::Deployment,
            Kind::Job,
        ];
        let labels = object["metadata"]["labels"].clone();
        let matching = self.objects.iter().filter(|((kind, _), owner)| {
            let selector = &owner["spec"]["selector"];
            let selector = if *kind == Kind::ReplicationController {
                selector
            } else {
                &selector["matchLabels"]
            };
            let wanted = selector.as_object();
            kinds.contains(kind)
                && wanted
                    .is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
        });
        let matching: Vec<_> = matching.map(|(key, _)| key.clone()).collect();
        for (kind, name) in matching {
            self.look_soon(kind, &name);
        }
    }

    pub(super) fn look_soon(&mut self, kind: Kind, name: &str) {
        self.plan_soon(Due::Look(kind, name.to_owned()));
    }

    pub(super) fn plan_soon(&mut self, due: Due) {
        let lag = if due == Due::Collect {
            self.collecting
        } else {
            self.lag
        };
        self.plan_at(self.now + lag, due);
    }

    fn plan_batched(&mut self, due: Due) {
        let at = self.now + self.lag + SignedDuration::from_secs(1);
        self.plan_at(at, due);
    }
}

/// Takes away what Go leaves out of what it keeps.
fn tidy(object: &mut Value) {
    let Some(meta) = object["metadata"].as_object_mut() else {
        return;
    };
    for key in ["annotations", "labels", "ownerReferences", "finalizers"] {
        let is_empty = |value: &Value| match value {
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if meta.get(key).is_some_and(is_empty) {
            meta.remove(key);
        }
    }
}

/// Takes the fractions off all times, as the API server does when it stores them.
fn in_seconds(value: &mut Value) {
    match value {
        Value::String(text) if text.ends_with('Z') && text.contains('T') => {
            if let Some((second, _)) = text.split_once('.')
                && second.len() == "2026-01-01T00:00:00".len()
            {
                *text = format!("{second}Z");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(in_seconds),
        Value::Object(fields) => fields.values_mut().for_each(in_seconds),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

pub(crate) fn image(pod_spec: &Value) -> Value {
    pod_spec["containers"][0]["image"].clone()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn changed(was: &Value, is: &Value) -> Value {
    let empty = Map::new();
    let (was, is) = (
        was.as_object().unwrap_or(&empty),
        is.as_object().unwrap_or(&empty),
    );
    let new = is
        .iter()
        .filter(|(key, value)| was.get(*key) != Some(value));
    let new = new.map(|(key, value)| (key.clone(), value.clone()));
    let gone = was.keys().filter(|key| !is.contains_key(*key));
    new.chain(gone.map(|key| (key.clone(), Value::Null)))
        .collect()
}
