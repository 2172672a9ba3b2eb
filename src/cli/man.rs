//! `petset man`

use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use clap_mangen::{Man, generate_to};

use super::shared::render;
use super::shared::session::say;
use crate::problem::Result;

/// Print the manual page, or write those of all verbs
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset man | man -l -
  petset man --dir ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Directory to write petset.1, petset-create.1 and so on to
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(super::command().disable_help_subcommand(true)).render(&mut page)?;
        return render::bytes(&page);
    };
    let wish = || format!("cannot write the manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(wish)?;
    generate_to(super::command(), dir).with_context(wish)?;
    say(format!("Wrote the manual pages to {}.", dir.display()));
    Ok(())
}
