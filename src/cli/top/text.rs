//! The state as plain text.

use jiff::Timestamp;

use super::figures::{cpu_text, memory_text};
use super::snapshot::{PetRow, ServiceRow, Snapshot, WorkloadRow};
use crate::cli::shared::render::Columns;
use crate::cli::shared::words::{NONE, or_none};
use crate::model::printer;

const WORKLOADS: &[&str] = &["WORKLOAD", "READY", "REVISION", "ROLLOUT", "WAITS FOR"];
const PODS: &[&str] = &[
    "POD",
    "READY",
    "STATUS",
    "RESTARTS",
    "AGE",
    "IP",
    "CPU",
    "MEMORY",
    "REVISION",
    "WAITS FOR",
];
const SERVICES: &[&str] = &["SERVICE", "ADDRESS", "READY", "NOT READY"];

/// Writes three tables: workloads, pets and services.
pub(super) fn page(snapshot: &Snapshot, with_namespace: bool) -> String {
    let workloads = snapshot.workloads.iter();
    let workloads = workloads.map(|row| (row.namespace.as_str(), workload(row, snapshot)));
    let pods = snapshot.pods.iter();
    let pods = pods.map(|row| (row.namespace.as_str(), pet(row, snapshot.time)));
    let services = snapshot.services.iter();
    let services = services.map(|row| (row.namespace.as_str(), service(row)));
    let tables = [
        table(WORKLOADS, workloads.collect(), with_namespace),
        table(PODS, pods.collect(), with_namespace),
        table(SERVICES, services.collect(), with_namespace),
    ];
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    match tables.is_empty() {
        true => "Nothing is there.\n".to_owned(),
        false => tables.join("\n"),
    }
}

fn table(
    headings: &[&str],
    rows: Vec<(&str, Vec<String>)>,
    with_namespace: bool,
) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let headings = headings.iter().map(|heading| (*heading).to_owned());
    let all = std::iter::once(("NAMESPACE", headings.collect())).chain(rows);
    let all = all.map(|(namespace, mut row): (_, Vec<String>)| {
        if with_namespace {
            row.insert(0, namespace.to_owned());
        }
        row
    });
    Some(Columns::default().lay_out(&all.collect::<Vec<_>>()))
}

fn workload(row: &WorkloadRow, snapshot: &Snapshot) -> Vec<String> {
    let rollout = row.old_revision.as_ref().map(|old| {
        let (mut new, mut all) = (0, 0);
        for pod in snapshot.pods_of(row) {
            new += u32::from(pod.up_to_date);
            all += 1;
        }
        format!("{new} of {all} new, from {old}")
    });
    vec![
        row.name.clone(),
        row.counts(),
        or_none(row.revision.clone()),
        or_none(rollout),
        or_none(row.note.clone()),
    ]
}

fn pet(row: &PetRow, now: Timestamp) -> Vec<String> {
    let age = row
        .created
        .map(|created| printer::age(now.duration_since(created)));
    vec![
        row.name.clone(),
        row.ready.clone(),
        row.status.clone(),
        row.restarts.to_string(),
        or_none(age),
        or_none(row.address.clone()),
        or_none(cpu_text(row.usage)),
        or_none(memory_text(row.usage)),
        or_none(row.revision.clone()),
        or_none(row.why.clone()),
    ]
}

fn service(row: &ServiceRow) -> Vec<String> {
    let names = |ready: bool| {
        let ends = row.endpoints.iter().filter(|end| end.ready == ready);
        let names: Vec<&str> = ends.map(|end| end.name.as_str()).collect();
        match names.is_empty() {
            true => NONE.to_owned(),
            false => names.join(","),
        }
    };
    vec![
        row.name.clone(),
        row.address.clone(),
        names(true),
        names(false),
    ]
}
