//! `petset events`

use clap::Args as ClapArgs;

use super::shared::events::{EventArgs, show};
use super::shared::session::Session;
use crate::problem::Result;

/// Show events, oldest first
///
/// Equal events are one line, with their number and the time since the first one.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset events              all events of the namespace
  petset events web          events of the set web, its pets and claims
  petset events web-0 -w     events of one pet, and then each new one")]
pub(crate) struct Args {
    #[command(flatten)]
    events: EventArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    show(session, &args.events)
}
