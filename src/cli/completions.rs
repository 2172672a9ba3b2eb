//! `petset completions`, and the completions that a shell asks petset for.

use std::any::TypeId;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Command, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use k8s_openapi::api::apps::v1::ControllerRevision;

use super::shared::live_names;
use super::shared::names::{NamedObject, OwnerRef, SetRef, TargetRef};
use super::shared::render;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{Namespace, ObjectName};
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
const NAMED_BY_WORDS: [&str; 4] = ["object", "objects", "words", "targets"];

/// Completes a word of the command line.
type Completer = fn(&OsStr) -> Vec<CompletionCandidate>;

/// The arguments that are completed by what they are called.
const BY_NAME: [(&str, Completer); 11] = [
    ("what", kinds_and_objects),
    ("kind", kinds),
    ("container", containers),
    ("namespace", namespaces),
    ("revision", revisions),
    ("to_revision", revisions),
    ("condition", conditions),
    ("image", images),
    ("images", images),
    ("claims", claims),
    ("claim", claims),
];

/// What `petset wait --for` takes, and the conditions that objects have.
const CONDITIONS: [&str; 13] = [
    "ready",
    "settled",
    "delete",
    "condition=Ready",
    "condition=ContainersReady",
    "condition=Initialized",
    "condition=PodScheduled",
    "condition=Available",
    "condition=Progressing",
    "condition=Complete",
    "condition=Failed",
    "condition=Suspended",
    "jsonpath=",
];

/// Completes each argument that names a set, a workload or a pet with those that exist.
fn with_live_names(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let kind = arg.get_value_parser().type_id();
        let id = arg.get_id().as_str().to_owned();
        if let Some((_, complete)) = BY_NAME.iter().find(|(name, _)| *name == id) {
            arg.add(ArgValueCompleter::new(*complete))
        } else if kind == TypeId::of::<SetRef>() {
            arg.add(ArgValueCompleter::new(sets))
        } else if kind == TypeId::of::<OwnerRef>() {
            arg.add(ArgValueCompleter::new(owners))
        } else if kind == TypeId::of::<TargetRef>()
            || kind == TypeId::of::<NamedObject>()
            || NAMED_BY_WORDS.contains(&id.as_str())
        {
            arg.add(ArgValueCompleter::new(owners_and_pets))
        } else {
            arg
        }
    });
    command.mut_subcommands(with_live_names)
}

/// Completes kinds, and after a kind or a slash the names of its objects.
fn kinds_and_objects(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let names = LiveNames::of_command_line();
    let current_word = current.to_string_lossy();
    if let Some((word, _)) = current_word.split_once('/') {
        let kind = ObjectKind::of_word(word);
        let all = kind.zip(names).map(|(kind, names)| names.of(kind));
        let all = all.unwrap_or_default().into_iter();
        return candidates(
            current,
            Some(all.map(|name| format!("{word}/{name}")).collect()),
        );
    }
    let before = words.iter().rev().skip(1);
    let mut before = before.take_while(|word| !VERBS.contains(&word.as_str()));
    match before.find_map(|word| ObjectKind::of_word(word)) {
        Some(kind) => candidates(current, names.map(|names| names.of(kind))),
        None => {
            let mut all = kinds(current);
            all.extend(owners_and_pets(current));
            all
        }
    }
}

/// The verbs whose words may be kinds.
const VERBS: [&str; 3] = ["get", "describe", "explain"];

fn kinds(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = ObjectKind::words().into_iter().map(ToOwned::to_owned);
    candidates(current, Some(words.collect()))
}

fn containers(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(
        current,
        LiveNames::of_command_line().map(|names| names.containers()),
    )
}

fn namespaces(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = LiveNames::of_command_line();
    let all = names.map(|names| names_in(&names.layout.wanted()).unwrap_or_default());
    let own = all.unwrap_or_default().into_iter();
    candidates(
        current,
        Some(
            own.filter(|name| name.parse::<Namespace>().is_ok())
                .collect(),
        ),
    )
}

fn revisions(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(
        current,
        LiveNames::of_command_line().map(|names| names.revisions()),
    )
}

fn conditions(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, Some(CONDITIONS.map(ToOwned::to_owned).to_vec()))
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

    /// Returns the containers of the pods that the command line names, or else of all.
    fn containers(&self) -> Vec<String> {
        let words: Vec<String> = std::env::args().collect();
        let pods = self.of(ObjectKind::Pod);
        let is_named = |pod: &&String| {
            words
                .iter()
                .any(|word| word.trim_start_matches("pod/") == *pod)
        };
        let named: Vec<&String> = pods.iter().filter(is_named).collect();
        let chosen = if named.is_empty() {
            pods.iter().collect()
        } else {
            named
        };
        let mut names: Vec<String> = Vec::new();
        for pod in chosen {
            let files = self.layout.pet(&self.namespace, pod);
            let spec = store::pod_record(&files)
                .ok()
                .flatten()
                .and_then(|pod| pod.spec);
            let spec = spec.unwrap_or_default();
            let inits = spec.init_containers.unwrap_or_default().into_iter();
            names.extend(inits.chain(spec.containers).map(|container| container.name));
        }
        names.sort();
        names.dedup();
        names
    }

    /// Returns the numbers of the revisions of the sets that the command line names, newest first.
    fn revisions(&self) -> Vec<String> {
        let words: Vec<String> = std::env::args().collect();
        let named = words
            .iter()
            .map(|word| word.rsplit('/').next().unwrap_or(word));
        let mut numbers: Vec<i64> = Vec::new();
        for set in named.filter(|word| word.parse::<ObjectName>().is_ok()) {
            let path = self.layout.revisions(&self.namespace, set);
            let found: Option<Vec<ControllerRevision>> =
                store::read_json(&path).unwrap_or_default();
            numbers.extend(found.into_iter().flatten().map(|one| one.revision));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().rev().map(i64::to_string).collect()
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
