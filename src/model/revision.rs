//! Revisions: what a pod template is called, so that the same template has the same name on
//! petset and on every cluster (C24-C27).

use std::cmp::Ordering;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::Value;

use super::canonical::canonical;
use super::json;
use super::set::Set;
use crate::problem::Problem;

/// The label that holds a revision's hash.
pub const HASH_LABEL: &str = "controller.kubernetes.io/hash";

pub(super) const FNV_OFFSET: u32 = 0x811c_9dc5;
pub(super) const FNV_PRIME: u32 = 0x0100_0193;
/// The letters of names that Kubernetes makes up: no vowels, and no digits that look like them.
pub(super) const SAFE_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Returns the pod template that a revision records.
pub fn template_of(revision: &ControllerRevision) -> Result<PodTemplateSpec, Problem> {
    let name = revision.metadata.name.as_deref().unwrap_or_default();
    let recorded = revision.data.as_ref().map(|data| &data.0);
    let template = recorded.and_then(|patch| patch.pointer("/spec/template"));
    let mut template = template.cloned().unwrap_or_default();
    if let Value::Object(fields) = &mut template {
        fields.remove("$patch");
    }
    json::from_value(&template).map_err(|fault| {
        Problem::invalid(format!("revision {name} holds no pod template: {fault}"))
    })
}

/// Makes the revision of what `set` wants now; it has no uid and no creation time yet.
pub(super) fn wanted_revision(set: &Set, number: i64, collisions: i32) -> ControllerRevision {
    let hash = hash_of(&set.patch, collisions);
    let mut labels = set.template_labels.clone();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", set.name)),
            namespace: Some(set.namespace.to_string()),
            labels: Some(labels),
            annotations: (!set.annotations.is_empty()).then(|| set.annotations.clone()),
            owner_references: Some(vec![set.owner_reference()]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(set.patch.clone())),
        revision: number,
    }
}

/// Returns the hash of a patch as it appears in names: FNV-1 over its canonical text (C25).
#[must_use]
pub fn hash_of(patch: &Value, collisions: i32) -> String {
    let mut text = canonical(patch);
    text.push_str(&collisions.to_string());
    let step = |hash: u32, byte: u8| hash.wrapping_mul(FNV_PRIME) ^ u32::from(byte);
    in_safe_letters(text.bytes().fold(FNV_OFFSET, step))
}

/// Writes a hash in letters that make no words: each decimal digit is one of them (C25, DP03).
pub(super) fn in_safe_letters(hash: u32) -> String {
    let letter = |digit: u8| char::from(SAFE_LETTERS[usize::from(digit) % SAFE_LETTERS.len()]);
    hash.to_string().bytes().map(letter).collect()
}

/// Sorts revisions as the controller lists them: by number, then age, then name.
pub(super) fn by_age(one: &ControllerRevision, two: &ControllerRevision) -> Ordering {
    let key = |revision: &ControllerRevision| {
        let created = revision
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        (revision.revision, created)
    };
    let names = one.metadata.name.cmp(&two.metadata.name);
    key(one).cmp(&key(two)).then(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compatibility_template() -> Value {
        json!({"spec": {"template": {"$patch": "replace",
            "metadata": {"annotations": {"test": "value"}, "labels": {"app": "foo"}},
            "spec": {"containers": [{"image": "test", "imagePullPolicy": "Always", "name": "test",
                "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30}}}})
    }

    #[test]
    fn a_revision_holds_the_template_and_nothing_else() {
        // C24
        let set = |change: Value| {
            let mut set = json!({"metadata": {"name": "web", "namespace": "default", "uid": "u"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}, "serviceName": "web",
                    "template": {"metadata": {"labels": {"app": "web"}},
                        "spec": {"containers": [{"name": "c", "image": "v1"}]}}}});
            for (field, value) in change.as_object().into_iter().flatten() {
                set["spec"][field] = value.clone();
            }
            Set::of(&serde_json::from_value(set).unwrap()).unwrap()
        };
        let recorded = |set: &Set| wanted_revision(set, 1, 0).data.unwrap().0;
        let plain = recorded(&set(json!({})));
        let template = json!({"$patch": "replace", "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "v1"}]}});
        assert_eq!(plain, json!({"spec": {"template": template}}));
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        for other in [
            json!({"replicas": 5, "serviceName": "other"}),
            json!({"updateStrategy": rolling}),
            json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}),
        ] {
            assert_eq!(recorded(&set(other.clone())), plain, "{other}");
        }
    }

    #[test]
    fn the_known_templates_have_their_known_hashes() {
        // C26: they differ by a creationTimestamp of null only.
        let mut patch = compatibility_template();
        assert_eq!(hash_of(&patch, 0), "776999688b");
        patch["spec"]["template"]["metadata"]["creationTimestamp"] = Value::Null;
        assert_eq!(hash_of(&patch, 0), "c77f6d978");
    }
}
