//! `petset completions`, and the completions that a shell asks petset for.

use std::any::TypeId;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Command, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::shared::live_names;
use super::shared::names::{NamedObject, OwnerRef, SetRef, TargetRef};
use super::shared::render;
use crate::model::Namespace;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::problem::Result;
use crate::store::{self, Layout, names_in};

/// The environment variable by which a shell asks for completions.
const ASKED_THROUGH: &str = "PETSET_COMPLETE";

/// Print the completion script of a shell
///
/// The script asks petset for the current names of sets, workloads and pets.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset completions bash > ~/.local/share/bash-completion/completions/petset
  petset completions zsh > ~/.zfunc/_petset
  petset completions fish > ~/.config/fish/completions/petset.fish")]
pub(crate) struct Args {
    /// Shell that will load the script
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name = args.shell.name();
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(name) {
        shell.write_registration(ASKED_THROUGH, "petset", "petset", "petset", &mut script)?;
    }
    render::bytes(&script)
}

/// Answers a shell that asks for completions, and exits; otherwise returns at once.
pub(super) fn answer_shell(command: fn() -> Command) {
    if std::env::var_os(ASKED_THROUGH).is_some() {
        CompleteEnv::with_factory(|| with_live_names(command()))
            .var(ASKED_THROUGH)
            .complete();
    }
}

/// The arguments of verbs that take objects of any kind.
const NAMED_BY_WORDS: [&str; 3] = ["object", "objects", "words"];

/// Completes each argument that names a set, a workload or a pet with those that exist.
fn with_live_names(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let kind = arg.get_value_parser().type_id();
        if kind == TypeId::of::<SetRef>() {
            arg.add(ArgValueCompleter::new(sets))
        } else if kind == TypeId::of::<OwnerRef>() {
            arg.add(ArgValueCompleter::new(owners))
        } else if kind == TypeId::of::<TargetRef>()
            || kind == TypeId::of::<NamedObject>()
            || NAMED_BY_WORDS.contains(&arg.get_id().as_str())
        {
            arg.add(ArgValueCompleter::new(owners_and_pets))
        } else if arg.get_id() == "image" {
            arg.add(ArgValueCompleter::new(images))
        } else if arg.get_id() == "claims" || arg.get_id() == "claim" {
            arg.add(ArgValueCompleter::new(claims))
        } else {
            arg
        }
    });
    command.mut_subcommands(with_live_names)
}

fn sets(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    candidates(
        current,
        names.map(|names| names.of(ObjectKind::StatefulSet)),
    )
}

fn owners(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    candidates(current, names.map(|names| names.owners()))
}

fn owners_and_pets(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    let all = names.map(|names| [names.owners(), names.of(ObjectKind::Pod)].concat());
    candidates(current, all)
}

fn images(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    candidates(current, names.map(|names| names.images()))
}

fn claims(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    candidates(
        current,
        names.map(|names| names.of(ObjectKind::PersistentVolumeClaim)),
    )
}

fn candidates(current: &OsStr, names: Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let names = names.unwrap_or_default().into_iter();
    let fitting = names.filter(|name| name.starts_with(current.as_ref()));
    fitting.map(CompletionCandidate::new).collect()
}

/// The state directory and namespace of a command line that is not complete yet.
struct LiveNames {
    layout: Layout,
    namespace: Namespace,
}

impl LiveNames {
    fn of_command_line() -> Option<Self> {
        let words: Vec<String> = std::env::args().collect();
        let named = value_of(&words, &["--namespace", "-n"]);
        let named = named.or_else(|| std::env::var("PETSET_NAMESPACE").ok());
        let namespace = named.and_then(|name| name.parse().ok()).unwrap_or_default();
        let root = match value_of(&words, &["--state-dir"]) {
            Some(root) => PathBuf::from(root),
            None => store::default_root().ok()?,
        };
        let layout = Layout::new(root);
        Some(Self { layout, namespace })
    }

    fn of(&self, kind: ObjectKind) -> Vec<String> {
        live_names::of_kind(&self.layout, &self.namespace, kind)
    }

    /// Returns the sets, and the workloads with their kind before their name.
    fn owners(&self) -> Vec<String> {
        let mut all = self.of(ObjectKind::StatefulSet);
        for kind in WorkloadKind::ALL.map(ObjectKind::Workload) {
            let names = self.of(kind).into_iter();
            all.extend(names.map(|name| format!("{}/{name}", kind.folder())));
        }
        all
    }

    /// Returns the images of the catalogue and of existing sets.
    fn images(&self) -> Vec<String> {
        let catalogue = store::catalogue(&self.layout, std::path::Path::new("petset"));
        let mut images = catalogue.map_or_else(|_| Vec::new(), |catalogue| catalogue.keys());
        images.retain(|image| !image.contains('{'));
        let dir = self
            .layout
            .wanted_kind(&self.namespace, ObjectKind::StatefulSet);
        for file in names_in(&dir).unwrap_or_default() {
            let text = store::read(&dir.join(file))
                .ok()
                .flatten()
                .unwrap_or_default();
            let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
            let named = lines.filter_map(|line| line.strip_prefix("image: "));
            images.extend(named.map(|image| image.trim_matches(['"', '\'']).to_owned()));
        }
        images.sort();
        images.dedup();
        images
    }
}

/// Returns the value of an option, written as `--option value` or `--option=value`.
fn value_of(words: &[String], options: &[&str]) -> Option<String> {
    let mut found = None;
    for (place, word) in words.iter().enumerate() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), words.get(place + 1).cloned()),
        };
        if options.contains(&option) {
            found = value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_half_written_line_are_understood() {
        let words = ["petset", "-n", "db", "--state-dir=/tmp/s", "scale", ""].map(str::to_owned);
        assert_eq!(
            value_of(&words, &["--namespace", "-n"]).as_deref(),
            Some("db")
        );
        assert_eq!(
            value_of(&words, &["--state-dir"]).as_deref(),
            Some("/tmp/s")
        );
        assert_eq!(value_of(&words, &["--nope"]), None);
    }

    #[test]
    fn every_verb_survives_being_enlivened() {
        with_live_names(crate::cli::command()).debug_assert();
    }
}
