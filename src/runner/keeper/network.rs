//! The connection to the private network, which a pet joins again when the network's process has
//! died.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Keeper;
use super::pod::pod_context;

impl Keeper {
    /// Returns the descriptor that tells of the network, unless an attempt to join it again has to
    /// wait: that of a network that has died is readable for ever.
    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        match self.rejoining.resting_until(self.now().mono) {
            Some(_) => None,
            None => self.isolation.lifeline(),
        }
    }

    /// Joins the private network again if its process has died.
    pub(super) fn stay_connected(&mut self) {
        let Some(lifeline) = self.lifeline() else {
            return;
        };
        let mut ended = [PollFd::from_borrowed_fd(lifeline, PollFlags::IN)];
        if poll(&mut ended, Some(&Timespec::default())) != Ok(1) {
            return;
        }
        if let Some(told) = self.isolation.hear() {
            return self.warn(vec![told]);
        }
        self.rejoining.note(self.now().mono);
        let context = pod_context(&self.pod, &self.ip, &self.pet, &self.supplies);
        if let Err(problem) = self.isolation.rejoin_network(&context) {
            self.warn(vec![problem.message]);
        }
    }
}
