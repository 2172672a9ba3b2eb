//! How long pets have to end when they are deleted.

use crate::problem::{Problem, Result};

/// The grace of a deletion, in the words of kubectl.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct GraceArgs {
    /// How long each pet has to end by itself before it is killed, instead of its own grace period
    ///
    /// 0 is taken as 1, unless --force says that it is meant. A pet that is stopping already can
    /// be given less time, not more.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = -1,
        hide_default_value = true,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..=i64::from(u32::MAX))
    )]
    grace_period: i64,
    /// Give each pet one second, as --grace-period=1 does
    #[arg(long)]
    now: bool,
    /// Kill each pet at once: no preStop hook, no signal before
    #[arg(long)]
    force: bool,
}

impl GraceArgs {
    /// Returns the grace in seconds; nothing where that of each pet holds.
    pub(crate) fn seconds(self) -> Result<Option<i64>> {
        if self.now && self.grace_period >= 0 {
            let message = "--now and --grace-period cannot be specified together";
            return Err(Problem::invalid(message).into());
        }
        let asked = if self.now { 1 } else { self.grace_period };
        match (self.force, asked) {
            (true, 1..) => {
                let message =
                    "--force and a grace period greater than 0 cannot be specified together";
                let hint = "leave --force out to let pets end by themselves";
                Err(Problem::invalid(message).hint(hint).into())
            }
            (true, _) => Ok(Some(0)),
            (false, 0) => Ok(Some(1)),
            (false, _) => Ok((asked > 0).then_some(asked)),
        }
    }
}
