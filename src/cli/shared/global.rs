//! The options that every verb accepts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::model::Namespace;
use crate::model::environment::STATE_DIR_VARIABLE;
use crate::model::parse_duration;
use crate::problem::Result;
use crate::store;

/// The state directory, the namespace and the lock's timeout.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// State directory
    ///
    /// The default is $XDG_STATE_HOME/petset, else ~/.local/state/petset.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = STATE_DIR_VARIABLE,
        hide_env_values = true
    )]
    state_dir: Option<PathBuf>,
    /// Namespace of the objects
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAMESPACE",
        env = "PETSET_NAMESPACE",
        hide_env_values = true
    )]
    pub(in crate::cli) namespace: Option<Namespace>,
    /// How long to wait for a command that holds the lock, such as 30s
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) lock_timeout: Option<Duration>,
}

impl Global {
    /// Returns the state directory that the command line or the environment names.
    pub(crate) fn root(&self) -> Result<PathBuf> {
        let root = match &self.state_dir {
            Some(dir) => dir.clone(),
            None => store::default_root()?,
        };
        store::absolute(&root)
    }
}
