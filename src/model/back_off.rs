//! The delays between retries of what failed.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// The delays between attempts: `start`, doubling up to `cap`.
///
/// As a setting it spaces the restarts of containers. A kubelet starts at 10 s and ends at 300 s
/// (I09); on a laptop that is a long time to look at a prompt, so petset starts at 1 s and ends
/// at 60 s.
///
/// ```
/// use petset::model::BackOff;
/// let seconds = |failures| BackOff::default().delay(failures).as_secs();
/// assert_eq!([0, 1, 2, 3, 7, 40].map(seconds), [0, 1, 2, 4, 60, 60]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackOff {
    /// The first delay that is not zero.
    #[serde(deserialize_with = "duration::deserialize")]
    pub start: Duration,
    /// The longest delay.
    #[serde(deserialize_with = "duration::deserialize")]
    pub cap: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        }
    }
}

impl BackOff {
    /// Returns the delay after a failure that follows `failures` earlier ones, where the first
    /// failure is followed by an attempt at once.
    #[must_use]
    pub fn delay(self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            _ => self.retry_delay(failures - 1),
        }
    }

    /// Returns the delay after a failure that follows `failures` earlier ones, where already the
    /// first failure is followed by a delay.
    #[must_use]
    pub fn retry_delay(self, failures: u32) -> Duration {
        let factor = 1 << failures.min(20);
        self.start.saturating_mul(factor).min(self.cap)
    }
}
