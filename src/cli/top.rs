//! `petset top`

mod figures;
mod lamp;
mod pods;
mod read;
mod snapshot;
mod text;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::shared::render;
use super::shared::session::Session;
use crate::problem::{Problem, Result};
use figures::Meter;
use read::{Readings, namespaces};
use snapshot::Snapshot;

/// Show all workloads, pets and services, and what they wait for
///
/// Shown are how far each rollout is, the state of each pet and the reason why it is not ready, its
/// use of CPU and memory, and the endpoints of each service. All of it is read from the state
/// directory; the supervisor need not run.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  petset top --once             the state as text
  petset top --once -o json     the same for a script
  petset top pods               the CPU and memory of each pet")]
pub(crate) struct Args {
    #[command(subcommand)]
    figures: Option<FiguresOf>,
    /// Print the state once, as text
    #[arg(long)]
    once: bool,
    /// Print the state once, in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<WholeForm>,
    /// Show the objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

#[derive(Debug, Subcommand)]
enum FiguresOf {
    #[command(alias = "pod", alias = "po", alias = "pets")]
    Pods(pods::PodsArgs),
}

/// A format of everything that is seen.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WholeForm {
    Json,
    Yaml,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if let Some(FiguresOf::Pods(args)) = &args.figures {
        return pods::show(session, args);
    }
    if args.output.is_some() && !args.once {
        let message = "a format needs --once";
        let hint = "such as `petset top --once -o json`";
        return Err(Problem::invalid(message).hint(hint).into());
    }
    show_once(session, args)
}

fn show_once(session: &Session, args: &Args) -> Result<()> {
    let seen = Readings::read(session, &namespaces(session, args.all_namespaces)?)?;
    let mut snapshot = Snapshot::of(&seen, Timestamp::now());
    let usage = Meter::default().measure_once(session, &seen);
    snapshot.put_usage(&usage);
    match args.output {
        Some(WholeForm::Json) => render::json(&snapshot),
        Some(WholeForm::Yaml) => render::yaml(&snapshot),
        None => render::text(&text::page(&snapshot, args.all_namespaces)),
    }
}
