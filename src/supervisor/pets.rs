//! A pet as its supervisor holds it: the pod, and the runner that keeps it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::model::{BackOff, ObjectRef, bare};
use crate::runner;
use crate::store::{Layout, Lock, PetLayout, RunnerRecord, RunnerRequest, ask_runner, publish_pod};

/// The delays between starts of a runner that fails; the first new start comes at once.
const BACK_OFF: BackOff = BackOff {
    start: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};

/// One pet.
#[derive(Debug)]
pub(super) struct TrackedPet {
    /// As it stands in its directory, the runner's status merged in.
    pub(super) pod: Pod,
    pub(super) runner: Runner,
    /// How many runners in a row ended badly.
    failures: u32,
}

/// Who keeps a pet.
#[derive(Debug)]
pub(super) enum Runner {
    /// Nobody yet.
    Missing,
    /// A runner that this supervisor started; its end comes as SIGCHLD.
    Child(Pid),
    /// A runner that an earlier supervisor started; its end is seen through the descriptor.
    Adopted(OwnedFd),
    /// The runner has done its work: everything of this pod has ended.
    Done,
    /// Runners fail: the next one starts at this time.
    Resting(Instant),
}

/// What is found of a pet's runner by a supervisor that did not start it.
#[derive(Debug)]
pub(super) enum Incarnation {
    /// It runs.
    Alive(OwnedFd),
    /// It ended well: nothing of it is left.
    Done,
    /// It died, on this boot of the machine.
    Died,
    /// The machine was started anew since: nothing of it can be left.
    OfAnotherBoot,
}

impl Incarnation {
    /// Finds out what became of the runner of the pet with these files.
    pub(super) fn find(files: &PetLayout) -> io::Result<Self> {
        for _ in 0..200 {
            let record = RunnerRecord::read(files)?;
            if !Lock::is_held(&files.lock())? {
                return Ok(match record {
                    Some(record) if !record.is_of_this_boot() => Self::OfAnotherBoot,
                    Some(record) if record.clean => Self::Done,
                    Some(_) | None => Self::Died,
                });
            }
            let pid = record.and_then(|it| Pid::from_raw(i32::try_from(it.runner.pid).ok()?));
            if let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                // Held after the descriptor was opened: it is that process, not a later one.
                if Lock::is_held(&files.lock())? {
                    return Ok(Self::Alive(pidfd));
                }
            }
            // It is just starting (its record comes a moment after its lock) or just ending.
            std::thread::sleep(Duration::from_millis(5));
        }
        let lock = files.lock();
        let message = format!(
            "{} is held by a process that left no record",
            lock.display()
        );
        Err(io::Error::other(message))
    }
}

impl TrackedPet {
    /// A pet that has just been made.
    pub(super) const fn new(pod: Pod) -> Self {
        Self {
            pod,
            runner: Runner::Missing,
            failures: 0,
        }
    }

    /// A pet that was found in the state directory.
    pub(super) fn found(pod: Pod, incarnation: Incarnation) -> Self {
        let runner = match incarnation {
            Incarnation::Alive(pidfd) => Runner::Adopted(pidfd),
            Incarnation::Done | Incarnation::OfAnotherBoot => Runner::Done,
            Incarnation::Died => Runner::Missing,
        };
        Self {
            pod,
            runner,
            failures: 0,
        }
    }

    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Says whether one of its volumes is this claim.
    pub(super) fn uses(&self, claim: &str) -> bool {
        let volumes = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.volumes.as_ref());
        volumes.into_iter().flatten().any(|volume| {
            volume
                .persistent_volume_claim
                .as_ref()
                .is_some_and(|of| of.claim_name == claim)
        })
    }

    /// Returns its runner's pid, if this supervisor started it.
    pub(super) const fn child(&self) -> Option<Pid> {
        match self.runner {
            Runner::Child(pid) => Some(pid),
            Runner::Missing | Runner::Adopted(_) | Runner::Done | Runner::Resting(_) => None,
        }
    }

    pub(super) const fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Says whether nothing of it runs any more and nothing will be started.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.runner, Runner::Done)
    }

    /// Says whether it belongs to no set.
    pub(super) fn is_bare(&self) -> bool {
        bare::is_bare(&self.pod)
    }

    /// Says whether it has ended, and is only there to be looked at until it is deleted.
    pub(super) fn rests(&self) -> bool {
        self.is_over() && !self.is_terminating() && self.is_bare()
    }

    /// Says whether a runner has to be started now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.runner {
            Runner::Missing => true,
            Runner::Resting(until) => until <= now,
            Runner::Child(_) | Runner::Adopted(_) | Runner::Done => false,
        }
    }

    /// Returns until when it rests before the next runner is started.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        match self.runner {
            Runner::Resting(until) => Some(until),
            Runner::Missing | Runner::Child(_) | Runner::Adopted(_) | Runner::Done => None,
        }
    }

    /// Starts a runner.
    pub(super) fn start(&mut self, layout: &Layout, key: &ObjectRef) -> io::Result<()> {
        match runner::start(layout, &key.namespace, key.name.as_str()) {
            Ok(child) => {
                self.runner = Runner::Child(Pid::from_child(&child));
                Ok(())
            }
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    /// Notes that the runner has ended; a pod that has not come to its end needs another one.
    pub(super) fn runner_ended(&mut self, well: bool) {
        if well {
            self.failures = 0;
            self.runner = Runner::Done;
        } else if self.failures == 0 {
            self.failures = 1;
            self.runner = Runner::Missing;
        } else {
            self.failed();
        }
    }

    fn failed(&mut self) {
        let rest = BACK_OFF.retry_delay(self.failures);
        self.failures += 1;
        self.runner = Runner::Resting(Instant::now() + rest);
    }

    /// Notes that the runner does its work, so that its next failure counts as a first one.
    pub(super) const fn runner_works(&mut self) {
        self.failures = 0;
    }

    /// Asks the runner to stop the pet. Saying it again does no harm.
    pub(super) fn stop(&self, layout: &Layout, key: &ObjectRef) {
        let grace = self
            .pod
            .metadata
            .deletion_grace_period_seconds
            .unwrap_or(30);
        let request = RunnerRequest::Stop {
            grace_seconds: u64::try_from(grace).ok(),
        };
        let files = layout.pet_of(key);
        if ask_runner(&files, &request).is_ok() {
            return;
        }
        // It does not listen yet: the signal says the same, and what it starts with says why.
        let _ = match &self.runner {
            Runner::Child(pid) => kill_process(*pid, Signal::TERM),
            Runner::Adopted(pidfd) => pidfd_send_signal(pidfd, Signal::TERM),
            Runner::Missing | Runner::Done | Runner::Resting(_) => Ok(()),
        };
    }

    /// Writes the pod to its directory.
    pub(super) fn write(&self, layout: &Layout, key: &ObjectRef) -> io::Result<()> {
        let files = layout.pet_of(key);
        publish_pod(layout, &files, &self.pod)
    }
}
