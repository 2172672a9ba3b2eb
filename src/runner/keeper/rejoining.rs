//! When a pet joins its private network again, whose process has died.

use std::time::Duration;

use crate::model::BackOff;

/// The delays between attempts, of which the first comes at once.
const PACE: BackOff = BackOff {
    start: Duration::from_millis(100),
    cap: Duration::from_secs(10),
};
/// A connection that has lasted for so long was a good one.
const CALM: Duration = Duration::from_secs(30);

/// When the private network may be joined again. Where it cannot be, or dies again at once, the
/// attempts become rare: each one is an event, and starts a process.
///
/// Times are since the runner began.
#[derive(Debug, Default)]
pub(super) struct Rejoining {
    /// How many attempts followed closely upon each other.
    attempts: u32,
    last: Duration,
}

impl Rejoining {
    /// Notes an attempt.
    pub(super) fn note(&mut self, now: Duration) {
        if now.saturating_sub(self.last) >= CALM {
            self.attempts = 0;
        }
        self.attempts += 1;
        self.last = now;
    }

    /// Returns when the next attempt may be made, if not yet.
    pub(super) fn resting_until(&self, now: Duration) -> Option<Duration> {
        let next = self.last + PACE.delay(self.attempts);
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_follow_closely_upon_each_other_become_rare_until_one_has_lasted() {
        let mut rejoining = Rejoining::default();
        let mut now = Duration::from_secs(100);
        let mut waits = Vec::new();
        for _ in 0..10 {
            rejoining.note(now);
            let next = rejoining.resting_until(now).unwrap();
            waits.push((next - now).as_millis());
            now = next;
            assert_eq!(rejoining.resting_until(now), None);
        }
        let cap = 10_000;
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, cap, cap, cap]);
        rejoining.note(now + CALM);
        let next = rejoining.resting_until(now + CALM).unwrap();
        assert_eq!(next, now + CALM + PACE.start);
    }
}
