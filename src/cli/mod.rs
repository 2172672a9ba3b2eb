//! The command line: what it accepts, and one file a verb.

mod completions;
mod create;
mod delete;
mod describe;
mod discover;
mod dns;
mod doctor;
mod endpoints;
mod events;
mod exec;
mod files;
mod get;
mod logs;
mod lookout;
mod man;
mod names;
mod objects;
mod peers;
mod pods;
mod render;
mod restart;
mod scale;
mod session;
mod sort;
mod stop;
mod supervise;
mod upgrade;
mod validate;
mod volume;
mod wait;
mod waiting;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::model::Namespace;
use crate::problem::{Result, kind_of, report};
use crate::store;
pub(crate) use discover::{PEER_FINDER, run_peer_finder};
use session::Session;

/// Run Kubernetes PetSets and StatefulSets as plain local processes
///
/// petset reads the YAML of a StatefulSet and runs its pets on this machine: in order, each with
/// a name, an address and a volume that it keeps for life. No images, no VM, no root.
#[derive(Debug, Parser)]
#[command(
    name = "petset",
    version,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every verb accepts.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory that keeps what is wanted, what is seen, and the volumes
    ///
    /// Without it: $XDG_STATE_HOME/petset, else ~/.local/state/petset.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PETSET_STATE_DIR",
        hide_env_values = true
    )]
    state_dir: Option<PathBuf>,
    /// Namespace to work in
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAMESPACE",
        env = "PETSET_NAMESPACE",
        hide_env_values = true
    )]
    namespace: Option<Namespace>,
    /// How long to wait for another command that holds the lock, such as 30s
    #[arg(long, global = true, value_name = "DURATION", value_parser = store::parse_duration)]
    lock_timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Completions(completions::Args),
    Create(create::Args),
    Delete(delete::Args),
    Describe(describe::Args),
    Discover(discover::Args),
    Dns(dns::Args),
    Doctor(doctor::Args),
    Restart(restart::Args),
    Events(events::Args),
    Exec(exec::Args),
    Get(get::Args),
    Logs(logs::Args),
    Restart(restart::Args),
    Man(man::Args),
    Scale(scale::Args),
    Start(stop::StartArgs),
    Stop(stop::StopArgs),
    Supervise(supervise::Args),
    Upgrade(upgrade::Args),
    Validate(validate::Args),
    Wait(wait::Args),
    Volume(volume::Args),
}

impl Command {
    /// Runs a verb that needs no state directory, or one that looks at a broken one too.
    fn run_alone(&self, global: &Global) -> Option<Result<()>> {
        if let Self::Completions(args) = self {
            return Some(completions::run(args));
        }
        if let Self::Doctor(args) = self {
            return Some(doctor::run(global, args));
        }
        if let Self::Man(args) = self {
            return Some(man::run(args));
        }
        None
    }

    fn run(&self, session: &Session) -> Result<()> {
        match self {
            Self::Completions(_) | Self::Doctor(_) | Self::Man(_) => Ok(()),
            Self::Create(args) => create::run(session, args),
            Self::Delete(args) => delete::run(session, args),
            Self::Describe(args) => describe::run(session, args),
            Self::Discover(args) => discover::run(session, args),
            Self::Dns(args) => dns::run(session, args),
            Self::Events(args) => events::run(session, args),
            Self::Exec(args) => exec::run(session, args),
            Self::Get(args) => get::run(session, args),
            Self::Logs(args) => logs::run(session, args),
            Self::Restart(args) => restart::run(session, args),
            Self::Scale(args) => scale::run(session, args),
            Self::Start(args) => stop::start(session, args),
            Self::Stop(args) => stop::stop(session, args),
            Self::Supervise(args) => supervise::run(session, args),
            Self::Upgrade(args) => upgrade::run(session, args),
            Self::Validate(args) => validate::run(session, args),
            Self::Wait(args) => wait::run(session, args),
            Self::Volume(args) => volume::run(session, args),
        }
    }
}

/// Returns the whole command line as clap knows it, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs one command line and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    completions::answer_shell();
    let cli = Cli::parse();
    let outcome = cli.command.run_alone(&cli.global).unwrap_or_else(|| {
        Session::open(&cli.global).and_then(|session| cli.command.run(&session))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ending(&error),
    }
}

/// Reports an error, and returns the exit code that its kind has.
fn ending(error: &anyhow::Error) -> ExitCode {
    if let Some(session::PassedThrough(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    session::say_all(&report(error));
    ExitCode::from(kind_of(error).exit_code())
}
