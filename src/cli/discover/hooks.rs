//! Commands that are called when the peers change, in the way of peer-finder (F03-F07).

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;

use crate::problem::{Kind, Problem, Result};

/// What is called next, and what it was told last.
#[derive(Debug)]
pub(super) struct Hooks {
    next: Hook,
    /// What follows `next`; nothing where the program ends after it.
    after: Option<String>,
    last: BTreeSet<String>,
}

#[derive(Debug)]
struct Hook {
    option: &'static str,
    command: String,
}

impl Hooks {
    /// Returns the hooks, if there are any. Only `on_change` is called from the first time on.
    pub(super) fn new(on_start: Option<String>, on_change: Option<String>) -> Option<Self> {
        let hook = |option| move |command| Hook { option, command };
        let first = on_start.map(hook("--on-start"));
        let next = first.or_else(|| on_change.clone().map(hook("--on-change")))?;
        Some(Self {
            next,
            after: on_change,
            last: BTreeSet::new(),
        })
    }

    /// Calls the hook that is due, if these names are others than before; breaks after the last.
    pub(super) fn take(&mut self, names: BTreeSet<String>) -> Result<ControlFlow<()>> {
        if names == self.last {
            return Ok(ControlFlow::Continue(()));
        }
        self.next.call(&names)?;
        self.last = names;
        let Some(command) = &self.after else {
            return Ok(ControlFlow::Break(()));
        };
        self.next = Hook {
            option: "--on-change",
            command: command.clone(),
        };
        Ok(ControlFlow::Continue(()))
    }
}

impl Hook {
    /// Runs the command with the sorted names on its standard input, one a line.
    fn call(&self, names: &BTreeSet<String>) -> Result<()> {
        let wish = || format!("cannot run the {} command {:?}", self.option, self.command);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&self.command).stdin(Stdio::piped());
        let mut child = shell.spawn().with_context(wish)?;
        if let Some(mut input) = child.stdin.take() {
            let list: String = names.iter().map(|name| format!("{name}\n")).collect();
            // A command that does not read its input is none the worse for it.
            let _ = input.write_all(list.as_bytes());
        }
        let status = child.wait().with_context(wish)?;
        if status.success() {
            return Ok(());
        }
        let how = ending(status);
        let message = format!("the {} command {:?} {how}", self.option, self.command);
        Err(Problem::new(Kind::Failed, message).into())
    }
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => format!("failed: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> BTreeSet<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    fn hooks(dir: &std::path::Path, start: bool, change: bool) -> Hooks {
        let log = dir.join("log");
        let command = |word: &str| format!("echo {word} $(cat) >> {}", log.display());
        let hook = |wanted: bool, word| wanted.then(|| command(word));
        Hooks::new(hook(start, "start"), hook(change, "change")).unwrap()
    }

    #[test]
    fn the_first_list_starts_and_each_other_list_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut hooks = hooks(dir.path(), true, true);
        for list in ["b a", "a b", "a b c"] {
            assert!(hooks.take(names(list)).unwrap().is_continue());
        }
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, "start a b\nchange a b c\n");
    }

    #[test]
    fn on_start_alone_ends_after_it_and_on_change_alone_never() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            hooks(dir.path(), true, false)
                .take(names("a"))
                .unwrap()
                .is_break()
        );
        assert!(
            hooks(dir.path(), false, true)
                .take(names("a"))
                .unwrap()
                .is_continue()
        );
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, "start a\nchange a\n");
    }

    #[test]
    fn a_hook_that_fails_ends_the_program() {
        let mut hooks = Hooks::new(Some("exit 3".to_owned()), None).unwrap();
        let failed = hooks.take(names("a")).unwrap_err().to_string();
        assert_eq!(
            failed,
            "the --on-start command \"exit 3\" failed with exit code 3"
        );
    }
}
