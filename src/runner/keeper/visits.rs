//! Programs that `petset exec` started in a container: they end with the run of its main process.
//!
//! Where that is process 1 of a namespace, the kernel sees to it, and nobody tells this runner.
//! Elsewhere such a program is no descendant of the runner, and what it leaves behind is none
//! either, so that `exec` says who it is before it starts one.

use rustix::process::Signal;

use super::{Keeper, supervisor};
use crate::model::lifecycle::ContainerIndex;
use crate::runner::tree;
use crate::sys::proc::{self, ProcessId, add_descendants};

impl Keeper {
    /// Takes note of a visit, or ends it when the main process that it is for has ended already.
    pub(super) fn note_visit(&mut self, container: &str, main: u32, visitor: ProcessId) {
        let mut all = self.containers.iter();
        let Some(index) = all.position(|it| it.spec.name == container) else {
            return;
        };
        let place = ContainerIndex(index);
        if self.main_of(place) == Some(main) {
            let container = &mut self.containers[index];
            container.visited = true;
            container.visitors.retain(|it| it.is_alive());
            container.visitors.push(visitor);
        } else if visitor.is_alive() {
            tree::signal_all(&self.programs_of(&[visitor]), Signal::KILL);
        }
    }

    /// Kills what visits to a container have started; returns whether anything of it is left.
    pub(super) fn end_visits(&mut self, place: ContainerIndex) -> bool {
        let container = &mut self.containers[place.0];
        if !container.visited {
            return false;
        }
        container.visitors.retain(|it| it.is_alive());
        let mut doomed = self.programs_of(&self.containers[place.0].visitors);
        if !self.isolation.is_full() {
            doomed.extend(self.strays_of(place));
        }
        tree::signal_all(&doomed, Signal::KILL);
        self.containers[place.0].visited = !doomed.is_empty();
        !doomed.is_empty()
    }

    /// Lists what visits to a container have started.
    pub(super) fn visiting(&self, place: ContainerIndex) -> Vec<u32> {
        let container = &self.containers[place.0];
        if !container.visited {
            return Vec::new();
        }
        let alive = container.visitors.iter().filter(|it| it.is_alive());
        let mut all = self.programs_of(&alive.copied().collect::<Vec<_>>());
        if !self.isolation.is_full() {
            all.extend(self.strays_of(place));
        }
        all
    }

    /// Ends the visits to all containers, once.
    pub(super) fn end_all_visits(&mut self) {
        for index in 0..self.containers.len() {
            self.end_visits(ContainerIndex(index));
        }
    }

    /// Lists the processes that visitors have become or started.
    fn programs_of(&self, visitors: &[ProcessId]) -> Vec<u32> {
        let mut all: Vec<u32> = visitors.iter().map(|it| it.pid).collect();
        add_descendants(&mut all, supervisor(&self.layout));
        if self.isolation.is_full() {
            // Those are `petset exec` itself, which has an exit code to tell.
            all.retain(|pid| visitors.iter().all(|it| it.pid != *pid));
        }
        all
    }

    /// Lists the processes that say that they are the container's but are not below this runner.
    fn strays_of(&self, place: ContainerIndex) -> Vec<u32> {
        let spared = supervisor(&self.layout);
        let mut kept = vec![std::process::id()];
        add_descendants(&mut kept, spared);
        kept.extend(spared);
        add_descendants(&mut kept, None);
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let name = &self.containers[place.0].spec.name;
        let home = (self.layout.root(), self.pet.root());
        let mut strays: Vec<u32> = proc::processes()
            .filter(|pid| !kept.contains(pid) && tree::says_it_is_of(*pid, uid, name, home))
            .filter(|pid| proc::started(*pid).is_some())
            .collect();
        add_descendants(&mut strays, spared);
        strays
    }
}
