//! The DaemonSet controller: one pod on each node that fits (DS02-DS21).

mod failures;
mod fitness;
mod history;
mod rolling;

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::REVISION_LABEL;
use super::set::Selector;
use super::workload::{
    Random, Reconciled, Told, WorkStep, claim, generated_name, is_controlled_by, owner_reference,
    pods, slow_start, wake_by,
};
use crate::problem::Problem;
use crate::sorted::{SortedMap, sort_by_key};

pub use failures::FailedPods;
pub use fitness::{Fitness, fitness};

/// The label with the number of the template that a pod was made from (DS04).
pub const GENERATION_LABEL: &str = "pod-template-generation";
/// The annotation in which the API server counts templates (DS05).
pub const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

/// The most pods that a pass makes or deletes (DS21).
const BURST: usize = 250;

/// What is seen, and what is remembered.
#[derive(Debug, Clone, Default)]
pub struct NodesSeen<'a> {
    /// All nodes.
    pub nodes: Vec<&'a Node>,
    /// The pods of the namespace, whosoever they are.
    pub pods: Vec<&'a Pod>,
    /// The revisions of the namespace, whosoever they are.
    pub revisions: Vec<&'a ControllerRevision>,
    /// The record of the pass before; it may be lost.
    pub failed: FailedPods,
}

/// Lists the steps that bring a DaemonSet to one pod on each node that fits.
///
/// The template is recorded as a revision; one seen before keeps its revision, which gets the next
/// number (DS18). Pods are adopted and released as a ReplicaSet does (DS19).
///
/// **Then, for each node**: where no pod is, one is made, but not while one still terminates
/// (DS06); one that ended is deleted, a failed one after a pause that grows (DS07); of several the
/// oldest stays (DS19); where the node does not fit any more, they are deleted (DS10, DS11).
///
/// **When nothing of that was to be done, a rolling update goes on.** Old pods that are not
/// available are deleted at once, available ones as far as `maxUnavailable` allows (DS13). With a
/// surge the new pod comes first, and the old one goes when that is available (DS15). With
/// `OnDelete` nothing happens (DS17).
///
/// Old revisions beyond the limit that no pod has are deleted at the end (DS18). A DaemonSet that
/// is being deleted does nothing.
pub fn reconcile(
    set: &DaemonSet,
    seen: &NodesSeen<'_>,
    now: Timestamp,
    random: &mut Random,
) -> Result<Reconciled<DaemonSetStatus, FailedPods>, Problem> {
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(Reconciled {
            status: set.status.clone().unwrap_or_default(),
            steps: Vec::new(),
            wake_at: None,
            remembered: seen.failed.clone(),
        });
    }
    let mut pass = DaemonPass::new(set, seen, now)?;
    let Some((hash, old)) = pass.find_revision()? else {
        return Ok(pass.put_off());
    };
    pass.hash = hash;
    let before = pass.steps.len();
    pass.manage(random);
    if pass.steps.len() == before && pass.rolls() {
        pass.roll(random);
    }
    pass.forget(old);
    Ok(pass.end())
}

/// Returns whether a changed node calls for another pass (DS09).
#[must_use]
pub fn node_matters(set: &DaemonSet, node: &Node, pods: &[&Pod]) -> bool {
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let fit = fitness(node, &template.cloned().unwrap_or_default());
    let has_pod = pods.iter().any(|pod| {
        is_controlled_by(&pod.metadata, &set.metadata)
            && node_of(pod) == pods::name_of(&node.metadata)
    });
    (fit.wants_pod && !has_pod) || (!fit.keeps_pod && has_pod)
}

/// One pass: what it looks at, and the steps it has found so far.
struct DaemonPass<'a> {
    set: &'a DaemonSet,
    spec: DaemonSetSpec,
    seen: &'a NodesSeen<'a>,
    now: Timestamp,
    owner: OwnerReference,
    selector: Selector,
    /// Its own pods on each node, oldest first; nodes that want one are there without.
    by_node: SortedMap<&'a str, Vec<&'a Pod>>,
    fit: SortedMap<&'a str, Fitness>,
    /// The hash of the current revision.
    hash: String,
    collisions: Option<i32>,
    failed: FailedPods,
    wake_at: Option<Timestamp>,
    steps: Vec<WorkStep>,
}

impl<'a> DaemonPass<'a> {
    fn new(set: &'a DaemonSet, seen: &'a NodesSeen<'a>, now: Timestamp) -> Result<Self, Problem> {
        let spec = set.spec.clone().unwrap_or_default();
        let mut pass = Self {
            set,
            seen,
            now,
            owner: owner_reference(&set.metadata, "apps/v1", "DaemonSet"),
            selector: Selector::of(&spec.selector)?,
            by_node: SortedMap::new(),
            fit: SortedMap::new(),
            hash: String::new(),
            collisions: set
                .status
                .as_ref()
                .and_then(|status| status.collision_count),
            failed: seen.failed.clone().of_generation(set.metadata.generation),
            wake_at: None,
            steps: Vec::new(),
            spec,
        };
        let template = pass.spec.template.spec.clone().unwrap_or_default();
        for node in &seen.nodes {
            pass.fit
                .insert(pods::name_of(&node.metadata), fitness(node, &template));
        }
        pass.claim_pods();
        Ok(pass)
    }

    fn claim_pods(&mut self) {
        for pod in &self.seen.pods {
            let claimed = claim(&pod.metadata, &self.set.metadata, &self.selector);
            if let Some(owner) = claimed.new_owner(&self.owner) {
                let name = pods::name_of(&pod.metadata).to_owned();
                self.steps.push(WorkStep::OwnPod { name, owner });
            }
            let gone = pods::is_terminating(pod) && pods::has_ended(pod);
            if claimed.is_own() && !gone {
                self.by_node.entry(node_of(pod)).or_default().push(pod);
            }
        }
        for pods in self.by_node.values_mut() {
            sort_by_key(pods, |pod| {
                let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
                (created, pod.metadata.name.clone())
            });
        }
    }

    /// Makes what is missing on nodes and deletes what is too much.
    fn manage(&mut self, random: &mut Random) {
        let (mut lacking, mut doomed) = (Vec::new(), Vec::new());
        for (node, fit) in self.fit.clone() {
            match self.by_node.get(node).cloned() {
                None if fit.wants_pod => lacking.push(node.to_owned()),
                None => {}
                Some(pods) if fit.keeps_pod => self.prune(node, &pods, &mut doomed),
                Some(pods) => {
                    doomed.extend(pods.into_iter().filter(|pod| !pods::is_terminating(pod)));
                }
            }
        }
        self.make_and_delete(&lacking, &doomed, random);
    }

    /// Finds pods of a node that are not to stay beside others or have ended.
    fn prune(&mut self, node: &str, pods: &[&'a Pod], doomed: &mut Vec<&'a Pod>) {
        let mut running = Vec::new();
        for pod in pods
            .iter()
            .copied()
            .filter(|pod| !pods::is_terminating(pod))
        {
            match pods::phase(pod) {
                "Failed" => self.replace_failed(node, pod, doomed),
                "Succeeded" => {
                    let message = format!(
                        "Found succeeded daemon pod {} on node {node}, will try to delete it",
                        place(pod)
                    );
                    self.steps
                        .push(WorkStep::Tell(Told::normal("SucceededDaemonPod", message)));
                    doomed.push(pod);
                }
                _ => running.push(pod),
            }
        }
        if running.len() <= 1 {
            return;
        }
        if self.surge() == 0 {
            doomed.extend(&running[1..]);
            return;
        }
        let (mut new, mut old) = (None, None);
        for pod in running {
            let slot = if self.has_hash(pod) {
                &mut new
            } else {
                &mut old
            };
            match slot {
                None => *slot = Some(pod),
                Some(_) => doomed.push(pod),
            }
        }
        if let (Some(new), Some(old)) = (new, old)
            && (!pods::is_ready(old) || self.is_available(new))
        {
            doomed.push(old);
        }
    }

    fn replace_failed(&mut self, node: &str, pod: &'a Pod, doomed: &mut Vec<&'a Pod>) {
        if let Some(until) = self.failed.until(node, self.now) {
            self.wake(until);
            return;
        }
        self.failed.note(node, self.now);
        let message = format!(
            "Found failed daemon pod {} on node {node}, will try to kill it",
            place(pod)
        );
        self.steps
            .push(WorkStep::Tell(Told::warning("FailedDaemonPod", message)));
        doomed.push(pod);
    }

    fn make_and_delete(&mut self, nodes: &[String], doomed: &[&Pod], random: &mut Random) {
        let prefix = format!("{}-", pods::name_of(&self.set.metadata));
        let names = self
            .seen
            .pods
            .iter()
            .map(|pod| pods::name_of(&pod.metadata).to_owned());
        let mut taken: HashSet<String> = names.collect();
        let count = nodes.len().min(BURST);
        let batches = slow_start(count).into_iter().enumerate();
        let batches = batches.flat_map(|(batch, size)| std::iter::repeat_n(batch, size));
        for (node, batch) in nodes.iter().zip(batches) {
            let mut pod = self.pod_for(node);
            let name = generated_name(&prefix, random, |name| taken.contains(name));
            taken.insert(name.clone());
            pod.metadata.name = Some(name);
            pod.metadata.generate_name = Some(prefix.clone());
            self.steps.push(WorkStep::CreatePod {
                pod: Box::new(pod),
                batch,
            });
        }
        for pod in doomed.iter().take(BURST) {
            let name = pods::name_of(&pod.metadata).to_owned();
            self.steps.push(WorkStep::DeletePod { name });
        }
    }

    fn pod_for(&self, node: &str) -> Pod {
        let mut template = self.spec.template.clone();
        let meta = template.metadata.get_or_insert_default();
        let labels = meta.labels.get_or_insert_default();
        labels.insert(REVISION_LABEL.to_owned(), self.hash.clone());
        if let Some(generation) = pods::annotation(&self.set.metadata, GENERATION_ANNOTATION) {
            labels.insert(GENERATION_LABEL.to_owned(), generation.to_owned());
        }
        fitness::bind(template.spec.get_or_insert_default(), node);
        pods::from_template(
            &template,
            self.set.metadata.namespace.as_deref(),
            self.owner.clone(),
        )
    }

    fn has_hash(&self, pod: &Pod) -> bool {
        pods::label(&pod.metadata, REVISION_LABEL) == Some(&self.hash)
    }

    /// Returns whether a pod has the current template.
    fn is_updated(&self, pod: &Pod) -> bool {
        let generation = pods::annotation(&self.set.metadata, GENERATION_ANNOTATION);
        let has_generation =
            generation.is_some() && pods::label(&pod.metadata, GENERATION_LABEL) == generation;
        self.has_hash(pod) || has_generation
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready = self.spec.min_ready_seconds.unwrap_or_default();
        pods::is_available(pod, min_ready, self.now)
    }

    fn wake(&mut self, at: Timestamp) {
        wake_by(&mut self.wake_at, at);
    }

    /// Ends a pass that has to see a counted-up hash first.
    fn put_off(self) -> Reconciled<DaemonSetStatus, FailedPods> {
        let status = self.set.status.clone().unwrap_or_default();
        Reconciled {
            status: DaemonSetStatus {
                collision_count: self.collisions,
                ..status
            },
            steps: self.steps,
            wake_at: Some(self.now),
            remembered: self.failed,
        }
    }

    fn end(mut self) -> Reconciled<DaemonSetStatus, FailedPods> {
        let min_ready = self.spec.min_ready_seconds.unwrap_or_default();
        let all = self.by_node.values().flatten();
        let times = all.filter_map(|pod| pods::available_at(pod, min_ready));
        if let Some(at) = times.filter(|at| *at > self.now).min() {
            self.wake(at);
        }
        Reconciled {
            status: self.status(),
            steps: self.steps,
            wake_at: self.wake_at,
            remembered: self.failed,
        }
    }

    /// Counts nodes; of each the oldest pod is looked at (DS16, DS20).
    fn status(&self) -> DaemonSetStatus {
        let wants = |node: &str| self.fit.get(node).is_some_and(|fit| fit.wants_pod);
        let nodes = self.fit.keys().copied();
        let oldest = |node: &str| {
            self.by_node
                .get(node)
                .and_then(|pods| pods.first().copied())
        };
        let count = |is: &dyn Fn(&str) -> bool| {
            i32::try_from(nodes.clone().filter(|node| is(node)).count()).unwrap_or(i32::MAX)
        };
        let of_oldest =
            |is: &dyn Fn(&Pod) -> bool| count(&|node| wants(node) && oldest(node).is_some_and(is));
        let some = |number: i32| Some(number).filter(|number| *number > 0);
        let desired = count(&wants);
        let available = of_oldest(&|pod| self.is_available(pod));
        DaemonSetStatus {
            current_number_scheduled: of_oldest(&|_| true),
            desired_number_scheduled: desired,
            number_misscheduled: count(&|node| !wants(node) && oldest(node).is_some()),
            number_ready: of_oldest(&pods::is_ready),
            number_available: some(available),
            number_unavailable: some(desired - available),
            updated_number_scheduled: some(of_oldest(&|pod| self.is_updated(pod))),
            observed_generation: self.set.metadata.generation,
            collision_count: self.collisions,
            conditions: None,
        }
    }
}

/// Returns the node that a pod is on, or is to be on.
fn node_of(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    let bound = spec
        .and_then(|spec| spec.node_name.as_deref())
        .filter(|name| !name.is_empty());
    let wanted = || {
        let affinity = spec?.affinity.as_ref()?.node_affinity.as_ref()?;
        let required = affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()?;
        let fields = required
            .node_selector_terms
            .first()?
            .match_fields
            .as_ref()?;
        fields.first()?.values.as_ref()?.first().map(String::as_str)
    };
    bound.or_else(wanted).unwrap_or_default()
}

/// Returns namespace and name of a pod.
fn place(pod: &Pod) -> String {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", pods::name_of(&pod.metadata))
}
