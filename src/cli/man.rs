//! `petset man`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitStatus, Stdio};

use anyhow::Context;
use clap::{Args as ClapArgs, Command};
use clap_mangen::{Man, generate_to};

use super::shared::render;
use super::shared::session::say;
use crate::manifest::nearest;
use crate::problem::{Problem, Result};

/// Show the manual page, or write the pages of all commands to a directory
///
/// On a terminal `man` shows it; elsewhere it is printed as roff.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset man
  petset man upgrade
  petset man rollout undo
  petset man --dir ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Directory for petset.1, petset-create.1 and so on
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Verb whose page is shown
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    verb: Vec<String>,
}

/// Prints the manual page of `command`, or writes those of all its verbs.
pub(crate) fn run(args: &Args, command: Command) -> Result<()> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        let command = page_of(command, &args.verb)?;
        let help = command.clone();
        Man::new(command.disable_help_subcommand(true)).render(&mut page)?;
        return match rustix::termios::isatty(io::stdout()) {
            true => show(&page, help),
            false => render::bytes(&page),
        };
    };
    let context = || format!("cannot write the manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(context)?;
    generate_to(command, dir).with_context(context)?;
    say(format!("Wrote the manual pages to {}.", dir.display()));
    Ok(())
}

/// Returns the command that words name: `rollout undo`.
fn page_of(command: Command, words: &[String]) -> Result<Command> {
    let mut found = command;
    if !words.is_empty() {
        // Only then do verbs know their full names.
        found.build();
    }
    for word in words {
        let Some(verb) = found.find_subcommand(word) else {
            let verbs: Vec<&str> = found.get_subcommands().map(Command::get_name).collect();
            let message = format!("{} has no verb {word:?}", found.get_name());
            let problem = Problem::invalid(message);
            let meant = nearest(word, &verbs).map(|verb| format!("did you mean {verb}?"));
            return Err(problem
                .hint(meant.unwrap_or_else(|| format!("it has {}", verbs.join(", "))))
                .into());
        };
        found = verb.clone();
    }
    Ok(found)
}

/// Shows the page on a terminal; without a program `man` that formats it, the help.
fn show(page: &[u8], mut help: Command) -> Result<()> {
    match formatted(page) {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => {
            say("There is no program `man` that can show the manual page; this is the help.");
            render::text(&help.render_long_help().to_string())
        }
    }
}

fn formatted(page: &[u8]) -> io::Result<ExitStatus> {
    let mut man = process::Command::new("man");
    let mut child = man.args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A pager that was left early reads no further.
        let _ = input.write_all(page);
    }
    child.wait()
}
