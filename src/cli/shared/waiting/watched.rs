//! The directories whose changes a waiting command looks at.

use std::path::PathBuf;

use anyhow::Context;

use crate::problem::Result;
use crate::store::{self, Watch};

/// Watches directories, which are made where they are missing.
pub(super) fn watch(reports: &mut Watch<()>, dirs: &[PathBuf]) -> Result<()> {
    for dir in dirs {
        store::make_dir(dir)
            .and_then(|()| reports.add(dir, ()))
            .with_context(|| format!("cannot watch {}", dir.display()))?;
    }
    Ok(())
}
