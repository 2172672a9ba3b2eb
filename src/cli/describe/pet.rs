//! The description of a pet.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::{ContainerFacts, Page, PodVolumes, write_container, write_volumes};
use crate::cli::shared::pods;
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::model::pod::{condition, set_of};
use crate::model::{Namespace, ObjectName, printer};
use crate::problem::Result;
use crate::store::{self, PetLayout};

pub(super) fn write(session: &Session, pod: &Pod, now: Timestamp, page: &mut Page) -> Result<()> {
    let meta = &pod.metadata;
    let name: ObjectName = meta.name.as_deref().unwrap_or_default().parse()?;
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let (spec, status) = (pod.spec.clone().unwrap_or_default(), pod.status.clone());
    let status = status.unwrap_or_default();
    let files = session.files(pod);

    page.field(0, "Name", name.as_str());
    page.field(0, "Namespace", namespace.as_str());
    let started = status
        .start_time
        .as_ref()
        .or(meta.creation_timestamp.as_ref());
    page.field(0, "Start Time", or_none(started.map(|time| date(time.0))));
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    write_status(pod, &status, page);
    page.field(0, "Waits For", waits_for(session, pod, &namespace, now));
    page.field(0, "IP", or_none(status.pod_ip.clone()));
    let moved = pods::moved_ports(session.store.layout(), pod);
    if !moved.is_empty() {
        page.field(0, "Ports", format!("on the host: {}", moved.join(" ")));
    }
    page.field(0, "FQDN", or_none(fqdn(session, &spec, &namespace)));
    let owner = set_of(meta).map(|set| format!("StatefulSet/{set}"));
    page.field(0, "Controlled By", or_none(owner));
    page.field(0, "Directory", files.root().display().to_string());
    write_containers(&spec, &status, &files, page);
    write_conditions(&status, page);
    let volumes = PodVolumes {
        layout: session.store.layout(),
        namespace: &namespace,
        name: name.as_str(),
    };
    let given = spec.volumes.as_deref().unwrap_or_default();
    write_volumes(0, given, Some(&volumes), page);
    page.events(Scope::pet(session, &name)?.events(session)?, now);
    Ok(())
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

fn write_containers(spec: &PodSpec, status: &PodStatus, files: &PetLayout, page: &mut Page) {
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
            write_pets_container(spec, statuses, files, page);
        }
    }
}

fn write_pets_container(
    spec: &Container,
    statuses: &[ContainerStatus],
    files: &PetLayout,
    page: &mut Page,
) {
    let log = files.log(&spec.name);
    let facts = ContainerFacts {
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
    page.row(1, &["Type", "Status", "Message"]);
    // A probe's words are part of `Waits For`.
    let probe = printer::probe_condition("");
    for condition in conditions.iter().filter(|it| !it.type_.starts_with(&probe)) {
        let message = condition.message.as_deref().unwrap_or_default();
        page.row(1, &[&condition.type_, &condition.status, message]);
    }
}
