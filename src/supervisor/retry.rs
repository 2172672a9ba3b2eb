//! The back-off of failed steps.

use std::time::{Duration, Instant};

use crate::model::{BackOff, Namespace};
use crate::sorted::SortedMap;

/// The delays before a failed step is tried again (R22).
pub(super) const BACK_OFF: BackOff = BackOff {
    start: Duration::from_millis(5),
    cap: Duration::from_secs(10),
};

/// The namespaces in which something could not be written, other than by a step of a set or a pod:
/// the time of the next attempt, and how many have failed.
#[derive(Debug, Default)]
pub(super) struct NamespaceRetries(SortedMap<Namespace, (Instant, u32)>);

impl NamespaceRetries {
    /// Notes that a write has failed.
    pub(super) fn failed(&mut self, namespace: &Namespace) {
        let (at, times) = self
            .0
            .entry(namespace.clone())
            .or_insert((Instant::now(), 0));
        // Several writes of one attempt may fail.
        if *at <= Instant::now() {
            *at = Instant::now() + BACK_OFF.retry_delay(*times);
            *times = times.saturating_add(1);
        }
    }

    /// Returns the namespaces whose time has come.
    pub(super) fn due(&self, now: Instant) -> Vec<Namespace> {
        let due = self.0.iter().filter(|(_, (at, _))| *at <= now);
        due.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// Forgets those that were tried at this time and did not fail again.
    pub(super) fn forget_done(&mut self, tried: &[Namespace], now: Instant) {
        let is_done = |namespace: &Namespace, at: Instant| at <= now && tried.contains(namespace);
        self.0.retain(|namespace, (at, _)| !is_done(namespace, *at));
    }

    /// Returns when the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_is_tried_later_and_what_does_not_is_forgotten() {
        let mut retries = NamespaceRetries::default();
        let namespace = Namespace::default();
        retries.failed(&namespace);
        let first = retries.next().unwrap();
        assert!(retries.due(first - Duration::from_nanos(1)).is_empty());
        std::thread::sleep(first.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let due = retries.due(now);
        assert_eq!(due, std::slice::from_ref(&namespace));
        retries.failed(&namespace);
        retries.forget_done(&due, now);
        assert!(retries.next().unwrap() > first);
        let later = retries.next().unwrap();
        retries.forget_done(&due, later);
        assert_eq!(retries.next(), None);
    }

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
