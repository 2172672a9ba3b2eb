//! The supervisor's record of a pet: the pod and its runner.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::model::pod::workload_of;
use crate::model::{BackOff, ObjectRef, bare, job};
use crate::runner::{self, Nursery};
use crate::store::damage::is_damage;
use crate::store::{
    Layout, Lock, RunnerRecord, RunnerRequest, ask_runner, publish_end_of_pod, publish_pod,
};
use crate::sys;

/// The delays between starts of a runner that fails; the first restart is immediate.
const BACK_OFF: BackOff = BackOff {
    start: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};

/// One pet.
#[derive(Debug)]
pub(super) struct TrackedPet {
    /// The pod, with the status that its runner has written.
    pub(super) pod: Box<Pod>,
    pub(super) runner: Runner,
    /// How many runners in a row have failed.
    failures: u32,
}

/// The runner of a pet.
#[derive(Debug)]
pub(super) enum Runner {
    /// No runner has been started.
    Missing,
    /// A runner that this supervisor started; SIGCHLD reports its end.
    Child(Pid),
    /// A runner that an earlier supervisor started; the pidfd becomes readable at its end.
    Adopted(OwnedFd),
    /// The runner has ended after all processes of the pod.
    Done,
    /// The runner has failed: the next one starts at this time.
    Resting(Instant),
}

/// The state of a runner that an earlier supervisor started.
#[derive(Debug)]
pub(super) enum Incarnation {
    /// It runs.
    Alive(OwnedFd),
    /// It has ended after all processes of the pod.
    Done,
    /// It has died in this boot, so that processes of the pod may be left.
    Died,
    /// The machine has rebooted since, so that no process is left.
    OfAnotherBoot,
}

impl Incarnation {
    /// Returns the state of the runner of a pet.
    ///
    /// Where its record is damaged, the runner is found by what it was started with.
    pub(super) fn find(layout: &Layout, pet: &ObjectRef) -> io::Result<Self> {
        let files = &layout.pet_of(pet);
        for attempt in 0..200 {
            let (record, damaged) = match RunnerRecord::read(files) {
                Err(error) if is_damage(&error) => (None, true),
                record => (record?, false),
            };
            if !Lock::is_held(&files.lock())? {
                return Ok(match record {
                    Some(record) if !record.is_of_this_boot() => Self::OfAnotherBoot,
                    Some(record) if record.clean => Self::Done,
                    Some(_) | None => Self::Died,
                });
            }
            let pid = match record {
                Some(record) => Some(record.runner.pid),
                None if damaged || attempt == 20 => {
                    runner::find(layout, &pet.namespace, pet.name.as_str())
                }
                None => None,
            };
            let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            if let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                // The lock is checked after opening the pidfd, so the pid was not reused in
                // between.
                if Lock::is_held(&files.lock())? {
                    return Ok(Self::Alive(pidfd));
                }
            }
            // The runner is starting (it writes its record after taking the lock) or ending.
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
    /// Tracks a new pet.
    pub(super) fn new(pod: Pod) -> Self {
        Self {
            pod: Box::new(pod),
            runner: Runner::Missing,
            failures: 0,
        }
    }

    /// Tracks a pet that was read from the state directory.
    pub(super) fn found(pod: Pod, incarnation: Incarnation) -> Self {
        let runner = match incarnation {
            Incarnation::Alive(pidfd) => Runner::Adopted(pidfd),
            Incarnation::Done | Incarnation::OfAnotherBoot => Runner::Done,
            Incarnation::Died => Runner::Missing,
        };
        Self {
            pod: Box::new(pod),
            runner,
            failures: 0,
        }
    }

    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns whether its runner has ended by itself, and none is to follow.
    pub(super) const fn has_no_runner_left(&self) -> bool {
        matches!(self.runner, Runner::Done)
    }

    /// Returns the pid of its runner, if this supervisor has started that.
    pub(super) const fn child(&self) -> Option<Pid> {
        match self.runner {
            Runner::Child(pid) => Some(pid),
            Runner::Missing | Runner::Adopted(_) | Runner::Done | Runner::Resting(_) => None,
        }
    }

    pub(super) const fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Returns whether all of its processes have ended and none will be started.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.runner, Runner::Done)
    }

    /// Returns whether it belongs to no set.
    pub(super) fn is_bare(&self) -> bool {
        bare::is_bare(&self.pod)
    }

    /// Returns whether a workload has made it.
    pub(super) fn is_of_workload(&self) -> bool {
        workload_of(&self.pod.metadata).is_some()
    }

    /// Returns whether it has ended and is kept until somebody deletes it.
    pub(super) fn rests(&self) -> bool {
        let stays = self.is_bare() || self.is_of_workload();
        self.is_over() && !self.is_terminating() && stays
    }

    /// Returns whether its Job has not counted its end yet (JB04).
    pub(super) fn is_held(&self) -> bool {
        let mut finalizers = self.pod.metadata.finalizers.iter().flatten();
        finalizers.any(|finalizer| finalizer == job::FINALIZER)
    }

    /// Returns whether a runner has to be started now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.runner {
            Runner::Missing => true,
            Runner::Resting(until) => until <= now,
            Runner::Child(_) | Runner::Adopted(_) | Runner::Done => false,
        }
    }

    /// Returns the time at which the next runner is started, if the last one has failed.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        match self.runner {
            Runner::Resting(until) => Some(until),
            Runner::Missing | Runner::Child(_) | Runner::Adopted(_) | Runner::Done => None,
        }
    }

    /// Starts a runner.
    pub(super) fn start(
        &mut self,
        layout: &Layout,
        nursery: &mut Nursery,
        key: &ObjectRef,
    ) -> io::Result<()> {
        let full = runner::isolation::is_full(&self.pod);
        let started = nursery.start_runner(layout, &key.namespace, key.name.as_str(), full);
        match started.map_err(sys::with_limit) {
            Ok(child) => {
                self.runner = Runner::Child(child);
                Ok(())
            }
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    /// Notes that the runner has ended; unless it ended `well`, another one is needed.
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

    /// Notes that the runner works, which resets the count of failures.
    pub(super) const fn runner_works(&mut self) {
        self.failures = 0;
    }

    /// Asks the runner to stop the pet; repeating the request is harmless.
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
        // The runner does not listen yet: SIGTERM has the same effect, and the pod that it reads
        // has the deletion time.
        let _ = match &self.runner {
            Runner::Child(pid) => kill_process(*pid, Signal::TERM),
            Runner::Adopted(pidfd) => pidfd_send_signal(pidfd, Signal::TERM),
            Runner::Missing | Runner::Done | Runner::Resting(_) => Ok(()),
        };
    }

    /// Has a runner listen anew whose control socket is lost, and look at its files.
    ///
    /// Only one whose record says that it is alive is ready for this signal.
    pub(super) fn hang_up(&self) {
        // One that has ended meanwhile is followed by one that listens.
        let _ = match &self.runner {
            Runner::Child(pid) => kill_process(*pid, Signal::HUP),
            Runner::Adopted(pidfd) => pidfd_send_signal(pidfd, Signal::HUP),
            Runner::Missing | Runner::Done | Runner::Resting(_) => Ok(()),
        };
    }

    /// Changes the pod on the disk first, and here when that is done. The end of a pod is written
    /// on a full disk too.
    pub(super) fn change(
        &mut self,
        layout: &Layout,
        key: &ObjectRef,
        change: impl FnOnce(&mut Pod),
    ) -> io::Result<()> {
        let mut pod = self.pod.clone();
        change(&mut pod);
        let files = layout.pet_of(key);
        match pod.metadata.deletion_timestamp {
            Some(_) => publish_end_of_pod(layout, &files, &pod)?,
            None => publish_pod(layout, &files, &pod)?,
        }
        self.pod = pod;
        Ok(())
    }

    /// Writes the pod to its directory.
    pub(super) fn write(&self, layout: &Layout, key: &ObjectRef) -> io::Result<()> {
        let files = layout.pet_of(key);
        publish_pod(layout, &files, &self.pod)
    }
}
