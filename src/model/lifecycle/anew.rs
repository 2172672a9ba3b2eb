//! The restart of all containers of a pod, where a container's rule asks for it (I25): what runs is
//! killed, then the pod begins with its init containers, in the same volumes and address.

use std::time::Duration;

use super::container::{Container, State};
use super::event::ContainerIndex;
use super::machine::PodMachine;
use super::run::Ended;

impl PodMachine {
    /// Ends every container because this one has ended.
    pub(super) fn restart_all(&mut self, place: ContainerIndex, ended: Ended) {
        let back_off = self.back_off;
        let container = &mut self.containers[place.0];
        self.anew = Some(container.pause_after(&ended, back_off));
        container.state = State::Ended(ended);
        for index in 0..self.containers.len() {
            let other = ContainerIndex(index);
            if self.run_mut(other).is_some() {
                self.report_of(other, false, "Killing", "killing".to_owned());
                self.begin_stop(other, Duration::ZERO);
            }
        }
    }

    /// Returns whether no restart of all containers is under way; begins anew where everything has
    /// ended, and kills what came to run meanwhile.
    pub(super) fn is_anew(&mut self) -> bool {
        let Some(pause) = self.anew else { return true };
        for index in 0..self.containers.len() {
            let place = ContainerIndex(index);
            if self.run_mut(place).is_some_and(|run| run.stop.is_none()) {
                self.begin_stop(place, Duration::ZERO);
            }
        }
        let idle = |it: &Container| !it.is_running() && it.state != State::Starting;
        if !self.containers.iter().all(idle) {
            return false;
        }
        self.anew = None;
        self.was_initialized |= self.turn >= self.inits;
        self.turn = 0;
        let now = self.now.mono;
        let all = self.containers.iter_mut();
        all.for_each(|container| container.begin_anew(now, now + pause));
        true
    }
}
