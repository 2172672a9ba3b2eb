//! The ReplicaSet controller, which is that of ReplicationControllers too: so many pods, whatever
//! their names (RS01-RS20).

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus,
};
use k8s_openapi::api::core::v1::{
    Pod, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference, Time};

use super::set::Selector;
use super::workload::{
    Claim, MAX_BATCHED, Random, Ranked, Reconciled, WorkStep, claim, generated_name,
    owner_reference, pods, slow_start,
};
use crate::problem::Problem;
use crate::sorted::sort_by;

const FAILURE: &str = "ReplicaFailure";

/// What is seen of a namespace.
#[derive(Debug, Clone, Default)]
pub struct PodsSeen<'a> {
    /// Its pods, whosoever they are.
    pub pods: Vec<&'a Pod>,
    /// The active pods of all sets with the same controller, on any node (RS13).
    pub related: Vec<&'a Pod>,
}

/// Lists the steps that bring a ReplicaSet to its number of pods.
///
/// Active pods without a controller that match are adopted, own ones that do not match any more
/// are released (RS08, RS09). Then what is missing is made, in batches that double (RS04), or what
/// is too many is deleted, in the order of [`Ranked`]. Neither waits for a pod to be ready, nor for
/// one to be gone (RS05). Pods that ended stay as objects (RS06), and a changed template touches no
/// pod (RS07). A set that is being deleted only tells its status.
pub fn reconcile(
    set: &ReplicaSet,
    seen: &PodsSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Result<Reconciled<ReplicaSetStatus>, Problem> {
    let owner = owner_reference(&set.metadata, "apps/v1", "ReplicaSet");
    let (mut outcome, terminating) = pass(set, &owner, seen, now, random)?;
    outcome.status.terminating_replicas = Some(terminating);
    Ok(outcome)
}

/// Lists the steps of a ReplicationController: those of a ReplicaSet with its selector.
pub fn reconcile_controller(
    controller: &ReplicationController,
    seen: &PodsSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Result<Reconciled<ReplicationControllerStatus>, Problem> {
    let owner = owner_reference(&controller.metadata, "v1", "ReplicationController");
    let (outcome, _) = pass(&as_set(controller), &owner, seen, now, random)?;
    Ok(Reconciled {
        status: as_controller_status(outcome.status),
        steps: outcome.steps,
        wake_at: outcome.wake_at,
        remembered: (),
    })
}

/// Notes in a status that a step failed with a message, or that none did (RS15).
///
/// The first message stays until a pass succeeds.
pub fn note_failure(
    status: &mut ReplicaSetStatus,
    published: &ReplicaSetStatus,
    failure: Option<(&WorkStep, &str)>,
    now: Timestamp,
) {
    let is_failure = |condition: &&ReplicaSetCondition| condition.type_ == FAILURE;
    let before = published.conditions.iter().flatten().find(is_failure);
    let mut conditions = published.conditions.clone().unwrap_or_default();
    match failure {
        Some((step, message)) if before.is_none() => conditions.push(ReplicaSetCondition {
            type_: FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: step.told(Some(message)).map(|told| told.reason),
            message: Some(message.to_owned()),
            last_transition_time: Some(Time(now)),
        }),
        Some(_) => {}
        None => conditions.retain(|condition| condition.type_ != FAILURE),
    }
    status.conditions = Some(conditions).filter(|conditions| !conditions.is_empty());
}

/// Does the same with the status of a ReplicationController.
pub fn note_failure_of_controller(
    seen: &mut ReplicationController,
    published: &ReplicationController,
    failure: Option<(&WorkStep, &str)>,
    now: Timestamp,
) {
    let published = as_set(published).status.unwrap_or_default();
    let mut conditions = ReplicaSetStatus::default();
    note_failure(&mut conditions, &published, failure, now);
    let status = seen.status.get_or_insert_default();
    status.conditions = as_controller_status(conditions).conditions;
}

/// Makes a pass; returns the number of pods that terminate too.
fn pass(
    set: &ReplicaSet,
    owner: &OwnerReference,
    seen: &PodsSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Result<(Reconciled<ReplicaSetStatus>, i32), Problem> {
    let spec = set.spec.clone().unwrap_or_default();
    let selector = Selector::of(&spec.selector)?;
    let mut steps = Vec::new();
    let (mut active, mut terminating) = (Vec::new(), 0);
    for pod in &seen.pods {
        let claimed = claim(&pod.metadata, &set.metadata, &selector);
        if pods::is_active(pod) {
            if let Some(owner) = claimed.new_owner(owner) {
                let name = pods::name_of(&pod.metadata).to_owned();
                steps.push(WorkStep::OwnPod { name, owner });
            }
            active.extend(claimed.is_own().then_some(*pod));
        } else if claimed == Claim::Own && !pods::has_ended(pod) {
            terminating += 1;
        }
    }
    if set.metadata.deletion_timestamp.is_none() {
        steps.extend(manage(set, owner, &active, seen, now, random));
    }
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    let times = active
        .iter()
        .filter_map(|pod| pods::available_at(pod, min_ready));
    let status = status(set, &spec, &active, now);
    let wake_at = times.filter(|at| *at > now).min();
    Ok((
        Reconciled {
            status,
            steps,
            wake_at,
            remembered: (),
        },
        terminating,
    ))
}

fn manage(
    set: &ReplicaSet,
    owner: &OwnerReference,
    active: &[&Pod],
    seen: &PodsSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Vec<WorkStep> {
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or_default();
    if active.len() < wanted {
        let count = (wanted - active.len()).min(MAX_BATCHED);
        return fill(set, owner, count, seen, random);
    }
    let surplus = (active.len() - wanted).min(MAX_BATCHED);
    let on_node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let neighbours = |pod: &Pod| {
        let node = on_node(pod);
        seen.related
            .iter()
            .filter(|other| on_node(other) == node)
            .count()
    };
    let mut ranked: Vec<_> = match surplus {
        0 => return Vec::new(),
        _ => active
            .iter()
            .map(|pod| Ranked {
                pod,
                neighbours: neighbours(pod),
            })
            .collect(),
    };
    sort_by(&mut ranked, |one, two| one.compare(two, now));
    let doomed = ranked.into_iter().take(surplus);
    let delete = |ranked: Ranked<'_>| WorkStep::DeletePod {
        name: pods::name_of(&ranked.pod.metadata).to_owned(),
    };
    doomed.map(delete).collect()
}

fn fill(
    set: &ReplicaSet,
    owner: &OwnerReference,
    count: usize,
    seen: &PodsSeen<'_>,
    random: &mut Random,
) -> Vec<WorkStep> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone());
    let template = template.unwrap_or_default();
    let prefix = format!("{}-", pods::name_of(&set.metadata));
    let mut taken: std::collections::HashSet<String> = seen
        .pods
        .iter()
        .map(|pod| pods::name_of(&pod.metadata).to_owned())
        .collect();
    let batches = slow_start(count).into_iter().enumerate();
    let batches = batches.flat_map(|(batch, size)| std::iter::repeat_n(batch, size));
    let make = |batch| {
        let mut pod =
            pods::from_template(&template, set.metadata.namespace.as_deref(), owner.clone());
        let name = generated_name(&prefix, random, |name| taken.contains(name));
        taken.insert(name.clone());
        pod.metadata.name = Some(name);
        pod.metadata.generate_name = Some(prefix.clone());
        WorkStep::CreatePod {
            pod: Box::new(pod),
            batch,
        }
    };
    batches.map(make).collect()
}

/// Counts the pods that there were when the pass began (RS14).
fn status(
    set: &ReplicaSet,
    spec: &ReplicaSetSpec,
    active: &[&Pod],
    now: Timestamp,
) -> ReplicaSetStatus {
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    let template = spec
        .template
        .as_ref()
        .and_then(|template| template.metadata.as_ref());
    let labels = template
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    let count = |is: &dyn Fn(&Pod) -> bool| {
        let count = active.iter().filter(|pod| is(pod)).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let unless_none = |count: i32| Some(count).filter(|count| *count > 0);
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: unless_none(count(&|pod| pods::has_labels(&pod.metadata, &labels))),
        ready_replicas: unless_none(count(&pods::is_ready)),
        available_replicas: unless_none(count(&|pod| pods::is_available(pod, min_ready, now))),
        terminating_replicas: None,
        observed_generation: set.metadata.generation,
        conditions: set
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone()),
    }
}

/// Returns the ReplicaSet that does what a ReplicationController does.
fn as_set(controller: &ReplicationController) -> ReplicaSet {
    let spec = controller.spec.clone().unwrap_or_default();
    let status = controller.status.clone().unwrap_or_default();
    let conditions = status.conditions.map(|conditions| {
        let convert = |condition: ReplicationControllerCondition| ReplicaSetCondition {
            type_: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        conditions.into_iter().map(convert).collect()
    });
    ReplicaSet {
        metadata: controller.metadata.clone(),
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: spec.replicas,
            selector: LabelSelector {
                match_labels: spec.selector,
                match_expressions: None,
            },
            template: spec.template,
        }),
        status: Some(ReplicaSetStatus {
            conditions,
            ..ReplicaSetStatus::default()
        }),
    }
}

/// Returns the status of a ReplicationController with the numbers of a ReplicaSet's.
#[must_use]
pub fn as_controller_status(status: ReplicaSetStatus) -> ReplicationControllerStatus {
    let convert = |condition: ReplicaSetCondition| ReplicationControllerCondition {
        type_: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        last_transition_time: condition.last_transition_time,
    };
    ReplicationControllerStatus {
        replicas: status.replicas,
        fully_labeled_replicas: status.fully_labeled_replicas,
        ready_replicas: status.ready_replicas,
        available_replicas: status.available_replicas,
        observed_generation: status.observed_generation,
        conditions: status
            .conditions
            .map(|conditions| conditions.into_iter().map(convert).collect()),
    }
}
