//! What `petset help` lists, and what petset answers to the verbs of other tools.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::problem::Problem;

/// The verbs as `petset help` groups them, each in one group.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Run",
        &["create", "apply", "delete", "stop", "start", "up", "with"],
    ),
    (
        "Look",
        &[
            "top", "get", "describe", "logs", "events", "exec", "discover", "dns", "wait",
        ],
    ),
    (
        "Change",
        &[
            "scale", "upgrade", "rollout", "restart", "kill", "pause", "resume", "edit", "patch",
            "set", "label", "annotate", "diff", "validate",
        ],
    ),
    ("Data", &["volume", "image"]),
    (
        "Machine",
        &[
            "doctor",
            "supervise",
            "completions",
            "man",
            "version",
            "help",
        ],
    ),
];

/// Verbs of kubectl, docker, compose and helm, and what does the same here.
const FOREIGN: &[(&[&str], &str)] = &[
    (
        &["run"],
        "`petset create NAME -- PROGRAM` runs a program as a set",
    ),
    (
        &["down", "rm", "remove", "destroy"],
        "`petset delete NAME` removes a set and keeps its volumes, `petset stop` stops everything",
    ),
    (
        &["ps", "ls", "list", "status"],
        "`petset get` lists sets, pets and services, `petset get pods -o wide` says what pets wait for",
    ),
    (&["show", "inspect"], "`petset describe NAME` shows details"),
    (
        &["port-forward", "proxy", "expose"],
        "the host reaches a pet and a service without it: `petset get pods,svc -o wide` shows their \
         addresses and ports",
    ),
    (
        &["cp"],
        "a volume is a directory: copy to or from $(petset volume path CLAIM)",
    ),
    (
        &["replace"],
        "`petset apply -f FILE` makes objects as a manifest has them",
    ),
    (
        &["attach", "tail"],
        "`petset logs -f NAME` follows what a pet prints",
    ),
    (
        &["shell", "sh", "ssh", "enter"],
        "`petset exec -it NAME -- sh` opens a shell in a pet",
    ),
    (&["stats"], "`petset top` shows what pets use and do"),
    (
        &["rollback", "undo"],
        "`petset rollout undo NAME` goes back to the revision before",
    ),
    (&["history", "promote"], "it is a verb of `petset rollout`"),
    (
        &["install", "template"],
        "`helm template CHART | petset apply -f -` runs a chart",
    ),
    (
        &["pull", "push", "build", "load"],
        "petset runs programs of this machine: `petset image explain IMAGE` shows which",
    ),
    (
        &["explain"],
        "`petset validate -f FILE` names each wrong field of a manifest, and \
         https://kubernetes.io/docs/reference/kubernetes-api/ explains all of them",
    ),
    (
        &["config", "context"],
        "`--state-dir DIR` chooses the state directory, `--namespace` the namespace",
    ),
    (
        &["cordon", "drain", "taint", "autoscale"],
        "there is one machine, and nothing to move pets to",
    ),
    (&["check", "info"], "`petset doctor` checks this machine"),
];

/// Lists the verbs in groups, in place of one long list.
pub(super) fn with_groups(command: Command) -> Command {
    let heading = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut text = String::new();
    for (group, verbs) in GROUPS {
        let _ = writeln!(text, "{heading}{group}:{heading:#}");
        for verb in verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about);
            let about = about.map_or_else(|| HELP_ABOUT.to_owned(), StyledStr::to_string);
            let _ = writeln!(text, "  {literal}{verb:<11}{literal:#}  {about}");
        }
        text.push('\n');
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n\
         {text}{heading}Global options:{heading:#}\n{{options}}{{after-help}}"
    ))
}

/// What the verb is for that clap adds by itself.
const HELP_ABOUT: &str = "Print this message or the help of the given command";

/// Returns the answer to a verb of another tool, if that is what the command line lacks.
pub(super) fn answer(error: &Error) -> Option<Problem> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    // `petset volume cp` lacks a verb of `volume`, which is another matter.
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return None;
    };
    if !usage.to_string().contains("petset [OPTIONS] <COMMAND>") {
        return None;
    }
    let Some(ContextValue::String(verb)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (_, ours) = FOREIGN.iter().find(|(verbs, _)| verbs.contains(&&**verb))?;
    let message = format!("petset has no verb {verb:?}");
    Some(Problem::invalid(message).hint((*ours).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::command;

    #[test]
    fn each_verb_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, verbs)| *verbs)
            .copied()
            .collect();
        let once: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(once.len(), grouped.len());
        let command = command();
        let verbs = command.get_subcommands().map(Command::get_name);
        let verbs: BTreeSet<&str> = verbs.chain(["help"]).collect();
        assert_eq!(once, verbs);
    }

    #[test]
    fn a_verb_of_another_tool_is_answered_with_ours() {
        let command = command();
        let ours: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut seen = BTreeSet::new();
        for verb in FOREIGN.iter().flat_map(|(verbs, _)| *verbs) {
            assert!(!ours.contains(verb), "{verb} is a verb of petset");
            assert!(seen.insert(*verb), "{verb} has two answers");
            let error = command.clone().try_get_matches_from(["petset", *verb, "x"]);
            assert!(answer(&error.unwrap_err()).is_some(), "{verb}");
        }
    }

    #[test]
    fn a_misspelt_verb_and_a_verb_of_a_verb_have_the_answers_of_clap() {
        for words in [["petset", "crate"], ["petset", "volume"]] {
            let line = words.iter().chain(&["cp"]);
            let error = command().try_get_matches_from(line).unwrap_err();
            assert!(answer(&error).is_none(), "{words:?}");
        }
    }
}
