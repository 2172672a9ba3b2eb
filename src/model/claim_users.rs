//! Who uses a claim beside the pet that it was made for.
//!
//! A claim is found by its name alone. Two sets can make the same name (template `alpha-beta` of
//! `db` and template `alpha` of `beta-db`), and any pod may mount a claim by name.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::claim::Claims;
use super::name::claim_name;
use super::pod::controller_of;
use super::set::deletion_of;
use super::wish::PURGE_ANNOTATION;
use super::{Deletion, Ordinal};

/// The other sets and the pods of a namespace, seen from one set.
#[derive(Debug)]
pub struct ClaimUsers<'a> {
    sets: Vec<&'a StatefulSet>,
    pods: Vec<&'a Pod>,
}

impl<'a> ClaimUsers<'a> {
    /// Gathers them from all sets and pods of the namespace. The set's own pets are left out, and
    /// so are sets that are being deleted together with their claims.
    #[must_use]
    pub fn beside(
        name: &str,
        uid: &str,
        sets: impl IntoIterator<Item = &'a StatefulSet>,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Self {
        let is_other = |other: &&StatefulSet| {
            other.metadata.name.as_deref() != Some(name) && keeps_claims(other)
        };
        let is_own = |pod: &Pod| controller_of(&pod.metadata).is_some_and(|of| of.uid == uid);
        Self {
            sets: sets.into_iter().filter(is_other).collect(),
            pods: pods.into_iter().filter(|pod| !is_own(pod)).collect(),
        }
    }

    /// Returns the other set whose claim it is too, or whose pets mount it.
    #[must_use]
    pub fn set_of(&self, claim: &str) -> Option<&'a str> {
        let mut sets = self.sets.iter();
        let set = sets.find(|set| names_claim(set, claim))?;
        set.metadata.name.as_deref()
    }

    /// Returns the pod that uses a claim and is no pet of the set.
    #[must_use]
    pub fn pod_of(&self, claim: &str) -> Option<&'a str> {
        let mut pods = self.pods.iter();
        let pod = pods.find(|pod| mounts_claim(pod.spec.as_ref(), claim))?;
        pod.metadata.name.as_deref()
    }

    /// Notes the users of those claims that could be deleted.
    pub fn note(&self, claims: &mut Claims) {
        for claim in claims.values_mut().filter(|claim| claim.may_go()) {
            claim.shared = self.set_of(&claim.name).is_some();
            claim.in_use = self.pod_of(&claim.name).is_some();
        }
    }

    /// Says which data a set shares with others by the names of its claims alone. `old` is the set
    /// as it is stored: what it had before is not said again.
    #[must_use]
    pub fn warnings(&self, set: &StatefulSet, old: Option<&StatefulSet>) -> Vec<String> {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let known: Vec<&str> = old.into_iter().flat_map(templates).collect();
        let new = templates(set).filter(|template| !known.contains(template));
        let new: Vec<&str> = new.collect();
        let start = set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref());
        let start = start.and_then(|ordinals| ordinals.start);
        let first = Ordinal(start.and_then(|start| start.try_into().ok()).unwrap_or(0));
        let mut warnings = Vec::new();
        for template in &new {
            let stem = format!("{template}-{name}");
            let claim = claim_name(template, name, first);
            let others = self.sets.iter().filter_map(|other| {
                let named = other.metadata.name.as_deref()?;
                let same = |theirs: &&str| format!("{theirs}-{named}") == stem;
                Some((named, templates(other).find(same)?))
            });
            warnings.extend(others.map(|(named, theirs)| {
                format!(
                    "claim template {template} of set {name} and {theirs} of set {named} make \
                     claims of the same name, such as {claim}: their pets share the data"
                )
            }));
        }
        warnings.extend(self.pods.iter().filter_map(|pod| {
            let named = pod.metadata.name.as_deref()?;
            let claim = claims_of(pod.spec.as_ref()).find(|claim| {
                let mut own = new.iter();
                own.any(|template| is_claim_of(claim, template, name))
            })?;
            Some(format!(
                "pod {named} uses the claim {claim}, which set {name} makes for a pet: they share \
                 the data"
            ))
        }));
        warnings
    }
}

/// Returns whether a pod with this spec mounts the claim.
#[must_use]
pub fn mounts_claim(spec: Option<&PodSpec>, claim: &str) -> bool {
    claims_of(spec).any(|name| name == claim)
}

fn claims_of(spec: Option<&PodSpec>) -> impl Iterator<Item = &str> {
    let volumes = spec.and_then(|spec| spec.volumes.as_ref());
    let volumes = volumes.into_iter().flatten();
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

fn templates(set: &StatefulSet) -> impl Iterator<Item = &str> {
    let spec = set.spec.as_ref();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_ref());
    let templates = templates.into_iter().flatten();
    templates.filter_map(|claim| claim.metadata.name.as_deref())
}

/// Returns whether a set makes the claim for one of its pets, whatever its ordinal, or mounts it.
#[must_use]
pub fn names_claim(set: &StatefulSet, claim: &str) -> bool {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let mut own = templates(set);
    let spec = set.spec.as_ref();
    own.any(|template| is_claim_of(claim, template, name))
        || mounts_claim(spec.and_then(|spec| spec.template.spec.as_ref()), claim)
}

fn is_claim_of(claim: &str, template: &str, set: &str) -> bool {
    let after = |text: &'_ str, part: &str| {
        let rest = text.strip_prefix(part)?.strip_prefix('-')?;
        Some(text.len() - rest.len())
    };
    let pet = after(claim, template).map_or("", |at| &claim[at..]);
    let ordinal = after(pet, set).map_or("", |at| &pet[at..]);
    let number = ordinal.parse::<u32>();
    number.is_ok_and(|number| number.to_string() == ordinal)
}

/// Returns whether the claims of a set stay, also when its deletion is done.
fn keeps_claims(set: &StatefulSet) -> bool {
    if deletion_of(&set.metadata) != Some(Deletion::Drain) {
        return true;
    }
    let annotations = set.metadata.annotations.as_ref();
    let purged = annotations.is_some_and(|all| all.contains_key(PURGE_ANNOTATION));
    let spec = set.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let when_deleted = policy.and_then(|policy| policy.when_deleted.as_deref());
    !purged && when_deleted != Some("Delete")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(name: &str, template: &str, meta: &Value) -> StatefulSet {
        let mut set = json!({
            "metadata": {"name": name, "uid": name},
            "spec": {"serviceName": name, "selector": {}, "template": {},
                     "volumeClaimTemplates": [{"metadata": {"name": template}}]},
        });
        for (key, value) in meta.as_object().into_iter().flatten() {
            set["metadata"][key] = value.clone();
        }
        serde_json::from_value(set).unwrap()
    }

    fn pod(name: &str, claim: &str, owner: &str) -> Pod {
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": true,
                           "name": owner, "uid": owner});
        serde_json::from_value(json!({
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"containers": [], "volumes": [
                {"name": "d", "persistentVolumeClaim": {"claimName": claim}}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_claim_of_two_sets_is_kept_for_the_other_one() {
        let gone = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let mut purged = gone.clone();
        purged["annotations"] = json!({PURGE_ANNOTATION: "true"});
        let own = set("beta-db", "alpha", &json!({}));
        let other = |meta: &Value| vec![set("db", "alpha-beta", meta), own.clone()];
        for (meta, expected) in [(json!({}), Some("db")), (gone, Some("db")), (purged, None)] {
            let sets = other(&meta);
            let users = ClaimUsers::beside("beta-db", "beta-db", &sets, &[]);
            assert_eq!(users.set_of("alpha-beta-db-0"), expected, "{meta}");
            for unlike in [
                "alpha-beta-db-x",
                "alpha-beta-db-01",
                "alpha-beta-db",
                "alpha-db-0",
            ] {
                assert_eq!(users.set_of(unlike), None, "{unlike}");
            }
        }
    }

    #[test]
    fn pods_but_for_the_sets_own_pets_are_users() {
        let pods = [
            pod("web-0", "data-web-0", "web"),
            pod("debug", "data-web-1", "other"),
        ];
        let users = ClaimUsers::beside("web", "web", &[], &pods);
        assert_eq!(users.pod_of("data-web-0"), None);
        assert_eq!(users.pod_of("data-web-1"), Some("debug"));
    }

    #[test]
    fn a_new_template_that_names_the_claims_of_another_is_warned_about() {
        let own = set("beta-db", "alpha", &json!({}));
        let sets = [
            set("db", "alpha-beta", &json!({})),
            set("db-2", "alpha", &json!({})),
        ];
        let pods = [pod("debug", "alpha-beta-db-0", "")];
        let users = ClaimUsers::beside("beta-db", "beta-db", &sets, &pods);
        let warnings = users.warnings(&own, None);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("alpha-beta of set db "),
            "{warnings:?}"
        );
        assert!(warnings[1].starts_with("pod debug uses"), "{warnings:?}");
        assert!(users.warnings(&own, Some(&own)).is_empty());
    }
}
