//! `petset top`

mod figures;
mod lamp;
#[cfg(feature = "live")]
mod live;
mod pods;
mod read;
mod snapshot;
mod text;

#[cfg(feature = "live")]
use std::path::PathBuf;

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
/// directory; the supervisor need not run. On a terminal it is a view that changes with what it
/// shows: `?` lists its keys, and what changes something asks first. Elsewhere it is text.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  petset top                    the view
  petset top --slow             with each step for a second, for an audience
  petset top --record demo.cast   to be played by asciinema, or drawn by docs/picture.py
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
    /// Show each step for a second, in the order in which they happen, so that people can follow;
    /// the key s does so, too
    #[cfg(feature = "live")]
    #[arg(long, conflicts_with = "once")]
    slow: bool,
    /// Record what is shown to a file, as an asciicast (version 2)
    #[cfg(feature = "live")]
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    record: Option<PathBuf>,
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
    #[cfg(feature = "live")]
    if !args.once && live::is_possible() {
        return live::show(
            session,
            &live::LiveOptions {
                all_namespaces: args.all_namespaces,
                slow: args.slow,
                record: args.record.as_deref(),
            },
        );
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
