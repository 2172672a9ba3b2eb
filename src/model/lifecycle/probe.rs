//! The state of one probe: when it is due, and what its answers add up to (V40-V43).

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use super::clock::seconds;

/// The first pause of a probe that has never succeeded.
const EAGER: Duration = Duration::from_millis(10);
/// How long the startup probe waits for a container that is started again: it may have to remove
/// first what the run before has left in a volume to say that it is up.
const CLEANED_UP: Duration = Duration::from_millis(250);
/// How long failures of a program that may still be starting are not shown in the status.
const PATIENCE: Duration = Duration::from_millis(500);

/// The kind of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Whether the others may begin; failing restarts the container.
    Startup,
    /// Failing restarts the container.
    Liveness,
    /// Whether the container takes requests.
    Readiness,
}

impl ProbeKind {
    /// Returns the word that Kubernetes uses inside a sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

/// The answer of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// All is well.
    Success,
    /// All is well, but for something that the probe did not look into.
    Warning(String),
    /// The container is not well.
    Failure(String),
    /// It is not, and the probe said nothing but how its command ended.
    Silent(String),
    /// The probe itself could not be made: what was known before stays (V43).
    Error(String),
}

impl ProbeOutcome {
    /// Returns the reason of the event about an outcome that is no plain success.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Warning(_) => "ProbeWarning",
            Self::Success | Self::Failure(_) | Self::Silent(_) | Self::Error(_) => "Unhealthy",
        }
    }

    /// Returns the kubelet's sentence about an outcome that is no plain success.
    #[must_use]
    pub fn words(&self, kind: ProbeKind) -> String {
        let word = match kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        };
        match self {
            Self::Success => format!("{word} probe succeeded"),
            Self::Warning(message) => format!("{word} probe warning: {message}"),
            Self::Failure(message) => format!("{word} probe failed: {message}"),
            Self::Silent(_) => format!("{word} probe failed: "),
            Self::Error(message) => {
                format!("{word} probe errored and resulted in unknown state: {message}")
            }
        }
    }
}

/// The consequence of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProbeVerdict {
    /// The result that the probe turned to, where it changed or was confirmed by a threshold.
    pub(super) turned: Option<bool>,
    /// How many such outcomes the journal is to be told of now.
    pub(super) to_tell: u32,
}

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) kind: ProbeKind,
    pub(super) grace: Option<Duration>,
    pub(super) in_flight: bool,
    delay: Duration,
    period: Duration,
    success: u32,
    failure: u32,
    due: Option<Duration>,
    result: Option<bool>,
    /// The last answer that counted and how often it came in a row.
    streak: (bool, u32),
    /// When a failure last counted.
    counted: Option<Duration>,
    /// The pause before the next try while it has never succeeded.
    eager: Option<Duration>,
    told: Option<ToldOutcome>,
    /// Whether a failure that counted has not been told of.
    untold: bool,
    /// From when on a failure is shown.
    shown_from: Duration,
    /// The words of the last failure, if no success came after it.
    fault: Option<String>,
}

/// An outcome that goes on: it is counted in the journal, not written again each time.
#[derive(Debug)]
struct ToldOutcome {
    message: String,
    /// How often it was seen, and how many of these the journal knows of.
    seen: u32,
    told: u32,
}

impl Probe {
    pub(super) fn of(kind: ProbeKind, spec: &core::Probe) -> Self {
        let count = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            value.filter(|&value| value > 0).unwrap_or(default)
        };
        let delay = count(spec.initial_delay_seconds, 0);
        Self {
            kind,
            grace: spec.termination_grace_period_seconds.map(seconds),
            in_flight: false,
            delay: Duration::from_secs(delay.into()),
            period: Duration::from_secs(count(spec.period_seconds, 10).into()),
            success: count(spec.success_threshold, 1),
            failure: count(spec.failure_threshold, 3),
            due: None,
            result: None,
            streak: (false, 0),
            counted: None,
            eager: None,
            told: None,
            untold: false,
            shown_from: Duration::ZERO,
            fault: None,
        }
    }

    /// Begins anew with a run that started at `started`, which may come after another one.
    pub(super) fn begin(&mut self, started: Duration, has_startup: bool, again: bool) {
        let late = again && self.kind == ProbeKind::Startup && self.delay.is_zero();
        let pause = if late { CLEANED_UP } else { self.delay };
        self.due = Some(started + pause);
        self.shown_from = started + self.delay + PATIENCE;
        self.fault = None;
        self.in_flight = false;
        self.result = None;
        self.streak = (false, 0);
        self.counted = None;
        self.told = None;
        self.untold = false;
        self.eager = match self.kind {
            ProbeKind::Startup => Some(EAGER),
            ProbeKind::Readiness => Some(EAGER).filter(|_| !has_startup || self.delay.is_zero()),
            ProbeKind::Liveness => None,
        };
    }

    /// Returns when it is due; nothing while it runs, or after it settled the container's fate.
    pub(super) fn due(&self, _now: Duration) -> Option<Duration> {
        self.due.filter(|_| !self.in_flight)
    }

    /// Returns whether it lets the container count as well: liveness does until it fails.
    pub(super) fn passes(&self) -> bool {
        self.result.unwrap_or(self.kind == ProbeKind::Liveness)
    }

    pub(super) fn note(&mut self, outcome: &ProbeOutcome, now: Duration) -> ProbeVerdict {
        self.in_flight = false;
        let last_due = self.due.unwrap_or(now);
        self.note_fault(outcome, now);
        let verdict = match outcome {
            ProbeOutcome::Success => {
                self.told = None;
                self.succeed(0)
            }
            ProbeOutcome::Warning(message) => {
                let to_tell = self.count_untold(message);
                self.succeed(to_tell)
            }
            ProbeOutcome::Failure(message) | ProbeOutcome::Silent(message) => {
                self.fail(message, now)
            }
            ProbeOutcome::Error(message) => ProbeVerdict {
                turned: None,
                to_tell: self.count_untold(message),
            },
        };
        let settled = self.kind != ProbeKind::Readiness && self.result == Some(false)
            || self.kind == ProbeKind::Startup && self.result == Some(true);
        self.due = (!settled).then(|| self.next_due(last_due, now));
        verdict
    }

    /// Returns the words of its last failure.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn note_fault(&mut self, outcome: &ProbeOutcome, now: Duration) {
        match outcome {
            ProbeOutcome::Success | ProbeOutcome::Warning(_) => self.fault = None,
            ProbeOutcome::Failure(words)
            | ProbeOutcome::Silent(words)
            | ProbeOutcome::Error(words) => {
                if now >= self.shown_from {
                    self.fault = Some(words.clone());
                }
            }
        }
    }

    fn succeed(&mut self, to_tell: u32) -> ProbeVerdict {
        self.eager = None;
        let turned = self.count(true, self.success);
        ProbeVerdict { turned, to_tell }
    }

    /// Counts a failure, an eager one at most once a period.
    fn fail(&mut self, message: &str, now: Duration) -> ProbeVerdict {
        let eager = self.eager.is_some();
        let recent = self.counted.is_some_and(|at| now < at + self.period);
        let turned = match eager && recent {
            true => None,
            false => {
                (self.counted, self.untold) = (Some(now), true);
                self.count(false, self.failure)
            }
        };
        // The first failures of a program that is starting are no news, unless they go on.
        let quiet = eager && turned.is_none() && now < self.shown_from;
        let to_tell = match self.untold && !quiet {
            true => self.count_untold(message),
            false => 0,
        };
        self.untold &= quiet;
        ProbeVerdict { turned, to_tell }
    }

    /// Adds an answer to the streak; returns the result once the streak reaches the threshold.
    fn count(&mut self, answer: bool, threshold: u32) -> Option<bool> {
        let (last, times) = self.streak;
        let times = if last == answer {
            times.saturating_add(1)
        } else {
            1
        };
        self.streak = (answer, times);
        (times >= threshold).then(|| {
            self.result = Some(answer);
            answer
        })
    }

    /// Counts an outcome; returns how many to tell of now: each of the first sixteen, later those
    /// since the last time once they are a sixteenth of all, so that the journal does not fill.
    fn count_untold(&mut self, message: &str) -> u32 {
        let same = self.told.take().filter(|told| told.message == message);
        let mut told = same.unwrap_or_else(|| ToldOutcome {
            message: message.to_owned(),
            seen: 0,
            told: 0,
        });
        told.seen = told.seen.saturating_add(1);
        let open = told.seen - told.told;
        let due = open.saturating_mul(16) >= told.told;
        if due {
            told.told = told.seen;
        }
        self.told = Some(told);
        if due { open } else { 0 }
    }

    fn next_due(&mut self, last_due: Duration, now: Duration) -> Duration {
        match self.eager {
            Some(pause) if pause < self.period => {
                self.eager = Some(pause * 2);
                now + pause
            }
            Some(_) => now + self.period,
            None => (last_due + self.period).max(now),
        }
    }
}
