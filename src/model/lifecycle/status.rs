//! The status of a pod as Kubernetes shows it: container states, phase and conditions
//! (I10, I14, I24).

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::container::{Container, ContainerRole, State, Wait, halfway};
use super::machine::{Placing, PodMachine, VolumeState};
use super::run::container_id;
use crate::model::pod::paused_condition;
use crate::model::printer::{
    hook_condition, post_start_message, probe_condition, volumes_condition,
};
use crate::sorted::sort_by;

impl PodMachine {
    pub(super) fn refresh_status(&mut self) {
        let status = |it: &Container| self.container_status(it);
        let (inits, apps) = self.containers.split_at(self.inits);
        let inits: Vec<_> = inits.iter().map(status).collect();
        let mut apps: Vec<_> = apps.iter().map(status).collect();
        sort_by(&mut apps, |a, b| a.name.cmp(&b.name)); // as a kubelet shows them
        self.status.init_container_statuses = Some(inits).filter(|list| !list.is_empty());
        self.status.container_statuses = Some(apps);
        if self.containers.iter().any(Container::is_begun) {
            (self.status.pod_ip, self.status.pod_ips) = self.addresses.clone();
        }
        let placed = !matches!(self.placing, Placing::Unschedulable(_));
        self.status.observed_generation = self.observed.filter(|_| placed);
        let phase = self.phase();
        self.status.phase = Some(phase.to_owned());
        self.status.conditions = match &self.placing {
            Placing::Unknown | Placing::Placed => Some(self.conditions()),
            Placing::Unschedulable(why) => Some(vec![self.unscheduled(why.clone())]),
            Placing::Rejected => None,
        };
        if !matches!(self.placing, Placing::Unknown | Placing::Placed) {
            self.status.init_container_statuses = None;
            self.status.container_statuses = None;
        }
        if let Placing::Unschedulable(_) = self.placing {
            self.status.start_time = None;
        }
    }

    fn unscheduled(&self, why: String) -> core::PodCondition {
        let doubt = Doubt {
            reason: "Unschedulable",
            message: Some(why),
        };
        self.condition("PodScheduled", Truth::of(Some(doubt)))
    }

    fn container_status(&self, container: &Container) -> core::ContainerStatus {
        let last = match container.shown_end(self.now.mono) {
            Some(_) => container.prior.clone(),
            None => container.last.clone(),
        };
        core::ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone(),
            container_id: container.pid().map(container_id),
            ready: container.is_ready(self.ends_as_a_whole()),
            started: Some(container.is_started()),
            restart_count: container.restarts,
            state: Some(self.container_state(container)),
            volume_mounts: container.shown_mounts(),
            last_state: last.map(|last| core::ContainerState {
                terminated: Some(last),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Returns whether its containers end since all of them do: they are ready until then.
    const fn ends_as_a_whole(&self) -> bool {
        self.stop.is_some() || self.anew.is_some()
    }

    fn container_state(&self, container: &Container) -> core::ContainerState {
        let mut state = core::ContainerState::default();
        match &container.state {
            State::Ended(ended) => state.terminated = Some(ended.state.clone()),
            State::Running(run) if !run.hook_pending => {
                let started_at = Some(Time(run.since.wall));
                state.running = Some(core::ContainerStateRunning { started_at });
            }
            State::Waiting { why, since, until } => {
                state.terminated = container.shown_end(self.now.mono).cloned();
                if state.terminated.is_none() {
                    state.waiting = Some(self.waiting(container, why, *since, *until));
                }
            }
            State::Starting | State::Running(_) => {
                let never = Duration::ZERO;
                state.waiting = Some(self.waiting(container, &Wait::Turn, never, never));
            }
        }
        state
    }

    fn waiting(
        &self,
        container: &Container,
        why: &Wait,
        since: Duration,
        until: Duration,
    ) -> core::ContainerStateWaiting {
        let turn = if self.inits > 0 {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        let (reason, message) = match why {
            Wait::Turn => (turn, None),
            Wait::ImageName { message } => ("InvalidImageName", Some(message.clone())),
            Wait::Config { message } => ("CreateContainerConfigError", Some(message.clone())),
            Wait::Create { message } => ("CreateContainerError", Some(message.clone())),
            Wait::Image { message } if self.now.mono < halfway(since, until) => {
                ("ErrImagePull", Some(message.clone()))
            }
            Wait::ImageNever { message } => ("ErrImageNeverPull", Some(message.clone())),
            Wait::Image { message } => {
                let words = format!("Back-off pulling image \"{}\": {message}", container.image);
                ("ImagePullBackOff", Some(words))
            }
            Wait::CrashLoop { delay, .. } => {
                let fault = container.start_fault();
                match fault.filter(|_| self.now.mono < halfway(since, until)) {
                    Some(fault) => ("RunContainerError", Some(fault.to_owned())),
                    None => (
                        "CrashLoopBackOff",
                        Some(self.back_off_words(container, *delay)),
                    ),
                }
            }
        };
        core::ContainerStateWaiting {
            message,
            reason: Some(reason.to_owned()),
        }
    }

    fn back_off_words(&self, container: &Container, delay: Duration) -> String {
        format!(
            "back-off {} restarting failed container={} pod={}",
            words(delay),
            container.name,
            self.title
        )
    }

    /// Returns the phase that the containers add up to; nothing while the pod goes on.
    fn verdict(&self) -> Option<&'static str> {
        let (inits, apps) = self.containers.split_at(self.inits);
        let failed = |it: &Container| it.role == ContainerRole::Init && it.failed();
        if self.anew.is_some() {
            return None;
        }
        if self.late.is_some() || inits.iter().any(failed) {
            return Some("Failed");
        }
        let sidecar = |it: &Container| it.role == ContainerRole::Sidecar && it.is_running();
        let over = apps.iter().all(Container::has_ended) && !inits.iter().any(sidecar);
        let succeeded = apps.iter().all(Container::succeeded);
        over.then_some(if succeeded { "Succeeded" } else { "Failed" })
    }

    /// Returns the phase. The last one is shown when nothing of the pod is left, its conditions
    /// tell of it before.
    fn phase(&self) -> &'static str {
        let (inits, apps) = self.containers.split_at(self.inits);
        if let Placing::Unschedulable(_) = self.placing {
            return "Pending";
        }
        if self.closed {
            return self.verdict().unwrap_or("Failed");
        }
        if self.verdict().is_some() && self.status.phase.as_deref() == Some("Pending") {
            return "Pending";
        }
        let failed = |it: &Container| it.role == ContainerRole::Init && it.failed();
        if self.turn < self.inits && !inits.iter().any(failed) {
            return "Pending";
        }
        let fresh = |it: &Container| !it.has_ended() && !it.is_running() && it.last.is_none();
        let begun = |it: &Container| match &it.state {
            State::Running(run) => run.hook_pending,
            State::Waiting { .. } | State::Starting | State::Ended(_) => fresh(it),
        };
        if apps.iter().any(begun) {
            "Pending"
        } else {
            "Running"
        }
    }

    fn conditions(&self) -> Vec<core::PodCondition> {
        let phase = self.verdict().unwrap_or("Running");
        let initialized = self.initialized(phase);
        let containers_ready = self.containers_ready(phase);
        let ready = match &containers_ready {
            None => self.shut_gates(),
            Some(doubt) => Some(doubt.clone()),
        };
        let condition = |kind, doubt| self.condition(kind, doubt);
        // Sidecars are stopped with the pod's sandbox.
        let sidecar = |it: &Container| it.role == ContainerRole::Sidecar;
        let torn_down = self.finished && self.containers.iter().any(sidecar);
        let furnished = self.volumes == VolumeState::Ready && !self.closed && !torn_down;
        let mut conditions = vec![
            condition("PodReadyToStartContainers", Truth::bare(furnished)),
            condition("Initialized", initialized),
            condition("Ready", Truth::of(ready)),
            condition("ContainersReady", Truth::of(containers_ready)),
            condition("PodScheduled", Truth::of(None)),
        ];
        if self.containers.iter().any(|it| it.rules.may_restart_all()) {
            let truth = self.all_restarting(phase);
            conditions.push(self.condition("AllContainersRestarting", truth));
        }
        conditions.extend(self.own_conditions());
        conditions
    }

    /// Returns why the pod is not ready, where a kubelet does not say so: its volumes, hooks,
    /// probes.
    fn own_conditions(&self) -> Vec<core::PodCondition> {
        let because = |kind: &str, reason, words: &str| {
            let message = Some(words.to_owned());
            self.condition(kind, Truth::of(Some(Doubt { reason, message })))
        };
        let mut conditions = Vec::new();
        if self.frozen {
            conditions.push(self.condition(paused_condition(), Truth::of(None)));
        }
        if let Some(words) = &self.unmounted {
            conditions.push(because(volumes_condition(), "FailedMount", words));
        }
        let hooked = self.containers.iter().filter(|it| it.is_in_post_start());
        conditions.extend(hooked.map(|container| {
            let words = post_start_message(&container.name);
            because(&hook_condition(&container.name), "PostStart", &words)
        }));
        let probed = self.containers.iter();
        conditions.extend(probed.filter_map(|container| {
            let kind = probe_condition(&container.name);
            Some(because(&kind, "ProbeFailed", container.probe_fault()?))
        }));
        conditions
    }

    /// Returns which readiness gates nobody has opened: petset has no way to set their conditions.
    fn shut_gates(&self) -> Option<Doubt> {
        let words = self.readiness_gates.iter().map(|gate| {
            format!("corresponding condition of pod readiness gate {gate:?} does not exist.")
        });
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| Doubt {
            reason: "ReadinessGatesNotReady",
            message: Some(words.join(", ")),
        })
    }

    fn all_restarting(&self, phase: &str) -> Truth {
        let doubt = |reason, message: &str| Doubt {
            reason,
            message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        };
        let words = "container exited with restart policy rule";
        Truth {
            holds: self.anew.is_some(),
            doubt: match (self.anew, phase) {
                (Some(_), _) => Some(doubt("RestartAllContainersStarted", words)),
                (None, "Failed") => Some(doubt("PodFailed", "")),
                (None, _) => None,
            },
        }
    }

    fn initialized(&self, phase: &str) -> Truth {
        let (inits, _) = self.containers.split_at(self.inits);
        if phase == "Succeeded" {
            return Truth {
                holds: true,
                doubt: Some(Doubt {
                    reason: "PodCompleted",
                    message: None,
                }),
            };
        }
        if self.was_initialized {
            return Truth::of(None);
        }
        let incomplete = inits.iter().skip(self.turn);
        let names: Vec<_> = incomplete.map(|it| it.name.as_str()).collect();
        Truth::of((!names.is_empty()).then(|| Doubt {
            reason: "ContainersNotInitialized",
            message: Some(format!(
                "containers with incomplete status: [{}]",
                names.join(" ")
            )),
        }))
    }

    fn containers_ready(&self, phase: &str) -> Option<Doubt> {
        let reason = match phase {
            "Succeeded" => "PodCompleted",
            "Failed" => "PodFailed",
            _ => "ContainersNotReady",
        };
        if reason != "ContainersNotReady" {
            let message = None;
            return Some(Doubt { reason, message });
        }
        let unready = self
            .containers
            .iter()
            .filter(|it| it.role != ContainerRole::Init && !it.is_ready(self.ends_as_a_whole()));
        let names: Vec<_> = unready.map(|it| it.name.as_str()).collect();
        (!names.is_empty()).then(|| Doubt {
            reason,
            message: Some(format!(
                "containers with unready status: [{}]",
                names.join(" ")
            )),
        })
    }

    /// Makes a condition; its transition time stays while its status does.
    fn condition(&self, kind: &str, verdict: Truth) -> core::PodCondition {
        let status = if verdict.holds { "True" } else { "False" };
        let before = self.status.conditions.iter().flatten();
        let same = before
            .filter(|it| it.type_ == kind && it.status == status)
            .find_map(|it| it.last_transition_time.clone());
        let (reason, message) = match verdict.doubt {
            Some(doubt) => (Some(doubt.reason.to_owned()), doubt.message),
            None => (None, None),
        };
        core::PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: same.or(Some(Time(self.now.wall))),
            reason,
            message,
            observed_generation: self.status.observed_generation,
            ..Default::default()
        }
    }
}

/// Why a condition does not hold.
#[derive(Debug, Clone)]
struct Doubt {
    reason: &'static str,
    message: Option<String>,
}

struct Truth {
    holds: bool,
    doubt: Option<Doubt>,
}

impl Truth {
    fn bare(holds: bool) -> Self {
        Self { holds, doubt: None }
    }

    fn of(doubt: Option<Doubt>) -> Self {
        Self {
            holds: doubt.is_none(),
            doubt,
        }
    }
}

/// Writes a delay as Go does: `10s`, `1m20s`, `500ms`.
fn words(delay: Duration) -> String {
    let seconds = delay.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{}ms", delay.as_millis()),
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
