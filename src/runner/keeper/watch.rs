//! Seeing processes end: those the runner started, and the trees that they leave behind.

use std::io::Read;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions};

use super::process::{Process, Purpose, exit_of};
use super::{Keeper, SWEEP, supervisor};
use crate::model::lifecycle::{
    ContainerIndex, Exit, HookSuccess, PodEvent, ProbeKind, ProbeOutcome,
};
use crate::runner::{logs, message, probes, tree};
use crate::sys::proc::{self, add_descendants};

impl Keeper {
    /// Takes the exit codes of all children that have ended, known or not.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            let Some(at) = self.processes.iter().position(|it| it.pid == pid) else {
                continue;
            };
            let process = self.processes.swap_remove(at);
            if self.ended_with_its_container(&process, exit_of(status)) {
                continue;
            }
            let event = self.explain_end(process, exit_of(status));
            self.queue.push_back(event);
        }
    }

    /// Returns whether a hook or probe was killed by the kernel since process 1 of its container
    /// ends, which is told last: its outcome means nothing then.
    fn ended_with_its_container(&self, process: &Process, exit: Exit) -> bool {
        self.isolation.separates_processes()
            && process.purpose != Purpose::Main
            && !process.timed_out
            && exit == Exit::Signal(Signal::KILL.as_raw())
            && self.main_of(process.place).is_none_or(proc::is_exiting)
    }

    /// Returns the main process of a container, until it has ended.
    pub(super) fn main_of(&self, place: ContainerIndex) -> Option<u32> {
        let is_main = |it: &&Process| it.place == place && it.purpose == Purpose::Main;
        self.processes.iter().find(is_main).map(|main| main.pid)
    }

    pub(super) fn explain_end(&mut self, mut process: Process, exit: Exit) -> PodEvent {
        let place = process.place;
        process.listen();
        match process.purpose {
            Purpose::Main => PodEvent::Ended {
                place,
                exit,
                message: self.last_words(place, exit),
            },
            Purpose::Hook(hook) => PodEvent::Hooked {
                place,
                hook,
                outcome: match exit {
                    Exit::Code(0) => Ok(HookSuccess::Plain),
                    Exit::Code(_) | Exit::Signal(_) => Err(process.complaint(exit).into()),
                },
            },
            Purpose::Probe { kind, run } => PodEvent::Probed {
                place,
                kind,
                run,
                outcome: match process.timed_out {
                    true => ProbeOutcome::Failure(self.late_probe(place, kind)),
                    false => process.probed(exit),
                },
            },
        }
    }

    /// Says that a probe's command took longer than it may, in the kubelet's words.
    pub(super) fn late_probe(&self, place: ContainerIndex, kind: ProbeKind) -> String {
        let spec = &self.containers[place.0].spec;
        let probe = probes::spec(spec, kind);
        let command = probe.and_then(|probe| probe.exec.as_ref()?.command.clone());
        let command = command.unwrap_or_default().join(" ");
        let seconds = probe.map_or(1, |probe| probes::timeout(probe).as_secs());
        format!("command timed out: {command:?} timed out after {seconds}s")
    }

    /// Returns the message of a container's end: what it wrote to the file for that, or the end of
    /// a failed container's log, where its spec wants that (V53).
    pub(super) fn last_words(&mut self, place: ContainerIndex, exit: Exit) -> Option<String> {
        let all = self.containers.len();
        let container = &mut self.containers[place.0];
        let name = &container.spec.name;
        if let Some(words) = message::read(&self.pet.message(name)) {
            return Some(message::share(words, all));
        }
        let policy = container.spec.termination_message_policy.as_deref();
        if exit.code() == 0 || policy != Some("FallbackToLogsOnError") {
            return None;
        }
        container.outlet.as_mut()?.pump();
        let words = logs::tail(&self.pet.log(&container.spec.name))?;
        Some(message::share(words, all))
    }

    /// Kills the trees that are to be killed, and reports those that are gone.
    pub(super) fn sweep(&mut self) {
        for index in 0..self.containers.len() {
            let place = ContainerIndex(index);
            if !self.containers[index].ending {
                continue;
            }
            let visited = self.end_visits(place);
            let tree = self.tree_of(place);
            if self.containers[index].killing {
                tree::signal_all(&tree, Signal::KILL);
            }
            if visited || !tree.is_empty() {
                continue;
            }
            let container = &mut self.containers[index];
            (container.ending, container.killing) = (false, false);
            if let Some(mut outlet) = container.outlet.take() {
                outlet.pump();
            }
            self.queue.push_back(PodEvent::Gone(place));
        }
    }

    /// Lists the processes of a container, whoever their parents are.
    pub(super) fn tree_of(&self, place: ContainerIndex) -> Vec<u32> {
        if self.isolation.separates_processes() {
            // Nothing is left of it when its process 1 has ended, and all ends with that.
            return self.main_of(place).into_iter().collect();
        }
        let spared = supervisor(&self.layout);
        let mut own = proc::children(std::process::id());
        // Where containers share a process namespace, orphans are the children of process 1.
        if let Some(init) = self.isolation.shared_init() {
            own.retain(|&pid| pid != init);
            own.extend(proc::children(init));
        }
        let own = own.into_iter();
        let mut tree: Vec<u32> = own
            .filter(|&pid| Some(pid) != spared && self.place_of(pid) == Some(place))
            .collect();
        add_descendants(&mut tree, spared);
        tree
    }

    /// Returns the container that a child of the runner belongs to. An orphan tells by its
    /// session or environment; one that hides belongs to the only container there is.
    pub(super) fn place_of(&self, pid: u32) -> Option<ContainerIndex> {
        if let Some(process) = self.processes.iter().find(|it| it.pid == pid) {
            return Some(process.place);
        }
        let session = tree::session_of(pid)?;
        let by_session = self
            .containers
            .iter()
            .position(|it| it.sessions.contains(&session));
        let by_name = || {
            let name = tree::container_of(pid)?;
            self.containers.iter().position(|it| it.spec.name == name)
        };
        let only = || {
            let mut started = (0..self.containers.len()).filter(|&it| self.has_processes(it));
            started.next().filter(|_| started.next().is_none())
        };
        by_session
            .or_else(by_name)
            .or_else(only)
            .map(ContainerIndex)
    }

    /// Ends the runner and all processes of the pet at once when the pet's directory is removed.
    pub(in crate::runner) fn heed_removal(&mut self) -> std::io::Result<()> {
        self.removal.watch(&self.pet.lock(), &self.waker)
    }

    pub(super) fn has_processes(&self, index: usize) -> bool {
        self.containers[index].ending || self.processes.iter().any(|it| it.place.0 == index)
    }

    pub(super) fn kill_everything(&self) {
        let own = std::process::id();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Err(rustix::io::Errno::CHILD) => return,
                Ok(Some(_)) | Err(_) => continue,
                Ok(None) => {}
            }
            let spared = supervisor(&self.layout);
            let mut doomed = proc::children(own);
            doomed.retain(|&pid| Some(pid) != spared);
            if doomed.is_empty() && spared.is_some() {
                return;
            }
            add_descendants(&mut doomed, spared);
            tree::signal_all(&doomed, Signal::KILL);
            let mut wake = [PollFd::new(&self.wake, PollFlags::IN)];
            let pause = Timespec {
                tv_sec: 0,
                tv_nsec: SWEEP.subsec_nanos().into(),
            };
            let _ = poll(&mut wake, Some(&pause));
            let _ = (&self.wake).read(&mut [0; 64]);
        }
    }
}
