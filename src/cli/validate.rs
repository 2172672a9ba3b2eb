//! `petset validate`

use super::shared::files::{self, FileArgs};
use super::shared::render;
use super::shared::session::Session;
use crate::problem::{Problem, Result};

/// Validate manifests as `create` does, and change nothing
///
/// Each error has its file, line, column and path. Fields that petset ignores are warnings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if args.files.filename.is_empty() {
        let hint = "for example `petset validate -f web.yaml`";
        return Err(
            Problem::invalid("nothing to validate: --filename is missing")
                .hint(hint)
                .into(),
        );
    }
    let objects = files::read(session, &args.files.filename)?;
    objects
        .iter()
        .try_for_each(|object| render::line(&format!("{} is valid", files::title(object))))
}
