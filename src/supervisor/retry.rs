//! When a step that failed is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(10);

/// Returns how long to rest after a step that had failed so often before: a moment at first, then
/// twice as long each time (R22).
pub(super) fn rest_after(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(12)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r22_a_failing_step_is_tried_again_after_delays_that_double() {
        let rests: Vec<u128> = (0..11).map(|times| rest_after(times).as_millis()).collect();
        let doubling = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120];
        assert_eq!(rests, doubling);
        assert_eq!(rest_after(11), LONGEST);
        assert_eq!(rest_after(u32::MAX), LONGEST);
    }
}
