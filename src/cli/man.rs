//! `petset man`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitStatus, Stdio};

use anyhow::Context;
use clap::{Args as ClapArgs, Command};
use clap_mangen::{Man, generate_to};

use super::shared::render;
use super::shared::session::say;
use crate::problem::Result;

/// Show the manual page, or write the pages of all commands to a directory
///
/// On a terminal `man` shows it; elsewhere it is printed as roff.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset man
  petset man --dir ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Directory for petset.1, petset-create.1 and so on
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the manual page of `command`, or writes those of all its verbs.
pub(crate) fn run(args: &Args, command: Command) -> Result<()> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
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
