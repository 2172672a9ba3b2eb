//! The state directory that is checked.

use crate::cli::shared::global::Global;
use crate::problem::Result;
use crate::store::{Layout, Settings, Store, read};

/// The state directory that is checked. Unlike a session, it can be opened when it is broken.
pub(super) struct StateDir {
    pub(super) layout: Layout,
    pub(super) settings: Settings,
    /// Why no other command can use the state directory.
    pub(super) fault: Option<anyhow::Error>,
}

impl StateDir {
    /// Opens the directory that the command line or the environment names.
    pub(super) fn new(global: &Global) -> Result<Self> {
        let layout = Layout::new(global.root()?);
        let fault = Store::open(layout.root()).err();
        let text = read(&layout.settings()).ok().flatten().unwrap_or_default();
        Ok(Self {
            settings: Settings::parse(&text).unwrap_or_default(),
            layout,
            fault,
        })
    }

    pub(super) fn exists(&self) -> bool {
        self.layout.root().is_dir()
    }
}
