//! The grace period of a deletion.

use crate::problem::{Problem, Result};

/// The options of kubectl for the grace period.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct GraceArgs {
    /// Seconds for each pet to terminate gracefully, instead of its own grace period
    ///
    /// 0 counts as 1, unless --force is given too. The time of a pet that is already terminating
    /// can only be shortened.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = -1,
        hide_default_value = true,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..=i64::from(u32::MAX))
    )]
    grace_period: i64,
    /// Terminate quickly, as with --grace-period=1
    #[arg(long)]
    now: bool,
    /// Kill each pet at once, without preStop hook or SIGTERM
    #[arg(long)]
    force: bool,
}

impl GraceArgs {
    /// Returns the grace period in seconds; `None` for each pet's own.
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
                let hint = "leave out --force to let pets terminate gracefully";
                Err(Problem::invalid(message).hint(hint).into())
            }
            (true, _) => Ok(Some(0)),
            (false, 0) => Ok(Some(1)),
            (false, _) => Ok((asked > 0).then_some(asked)),
        }
    }
}
