//! What somebody has removed by hand below the state directory.

use std::time::{Duration, Instant};

/// The pause after the last loss. A state directory that is removed as a whole is left alone: its
/// supervisor ends when the lock goes.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Whether anything of what is observed was.
    pub(super) observed: bool,
    /// Whether the view or the links to the program could not be made.
    pub(super) provisions: bool,
    /// When it is made again.
    pub(super) due: Option<Instant>,
}
