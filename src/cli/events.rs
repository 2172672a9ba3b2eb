//! `petset events`

use clap::Args as ClapArgs;

use super::shared::events::{EventArgs, show};
use super::shared::session::Session;
use crate::problem::Result;

/// Show what happened, oldest first
///
/// The same thing that happened several times is one line, which says how often and since when.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset events              of everything in the namespace
  petset events web          of the set web, its pets and claims
  petset events web-0 -w     of one pet, and then each further one")]
pub(crate) struct Args {
    #[command(flatten)]
    events: EventArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    show(session, &args.events)
}
