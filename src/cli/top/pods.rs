//! `petset top pods`

use std::cmp::Reverse;

use clap::{Args as ClapArgs, ValueEnum};
use k8s_openapi::api::core::v1::Pod;

use super::figures::{Meter, Usage, cpu_text, memory_text};
use super::read::{Readings, namespaces};
use crate::cli::shared::render;
use crate::cli::shared::render::Columns;
use crate::cli::shared::selector::{self, selects};
use crate::cli::shared::session::Session;
use crate::cli::shared::words::NONE;
use crate::model::Selector;
use crate::problem::Result;
use crate::sorted::sort_by_key;

/// Print the CPU time and memory that pets use
///
/// CPU is measured for half a second, in thousandths of a processor. Of memory that processes share
/// each has its part (PSS). The pet's own processes count, not the runner that keeps it.
#[derive(Debug, ClapArgs)]
pub(super) struct PodsArgs {
    /// Pets; the default is all
    #[arg(value_name = "POD")]
    names: Vec<String>,
    /// Label selector, such as app=web
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector::parse, conflicts_with = "names")]
    selector: Option<Selector>,
    /// Show the pets of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Begin with the greatest
    #[arg(long, value_name = "FIGURE")]
    sort_by: Option<Figure>,
    /// Add a line with the sums
    #[arg(long)]
    sum: bool,
    /// Print no headings
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Figure {
    Cpu,
    Memory,
}

pub(super) fn show(session: &Session, args: &PodsArgs) -> Result<()> {
    let mut pods = Vec::new();
    for namespace in namespaces(session, args.all_namespaces)? {
        pods.extend(session.pets(&namespace)?);
    }
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    for wanted in &args.names {
        if !pods.iter().any(|pod| name(pod) == *wanted) {
            return Err(session.not_found("pods", wanted).into());
        }
    }
    pods.retain(|pod| args.names.is_empty() || args.names.contains(&name(pod)));
    if let Some(selector) = &args.selector {
        pods.retain(|pod| selects(selector, pod.metadata.labels.as_ref()));
    }
    if pods.is_empty() {
        let one = !args.all_namespaces;
        session.say_nothing_found(one.then_some(&session.namespace));
        return Ok(());
    }
    let seen = Readings {
        pods,
        ..Readings::default()
    };
    let usages = Meter::default().measure_once(session, &seen);
    let usage_of = |pod: &Pod| {
        let uid = pod.metadata.uid.as_ref();
        uid.and_then(|uid| usages.get(uid).copied())
    };
    let mut all: Vec<(&Pod, Option<Usage>)> =
        seen.pods.iter().map(|pod| (pod, usage_of(pod))).collect();
    if let Some(figure) = args.sort_by {
        sort_by_key(&mut all, |(_, usage)| {
            Reverse(usage.map(|usage| match figure {
                Figure::Cpu => usage.cpu_millicores,
                Figure::Memory => usage.memory_bytes,
            }))
        });
    }
    render::text(&table(args, &all))
}

fn table(args: &PodsArgs, all: &[(&Pod, Option<Usage>)]) -> String {
    let row = |namespace: &str, name: &str, cpu: String, memory: String| {
        let namespace = args.all_namespaces.then(|| namespace.to_owned());
        let cells = namespace.into_iter().chain([name.to_owned(), cpu, memory]);
        cells.collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    if !args.no_headers {
        let (cpu, memory) = ("CPU(cores)".to_owned(), "MEMORY(bytes)".to_owned());
        rows.push(row("NAMESPACE", "NAME", cpu, memory));
    }
    let none = || NONE.to_owned();
    for (pod, usage) in all {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let cpu = cpu_text(*usage).unwrap_or_else(none);
        rows.push(row(
            namespace,
            name,
            cpu,
            memory_text(*usage).unwrap_or_else(none),
        ));
    }
    if args.sum {
        let known = all.iter().filter_map(|(_, usage)| *usage);
        let sum = known.fold((0, 0), |(cpu, memory), usage| {
            (cpu + usage.cpu_millicores, memory + usage.memory_bytes)
        });
        let sum = Some(Usage {
            cpu_millicores: sum.0,
            memory_bytes: sum.1,
        });
        let cpu = cpu_text(sum).unwrap_or_default();
        rows.push(row("", "SUM", cpu, memory_text(sum).unwrap_or_default()));
    }
    Columns::default().lay_out(&rows)
}
