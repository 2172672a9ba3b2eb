//! Pausing a pod: every process of it is stopped, and stays so until it is resumed or ends.
//!
//! Runners have no cgroup of their own to freeze, so that each process gets SIGSTOP, in rounds
//! until two of them find nothing that runs: what was forked during one is found in the next. What
//! is started afterwards, by a restart or by `petset exec`, is stopped in the turn in which that is
//! noticed. Probes are not stopped but answered for: a command that never runs ends by its timeout.

use std::time::Duration;

use rustix::process::Signal;

use super::{Completion, Keeper, SWEEP, supervisor};
use crate::model::Freeze;
use crate::model::lifecycle::{ContainerIndex, PodEvent, ProbeKind, ProbeOutcome, Report};
use crate::runner::tree;
use crate::sys::proc::{self, ProcessId};

/// How many rounds a turn makes before it looks after other things.
const ROUNDS: u32 = 200;
/// The pause between two rounds: a process that is told to stop needs a moment.
const MOMENT: Duration = Duration::from_millis(1);

/// How often it is looked whether the process runs for which a pod is paused.
const LENT: Duration = Duration::from_millis(500);

/// What is left of a pod that runs while it is to be paused.
#[derive(Debug, PartialEq, Eq)]
enum Running {
    Nothing,
    /// The kernel works for a process, which stops before it runs again.
    InKernel,
    Something,
}

impl Keeper {
    /// Pauses the pod, or lets it go on, as is wanted now. Called once a turn.
    pub(super) fn hold(&mut self) {
        let meta = &self.pod.metadata;
        let ends = self.asked_to_stop || meta.deletion_timestamp.is_some() || self.done;
        let (wanted, lent) = match Freeze::of(meta) {
            Freeze::No => (false, false),
            Freeze::Yes => (true, false),
            Freeze::While { pid, start } => (ProcessId { pid, start }.is_alive(), true),
        };
        self.look_again = (wanted && lent).then(|| self.now().mono + LENT);
        match (wanted && !ends, self.machine.is_frozen()) {
            (true, _) => self.freeze(),
            (false, true) => self.thaw(),
            (false, false) => {}
        }
    }

    fn freeze(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            match self.stop_all() {
                Running::Nothing => quiet += 1,
                Running::InKernel | Running::Something => quiet = 0,
            }
            if quiet == 2 {
                return self.note_frozen(true);
            }
            std::thread::sleep(MOMENT);
        }
        self.look_again = Some(self.now().mono + SWEEP);
        if self.stop_all() == Running::InKernel {
            self.note_frozen(true);
        }
    }

    /// Tells all processes to stop; returns whether one had still to be told.
    fn stop_all(&self) -> Running {
        let mut running = Running::Nothing;
        for pid in self.everything() {
            let state = proc::stat(pid).map_or(b'X', |stat| stat.state);
            running = match state {
                b'T' | b't' | b'X' => continue,
                // Threads may be left of it.
                b'Z' => running,
                b'D' if running == Running::Nothing => Running::InKernel,
                b'D' => running,
                _ => Running::Something,
            };
            tree::signal_all(&[pid], Signal::STOP);
        }
        running
    }

    fn thaw(&mut self) {
        let mut all = self.everything();
        // Children first: a parent that waits for one finds it running.
        all.reverse();
        tree::signal_all(&all, Signal::CONT);
        self.note_frozen(false);
    }

    fn note_frozen(&mut self, frozen: bool) {
        if self.machine.is_frozen() == frozen {
            return;
        }
        self.machine.note_frozen(frozen, self.now());
        let (reason, message) = match frozen {
            true => (
                "Paused",
                format!(
                    "All processes are stopped: petset resume {} lets them go on",
                    self.name
                ),
            ),
            false => ("Resumed", "All processes go on".to_owned()),
        };
        self.report(Report {
            field: None,
            warning: false,
            reason,
            message,
            count: 1,
        });
    }

    /// Lists all processes of all containers: those that descend from what this runner has started,
    /// those that `petset exec` has, and all others in their process namespaces.
    fn everything(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.processes.iter().map(|it| it.pid).collect();
        for index in 0..self.containers.len() {
            let place = ContainerIndex(index);
            all.extend(self.tree_of(place));
            if let Some(main) = self
                .main_of(place)
                .filter(|_| self.isolation.separates_processes())
            {
                all.extend(proc::neighbours(main));
            }
            all.extend(self.visiting(place));
        }
        all.sort_unstable();
        all.dedup();
        proc::add_descendants(&mut all, supervisor(&self.layout));
        all
    }

    /// Returns whether a probe's command is not run, because the pod is paused: it fails by its
    /// timeout.
    pub(super) fn holds_back(
        &mut self,
        place: ContainerIndex,
        timeout: Duration,
        kind: ProbeKind,
        answer: impl FnOnce(ProbeOutcome) -> PodEvent,
    ) -> bool {
        if !self.machine.is_frozen() {
            return false;
        }
        let words = self.late_probe(place, kind);
        let completion = Completion {
            place,
            start: self.containers[place.0].starts,
            event: answer(ProbeOutcome::Failure(words)),
        };
        self.sleeps.push((self.now().mono + timeout, completion));
        true
    }
}
