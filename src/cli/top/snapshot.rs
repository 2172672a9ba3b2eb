//! What is shown, as plain values: made of what was read, and drawn without another look.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::figures::{Usage, Usages};
use super::lamp::Lamp;
use super::read::Readings;
use crate::cli::shared::pods::{why_not_ready, with_age_of_hook};
use crate::cli::shared::rollout_notes::{canary_note, held_note};
use crate::cli::shared::workloads::{has_template_of, has_wanted_template};
use crate::model::endpoints::{ServiceKind, ServiceRecord};
use crate::model::kind::WorkloadKind;
use crate::model::pod::condition;
use crate::model::rollout::rolled_back;
use crate::model::workload::pods::label;
use crate::model::workload::{controller_of, workload_standing};
use crate::model::{REVISION_LABEL, Workload, printer};
use crate::store::SetReport;

/// Everything that is seen at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub(super) time: Timestamp,
    #[serde(rename = "stateDir")]
    pub(super) root: String,
    pub(super) workloads: Vec<WorkloadRow>,
    pub(super) pods: Vec<PetRow>,
    pub(super) services: Vec<ServiceRow>,
}

/// A set or workload that no other has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadRow {
    pub(super) namespace: String,
    /// With its kind in short: `sts/web`.
    pub(super) name: String,
    pub(super) ready: i32,
    /// How many are wanted, where that is a number.
    pub(super) wanted: Option<i32>,
    /// The revision that is wanted, and that which pets had before, while they differ.
    pub(super) revision: Option<String>,
    pub(super) old_revision: Option<String>,
    /// What it waits for, what holds its rollout, or what became of it.
    pub(super) note: Option<String>,
}

/// A pet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PetRow {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
    /// The workload that it belongs to, as that is called.
    pub(super) owner: Option<String>,
    pub(super) state: Lamp,
    pub(super) ready: String,
    /// The STATUS of `get`, with the name of the init step.
    pub(super) status: String,
    pub(super) address: Option<String>,
    pub(super) revision: Option<String>,
    /// Whether it has the template that is wanted now.
    pub(super) up_to_date: bool,
    pub(super) restarts: u32,
    pub(super) created: Option<Timestamp>,
    /// When it became ready, or ceased to be.
    pub(super) since: Option<Timestamp>,
    /// Why it is not ready.
    pub(super) why: Option<String>,
    pub(super) usage: Option<Usage>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceRow {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Its own address, or what its name leads to.
    pub(super) address: String,
    pub(super) endpoints: Vec<EndpointRow>,
}

/// A pet behind a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointRow {
    /// The pet; its address, where a user wrote that.
    pub(super) name: String,
    pub(super) address: String,
    /// Whether the name of the service leads there.
    pub(super) published: bool,
    pub(super) ready: bool,
}

impl Snapshot {
    /// Makes it of what was read.
    pub(super) fn of(seen: &Readings, now: Timestamp) -> Self {
        let sets = seen
            .sets
            .iter()
            .map(|(set, report)| of_set(set, report.as_ref()));
        let tops = seen
            .workloads
            .iter()
            .filter(|it| controller_of(it.metadata()).is_none());
        let tops = tops.map(|workload| of_workload(workload, seen));
        Self {
            time: now,
            root: seen.root.clone(),
            workloads: sets.chain(tops).collect(),
            pods: seen.pods.iter().map(|pod| of_pod(pod, seen, now)).collect(),
            services: seen.services.iter().map(of_service).collect(),
        }
    }

    /// Adds what pets use.
    pub(super) fn put_usage(&mut self, usages: &Usages) {
        for pod in &mut self.pods {
            pod.usage = pod.uid.as_ref().and_then(|uid| usages.get(uid).copied());
        }
    }

    /// Lists the pets of a workload.
    pub(super) fn pods_of<'a>(
        &'a self,
        workload: &'a WorkloadRow,
    ) -> impl Iterator<Item = &'a PetRow> {
        let is_own = |pod: &&PetRow| {
            pod.namespace == workload.namespace && pod.owner.as_ref() == Some(&workload.name)
        };
        self.pods.iter().filter(is_own)
    }
}

impl WorkloadRow {
    /// Returns the number of pets that are ready, and of those that are wanted.
    pub(super) fn counts(&self) -> String {
        match self.wanted {
            Some(wanted) => format!("{}/{wanted}", self.ready),
            None => self.ready.to_string(),
        }
    }
}

fn namespace_of(meta: &ObjectMeta) -> String {
    meta.namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned())
}

fn name_of(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

/// Returns the short word for a kind, as it begins the name of a workload.
const fn short(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deploy",
        WorkloadKind::ReplicaSet => "rs",
        WorkloadKind::ReplicationController => "rc",
        WorkloadKind::DaemonSet => "ds",
        WorkloadKind::Job => "job",
        WorkloadKind::CronJob => "cj",
    }
}

fn of_set(set: &StatefulSet, report: Option<&SetReport>) -> WorkloadRow {
    let status = set.status.clone().unwrap_or_default();
    let (new, old) = (status.update_revision, status.current_revision);
    let old = old.filter(|old| new.as_ref() != Some(old));
    let held = held_note(set).map(without_word);
    let waits = report.and_then(|report| report.waiting.first());
    let back = rolled_back(&set.metadata);
    let back =
        back.map(|back| format!("went back from {} to {}: {}", back.from, back.to, back.why));
    let stopped = report.filter(|report| report.stopped);
    WorkloadRow {
        namespace: namespace_of(&set.metadata),
        name: format!("sts/{}", name_of(&set.metadata)),
        ready: status.ready_replicas.unwrap_or_default(),
        wanted: set.spec.as_ref().map(|spec| spec.replicas.unwrap_or(1)),
        revision: new,
        old_revision: old,
        note: stopped
            .map(|_| "stopped: petset start runs it again".to_owned())
            .or_else(|| waits.map(|waits| waits.why.clone()))
            .or(held)
            .or(back),
    }
}

/// Takes the first word off a note that is shown where only notes are.
fn without_word(note: String) -> String {
    note.strip_prefix("note: ")
        .map_or(note.clone(), str::to_owned)
}

fn of_workload(workload: &Workload, seen: &Readings) -> WorkloadRow {
    let (ready, wanted) = counts_of(workload);
    let (revision, old_revision) = revisions_of(workload, seen);
    WorkloadRow {
        namespace: namespace_of(workload.metadata()),
        name: format!(
            "{}/{}",
            short(workload.kind()),
            name_of(workload.metadata())
        ),
        ready,
        wanted,
        revision,
        old_revision,
        note: note_of(workload),
    }
}

/// Returns how many pods are ready or done, and how many are to be.
fn counts_of(workload: &Workload) -> (i32, Option<i32>) {
    let count = Option::unwrap_or_default;
    match workload {
        Workload::Deployment(it) => (
            count(it.status.as_ref().and_then(|status| status.ready_replicas)),
            Some(it.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
        ),
        Workload::ReplicaSet(it) => (
            count(it.status.as_ref().and_then(|status| status.ready_replicas)),
            Some(it.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
        ),
        Workload::ReplicationController(it) => (
            count(it.status.as_ref().and_then(|status| status.ready_replicas)),
            Some(it.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
        ),
        Workload::DaemonSet(it) => {
            let status = it.status.as_ref();
            let wanted = status.map(|status| status.desired_number_scheduled);
            (status.map_or(0, |status| status.number_ready), wanted)
        }
        Workload::Job(it) => {
            let spec = it.spec.as_ref();
            let done = it.status.as_ref().and_then(|status| status.succeeded);
            (count(done), spec.and_then(|spec| spec.completions))
        }
        Workload::CronJob(it) => {
            let status = it.status.as_ref();
            let active = status.and_then(|status| status.active.as_ref());
            let active = active.map_or(0, |active| active.len());
            (i32::try_from(active).unwrap_or(i32::MAX), None)
        }
    }
}

/// Returns the revision that is wanted and the one that is left behind, of what has revisions.
fn revisions_of(workload: &Workload, seen: &Readings) -> (Option<String>, Option<String>) {
    let Workload::Deployment(_) = workload else {
        return (None, None);
    };
    let uid = &workload.metadata().uid;
    let own = seen.workloads.iter().filter(|set| {
        let owner = controller_of(set.metadata());
        owner.is_some_and(|owner| Some(&owner.uid) == uid.as_ref())
    });
    let (new, old): (Vec<_>, Vec<_>) = own.partition(|set| has_template_of(set, workload));
    let mut old = old.into_iter().filter(|set| {
        let uid = set.metadata().uid.as_ref();
        let mut pods = seen.pods.iter();
        pods.any(|pod| controller_of(&pod.metadata).map(|owner| &owner.uid) == uid)
    });
    let name = |set: &Workload| name_of(set.metadata());
    (new.first().map(|set| name(set)), old.next().map(name))
}

fn note_of(workload: &Workload) -> Option<String> {
    if let Some(back) = rolled_back(workload.metadata()) {
        return Some(format!(
            "went back from {} to {}: {}",
            back.from, back.to, back.why
        ));
    }
    match workload {
        Workload::Deployment(it) => {
            let paused = it.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
            let paused = paused.then(|| "it is paused".to_owned());
            let canary = canary_note(workload).map(without_word);
            canary
                .or(paused)
                .or_else(|| match workload_standing(workload) {
                    Ok(standing) => (!standing.done).then(|| standing.line.trim_end().to_owned()),
                    Err(problem) => Some(problem.to_string()),
                })
        }
        Workload::DaemonSet(_) => {
            let standing = workload_standing(workload).ok();
            let standing = standing.filter(|standing| !standing.done);
            standing.map(|standing| standing.line.trim_end().to_owned())
        }
        Workload::Job(job) => Some(printer::job_status_word(job).to_owned()),
        Workload::CronJob(job) => Some(match job.spec.suspend {
            Some(true) => "it is suspended".to_owned(),
            Some(false) | None => format!("runs at {}", job.spec.schedule),
        }),
        Workload::ReplicaSet(_) | Workload::ReplicationController(_) => None,
    }
}

fn of_pod(pod: &Pod, seen: &Readings, now: Timestamp) -> PetRow {
    let status = pod.status.as_ref();
    let ready = status.and_then(|status| condition(status, "Ready"));
    let revision = label(&pod.metadata, REVISION_LABEL).map(str::to_owned);
    let restarts = printer::restarts(pod, now);
    let restarts = restarts
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok());
    let owner = top_of(pod, seen);
    let up_to_date = match owner {
        Some(Top::Set(set)) => {
            let wanted = set
                .status
                .as_ref()
                .and_then(|it| it.update_revision.as_ref());
            wanted.is_none_or(|wanted| revision.as_ref() == Some(wanted))
        }
        Some(Top::Workload(workload)) => has_wanted_template(pod, workload, &seen.workloads),
        None => true,
    };
    PetRow {
        namespace: namespace_of(&pod.metadata),
        name: name_of(&pod.metadata),
        uid: pod.metadata.uid.clone(),
        owner: owner.map(Top::name),
        state: Lamp::of(pod),
        ready: printer::ready_column(pod),
        status: status_text(pod),
        address: status.and_then(|status| status.pod_ip.clone()),
        revision,
        up_to_date,
        restarts: restarts.unwrap_or_default(),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        since: ready
            .and_then(|it| it.last_transition_time.as_ref())
            .map(|time| time.0),
        why: why_not_ready(pod).map(|why| with_age_of_hook(pod, &why)),
        usage: None,
    }
}

/// Returns the STATUS of `get`; of a pod that initializes, with the step: `Init 1/2 wait-for-db`.
fn status_text(pod: &Pod) -> String {
    let word = printer::pod_status_word(pod);
    match printer::init_step(pod) {
        Some((at, of, name)) if word.starts_with("Init:") => {
            let fault = word.strip_prefix("Init:").filter(|it| !it.contains('/'));
            match fault {
                Some(fault) => format!("Init {at}/{of} {name} {fault}"),
                None => format!("Init {at}/{of} {name}"),
            }
        }
        Some(_) | None => word,
    }
}

/// What a pod belongs to at last.
#[derive(Clone, Copy)]
enum Top<'a> {
    Set(&'a StatefulSet),
    Workload(&'a Workload),
}

impl Top<'_> {
    fn name(self) -> String {
        match self {
            Self::Set(set) => format!("sts/{}", name_of(&set.metadata)),
            Self::Workload(it) => format!("{}/{}", short(it.kind()), name_of(it.metadata())),
        }
    }
}

/// Returns the set or workload of a pod: not the one that was made by another.
fn top_of<'a>(pod: &Pod, seen: &'a Readings) -> Option<Top<'a>> {
    let of_uid = |uid: &String| {
        let mut all = seen.workloads.iter();
        all.find(|it| it.metadata().uid.as_ref() == Some(uid))
    };
    let owner = controller_of(&pod.metadata)?;
    let mut sets = seen.sets.iter();
    if let Some((set, _)) = sets.find(|(set, _)| set.metadata.uid.as_ref() == Some(&owner.uid)) {
        return Some(Top::Set(set));
    }
    let mut workload = of_uid(&owner.uid)?;
    while let Some(above) = controller_of(workload.metadata()).and_then(|it| of_uid(&it.uid)) {
        workload = above;
    }
    Some(Top::Workload(workload))
}

fn of_service((service, record): &(Service, Option<ServiceRecord>)) -> ServiceRow {
    let none = "-".to_owned();
    let address = match record.as_ref().map(|record| &record.kind) {
        Some(ServiceKind::ClusterIp { addresses }) => {
            addresses.first().map_or(none, |ip| ip.to_string())
        }
        Some(ServiceKind::Headless) => "None".to_owned(),
        Some(ServiceKind::ExternalName { name }) => name.clone(),
        None => none,
    };
    let endpoints = record.iter().flat_map(|record| &record.endpoints);
    ServiceRow {
        namespace: namespace_of(&service.metadata),
        name: name_of(&service.metadata),
        address,
        endpoints: endpoints
            .map(|end| EndpointRow {
                name: match end.is_by_hand() {
                    true => end.ip.to_string(),
                    false => end.pod.clone(),
                },
                address: end.ip.to_string(),
                published: end.ready,
                ready: end.serving && !end.terminating,
            })
            .collect(),
    }
}
