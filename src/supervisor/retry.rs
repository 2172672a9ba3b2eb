//! The back-off of failed steps.

use std::time::Duration;

use crate::model::BackOff;

/// The delays before a failed step is tried again (R22).
pub(super) const BACK_OFF: BackOff = BackOff {
    start: Duration::from_millis(5),
    cap: Duration::from_secs(10),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r22_a_failing_step_is_tried_again_after_delays_that_double() {
        let rest_after = |failures| BACK_OFF.retry_delay(failures);
        let rests: Vec<u128> = (0..11).map(|times| rest_after(times).as_millis()).collect();
        let doubling = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120];
        assert_eq!(rests, doubling);
        assert_eq!(rest_after(11), BACK_OFF.cap);
        assert_eq!(rest_after(u32::MAX), BACK_OFF.cap);
    }
}
