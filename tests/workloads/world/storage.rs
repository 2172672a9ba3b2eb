//! Claims and volumes: the binder under test, and what is observed of them.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use petset::model::binder::{
    BindStep, Provisioning, StorageSeen, default_class, look_at_claim, look_at_volume,
};
use serde_json::{Value, json};

use super::*;

/// Whoever looked at something by its own clock did so at least so long after the step began.
const BY_THE_CLOCK: SignedDuration = SignedDuration::from_millis(500);

impl World {
    /// Gives a new claim or volume what the API server does (PV01, PV15).
    pub(super) fn complete_storage(&self, kind: Kind, object: &mut Value) {
        object["status"] = json!({"phase": "Pending"});
        let protection = match kind == Kind::Claim {
            true => "kubernetes.io/pvc-protection",
            false => "kubernetes.io/pv-protection",
        };
        object["metadata"]["finalizers"] = json!([protection]);
        let classes = self.typed(Kind::Class);
        let class = default_class(&classes.iter().collect::<Vec<_>>());
        if kind == Kind::Claim
            && object["spec"]["storageClassName"].is_null()
            && let Some(class) = class
        {
            object["spec"]["storageClassName"] = write(&class.metadata.name);
        }
    }

    pub(super) fn look_at_storage(&mut self, kind: Kind, name: &str, object: &Value) {
        let volumes = self.typed(Kind::Volume);
        let claims = self.typed(Kind::Claim);
        let (classes, pods) = (self.typed(Kind::Class), self.typed(Kind::Pod));
        let seen = StorageSeen {
            volumes: volumes.iter().collect(),
            claims: claims.iter().collect(),
            classes: classes.iter().collect(),
            pods: pods.iter().collect(),
            provisioning: Provisioning::Nobody,
        };
        let steps = match kind == Kind::Claim {
            true => look_at_claim(&read::<PersistentVolumeClaim>(object), &seen),
            false => look_at_volume(&read::<PersistentVolume>(object), &seen),
        };
        for step in steps {
            match step {
                BindStep::UpdateVolume(volume) => {
                    let name = volume.metadata.name.clone().unwrap();
                    self.update(Kind::Volume, &name, write(&*volume));
                }
                BindStep::UpdateClaim(claim) => {
                    let name = claim.metadata.name.clone().unwrap();
                    self.update(Kind::Claim, &name, write(&*claim));
                }
                BindStep::Provision => panic!("nobody provisions here"),
                BindStep::Tell(told) => self.tell(kind, name, &told),
            }
        }
    }

    /// Plans what looks at a changed claim or volume: the binder at both halves, but for a new
    /// volume, which waits for the binder's clock (PV07).
    pub(super) fn wake_storage(&mut self, kind: Kind, name: &str, object: &Value) {
        self.look_soon(kind, name);
        let claim = &object["spec"]["claimRef"];
        let (other, name) = match kind == Kind::Claim {
            true => (Kind::Volume, &object["spec"]["volumeName"]),
            false => (Kind::Claim, &claim["name"]),
        };
        let is_reserved = kind == Kind::Volume && claim["uid"].is_null();
        if let Some(name) = name.as_str().filter(|_| !is_reserved) {
            self.look_soon(other, name);
        }
    }

    /// Looks at the claims that a pod uses, once they are to go.
    pub(super) fn wake_claims_of(&mut self, pod: &Value) {
        let claims: Vec<_> = claims_of(pod).collect();
        for claim in claims {
            let object = self.get(Kind::Claim, &claim);
            if object.is_some_and(|it| !it["metadata"]["deletionTimestamp"].is_null()) {
                self.look_soon(Kind::Claim, &claim);
            }
        }
    }

    /// Lets the binder look at all claims when its clock had it do so in the recording (PV07).
    pub(super) fn plan_binder(&mut self, step: &Step) {
        let of_claim = |event: &Value| {
            let object = event["obj"].as_str().unwrap_or_default();
            object.starts_with("pvc/") || event["ev"] == "pv-claim" || event["ev"] == "pvc-class"
        };
        let all = step
            .events
            .iter()
            .chain(&step.told)
            .filter(|it| of_claim(it));
        let times = all.filter_map(|event| Some(SignedDuration::from_millis(event["t"].as_i64()?)));
        let times: Vec<_> = times.filter(|time| *time >= BY_THE_CLOCK).collect();
        let claims: Vec<_> = self
            .all(Kind::Claim)
            .map(|(name, _)| name.clone())
            .collect();
        for (time, claim) in times
            .iter()
            .flat_map(|time| claims.iter().map(move |it| (time, it)))
        {
            self.order += 1;
            let due = Due::Look(Kind::Claim, claim.clone());
            self.queue.insert((self.start + *time, self.order), due);
        }
    }

    /// Replaces the recording's word for the uid of a claim.
    pub(super) fn real_claim(&self, volume: &mut Value) {
        let claim = &mut volume["spec"]["claimRef"];
        if claim["uid"] == "UID" {
            let known = self
                .get(Kind::Claim, claim["name"].as_str().unwrap())
                .unwrap();
            claim["uid"] = known["metadata"]["uid"].clone();
        }
    }
}

pub(super) fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let claims = volumes.map(|volume| &volume["persistentVolumeClaim"]["claimName"]);
    claims.filter_map(|name| name.as_str().map(str::to_owned))
}

/// Returns a claim or volume in the words of the recording, under the name of its kind.
pub(crate) fn words(kind: Kind, object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let mut words = json!({"phase": status["phase"]});
    let mut say = |key: &str, value: &Value| {
        if !value.is_null() {
            words[key] = value.clone();
        }
    };
    say("volume", &spec["volumeName"]);
    if kind == Kind::Claim {
        say("class", &spec["storageClassName"]);
    }
    say("capacity", &status["capacity"]["storage"]);
    say("claim", &claim_words(object));
    say("message", &status["message"]);
    say("annotations", &object["metadata"]["annotations"]);
    if !object["metadata"]["deletionTimestamp"].is_null() {
        say("terminating", &true.into());
    }
    words
}

/// Returns the claim of a volume, as recordings show it.
pub(super) fn claim_words(volume: &Value) -> Value {
    let claim = &volume["spec"]["claimRef"];
    match (claim["name"].as_str(), claim["uid"].as_str()) {
        (None, _) => Value::Null,
        (Some(name), None) => format!("{name} (no uid)").into(),
        (Some(name), Some(_)) => name.into(),
    }
}

/// Returns what of a new claim or volume is observed.
pub(super) fn created_words(kind: Kind, object: &Value) -> Value {
    let mut words = words(kind, object);
    let fields = words.as_object_mut().unwrap();
    fields.remove("annotations");
    fields.retain(|_, value| *value != "");
    words
}
