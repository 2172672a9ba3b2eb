//! A set as the controller sees it: what is wanted, parsed once from a defaulted `StatefulSet`.
//!
//! The verbs edit the `StatefulSet` itself (see [`super::edit`]); the pods and claims it stands
//! for are made in [`super::pet`] and [`super::claim`], its revisions in [`super::revision`].

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::canonical::patch_of;
use super::wish::{CHANGE_CAUSE, CHANGE_CAUSE_ANNOTATION, KIND_ANNOTATION, OWN_PREFIX, SetOptions};
use super::{Namespace, Ordinal, SetName};
use crate::problem::Problem;

/// The value of [`KIND_ANNOTATION`] on a set that was written as one of `apps/v1alpha1`.
pub const PETSET: &str = "PetSet";
/// Finalizer with which the API server marks a set whose pets are to survive its deletion.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// The wanted state of one set.
///
/// Values that the API server would have defaulted may be missing: they are read as their
/// defaults (C29).
#[derive(Debug, Clone)]
pub struct Set {
    /// Its name; every pet's name starts with it.
    pub name: SetName,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its uid, which differs from that of an earlier set of the same name.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// How many pets it runs.
    pub replicas: u32,
    /// The ordinal of the first pet.
    pub start: u32,
    /// Whether pets come and go one after the other.
    pub policy: Policy,
    /// How pets move to a new revision.
    pub strategy: Strategy,
    /// How long a pet must have been ready to count as available.
    pub min_ready: Duration,
    /// How many unused revisions are kept; `None` keeps all (C28).
    pub history_limit: Option<usize>,
    /// The retention policy of its claims.
    pub retention: Retention,
    /// Which pets are its own.
    pub selector: Selector,
    /// The names of its claim templates.
    pub claim_templates: Vec<String>,
    /// The pod template as a revision records it (C24).
    pub patch: Value,
    /// Labels of the pod template; revisions carry them.
    pub template_labels: BTreeMap<String, String>,
    /// Annotations of the set but for petset's own; revisions carry them.
    pub annotations: BTreeMap<String, String>,
    /// How it is being deleted, if it is.
    pub deletion: Option<Deletion>,
    /// `petset stop`: pets go in reverse order; replicas and claims stay as they are.
    pub stopped: bool,
    /// `petset stop --parallel`: the pets of an ordered set do not wait for each other then.
    pub stops_together: bool,
    /// It was written as a PetSet: its pets go by age, and its events speak of pets (C83, C84).
    pub is_petset: bool,
    /// The options that its annotations set.
    pub options: SetOptions,
}

/// Whether pets come and go one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// From the lowest ordinal up, each available before the next; down in reverse.
    OrderedReady,
    /// All at once; only a roll to a new revision goes one by one (R21).
    Parallel,
}

/// How pets move to a new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Only when they are deleted.
    OnDelete,
    /// From the highest ordinal down, as far as the partition.
    RollingUpdate(Option<Roll>),
}

/// The bounds of a rolling update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roll {
    /// Pets with a lower index keep their revision; counted from the start ordinal (C14).
    pub partition: u32,
    /// How many pets may be unavailable at a time; absent means one.
    pub max_unavailable: Option<Bound>,
}

/// A number of pets, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This many.
    Count(u32),
    /// This many in a hundred, rounded down.
    Percent(u32),
}

impl Bound {
    /// Returns the bound as a number of pets, at least one (C18).
    #[must_use]
    pub fn of(self, replicas: u32) -> usize {
        let pets = match self {
            Self::Count(pets) => pets.into(),
            Self::Percent(percent) => u64::from(replicas) * u64::from(percent) / 100,
        };
        usize::try_from(pets.max(1)).unwrap_or(usize::MAX)
    }
}

/// The retention policy of claims, `persistentVolumeClaimRetentionPolicy` (V58, C23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// When the set is deleted.
    pub when_deleted: Keep,
    /// When the set is scaled below the pet.
    pub when_scaled: Keep,
}

/// Whether a claim outlives its pet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It stays, for the next pet of that ordinal.
    Retain,
    /// It goes, with all that is in it.
    Delete,
}

/// How a set is deleted, which decides about its pets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// They stop, from the highest ordinal down.
    Drain,
    /// They are let go and keep running (`--cascade=orphan`).
    Orphan,
}

/// Which labels a pet must have to belong to a set.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone)]
struct Expression {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads a selector; operators are those that the API server knows.
    pub fn of(selector: &LabelSelector) -> Result<Self, Problem> {
        let expressions = selector.match_expressions.iter().flatten().map(|wish| {
            let operator = match wish.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(Problem::invalid(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            let (key, values) = (wish.key.clone(), wish.values.clone().unwrap_or_default());
            Ok(Expression {
                key,
                operator,
                values,
            })
        });
        Ok(Self {
            labels: selector.match_labels.clone().unwrap_or_default(),
            expressions: expressions.collect::<Result<_, _>>()?,
        })
    }

    /// Returns whether something with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|wish| wish.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => !value.is_some_and(|value| self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl Set {
    /// Reads what a stored, defaulted `StatefulSet` wants.
    pub fn of(set: &StatefulSet) -> Result<Self, Problem> {
        let meta = &set.metadata;
        let spec = set
            .spec
            .as_ref()
            .ok_or_else(|| Problem::invalid("spec: Required value"))?;
        let template = spec.template.metadata.as_ref();
        let claims = spec.volume_claim_templates.iter().flatten();
        let annotations = meta.annotations.clone().unwrap_or_default();
        Ok(Self {
            name: meta.name.clone().unwrap_or_default().parse()?,
            namespace: meta.namespace.as_deref().unwrap_or("default").parse()?,
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            replicas: count("spec.replicas", spec.replicas.unwrap_or(1))?,
            start: start_of(spec)?,
            policy: policy_of(spec)?,
            strategy: strategy_of(spec.update_strategy.as_ref())?,
            min_ready: Duration::from_secs(
                count("spec.minReadySeconds", spec.min_ready_seconds.unwrap_or(0))?.into(),
            ),
            history_limit: usize::try_from(spec.revision_history_limit.unwrap_or(10)).ok(),
            retention: retention_of(spec.persistent_volume_claim_retention_policy.as_ref())?,
            selector: Selector::of(&spec.selector)?,
            claim_templates: claims
                .filter_map(|claim| claim.metadata.name.clone())
                .collect(),
            patch: patch_of(&spec.template),
            template_labels: template
                .and_then(|meta| meta.labels.clone())
                .unwrap_or_default(),
            annotations: revision_annotations(&annotations),
            deletion: deletion_of(meta),
            stopped: false,
            stops_together: false,
            is_petset: annotations
                .get(KIND_ANNOTATION)
                .is_some_and(|kind| kind == PETSET),
            options: SetOptions::of(&annotations)?,
        })
    }

    /// Returns the ordinals that shall have a pet, in order (C03).
    pub fn ordinals(&self) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        (self.start..self.start.saturating_add(self.replicas)).map(Ordinal)
    }

    /// Returns whether a pet with this ordinal shall exist (C03).
    #[must_use]
    pub fn has(&self, ordinal: Ordinal) -> bool {
        ordinal.0 >= self.start && ordinal.0 - self.start < self.replicas
    }

    /// Returns the name of the pet with this ordinal (C01).
    #[must_use]
    pub fn pet_name(&self, ordinal: Ordinal) -> String {
        format!("{}-{ordinal}", self.name)
    }

    /// Returns the reference with which the set owns its pets, claims and revisions.
    #[must_use]
    pub fn owner_reference(&self) -> OwnerReference {
        controller_reference("apps/v1", "StatefulSet", self.name.as_str(), &self.uid)
    }
}

/// Returns the reference of an owner that controls what it owns.
pub(super) fn controller_reference(
    api_version: &str,
    kind: &str,
    name: &str,
    uid: &str,
) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        block_owner_deletion: Some(true),
        controller: Some(true),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    }
}

fn count(path: &str, number: i32) -> Result<u32, Problem> {
    let fault = || format!("{path}: Invalid value: {number}: must be greater than or equal to 0");
    u32::try_from(number).map_err(|_| Problem::invalid(fault()))
}

fn unsupported(path: &str, value: &str, known: [&str; 2]) -> Problem {
    let [one, two] = known;
    let values = format!("supported values: \"{one}\", \"{two}\"");
    Problem::invalid(format!("{path}: Unsupported value: {value:?}: {values}"))
}

/// Returns the annotations that a revision takes over from its set, with the cause of a change
/// where kubectl looks for it.
fn revision_annotations(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let given = all.iter().filter(|(key, _)| !key.starts_with(OWN_PREFIX));
    let cause = all.get_key_value(CHANGE_CAUSE_ANNOTATION);
    let cause = cause.map(|(_, line)| (CHANGE_CAUSE.to_owned(), line.clone()));
    let given = given.map(|(key, value)| (key.clone(), value.clone()));
    given.chain(cause).collect()
}

fn start_of(spec: &StatefulSetSpec) -> Result<u32, Problem> {
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    count("spec.ordinals.start", start.unwrap_or(0))
}

fn policy_of(spec: &StatefulSetSpec) -> Result<Policy, Problem> {
    match spec.pod_management_policy.as_deref() {
        None | Some("OrderedReady") => Ok(Policy::OrderedReady),
        Some("Parallel") => Ok(Policy::Parallel),
        Some(other) => {
            let known = ["OrderedReady", "Parallel"];
            Err(unsupported("spec.podManagementPolicy", other, known))
        }
    }
}

fn strategy_of(strategy: Option<&StatefulSetUpdateStrategy>) -> Result<Strategy, Problem> {
    let Some(strategy) = strategy else {
        return Ok(Strategy::RollingUpdate(None));
    };
    match strategy.type_.as_deref() {
        Some("OnDelete") => return Ok(Strategy::OnDelete),
        None | Some("RollingUpdate") => {}
        Some(other) => {
            let known = ["RollingUpdate", "OnDelete"];
            return Err(unsupported("spec.updateStrategy", other, known));
        }
    }
    let Some(rolling) = &strategy.rolling_update else {
        return Ok(Strategy::RollingUpdate(None));
    };
    let path = "spec.updateStrategy.rollingUpdate.partition";
    Ok(Strategy::RollingUpdate(Some(Roll {
        partition: count(path, rolling.partition.unwrap_or(0))?,
        max_unavailable: rolling.max_unavailable.as_ref().map(bound_of).transpose()?,
    })))
}

fn bound_of(value: &IntOrString) -> Result<Bound, Problem> {
    let path = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    match value {
        IntOrString::Int(pets) => Ok(Bound::Count(count(path, *pets)?)),
        IntOrString::String(share) => {
            let percent = share
                .strip_suffix('%')
                .and_then(|number| number.parse().ok());
            let fault = || {
                let rule =
                    "a valid percent string must be a numeric string followed by an ending '%'";
                Problem::invalid(format!("{path}: Invalid value: {share:?}: {rule}"))
            };
            Ok(Bound::Percent(percent.ok_or_else(fault)?))
        }
    }
}

fn retention_of(
    policy: Option<&StatefulSetPersistentVolumeClaimRetentionPolicy>,
) -> Result<Retention, Problem> {
    let keep = |field: &str, value: Option<&String>| match value.map(String::as_str) {
        None | Some("Retain") => Ok(Keep::Retain),
        Some("Delete") => Ok(Keep::Delete),
        Some(other) => {
            let path = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
            Err(unsupported(&path, other, ["Delete", "Retain"]))
        }
    };
    Ok(Retention {
        when_deleted: keep(
            "whenDeleted",
            policy.and_then(|policy| policy.when_deleted.as_ref()),
        )?,
        when_scaled: keep(
            "whenScaled",
            policy.and_then(|policy| policy.when_scaled.as_ref()),
        )?,
    })
}

pub(super) fn deletion_of(meta: &ObjectMeta) -> Option<Deletion> {
    meta.deletion_timestamp.as_ref()?;
    let orphan = meta
        .finalizers
        .iter()
        .flatten()
        .any(|name| name == ORPHAN_FINALIZER);
    Some(if orphan {
        Deletion::Orphan
    } else {
        Deletion::Drain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_pets_is_rounded_down_and_never_zero() {
        // C18
        let table = [
            (Bound::Count(3), 10, 3),
            (Bound::Count(3), 0, 3),
            (Bound::Count(0), 0, 1),
            (Bound::Percent(10), 25, 2),
            (Bound::Percent(100), 5, 5),
            (Bound::Percent(50), 5, 2),
            (Bound::Percent(10), 5, 1),
            (Bound::Percent(1), 0, 1),
            (Bound::Percent(0), 0, 1),
        ];
        for (bound, replicas, pets) in table {
            assert_eq!(bound.of(replicas), pets, "{bound:?} of {replicas}");
        }
    }
}
