//! `petset supervise`

use super::shared::session::{Session, say};
use crate::problem::Result;
use crate::supervisor;

/// Run the supervisor in the foreground, for a service manager such as systemd
///
/// Otherwise the first command that needs a supervisor starts one in the background, which exits
/// when nothing is left to run. The foreground supervisor takes over from that one, and runs until
/// SIGTERM or SIGINT. The pets keep running, and the next supervisor takes them over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(session: &Session, _args: &Args) -> Result<()> {
    session.establish()?;
    let root = session.store.layout().root().display();
    supervisor::run_in_foreground(session.store.clone(), || {
        say(format!("Supervising {root}."));
    })
}
