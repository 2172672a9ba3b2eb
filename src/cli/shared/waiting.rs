//! Waiting until a change has taken effect, with progress messages.
//!
//! No lock is held and nothing is polled: the reports of the supervisor are watched, and so is the
//! supervisor, which is started again if it dies.

mod goal;
mod hopeless;
mod outcome;
mod pods;
mod progress;
mod watched;
mod workloads;

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use k8s_openapi::api::apps::v1::StatefulSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::exit::PassedThrough;
use super::session::{Session, say, say_limit};
use crate::model::kind::ObjectKind;
use crate::model::parse_duration;
use crate::model::rollout::{self, RolledBack};
use crate::model::{Namespace, ObjectName, ObjectRef};
use crate::problem::{Kind, Problem, Result};
use crate::store::damage::is_damage;
use crate::store::{self, Noticed, SetReport, Watch};
use crate::supervisor;
use goal::quoted;
pub(in crate::cli) use goal::{Goal, GoalState};
pub(in crate::cli) use hopeless::refuse_if_hopeless;
pub(in crate::cli) use pods::refuse_if_ended;
pub(in crate::cli) use progress::Progress;
use watched::watch;

/// How much longer a verb waits that starts pets without a readiness probe.
///
/// Such a pet counts as ready as soon as it is started, and a program with a wrong option exits
/// just after that.
const SETTLE_TIME: Duration = Duration::from_millis(150);

/// How long a verb pauses at most after it has looked at many pods.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The options of a verb that waits.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Return at once; the work goes on in the background
    #[arg(long)]
    no_wait: bool,
    /// As kubectl has it: --wait=false is --no-wait
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide = true
    )]
    wait: Option<bool>,
    /// How long to wait; the work goes on in the background afterwards
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
}

impl WaitArgs {
    /// Returns how long to wait; `None` if the user asked not to.
    pub(crate) fn allowed(&self) -> Option<Duration> {
        let waits = !self.no_wait && self.wait != Some(false);
        waits.then_some(self.timeout)
    }
}

impl Session {
    /// Waits until all goals are reached, unless the user asked not to.
    pub(crate) fn wait(&self, goals: &[Goal], args: &WaitArgs) -> Result<()> {
        let Some(timeout) = args.allowed() else {
            return Ok(());
        };
        if self.store.is_stopped() && goals.iter().any(Goal::needs_pets) {
            say("Not waiting: everything is stopped. Start it with `petset start`.");
            return Ok(());
        }
        let begun = Instant::now();
        GoalWaiter::new(self, goals)?.wait(goals, timeout)?;
        outcome::tell(self, goals, begun.elapsed())
    }

    /// Returns the supervisor's last report of a set. One that is damaged is published again.
    pub(crate) fn report(&self, namespace: &Namespace, set: &str) -> Result<Option<SetReport>> {
        let path = self.store.layout().set_status(namespace, set);
        match store::read_json(&path) {
            Err(error) if is_damage(&error) => {
                self.way_to_mend();
                Ok(None)
            }
            report => report.with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Returns whether a goal is reached, and if not, what it waits for.
    pub(in crate::cli) fn progress(&self, goal: &Goal) -> Result<GoalState> {
        let ObjectRef { namespace, name } = ObjectRef::of(goal.metadata())?;
        let report = match goal {
            Goal::PodUp(pod) => return pods::until_up(self, pod),
            Goal::PodGone(pod) => return pods::until_gone(self, pod),
            Goal::PodStopped(pod) => return pods::until_stopped(self, pod),
            Goal::WorkloadDone(workload) => return workloads::until_done(self, workload),
            Goal::WorkloadGone(workload) => return workloads::until_gone(self, workload),
            Goal::PetGone { pet, uid, .. } => return self.until_pet_gone(&namespace, pet, uid),
            Goal::Settled(_) | Goal::Gone(_) | Goal::Replaced { .. } | Goal::Stopped(_) => {
                self.report(&namespace, name.as_str())?
            }
        };
        match goal {
            Goal::Settled(set) => self.until_settled(set, report),
            Goal::Gone(set) => self.until_gone(set, report),
            Goal::Replaced { set, pet, uid } => match self.store.eviction(&namespace, pet) {
                Some(wanted) if wanted.uid == *uid => pods::stopping(self, &namespace, pet),
                Some(_) | None => self.until_settled(set, report),
            },
            Goal::Stopped(_) => Ok(until_stopped(&name, report)),
            Goal::PodUp(_)
            | Goal::PodGone(_)
            | Goal::PodStopped(_)
            | Goal::WorkloadDone(_)
            | Goal::WorkloadGone(_)
            | Goal::PetGone { .. } => Ok(GoalState::Reached),
        }
    }

    /// Returns whether the pet of this uid is gone, whatever comes after it.
    fn until_pet_gone(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        uid: &str,
    ) -> Result<GoalState> {
        let pod = self.pet(namespace, name)?;
        let same = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(uid));
        Ok(match same {
            Some(_) => GoalState::Waiting(format!("{name} is stopping")),
            None => GoalState::Reached,
        })
    }

    fn until_settled(&self, set: &StatefulSet, report: Option<SetReport>) -> Result<GoalState> {
        let name = ObjectRef::of(&set.metadata)?.name;
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let generation = set.metadata.generation.unwrap_or_default();
        let seen = |report: &SetReport| report.status.observed_generation.unwrap_or_default();
        // A report from before `petset start` is about the stop.
        let of_now = |report: &SetReport| report.uid == uid && !report.stopped;
        let current = report.filter(|report| of_now(report) && seen(report) >= generation);
        if current.as_ref().is_some_and(|report| report.settled) {
            self.expect_not_rolled_back(set)?;
            return Ok(GoalState::Reached);
        }
        self.expect_still_wanted(set)?;
        let Some(report) = current else {
            return Ok(GoalState::Waiting(format!("{name}: not looked at yet")));
        };
        let namespace = ObjectRef::of(&set.metadata)?.namespace;
        refuse_if_hopeless(self, &namespace, &name, &report)?;
        let mut told = describe(&name, wanted, &report);
        let waiting = report.waiting.first().and_then(|it| it.pet.as_ref());
        if let Some(pet) = waiting.map(|pet| pet.parse()).transpose()?
            && let Some(pod) = self.pet(&namespace, &pet)?
        {
            told = super::pods::with_age_of_hook(&pod, &told);
        }
        Ok(GoalState::Waiting(told))
    }

    /// Refuses to wait for a set that another command has deleted.
    fn expect_still_wanted(&self, set: &StatefulSet) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let wanted: Option<StatefulSet> = self.store.find(&namespace, &name)?;
        let same = wanted.is_some_and(|wanted| {
            wanted.metadata.uid == set.metadata.uid && wanted.metadata.deletion_timestamp.is_none()
        });
        if same {
            return Ok(());
        }
        Err(Problem::new(Kind::Conflict, format!("{name} was deleted meanwhile")).into())
    }

    /// Fails if the supervisor has rolled the upgrade back.
    fn expect_not_rolled_back(&self, set: &StatefulSet) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let wanted: Option<StatefulSet> = self.store.find(&namespace, &name)?;
        let note = wanted.as_ref();
        let note = note.and_then(|set| rollout::rolled_back(&set.metadata));
        let ours = |note: &RolledBack| Some(note.generation) == set.metadata.generation;
        let Some(note) = note.filter(ours) else {
            return Ok(());
        };
        let RolledBack {
            from,
            to,
            pet,
            why,
            log,
            ..
        } = note;
        let message = format!("{name} went back from {from} to {to}, because {why}");
        let look = format!(
            "the template that failed is marked in `petset rollout history {name}`; what happened \
             to the pet is in `petset events pod/{pet}`"
        );
        let problem = Problem::new(Kind::RolledBack, message + &quoted(&pet, &log));
        Err(problem.hint(look).into())
    }

    /// Returns the last lines of the log of a pet, if it exists.
    fn last_words(&self, namespace: &Namespace, pet: &str) -> Vec<String> {
        let name: Option<ObjectName> = pet.parse().ok();
        let pod = name.and_then(|name| self.pet(namespace, &name).ok()?);
        let files = self.store.layout().pet(namespace, pet);
        pod.map_or_else(Vec::new, |pod| store::last_words(&files, &pod))
    }

    /// Quotes the last lines of the pet that the first goal which is not reached waits for.
    fn quoted_words_of(&self, goals: &[Goal]) -> Result<String> {
        for goal in goals.iter().filter(|goal| goal.needs_pets()) {
            if matches!(self.progress(goal)?, GoalState::Reached) {
                continue;
            }
            let ObjectRef { namespace, name } = ObjectRef::of(goal.metadata())?;
            return match goal {
                Goal::PodUp(_) => Ok(self.quoted_words(&namespace, name.as_str())),
                Goal::WorkloadDone(_) | Goal::WorkloadGone(_) => Ok(String::new()),
                Goal::Settled(_)
                | Goal::Replaced { .. }
                | Goal::PetGone { .. }
                | Goal::Gone(_)
                | Goal::Stopped(_)
                | Goal::PodGone(_)
                | Goal::PodStopped(_) => self.quoted_words_of_set(&namespace, name.as_str()),
            };
        }
        Ok(String::new())
    }

    /// Says how to look at what the first goal waits for that is not reached.
    fn way_to_look(&self, goals: &[Goal]) -> Result<String> {
        for goal in goals {
            if matches!(self.progress(goal), Ok(GoalState::Reached)) {
                continue;
            }
            let ObjectRef { namespace, name } = ObjectRef::of(goal.metadata())?;
            let pet = match goal {
                Goal::PodUp(_) | Goal::PodGone(_) | Goal::PodStopped(_) => Some(name.to_string()),
                Goal::PetGone { pet, .. } => Some(pet.to_string()),
                Goal::Settled(_) | Goal::Replaced { .. } | Goal::Gone(_) | Goal::Stopped(_) => {
                    self.pet_waited_for(&namespace, name.as_str())?
                }
                Goal::WorkloadDone(_) | Goal::WorkloadGone(_) => None,
            };
            if let Some(pet) = pet {
                return Ok(look_at(&pet));
            }
        }
        Ok("see how far it is with `petset get all`".to_owned())
    }

    /// Returns the pet that a set waits for, if it waits for one.
    pub(in crate::cli) fn pet_waited_for(
        &self,
        namespace: &Namespace,
        set: &str,
    ) -> Result<Option<String>> {
        let report = self.report(namespace, set)?;
        Ok(report.and_then(|report| report.waiting.into_iter().next()?.pet))
    }

    /// Quotes the last lines of the pet that a set waits for, if it waits for one.
    pub(in crate::cli) fn quoted_words_of_set(
        &self,
        namespace: &Namespace,
        set: &str,
    ) -> Result<String> {
        let pet = self.pet_waited_for(namespace, set)?;
        let words = pet.map(|pet| self.quoted_words(namespace, &pet));
        Ok(words.unwrap_or_default())
    }

    /// Quotes the last lines of a pet, as the end of a message.
    pub(in crate::cli) fn quoted_words(&self, namespace: &Namespace, pet: &str) -> String {
        quoted(pet, &self.last_words(namespace, pet))
    }

    fn until_gone(&self, set: &StatefulSet, report: Option<SetReport>) -> Result<GoalState> {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let wanted: Option<StatefulSet> = self.store.find(&namespace, &name)?;
        if wanted.is_none_or(|wanted| wanted.metadata.uid != set.metadata.uid) {
            return Ok(GoalState::Reached);
        }
        let waiting = report.map(|report| describe(&name, Some(0), &report));
        Ok(GoalState::Waiting(
            waiting.unwrap_or_else(|| format!("{name}: not looked at yet")),
        ))
    }
}

/// Says how to look at a pet.
pub(in crate::cli) fn look_at(pet: &str) -> String {
    format!("look at it with `petset describe pod {pet}`")
}

fn until_stopped(set: &ObjectName, report: Option<SetReport>) -> GoalState {
    match report {
        Some(report) if report.stopped && report.status.replicas == 0 => GoalState::Reached,
        Some(report) => GoalState::Waiting(describe(set, Some(0), &report)),
        None => GoalState::Waiting(format!("{set}: not looked at yet")),
    }
}

/// Describes the progress of a set, and what it waits for.
fn describe(set: &ObjectName, wanted: Option<i32>, report: &SetReport) -> String {
    let status = &report.status;
    let ready = status.ready_replicas.unwrap_or_default();
    let count = match wanted {
        Some(0) => format!("{set}: {} left", status.replicas),
        Some(wanted) => format!("{set}: {ready} of {wanted} ready"),
        None => format!("{set}: {ready} ready"),
    };
    match report.waiting.first() {
        None => count,
        Some(waiting) => format!("{count}; {}", waiting.why),
    }
}

/// Pauses after an expensive look, so that the changes of many pods are looked at together.
fn pause_after_look(took: Duration) {
    if took > Duration::from_millis(2) {
        std::thread::sleep((took * 2).min(LONGEST_PAUSE));
    }
}

/// Waits for the goals of one command.
struct GoalWaiter<'a> {
    session: &'a Session,
    reports: Watch<()>,
    /// The watched directories.
    dirs: Vec<PathBuf>,
    interrupt: UnixStream,
    lifeline: Option<OwnedFd>,
    progress: Progress,
}

impl<'a> GoalWaiter<'a> {
    fn new(session: &'a Session, goals: &[Goal]) -> Result<Self> {
        let layout = session.store.layout();
        let mut reports = Watch::new().context("cannot watch the state directory")?;
        let mut dirs = Vec::new();
        for goal in goals {
            let namespace = ObjectRef::of(goal.metadata())?.namespace;
            dirs.extend([
                layout.set_statuses(&namespace),
                layout.wanted_kind(&namespace, ObjectKind::StatefulSet),
                layout.wanted_kind(&namespace, ObjectKind::Eviction),
                layout.wanted_kind(&namespace, ObjectKind::Pod),
                layout.pets_of(&namespace),
            ]);
            if let Goal::WorkloadDone(workload) | Goal::WorkloadGone(workload) = goal {
                let kind = workload.kind();
                dirs.push(layout.workload_statuses(&namespace, kind));
                dirs.push(layout.wanted_kind(&namespace, ObjectKind::Workload(kind)));
            }
        }
        watch(&mut reports, &dirs)?;
        say_limit(reports.limit());
        let (interrupt, signalled) = UnixStream::pair()?;
        interrupt.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, signalled)?;
        let lifeline = supervisor::lifeline(layout);
        Ok(Self {
            session,
            reports,
            dirs,
            interrupt,
            lifeline,
            progress: Progress::new(),
        })
    }

    fn wait(mut self, goals: &[Goal], timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let premature = goals.iter().any(Goal::may_be_premature);
        loop {
            let begun = Instant::now();
            let unreached = self.next_unreached(goals)?;
            pause_after_look(begun.elapsed());
            let Some(waiting) = unreached else {
                if !premature || self.stays_reached(goals)? {
                    return Ok(());
                }
                continue;
            };
            self.progress.waits_for(&waiting);
            if Instant::now() >= deadline {
                self.progress.end();
                let words = self.session.quoted_words_of(goals)?;
                let message = format!("not done within {}s: {waiting}", timeout.as_secs());
                let message = message + &words;
                let hint = self.session.way_to_look(goals)?;
                let hint = format!("the work goes on; {hint}");
                return Err(Problem::new(Kind::TimedOut, message).hint(hint).into());
            }
            self.sleep(deadline, goals)?;
        }
    }

    /// Returns whether goals that are reached stay reached for a moment.
    fn stays_reached(&mut self, goals: &[Goal]) -> Result<bool> {
        let soon = Instant::now() + SETTLE_TIME;
        while Instant::now() < soon {
            self.sleep(soon, goals)?;
            if self.next_unreached(goals)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns what the first goal that is not reached waits for.
    fn next_unreached(&mut self, goals: &[Goal]) -> Result<Option<String>> {
        for goal in goals {
            self.watch_pod(goal)?;
            if let GoalState::Waiting(waiting) = self.session.progress(goal)? {
                return Ok(Some(waiting));
            }
        }
        Ok(None)
    }

    /// Watches the files of a pod, which may have been created only now.
    fn watch_pod(&mut self, goal: &Goal) -> Result<()> {
        let named = match goal {
            Goal::PodUp(pod) | Goal::PodStopped(pod) => Some(ObjectRef::of(&pod.metadata)?),
            Goal::PetGone { set, pet, .. } => {
                let namespace = ObjectRef::of(&set.metadata)?.namespace;
                Some(ObjectRef::new(namespace, pet.clone()))
            }
            Goal::Settled(_)
            | Goal::Gone(_)
            | Goal::Replaced { .. }
            | Goal::Stopped(_)
            | Goal::WorkloadDone(_)
            | Goal::WorkloadGone(_)
            | Goal::PodGone(_) => None,
        };
        if let Some(ObjectRef { namespace, name }) = named {
            let files = self.session.store.layout().pet(&namespace, name.as_str());
            // Its creation is noticed in the parent directory.
            let _ = self.reports.add_new(files.root(), ());
        }
        Ok(())
    }

    /// Waits for a report, the end of the supervisor, Ctrl-C, or the deadline.
    fn sleep(&mut self, deadline: Instant, goals: &[Goal]) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = self.progress.delay().map_or(left, |delay| delay.min(left));
        let timeout = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 3600,
            tv_nsec: 0,
        });
        let reports = self.reports.as_fd();
        let mut fds = vec![
            PollFd::new(&reports, PollFlags::IN),
            PollFd::new(&self.interrupt, PollFlags::IN),
        ];
        fds.extend(
            self.lifeline
                .iter()
                .map(|lifeline| PollFd::new(lifeline, PollFlags::IN)),
        );
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
        let ended = fds
            .get(2)
            .is_none_or(|lifeline| !lifeline.revents().is_empty());
        drop(fds);
        let noticed = self.reports.noticed();
        let noticed = noticed.context("cannot watch the state directory")?;
        if noticed.iter().any(|it| matches!(it, Noticed::Lost(()))) {
            watch(&mut self.reports, &self.dirs)?;
        }
        self.check_interrupt(goals)?;
        if ended {
            // It may have ended because there is nothing left to do; if not, a new one takes over.
            self.session.wake_supervisor()?;
            self.lifeline = supervisor::lifeline(self.session.store.layout());
        }
        Ok(())
    }

    fn check_interrupt(&mut self, goals: &[Goal]) -> Result<()> {
        if self
            .interrupt
            .read(&mut [0; 8])
            .is_ok_and(|length| length > 0)
        {
            self.progress.end();
            say("Interrupted: the work goes on without this command.");
            say(format!("hint: {}", self.session.way_to_look(goals)?));
            return Err(PassedThrough(130).into());
        }
        Ok(())
    }
}
