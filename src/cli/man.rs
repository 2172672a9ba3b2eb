//! `petset man`

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as ClapArgs, Command};
use clap_mangen::{Man, generate_to};

use super::shared::render;
use super::shared::session::say;
use crate::problem::Result;

/// Print the manual page, or write the pages of all commands to a directory
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset man | man -l -
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
        Man::new(command.disable_help_subcommand(true)).render(&mut page)?;
        return render::bytes(&page);
    };
    let context = || format!("cannot write the manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(context)?;
    generate_to(command, dir).with_context(context)?;
    say(format!("Wrote the manual pages to {}.", dir.display()));
    Ok(())
}
