//! The command line, with one file or folder for each verb.

mod apply;
mod completions;
mod create;
mod delete;
mod describe;
mod discover;
mod dns;
mod doctor;
mod edit;
mod events;
mod exec;
mod get;
mod help;
mod image;
mod kill;
mod label;
mod logs;
mod man;
mod patch;
mod pause;
mod restart;
mod rollout;
mod scale;
mod set;
mod shared;
mod stop;
mod supervise;
mod top;
mod up;
mod upgrade;
mod validate;
mod version;
mod volume;
mod wait;
mod with;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::problem::Result;
pub(crate) use discover::run_peer_finder;
use shared::exit::exit_code;
use shared::global::Global;
use shared::session::Session;

/// Run Kubernetes StatefulSets as plain local processes
///
/// petset reads the YAML of a StatefulSet and runs its pods, called pets, on this machine: in
/// order, each with a name, an address and volumes that it keeps. No cluster, no images, no VM, no
/// root.
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

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    Apply(apply::ApplyArgs),
    Diff(apply::DiffArgs),
    Scale(scale::Args),
    Upgrade(upgrade::Args),
    Rollout(rollout::Args),
    Restart(restart::Args),
    Edit(edit::Args),
    Patch(patch::Args),
    Set(set::Args),
    Label(label::LabelArgs),
    Annotate(label::AnnotateArgs),
    Delete(delete::Args),
    Stop(stop::StopArgs),
    Start(stop::StartArgs),
    Discover(discover::Args),
    Dns(dns::Args),
    #[command(visible_alias = "watch")]
    Top(top::Args),
    Get(get::Args),
    Describe(describe::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Kill(kill::Args),
    Pause(pause::PausePetArgs),
    Resume(pause::ResumePetArgs),
    Events(events::Args),
    Wait(wait::Args),
    Up(up::Args),
    With(with::Args),
    Volume(volume::Args),
    Image(image::Args),
    Validate(validate::Args),
    Supervise(supervise::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

impl Command {
    /// Runs the verb. `completions`, `man` and `version` need no state directory, `doctor` no valid
    /// one.
    fn run(&self, global: &Global) -> Result<()> {
        let open = || Session::open(global);
        match self {
            Self::Create(args) => create::run(&open()?, args),
            Self::Apply(args) => apply::apply(&open()?, args),
            Self::Diff(args) => apply::diff(&open()?, args),
            Self::Rollout(args) => rollout::run(&open()?, args),
            Self::Scale(args) => scale::run(&open()?, args),
            Self::Upgrade(args) => upgrade::run(&open()?, args),
            Self::Restart(args) => restart::run(&open()?, args),
            Self::Edit(args) => edit::run(&open()?, args),
            Self::Patch(args) => patch::run(&open()?, args),
            Self::Set(args) => set::run(&open()?, args),
            Self::Label(args) => label::label(&open()?, args),
            Self::Annotate(args) => label::annotate(&open()?, args),
            Self::Delete(args) => delete::run(&open()?, args),
            Self::Stop(args) => stop::stop(&open()?, args),
            Self::Start(args) => stop::start(&open()?, args),
            Self::Discover(args) => discover::run(&open()?, args),
            Self::Dns(args) => dns::run(&open()?, args),
            Self::Top(args) => top::run(&open()?, args),
            Self::Get(args) => get::run(&open()?, args),
            Self::Describe(args) => describe::run(&open()?, args),
            Self::Logs(args) => logs::run(&open()?, args),
            Self::Exec(args) => exec::run(&open()?, args),
            Self::Kill(args) => kill::run(&open()?, args),
            Self::Pause(args) => pause::pause(&open()?, args),
            Self::Resume(args) => pause::resume(&open()?, args),
            Self::Events(args) => events::run(&open()?, args),
            Self::Wait(args) => wait::run(&open()?, args),
            Self::Up(args) => up::run(&open()?, args),
            Self::With(args) => with::run(global, args),
            Self::Volume(args) => volume::run(&open()?, args),
            Self::Image(args) => image::run(&open()?, args),
            Self::Validate(args) => validate::run(&open()?, args),
            Self::Supervise(args) => supervise::run(&open()?, args),
            Self::Doctor(args) => doctor::run(global, args),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args, command()),
            Self::Version(args) => version::run(args),
        }
    }
}

/// Returns the whole command line as clap knows it, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    help::with_groups(Cli::command())
}

/// Runs one command line and returns its exit code.
#[must_use]
pub(crate) fn run() -> ExitCode {
    completions::answer_shell(command);
    let parsed = command().try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => match help::answer(&error) {
            Some(problem) => return exit_code(&problem.into()),
            None => error.exit(),
        },
    };
    match cli.command.run(&cli.global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_code(&error),
    }
}
