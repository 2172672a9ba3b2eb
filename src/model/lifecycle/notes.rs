//! The change that each event makes to a pod machine, before it decides what to do next.

use crate::problem::{Kind, Problem};
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::clock::seconds;
use super::container::{State, Wait};
use super::event::{
    Action, ContainerIndex, Exit, Failure, HookKind, HookSuccess, PodEvent, Report,
};
use super::machine::{Placing, PodMachine, VolumeState};
use super::probe::{ProbeKind, ProbeOutcome};
use super::run::{Ended, Run};
use crate::model::BackOff;
use crate::model::pod::scheduled;
use crate::model::restart::Again;

/// How long the containers of an evicted pod may take to end.
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// The pauses between tries to put volumes in place, a kubelet's.
const MOUNT_BACK_OFF: BackOff = BackOff {
    start: Duration::from_millis(500),
    cap: Duration::from_secs(122),
};

impl PodMachine {
    pub(super) fn note(&mut self, event: PodEvent) {
        match event {
            PodEvent::Tick => {}
            PodEvent::Prepared(outcome) => self.note_prepared(outcome),
            PodEvent::Started { place, pid } => self.note_started(place, pid),
            PodEvent::StartFailed { place, failure } => self.note_start_failed(place, failure),
            PodEvent::Ended {
                place,
                exit,
                message,
            } => self.note_ended(place, exit, message),
            PodEvent::Gone(place) => self.note_gone(place),
            PodEvent::Hooked {
                place,
                hook,
                outcome,
            } => self.note_hooked(place, hook, outcome),
            PodEvent::Probed {
                place,
                kind,
                run,
                outcome,
            } => self.note_probed(place, kind, run, outcome),
            PodEvent::Stop { grace } => self.note_stop(grace),
            PodEvent::Restart(place) => self.restart(place),
            PodEvent::Reload => self.retry_now(),
            PodEvent::Evicted(why) => self.evict(why),
            PodEvent::Redefined(spec) => self.redefine(&spec),
        }
    }

    fn evict(&mut self, why: String) {
        if self.stop.is_none() {
            self.late = Some(("Evicted".to_owned(), why.clone()));
            self.report(true, "Evicted", why);
            self.note_stop(EVICTION_GRACE);
        }
    }

    pub(super) fn note_prepared(&mut self, outcome: Result<(), Problem>) {
        let failures = match self.volumes {
            VolumeState::Missing { failures, .. } => failures,
            VolumeState::Asked | VolumeState::Ready => 0,
        };
        self.unmounted = None;
        self.volumes = match outcome {
            Ok(()) => {
                self.note_scheduled();
                VolumeState::Ready
            }
            Err(problem) => {
                self.note_unprepared(problem);
                VolumeState::Missing {
                    failures: failures + 1,
                    again: self.now.mono + MOUNT_BACK_OFF.retry_delay(failures),
                }
            }
        };
    }

    /// A pod whose claim is missing has no place yet, unless it had one before.
    fn note_unprepared(&mut self, problem: Problem) {
        if problem.kind == Kind::NotFound && self.placing != Placing::Placed {
            let words = format!("0/1 nodes are available: {}. not found", problem.message);
            self.report(true, "FailedScheduling", words.clone());
            self.placing = Placing::Unschedulable(words);
        } else {
            self.note_scheduled();
            self.report(true, "FailedMount", problem.message.clone());
            self.unmounted = Some(problem.message);
        }
    }

    pub(super) fn note_scheduled(&mut self) {
        if self.placing == Placing::Placed {
            return;
        }
        if self.placing != Placing::Unknown {
            // It was not active while it waited for its claim.
            self.status.start_time = Some(Time(self.now.wall));
            self.active_until = self.allowed.map(|allowed| self.active_until(allowed));
        }
        let unheard = self.placing == Placing::Unknown && self.of_set;
        self.placing = Placing::Placed;
        if unheard {
            return; // the supervisor has said so, after it has said that it made the pod
        }
        self.report(false, "Scheduled", scheduled(&self.path));
    }

    pub(super) fn note_started(&mut self, place: ContainerIndex, pid: u32) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        container.begin_run();
        container.state = State::Running(Run::new(now, pid, container.post_start));
        if container.post_start {
            let hook = HookKind::PostStart;
            self.actions.push(Action::Hook { place, hook });
        } else {
            container.begin_probing(now.mono);
        }
        self.report_created(place);
        self.report_of(place, false, "Started", "Container started".to_owned());
    }

    pub(super) fn note_start_failed(&mut self, place: ContainerIndex, failure: Failure) {
        let now = self.now;
        let back_off = self.back_off;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        let ended = container.start_failed(&failure, back_off, now);
        let message = container.failure_words(&failure);
        self.report_start_failed(place, &failure, message);
        if let Some(ended) = ended {
            self.conclude(place, ended);
        }
    }

    /// Tells in the kubelet's order how far a start came that failed.
    fn report_start_failed(&mut self, place: ContainerIndex, failure: &Failure, message: String) {
        let image = self.containers[place.0].image.clone();
        let mut tell = |warning, reason, message| self.report_of(place, warning, reason, message);
        match failure {
            Failure::Image(_) => {
                tell(false, "Pulling", format!("Pulling image \"{image}\""));
                tell(true, "Failed", message);
                tell(true, "Failed", "Error: ErrImagePull".to_owned());
                tell(
                    false,
                    "BackOff",
                    format!("Back-off pulling image \"{image}\""),
                );
                tell(true, "Failed", "Error: ImagePullBackOff".to_owned());
            }
            Failure::ImageName(_) => {
                tell(true, "InspectFailed", message);
                tell(true, "Failed", "Error: InvalidImageName".to_owned());
            }
            Failure::ImageNever(_) => {
                tell(true, "ErrImageNeverPull", message);
                tell(true, "Failed", "Error: ErrImageNeverPull".to_owned());
            }
            Failure::Config(_) | Failure::Create(_) => {
                self.report_pulled(place);
                self.report_of(place, true, "Failed", message);
            }
            Failure::Launch(_) => {
                self.report_created(place);
                self.report_of(place, true, "Failed", message);
            }
        }
    }

    fn report_pulled(&mut self, place: ContainerIndex) {
        let words = format!(
            "Container image \"{}\" already present on machine and can be accessed by the pod",
            self.containers[place.0].image
        );
        self.report_of(place, false, "Pulled", words);
    }

    fn report_created(&mut self, place: ContainerIndex) {
        self.report_pulled(place);
        self.report_of(place, false, "Created", "Container created".to_owned());
    }

    pub(super) fn note_ended(
        &mut self,
        place: ContainerIndex,
        exit: Exit,
        message: Option<String>,
    ) {
        let now = self.now;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        let ended = run.ended(exit, message, now);
        run.ended = Some(ended);
        let due = match &run.stop {
            None => Some(Action::Kill(place)),
            Some(stop) => stop.after_end(place),
        };
        self.actions.extend(due);
    }

    pub(super) fn note_gone(&mut self, place: ContainerIndex) {
        let ended = self.run_mut(place).and_then(|run| run.ended.take());
        if let Some(ended) = ended {
            self.conclude(place, ended);
        }
    }

    /// Decides what becomes of a container whose run is over.
    pub(super) fn conclude(&mut self, place: ContainerIndex, ended: Ended) {
        let now = self.now;
        let ends = self.stop.is_some() || self.anew.is_some();
        let (back_off, stopping) = (self.back_off, ends);
        let container = &mut self.containers[place.0];
        if !stopping && !ended.asked && container.again_after(&ended) == Again::All {
            return self.restart_all(place, ended);
        }
        let delay = container.conclude(ended, stopping, back_off);
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            let words = format!(
                "Back-off restarting failed container {} in pod {}",
                container.name, self.title
            );
            self.report_of(place, true, "BackOff", words);
            self.wake_at(now.mono + delay);
        }
    }

    pub(super) fn note_hooked(
        &mut self,
        place: ContainerIndex,
        hook: HookKind,
        outcome: Result<HookSuccess, Problem>,
    ) {
        if let Ok(HookSuccess::FellBack(host)) = &outcome {
            let words = format!(
                "request to HTTPS lifecycle hook {host} got HTTP response, \
                 retry with HTTP succeeded"
            );
            self.report_of(place, true, "LifecycleHTTPFallback", words);
        }
        let outcome = outcome.map(drop);
        match hook {
            HookKind::PostStart => self.note_post_start(place, outcome),
            HookKind::PreStop => self.note_pre_stop(place, outcome),
        }
    }

    pub(super) fn note_post_start(&mut self, place: ContainerIndex, outcome: Result<(), Problem>) {
        let now = self.now;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        if !run.hook_pending || run.stop.is_some() || run.ended.is_some() {
            return;
        }
        match outcome {
            Ok(()) => {
                run.hook_pending = false;
                self.containers[place.0].begin_probing(now.mono);
            }
            Err(problem) => {
                let words = format!("PostStartHook failed: {problem}");
                self.report_of(place, true, "FailedPostStartHook", words);
                self.stop_unwell(place, self.grace);
            }
        }
    }

    pub(super) fn note_probed(
        &mut self,
        place: ContainerIndex,
        kind: ProbeKind,
        run: u32,
        outcome: ProbeOutcome,
    ) {
        let now = self.now.mono;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        let current = container.runs == run;
        let Some(probe) = container.probe_mut(kind).filter(|_| current) else {
            return;
        };
        let verdict = probe.note(&outcome, now);
        let grace = probe.grace;
        let name = container.name.clone();
        if verdict.to_tell > 0 {
            let field = Some(self.field(place));
            self.actions.push(Action::Report(Report {
                field,
                warning: true,
                reason: outcome.reason(),
                message: outcome.words(kind),
                count: verdict.to_tell,
            }));
        }
        let fatal = match kind {
            ProbeKind::Readiness => false,
            ProbeKind::Liveness | ProbeKind::Startup => verdict.turned == Some(false),
        };
        if fatal && self.run_mut(place).is_some_and(|run| run.stop.is_none()) {
            let words = format!(
                "Container {name} failed {} probe, will be restarted",
                kind.word()
            );
            self.report_of(place, false, "Killing", words);
            if let Some(run) = self.run_mut(place) {
                run.probed = true;
            }
            self.stop_unwell(place, grace.unwrap_or(self.grace));
        }
    }

    /// Restarts one container: ends it with grace where it runs, and starts it without back-off.
    pub(super) fn restart(&mut self, place: ContainerIndex) {
        let now = self.now.mono;
        let grace = self.grace;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        if self.stop.is_some() {
            return;
        }
        container.failures = 0;
        match &mut container.state {
            State::Waiting { until, .. } => *until = now,
            State::Starting => {}
            State::Running(run) => {
                run.asked = true;
                if run.stop.is_none() {
                    let words = format!("Stopping container {}", container.name);
                    self.report_of(place, false, "Killing", words);
                    self.begin_stop(place, grace);
                }
            }
            State::Ended(_) => container.wait_for_restart(now),
        }
    }

    /// Takes over what may change of a pod that runs. A container whose image is another one now
    /// is restarted where it is running or about to, whatever the restart policy.
    fn redefine(&mut self, spec: &PodSpec) {
        if let Some(grace) = spec.termination_grace_period_seconds {
            self.grace = seconds(grace);
        }
        self.allowed = spec.active_deadline_seconds;
        self.active_until = self.allowed.map(|allowed| self.active_until(allowed));
        let inits = spec.init_containers.iter().flatten();
        for (index, given) in inits.chain(&spec.containers).enumerate() {
            let Some(container) = self.containers.get_mut(index) else {
                return;
            };
            let image = given.image.clone().unwrap_or_default();
            if container.image == image {
                continue;
            }
            container.image = image;
            let has_ended = container.has_ended();
            let name = container.name.clone();
            if !has_ended {
                let words = format!("Container {name} definition changed, will be restarted");
                self.report_of(ContainerIndex(index), false, "Killing", words);
                self.restart(ContainerIndex(index));
            }
        }
    }

    /// Returns when a pod that may be active for so many seconds since its start is not any more.
    pub(super) fn active_until(&self, allowed: i64) -> Duration {
        let since = self.status.start_time.as_ref();
        let past = since.map(|since| self.now.wall.duration_since(since.0));
        let past = past
            .and_then(|past| Duration::try_from(past).ok())
            .unwrap_or_default();
        (self.now.mono + seconds(allowed)).saturating_sub(past)
    }

    /// Tries at once what waits for the world to change.
    pub(super) fn retry_now(&mut self) {
        let now = self.now.mono;
        for container in &mut self.containers {
            if let State::Waiting { why, until, .. } = &mut container.state {
                match why {
                    Wait::Image { .. }
                    | Wait::ImageName { .. }
                    | Wait::ImageNever { .. }
                    | Wait::Config { .. }
                    | Wait::Create { .. } => *until = now,
                    Wait::Turn | Wait::CrashLoop { .. } => {}
                }
            }
        }
        if let VolumeState::Missing { again, .. } = &mut self.volumes {
            *again = now;
        }
    }
}
