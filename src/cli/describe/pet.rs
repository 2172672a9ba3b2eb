//! The description of a pet.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::{ContainerFacts, Page, PodVolumes, write_container, write_volumes};
use crate::cli::shared::pods;
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::model::pod::{condition, controller_of, set_of};
use crate::model::{
    EGRESS_ANNOTATION, FROZEN_ANNOTATION, ISOLATION_ANNOTATION, Namespace, ObjectName, printer,
};
use crate::problem::Result;
use crate::store::{self, PetLayout};

pub(super) fn write(session: &Session, pod: &Pod, now: Timestamp, page: &mut Page) -> Result<()> {
    let meta = &pod.metadata;
    let name: ObjectName = meta.name.as_deref().unwrap_or_default().parse()?;
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let (spec, status) = (pod.spec.clone().unwrap_or_default(), pod.status.clone());
    let status = status.unwrap_or_default();
    let files = session.files(pod);

    write_identity(pod, &spec, &status, page);
    write_status(pod, &status, page);
    page.field(0, "Waits For", waits_for(session, pod, &namespace, now));
    write_addresses(session, pod, &status, page);
    page.field(0, "FQDN", or_none(fqdn(session, &spec, &namespace)));
    if let Some(owner) = controller_of(meta) {
        page.field(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    page.field(0, "Directory", files.root().display().to_string());
    write_containers(pod, &status, &files, page);
    write_gates(&spec, &status, page);
    write_conditions(&status, page);
    let volumes = PodVolumes {
        layout: session.store.layout(),
        namespace: &namespace,
        name: name.as_str(),
    };
    let given = spec.volumes.as_deref().unwrap_or_default();
    write_volumes(0, given, Some(&volumes), page);
    page.field(0, "QoS Class", or_none(status.qos_class.clone()));
    page.pairs(0, "Node-Selectors", "=", spec.node_selector.as_ref());
    page.events(Scope::pet(session, &name)?.events(session)?, now);
    Ok(())
}

/// Writes which pod it is; petset's own notes in its annotations are shown as what they mean.
fn write_identity(pod: &Pod, spec: &PodSpec, status: &PodStatus, page: &mut Page) {
    let meta = &pod.metadata;
    page.field(0, "Name", meta.name.as_deref().unwrap_or_default());
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    page.field(0, "Namespace", namespace);
    page.field(0, "Priority", spec.priority.unwrap_or(0).to_string());
    if let Some(class) = &spec.priority_class_name {
        page.field(0, "Priority Class Name", class);
    }
    let account = spec.service_account_name.as_deref();
    page.field(0, "Service Account", account.unwrap_or("default"));
    // What was not admitted has no host.
    let admitted = status.conditions.as_ref().is_some_and(|it| !it.is_empty());
    let host = status.host_ip.as_deref().filter(|_| admitted);
    let host = host.unwrap_or_default();
    let placed = condition(status, "PodScheduled").is_none_or(|it| it.status == "True");
    let node = spec.node_name.as_ref().filter(|_| placed);
    let node = node.map(|node| format!("{node}/{host}"));
    page.field(0, "Node", or_none(node));
    if let Some(started) = &status.start_time {
        page.field(0, "Start Time", date(started.0));
    }
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    let noted = [ISOLATION_ANNOTATION, EGRESS_ANNOTATION, FROZEN_ANNOTATION];
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !noted.contains(&name.as_str()));
    page.annotations(Some(&annotations));
    let notes = meta.annotations.as_ref();
    for (name, note) in ["Isolation", "Egress", "Paused"].into_iter().zip(noted) {
        if let Some(level) = notes.and_then(|notes| notes.get(note)) {
            page.field(0, name, level);
        }
    }
}

fn write_addresses(session: &Session, pod: &Pod, status: &PodStatus, page: &mut Page) {
    page.field(0, "IP", status.pod_ip.as_deref().unwrap_or_default());
    let all = status.pod_ips.as_deref().unwrap_or_default();
    if all.is_empty() {
        page.field(0, "IPs", NONE);
    } else {
        page.heading(0, "IPs");
        all.iter().for_each(|of| page.field(1, "IP", &of.ip));
    }
    let moved = pods::moved_ports(session.store.layout(), pod);
    if !moved.is_empty() {
        page.field(0, "Ports", format!("on the host: {}", moved.join(" ")));
    }
}

fn write_gates(spec: &PodSpec, status: &PodStatus, page: &mut Page) {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return;
    }
    page.heading(0, "Readiness Gates");
    page.row(1, &["Type", "Status"]);
    for gate in gates {
        let kind = &gate.condition_type;
        let known = condition(status, kind).map(|known| known.status.as_str());
        page.row(1, &[kind, known.unwrap_or(NONE)]);
    }
}

fn write_status(pod: &Pod, status: &PodStatus, page: &mut Page) {
    let phase = status.phase.as_deref().unwrap_or("Pending");
    match &pod.metadata.deletion_timestamp {
        Some(_) => page.field(0, "Status", "Terminating"),
        None => page.field(0, "Status", phase),
    }
    let word = printer::pod_status_word(pod);
    if word != phase && pod.metadata.deletion_timestamp.is_none() {
        page.field(1, "Shown As", word);
    }
    if let Some(grace) = pod.metadata.deletion_grace_period_seconds {
        page.field(0, "Termination Grace Period", format!("{grace}s"));
    }
    if let Some(reason) = &status.reason {
        page.field(0, "Reason", reason);
    }
    if let Some(message) = &status.message {
        page.field(0, "Message", message);
    }
}

/// Returns why the pet is not ready, and since when.
fn waits_for(session: &Session, pod: &Pod, namespace: &Namespace, now: Timestamp) -> String {
    let Some(why) = pods::why_not_ready(pod) else {
        return NONE.to_owned();
    };
    let since = waiting_since(session, pod, namespace);
    let since = since.map(|since| format!(" (for {})", printer::age(now.duration_since(since))));
    format!("{why}{}", since.unwrap_or_default())
}

fn waiting_since(session: &Session, pod: &Pod, namespace: &Namespace) -> Option<Timestamp> {
    // The report of the set has the time of this very reason; the condition Ready is coarser.
    let report = set_of(&pod.metadata).and_then(|set| session.report(namespace, set).ok()?);
    let waiting = report.map(|report| report.waiting).unwrap_or_default();
    let own = waiting
        .iter()
        .find(|waiting| waiting.pet == pod.metadata.name);
    let reported = own.map(|waiting| waiting.since);
    let ready = condition(pod.status.as_ref()?, "Ready");
    let changed = ready.and_then(|ready| ready.last_transition_time.as_ref());
    let created = pod.metadata.creation_timestamp.as_ref();
    reported.or_else(|| changed.or(created).map(|time| time.0))
}

fn fqdn(session: &Session, spec: &PodSpec, namespace: &Namespace) -> Option<String> {
    let (host, service) = (spec.hostname.as_ref()?, spec.subdomain.as_ref()?);
    let domain = &session.store.settings().cluster_domain;
    Some(format!("{host}.{service}.{namespace}.svc.{domain}"))
}

fn write_containers(pod: &Pod, status: &PodStatus, files: &PetLayout, page: &mut Page) {
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let groups = [
        ("Init Containers", init, &status.init_container_statuses),
        ("Containers", &spec.containers, &status.container_statuses),
    ];
    for (heading, containers, statuses) in groups {
        if containers.is_empty() {
            continue;
        }
        page.heading(0, heading);
        let statuses = statuses.as_deref().unwrap_or_default();
        for spec in containers {
            page.heading(1, &spec.name);
            write_pets_container(pod, spec, statuses, files, page);
        }
    }
}

fn write_pets_container(
    pod: &Pod,
    spec: &Container,
    statuses: &[ContainerStatus],
    files: &PetLayout,
    page: &mut Page,
) {
    let log = files.log(&spec.name);
    let facts = ContainerFacts {
        pod,
        status: statuses.iter().find(|status| status.name == spec.name),
        // If it cannot be read, the manifest is shown.
        launch: store::read_json(&files.launch(&spec.name)).ok().flatten(),
        log: &log,
    };
    write_container(spec, &facts, 2, page);
}

fn write_conditions(status: &PodStatus, page: &mut Page) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if conditions.is_empty() {
        return page.field(0, "Conditions", NONE);
    }
    page.heading(0, "Conditions");
    page.row(1, &["Type", "Status"]);
    // Their words, and those of the runner's own conditions, are part of `Waits For`.
    for condition in conditions.iter().filter(|it| !printer::is_own(it)) {
        page.row(1, &[&condition.type_, &condition.status]);
    }
}
