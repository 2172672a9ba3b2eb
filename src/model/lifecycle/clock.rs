//! The two clocks of a pod.

use std::time::Duration;

use jiff::Timestamp;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed instant; it never jumps, so delays are counted on it.
    pub mono: Duration,
    /// The time of day, which is only ever shown.
    pub wall: Timestamp,
}

/// Returns the earlier of two deadlines, of which either may be missing.
pub(super) fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Returns a number of seconds in a manifest as a duration; a negative one counts as zero.
pub(super) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}
