//! The ends of runners, and of the processes that they leave behind.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, wait, waitpid};

use super::log::log;
use super::pets::{Incarnation, Runner};
use super::readiness::withdraw_readiness;
use super::state::Supervisor;
use crate::model::ObjectRef;
use crate::runner;
use crate::store::journal::Severity;
use crate::store::{PetLayout, PidFile, RunnerRecord};
use crate::sys::{self, proc};

/// How long to wait for the end of killed processes.
const ORPHANS_END_WITHIN: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Returns the pidfds of runners that are not children of this process.
    pub(super) fn adopted(&self) -> Vec<(ObjectRef, BorrowedFd<'_>)> {
        let pets = self.world.places.iter().flat_map(|(namespace, place)| {
            place
                .pets
                .iter()
                .map(move |(name, pet)| (namespace, name, pet))
        });
        let adopted = pets.filter_map(|(namespace, name, pet)| match &pet.runner {
            Runner::Adopted(pidfd) => Some((
                ObjectRef::new(namespace.clone(), name.clone()),
                pidfd.as_fd(),
            )),
            Runner::Missing | Runner::Child(_) | Runner::Done | Runner::Resting(_) => None,
        });
        adopted.collect()
    }

    /// Reaps every child that has ended: runners, hooks, helpers, and orphans of dead runners.
    pub(super) fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let well = status.exit_status() == Some(0);
                    if self.note_hook_ended(pid, status) || self.nursery.note_ended(pid) {
                        continue;
                    }
                    if self.proxy.child() == Some(pid) {
                        self.proxy.ended();
                    }
                    if let Some(key) = self.runner_with(pid) {
                        self.note_runner_ended(&key, Some(well));
                    }
                }
                Ok(None) | Err(Errno::CHILD) => return,
                Err(Errno::INTR) => {}
                Err(error) => return log(&format!("cannot reap: {error}")),
            }
        }
    }

    fn runner_with(&self, pid: Pid) -> Option<ObjectRef> {
        let mut pets = self.world.pets();
        pets.find_map(|(key, pet)| (pet.child() == Some(pid)).then_some(key))
    }

    /// Handles the end of a runner; `well` is whether it exited with 0, if it was a child.
    pub(super) fn note_runner_ended(&mut self, key: &ObjectRef, well: Option<bool>) {
        let files = self.store.layout().pet_of(key);
        let well = match (well, Incarnation::find(self.store.layout(), key)) {
            // A runner of an earlier supervisor holds the pet's lock: adopt that one.
            (_, Ok(Incarnation::Alive(pidfd))) => {
                if let Some(pet) = self.world.pet_mut(key) {
                    pet.runner = Runner::Adopted(pidfd);
                }
                return;
            }
            (Some(well), _) => well && !lost_its_lock(&files),
            (None, found) => matches!(found, Ok(Incarnation::Done)),
        };
        if !well {
            self.end_orphans();
            if let Err(error) = withdraw_readiness(self.store.layout(), &files) {
                log(&format!("{key}: {error}"));
            }
            let message = "the runner of this pet ended unexpectedly; a new one takes over";
            self.pet_event(key, Severity::Warning, "RunnerDied", message);
        }
        self.note_status(key);
        if let Some(pet) = self.world.pet_mut(key) {
            pet.runner_ended(well);
        }
        self.set_of_pet_is_due(key);
    }

    /// Kills the processes of a dead runner, which become children of this process, and reaps them:
    /// the first process of a process namespace is gone only when all others are reaped.
    fn end_orphans(&self) {
        let kept = self.world.pets().filter_map(|(_, pet)| pet.child());
        let kept = kept.chain(self.proxy.child()).chain(self.nursery.child());
        let kept = kept.chain(self.hooks.keys().copied());
        let kept: Vec<u32> = kept.map(|pid| pid.as_raw_pid().unsigned_abs()).collect();
        // The network process was started by a runner too, but serves all pets.
        let network = PidFile::of_network(self.store.layout()).read();
        let root = self.store.layout().root();
        let is_orphan = |pid: &u32| {
            !kept.contains(pid)
                && network != Some(*pid)
                && (!is_first() || runner::is_of_pet(*pid, root))
        };
        let deadline = Instant::now() + ORPHANS_END_WITHIN;
        while Instant::now() < deadline {
            let orphans = proc::children(std::process::id()).into_iter();
            let orphans: Vec<u32> = orphans.filter(is_orphan).collect();
            if orphans.is_empty() {
                return;
            }
            for pid in orphans {
                let _ = sys::signal_process(pid, Signal::KILL);
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = waitpid(pid, WaitOptions::NOHANG);
            }
            // The children of a killed process become ours after its end: look again then.
            std::thread::sleep(Duration::from_millis(1));
        }
        log("processes that a dead runner left behind do not end");
    }
}

/// Returns whether a runner has ended, in good order, because somebody has removed its lock and not
/// its pet.
fn lost_its_lock(pet: &PetLayout) -> bool {
    RunnerRecord::read(pet).is_ok_and(|record| record.is_some_and(|it| !it.clean))
}

/// Returns whether this is the first process of its process namespace, as in a container: then all
/// orphans become its children, also those that no pet has left.
fn is_first() -> bool {
    std::process::id() == 1
}
