//! The description of a set.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{Pod, Service};

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::{Page, write_template};
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::model::{Namespace, printer};
use crate::problem::Result;
use crate::store::SetReport;

pub(super) fn write(
    session: &Session,
    set: &StatefulSet,
    now: Timestamp,
    page: &mut Page,
) -> Result<()> {
    let meta = &set.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let (spec, status) = (set.spec.clone().unwrap_or_default(), set.status.clone());
    let status = status.unwrap_or_default();
    let pods = session.pets_of(&namespace, name)?;
    let report = session.report(&namespace, name)?;
    let report = report.filter(|report| meta.uid.as_deref() == Some(&report.uid));

    page.field(0, "Name", name);
    page.field(0, "Namespace", namespace.as_str());
    if let Some(created) = &meta.creation_timestamp {
        page.field(0, "CreationTimestamp", date(created.0));
    }
    page.field(0, "Selector", printer::selector_text(&spec.selector));
    page.pairs(0, "Labels", "=", meta.labels.as_ref());
    page.pairs(0, "Annotations", ": ", meta.annotations.as_ref());
    let service = service(session, &namespace, &spec)?;
    write_wish(&spec, &status, &service, page);
    page.field(0, "Pods Status", printer::phases(&pods));
    write_state(session, set, report.as_ref(), now, page);
    write_pets(&session.known_pets_of(&namespace, name)?, page);
    write_template(&spec.template, page);
    write_claim_templates(&spec, page);
    page.events(Scope::set_alone(name).events(session)?, now);
    Ok(())
}

/// Returns the governing service, and whether it exists.
fn service(session: &Session, namespace: &Namespace, spec: &StatefulSetSpec) -> Result<String> {
    let Some(name) = spec.service_name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(NONE.to_owned());
    };
    let found: Option<Service> = session.store.find(namespace, &name.parse()?)?;
    Ok(match found {
        Some(_) => name.to_owned(),
        None => format!("{name} (does not exist: the pets have no names)"),
    })
}

fn write_wish(spec: &StatefulSetSpec, status: &StatefulSetStatus, service: &str, page: &mut Page) {
    let desired = spec.replicas.unwrap_or(1);
    page.field(
        0,
        "Replicas",
        format!("{desired} desired | {} total", status.replicas),
    );
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    page.field(
        0,
        "Update Strategy",
        strategy.type_.as_deref().unwrap_or("RollingUpdate"),
    );
    if let Some(rolling) = &strategy.rolling_update {
        let partition = rolling.partition.unwrap_or_default();
        page.field(1, "Partition", partition.to_string());
    }
    let policy = spec.pod_management_policy.as_deref();
    page.field(0, "Pod Management", policy.unwrap_or("OrderedReady"));
    page.field(0, "Service", service);
    let current = or_none(status.current_revision.clone());
    match &status.update_revision {
        Some(update) if *update != current => {
            let updated = status.updated_replicas.unwrap_or_default();
            let text = format!("{current}, going to {update} ({updated} of {desired} updated)");
            page.field(0, "Revision", text);
        }
        Some(_) | None => page.field(0, "Revision", current),
    }
}

/// Writes whether the set is settled, else what it waits for and since when.
fn write_state(
    session: &Session,
    set: &StatefulSet,
    report: Option<&SetReport>,
    now: Timestamp,
    page: &mut Page,
) {
    let deleted = set.metadata.deletion_timestamp.is_some();
    let state = match report {
        _ if deleted => "being deleted",
        _ if session.store.is_stopped() => "stopped; start it with `petset start`",
        None => "not looked at yet; no supervisor has seen it",
        Some(report) if report.settled => "settled: everything is as it is wanted",
        Some(_) => "not settled",
    };
    page.field(0, "State", state);
    let waiting = report.map(|report| report.waiting.as_slice());
    let waiting = waiting.unwrap_or_default();
    let lines = waiting.iter().map(|waiting| {
        let since = printer::age(now.duration_since(waiting.since));
        let stuck = if waiting.stuck { ", stuck" } else { "" };
        format!("{} (for {since}{stuck})", waiting.why)
    });
    let lines: Vec<String> = lines.collect();
    page.list(0, "Waits For", &lines);
}

fn write_pets(pods: &[Pod], page: &mut Page) {
    if pods.is_empty() {
        return page.field(0, "Pets", NONE);
    }
    page.heading(0, "Pets");
    page.row(1, &["NAME", "READY", "STATUS", "IP"]);
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let (ready, word) = (printer::ready_column(pod), printer::pod_status_word(pod));
        page.row(1, &[name, &ready, &word, &or_none(ip)]);
    }
}

fn write_claim_templates(spec: &StatefulSetSpec, page: &mut Page) {
    let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
    if templates.is_empty() {
        return page.field(0, "Volume Claims", NONE);
    }
    page.heading(0, "Volume Claims");
    for claim in templates {
        let wanted = claim.spec.clone().unwrap_or_default();
        page.field(
            1,
            "Name",
            claim.metadata.name.as_deref().unwrap_or_default(),
        );
        page.field(
            1,
            "StorageClass",
            wanted.storage_class_name.unwrap_or_default(),
        );
        page.pairs(1, "Labels", "=", claim.metadata.labels.as_ref());
        page.pairs(1, "Annotations", ": ", claim.metadata.annotations.as_ref());
        let requests = wanted.resources.and_then(|resources| resources.requests);
        let size = requests
            .unwrap_or_default()
            .get("storage")
            .map(|size| size.0.clone());
        page.field(1, "Capacity", or_none(size));
        let modes = wanted.access_modes.unwrap_or_default();
        page.field(1, "Access Modes", format!("[{}]", modes.join(" ")));
    }
    let retention = spec.persistent_volume_claim_retention_policy.clone();
    let retention = retention.unwrap_or_default();
    let kept = |policy: Option<String>| policy.unwrap_or_else(|| "Retain".to_owned());
    let text = format!(
        "when deleted {}, when scaled {}",
        kept(retention.when_deleted),
        kept(retention.when_scaled)
    );
    page.field(1, "Retention", text);
}
