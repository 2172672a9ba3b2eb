//! One container of a pod: what it waits for, how its runs end, and when it runs again.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::clock::{Now, earlier};
use super::event::Failure;
use super::probe::{Probe, ProbeKind};
use super::run::{Ended, Run, start_error};
use crate::model::BackOff;
use crate::model::pod::is_start_error;
use crate::model::restart::{Again, RestartRules};

/// The role of a container in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContainerRole {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that keeps running (I20).
    Sidecar,
    App,
}

/// Why a container is not running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wait {
    /// Its turn has not come.
    Turn,
    Image {
        message: String,
    },
    ImageName {
        message: String,
    },
    /// An image that is missing and never to be pulled.
    ImageNever {
        message: String,
    },
    Config {
        message: String,
    },
    Create {
        message: String,
    },
    CrashLoop {
        delay: Duration,
        /// From when on that is shown; before it is shown how the container ended.
        from: Duration,
    },
}

/// How long the end of a container is shown before the pause that follows it: as long as the first
/// pause, and at most as a kubelet takes to look again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Waiting {
        why: Wait,
        since: Duration,
        until: Duration,
    },
    /// The runner has been asked to start it.
    Starting,
    Running(Run),
    /// Over for good.
    Ended(Ended),
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) role: ContainerRole,
    pub(super) post_start: bool,
    pub(super) pre_stop: bool,
    pub(super) state: State,
    /// The run before the one that `state` is about.
    pub(super) last: Option<core::ContainerStateTerminated>,
    /// The run before `last`, while `state` is about none.
    pub(super) prior: Option<core::ContainerStateTerminated>,
    pub(super) restarts: i32,
    /// Failures since the last long run, which decide the delay.
    pub(super) failures: u32,
    /// Counts the runs of this machine.
    pub(super) runs: u32,
    pub(super) rules: RestartRules,
    probes: Vec<Probe>,
    mounts: Vec<core::VolumeMountStatus>,
    /// Whether any run came before: the next start is a restart.
    ran: bool,
    last_pid: Option<u32>,
}

impl Container {
    pub(super) fn new(spec: &core::Container, role: ContainerRole, policy: &str) -> Self {
        let rules = match role {
            ContainerRole::Init => RestartRules::of_init(spec, policy),
            ContainerRole::Sidecar | ContainerRole::App => RestartRules::of(spec, policy),
        };
        let hooks = spec.lifecycle.as_ref();
        let probe = |kind, spec: &Option<core::Probe>| spec.as_ref().map(|it| Probe::of(kind, it));
        let startup = probe(ProbeKind::Startup, &spec.startup_probe);
        let liveness = probe(ProbeKind::Liveness, &spec.liveness_probe);
        let readiness = probe(ProbeKind::Readiness, &spec.readiness_probe);
        Self {
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            role,
            post_start: hooks.is_some_and(|hooks| hooks.post_start.is_some()),
            pre_stop: hooks.is_some_and(|hooks| hooks.pre_stop.is_some()),
            state: State::Waiting {
                why: Wait::Turn,
                since: Duration::ZERO,
                until: Duration::ZERO,
            },
            last: None,
            prior: None,
            restarts: 0,
            failures: 0,
            runs: 0,
            rules,
            probes: [startup, liveness, readiness]
                .into_iter()
                .flatten()
                .collect(),
            mounts: spec.volume_mounts.iter().flatten().map(mounted).collect(),
            ran: false,
            last_pid: None,
        }
    }

    /// Returns its mounts, once it has been begun.
    pub(super) fn shown_mounts(&self) -> Option<Vec<core::VolumeMountStatus>> {
        (self.has_run() && !self.mounts.is_empty()).then(|| self.mounts.clone())
    }

    /// Takes up the status that an earlier runner left; `over` if the pod had ended by then, `once`
    /// if it is one that is lost as a whole.
    pub(super) fn resume(
        &mut self,
        status: &core::ContainerStatus,
        (over, once): (bool, bool),
        now: Now,
    ) {
        self.restarts = status.restart_count;
        self.last = status
            .last_state
            .as_ref()
            .and_then(|it| it.terminated.clone());
        let state = status.state.clone().unwrap_or_default();
        let lost = state.running.map(|running| core::ContainerStateTerminated {
            container_id: status.container_id.clone(),
            exit_code: 137,
            finished_at: Some(Time(now.wall)),
            reason: Some("Error".to_owned()),
            message: Some("The runner of this pod ended while the container ran".to_owned()),
            started_at: running.started_at,
            ..Default::default()
        });
        let ended = state.terminated.or(lost);
        self.ran = ended.is_some() || self.last.is_some();
        match ended {
            Some(state) if over || (!once && self.is_done_with(&state)) => {
                self.state = State::Ended(Ended::before(state, now.mono));
            }
            Some(state) => self.last = Some(state),
            None => {}
        }
    }

    /// Returns whether a main container that ended like this, before its runner died, is not to
    /// run again when the others do (I56).
    fn is_done_with(&self, end: &core::ContainerStateTerminated) -> bool {
        self.role == ContainerRole::App && self.rules.after(end.exit_code, false) == Again::Nothing
    }

    /// Returns whether any run came before, of this runner or an earlier one.
    pub(super) fn has_run(&self) -> bool {
        self.ran || self.runs > 0
    }

    /// Returns whether a start of it has come to something, if only to an error.
    pub(super) fn is_begun(&self) -> bool {
        match &self.state {
            State::Running(run) => !run.hook_pending || self.ran_before(),
            State::Ended(_) => true,
            State::Starting => self.has_run(),
            State::Waiting { why, .. } => *why != Wait::Turn || self.has_run(),
        }
    }

    fn ran_before(&self) -> bool {
        self.last.is_some() || self.runs > 1
    }

    /// Ends a container that may or may not have run.
    pub(super) fn lose(&mut self, now: Now) {
        if let State::Waiting { .. } = self.state {
            let state = core::ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(
                    "The container could not be located when the pod was terminated".to_owned(),
                ),
                ..Default::default()
            };
            self.state = State::Ended(Ended::before(state, now.mono));
        }
    }

    /// Notes a run of an earlier runner, which its status may not tell.
    pub(super) const fn note_started_before(&mut self) {
        self.ran = true;
    }

    /// Counts a run that begins.
    pub(super) fn begin_run(&mut self) {
        self.restarts += i32::from(self.ran);
        self.ran = true;
        self.runs += 1;
    }

    pub(super) fn begin_probing(&mut self, now: Duration) {
        let started = match &self.state {
            State::Running(run) => run.since.mono,
            State::Waiting { .. } | State::Starting | State::Ended(_) => now,
        };
        let held = self.has(ProbeKind::Startup);
        let again = self.restarts > 0;
        for probe in &mut self.probes {
            probe.begin(started, held, again);
        }
    }

    fn has(&self, kind: ProbeKind) -> bool {
        self.probes.iter().any(|probe| probe.kind == kind)
    }

    pub(super) fn probe_mut(&mut self, kind: ProbeKind) -> Option<&mut Probe> {
        self.probes.iter_mut().find(|probe| probe.kind == kind)
    }

    fn passes(&self, kind: ProbeKind) -> bool {
        let mut probes = self.probes.iter();
        probes.all(|probe| probe.kind != kind || probe.passes())
    }

    /// Returns why the probe that keeps it from being ready fails.
    pub(super) fn probe_fault(&self) -> Option<&str> {
        let runs = matches!(&self.state, State::Running(run) if !run.hook_pending);
        let kind = match self.passes(ProbeKind::Startup) {
            true => ProbeKind::Readiness,
            false => ProbeKind::Startup,
        };
        let mut probes = self.probes.iter().filter(|_| runs);
        probes
            .find(|probe| probe.kind == kind && !probe.passes())?
            .fault()
    }

    /// Lists the probes to run now, and when the next one is due.
    ///
    /// While the pod stops nothing is probed: what readiness said last stands (V46).
    pub(super) fn due_probes(
        &mut self,
        now: Duration,
        stopping: bool,
    ) -> (Vec<ProbeKind>, Option<Duration>) {
        let State::Running(run) = &self.state else {
            return (Vec::new(), None);
        };
        if run.hook_pending || run.ended.is_some() || run.stop.is_some() || stopping {
            return (Vec::new(), None);
        }
        let started = self.passes(ProbeKind::Startup);
        let (mut due, mut wake) = (Vec::new(), None);
        for probe in &mut self.probes {
            let wanted = (probe.kind == ProbeKind::Startup) != started;
            match probe.due(now).filter(|_| wanted) {
                Some(at) if at <= now => {
                    probe.in_flight = true;
                    due.push(probe.kind);
                }
                at => wake = earlier(wake, at),
            }
        }
        (due, wake)
    }

    /// Describes why a start failed as the state to wait in, or as a run that ended at once.
    pub(super) fn start_failed(
        &mut self,
        failure: &Failure,
        back_off: BackOff,
        now: Now,
    ) -> Option<Ended> {
        let why = match failure {
            Failure::Launch(message) => {
                self.begin_run();
                return Some(start_error(message, now));
            }
            Failure::Image(message) => Wait::Image {
                message: message.clone(),
            },
            Failure::ImageName(_) => Wait::ImageName {
                message: self.failure_words(failure),
            },
            Failure::ImageNever(message) => Wait::ImageNever {
                message: message.clone(),
            },
            Failure::Config(message) => Wait::Config {
                message: message.clone(),
            },
            Failure::Create(message) => Wait::Create {
                message: message.clone(),
            },
        };
        let delay = back_off.retry_delay(self.failures);
        self.failures += 1;
        self.state = State::Waiting {
            why,
            since: now.mono,
            until: now.mono + delay,
        };
        None
    }

    pub(super) fn failure_words(&self, failure: &Failure) -> String {
        match failure {
            Failure::Image(message) => {
                format!("Failed to pull image \"{}\": {message}", self.image)
            }
            Failure::ImageName(message) => format!(
                "Failed to apply default image tag \"{}\": {message}",
                self.image
            ),
            Failure::ImageNever(message) => message.clone(),
            Failure::Config(message) | Failure::Create(message) | Failure::Launch(message) => {
                format!("Error: {message}")
            }
        }
    }

    /// Puts a run that is over on record and returns the delay before the next, if there is one.
    pub(super) fn conclude(
        &mut self,
        ended: Ended,
        stopping: bool,
        back_off: BackOff,
    ) -> Option<Duration> {
        if let State::Running(run) = &self.state {
            self.last_pid = Some(run.pid);
        }
        if stopping || !(ended.asked || self.again_after(&ended) != Again::Nothing) {
            self.state = State::Ended(ended);
            return None;
        }
        let delay = self.pause_after(&ended, back_off);
        let shown = match ended.probed {
            true => Duration::ZERO,
            false => back_off.start.min(LOOK_AGAIN),
        };
        let from = ended.at + shown;
        self.state = State::Waiting {
            why: Wait::CrashLoop { delay, from },
            since: ended.at,
            until: ended.at + delay,
        };
        self.prior = self.last.replace(ended.state);
        Some(delay)
    }

    /// Gives a container that ended for good another run.
    pub(super) fn wait_for_restart(&mut self, now: Duration) {
        if let State::Ended(ended) = &self.state {
            self.prior = self.last.replace(ended.state.clone());
            self.state = State::Waiting {
                why: Wait::CrashLoop {
                    delay: Duration::ZERO,
                    from: now,
                },
                since: now,
                until: now,
            };
        }
    }

    /// Ends the wait of a container whose pod stops: what it did last is how it ended.
    pub(super) fn give_up(&mut self, now: Duration) {
        let State::Waiting { why, .. } = &mut self.state else {
            return;
        };
        *why = Wait::Turn;
        if let Some(state) = self.last.take() {
            self.last = self.prior.take();
            self.state = State::Ended(Ended::before(state, now));
        }
    }

    /// Counts a failure, unless the end was asked for, and returns the pause after it.
    pub(super) fn pause_after(&mut self, ended: &Ended, back_off: BackOff) -> Duration {
        if ended.asked || ended.ran > back_off.cap * 2 {
            self.failures = 0; // it ran so long that earlier failures are forgotten
        }
        // A kubelet that kills a container does not count the run that it has just ended.
        let counted = self.failures.saturating_sub(u32::from(ended.probed));
        let delay = back_off.delay(counted);
        self.failures += u32::from(!ended.asked);
        delay
    }

    pub(super) fn again_after(&self, ended: &Ended) -> Again {
        self.rules.after(ended.state.exit_code, ended.unwell)
    }

    /// Gives it another run from the start of the pod, whatever its own policy.
    pub(super) fn begin_anew(&mut self, since: Duration, until: Duration) {
        if self.has_run() {
            let words = "The container is removed because RestartAllContainers in place";
            self.last = Some(core::ContainerStateTerminated {
                exit_code: 137,
                reason: Some("RestartingAllContainers".to_owned()),
                message: Some(words.to_owned()),
                ..Default::default()
            });
        }
        let why = Wait::Turn;
        self.state = State::Waiting { why, since, until };
    }

    /// Returns why the last run could not begin, if it could not.
    pub(super) fn start_fault(&self) -> Option<&str> {
        let last = self.last.as_ref().filter(|last| is_start_error(last))?;
        last.message.as_deref()
    }

    /// Returns when what is shown turns from the failure to the back-off: from `ErrImagePull` to
    /// `ImagePullBackOff`, from `RunContainerError` or `Error` to `CrashLoopBackOff`.
    pub(super) fn next_turn(&self, now: Duration) -> Duration {
        let State::Waiting { why, since, until } = &self.state else {
            return Duration::MAX;
        };
        let turn = match why {
            Wait::Image { .. } => halfway(*since, *until),
            Wait::CrashLoop { .. } if self.start_fault().is_some() => halfway(*since, *until),
            Wait::CrashLoop { from, .. } => *from,
            Wait::Turn
            | Wait::ImageName { .. }
            | Wait::ImageNever { .. }
            | Wait::Config { .. }
            | Wait::Create { .. } => *until,
        };
        if turn > now { turn } else { *until }
    }

    /// Returns the run that is still shown as the container's state although it waits for the next.
    pub(super) fn shown_end(&self, now: Duration) -> Option<&core::ContainerStateTerminated> {
        match &self.state {
            State::Waiting {
                why: Wait::CrashLoop { from, .. },
                ..
            } if now < *from && self.start_fault().is_none() => self.last.as_ref(),
            State::Waiting { .. } | State::Starting | State::Running(_) | State::Ended(_) => None,
        }
    }

    pub(super) fn is_being_started(&self) -> bool {
        match &self.state {
            State::Starting => true,
            State::Running(run) => run.hook_pending,
            State::Waiting { .. } | State::Ended(_) => false,
        }
    }

    /// Returns whether its main process runs beside a postStart that has not ended.
    pub(super) fn is_in_post_start(&self) -> bool {
        matches!(&self.state, State::Running(run) if run.hook_pending)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Returns whether it runs, postStart is over and the startup probe has passed (I21).
    pub(super) fn is_started(&self) -> bool {
        match &self.state {
            State::Running(run) => {
                !run.hook_pending && run.ended.is_none() && self.passes(ProbeKind::Startup)
            }
            State::Waiting { .. } | State::Starting | State::Ended(_) => false,
        }
    }

    pub(super) fn is_ready(&self, stopping: bool) -> bool {
        let State::Running(run) = &self.state else {
            return self.role == ContainerRole::Init && self.succeeded();
        };
        self.role != ContainerRole::Init
            && (stopping || run.stop.is_none())
            && self.is_started()
            && self.passes(ProbeKind::Readiness)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    pub(super) fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(ended) if ended.succeeded())
    }

    pub(super) fn failed(&self) -> bool {
        self.has_ended() && !self.succeeded()
    }

    /// Returns the main process that runs, or that ran last.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Running(run) => Some(run.pid),
            State::Waiting { .. } | State::Starting | State::Ended(_) => self.last_pid,
        }
    }
}

/// Describes a mount; what is read-only is so with all that lies below it.
fn mounted(mount: &core::VolumeMount) -> core::VolumeMountStatus {
    let read_only = mount.read_only.filter(|read_only| *read_only);
    let asked = mount.recursive_read_only.as_deref().unwrap_or("Disabled");
    let recursive = if asked == "Disabled" {
        asked
    } else {
        "Enabled"
    };
    core::VolumeMountStatus {
        mount_path: mount.mount_path.clone(),
        name: mount.name.clone(),
        read_only,
        recursive_read_only: read_only.map(|_| recursive.to_owned()),
        ..Default::default()
    }
}

/// The instant between a failed pull and the next try at which it is called a back-off.
pub(super) fn halfway(since: Duration, until: Duration) -> Duration {
    since + until.saturating_sub(since) / 2
}
