//! The loop of the live view: it waits for a key, a change of the state directory, or the clock.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::stdin;
use signal_hook::consts::{SIGCONT, SIGINT, SIGQUIT, SIGWINCH};
use signal_hook::low_level::pipe;

use super::cache::Cache;
use super::deeds::{Deed, press};
use super::draw::draw;
use super::keys::keys;
use super::replay::Replay;
use super::scene::{Chosen, EventLine, InputMode, PageShown, Scene};
use super::screen::Screen;
use crate::cli::shared::events::Scope;
use crate::cli::shared::session::Session;
use crate::cli::top::figures::{Meter, Usages};
use crate::cli::top::snapshot::Snapshot;
use crate::model::Namespace;
use crate::problem::Result;
use crate::role::Role;
use crate::store::journal::Severity;

/// What costs some time is done again after so many times that: it takes a fifth of a percent.
const SPARING: u32 = 500;
/// How often the clock is shown anew, and what pets use is measured.
const SECOND: Duration = Duration::from_secs(1);
/// How often memory is measured, and everything is read again: a runner that was killed while
/// there is no supervisor changes no file.
const NOW_AND_THEN: Duration = Duration::from_secs(10);
/// Changes that follow each other as fast are shown together.
const TOGETHER: Duration = Duration::from_millis(50);
/// How many events and lines are read for what is chosen.
const LINES: usize = 40;

/// Something that is done again and again, but never for more than a small part of the time.
#[derive(Debug, Clone, Copy)]
struct Chore {
    at_least: Duration,
    sparing: u32,
    next: Instant,
}

impl Chore {
    fn every(at_least: Duration, sparing: u32) -> Self {
        Self {
            at_least,
            sparing,
            next: Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    fn done(&mut self, begun: Instant) {
        let pause = self.at_least.max(begun.elapsed() * self.sparing);
        self.next = Instant::now() + pause;
    }
}

/// The view that is open.
pub(super) struct Watching<'s> {
    session: &'s Session,
    cache: Cache<'s>,
    scene: Scene,
    replay: Option<Replay>,
    meter: Meter,
    usages: Usages,
    /// Whose log is watched.
    logged: Option<Chosen>,
    reading: Chore,
    rereading: Chore,
    telling: Chore,
    measuring: Chore,
    weighing: Chore,
    wants_detail: bool,
}

impl<'s> Watching<'s> {
    pub(super) fn new(session: &'s Session, cache: Cache<'s>, scene: Scene, slow: bool) -> Self {
        let mut watching = Self {
            session,
            replay: slow.then(|| Replay::starting_at(&scene.snapshot)),
            cache,
            scene,
            meter: Meter::default(),
            usages: Usages::new(),
            logged: None,
            reading: Chore::every(TOGETHER, 10),
            rereading: Chore::every(NOW_AND_THEN, SPARING),
            telling: Chore::every(TOGETHER, 50),
            measuring: Chore::every(SECOND, SPARING),
            weighing: Chore::every(NOW_AND_THEN, SPARING),
            wants_detail: true,
        };
        watching.rereading.done(Instant::now());
        watching.recall();
        watching
    }

    /// Fills the timeline from the journals.
    fn recall(&mut self) {
        for namespace in &self.cache.namespaces {
            let events = Scope::All.events_in(self.session, namespace);
            let events = events.unwrap_or_default();
            let (timeline, snapshot) = (&mut self.scene.timeline, &self.scene.snapshot);
            timeline.recall(namespace.as_str(), &events, snapshot);
        }
        self.scene.timeline.note(&mut self.scene.snapshot);
    }

    /// Shows the view until the user has seen enough.
    pub(super) fn run(mut self, screen: &mut Screen) -> Result<()> {
        let signals = CaughtSignals::catch().context("cannot receive signals")?;
        self.scene.recording = screen.recorder.is_some();
        loop {
            self.catch_up()?;
            self.scene.now = Timestamp::now();
            self.scene.behind = self.replay.as_ref().map(Replay::behind);
            screen.show(draw(&self.scene, screen.size()))?;
            let pressed = self.wait(&signals)?;
            if signals.quit() || pressed.is_none() {
                return Ok(());
            }
            if signals.changed() {
                screen.refresh()?;
            }
            for key in keys(&pressed.unwrap_or_default()) {
                let deed = press(&mut self.scene, key, screen.size().1);
                self.wants_detail = true;
                if !self.perform(deed, screen)? {
                    return Ok(());
                }
            }
        }
    }

    /// Reads and measures what it is time for.
    fn catch_up(&mut self) -> Result<()> {
        let begun = Instant::now();
        if self.rereading.is_due() {
            self.cache.read_all()?;
            self.rereading.done(begun);
            self.take();
        } else if self.cache.stale.has_objects() && self.reading.is_due() {
            self.cache.refresh()?;
            self.take();
            self.reading.done(begun);
        }
        if let Some(shown) = self.replay.as_mut().and_then(|it| it.next(Instant::now())) {
            self.present(shown);
        }
        if self.measuring.is_due() {
            self.measure();
        }
        let told = self.cache.stale.events || self.cache.stale.log || self.wants_detail;
        if told && self.telling.is_due() {
            let begun = Instant::now();
            self.tell();
            self.telling.done(begun);
        }
        Ok(())
    }

    /// Takes what was read: to be shown now, or step by step.
    fn take(&mut self) {
        let snapshot = Snapshot::of(&self.cache.seen, Timestamp::now());
        match &mut self.replay {
            Some(replay) => replay.add(snapshot),
            None => self.present(snapshot),
        }
    }

    fn present(&mut self, mut snapshot: Snapshot) {
        snapshot.time = Timestamp::now();
        snapshot.put_usage(&self.usages);
        self.scene.timeline.note(&mut snapshot);
        self.scene.snapshot = snapshot;
        self.scene.choose_something();
    }

    fn measure(&mut self) {
        let begun = Instant::now();
        let memory = self.weighing.is_due();
        self.usages = self
            .meter
            .measure(self.session, &self.cache.seen.pods, memory);
        self.scene.snapshot.put_usage(&self.usages);
        match memory {
            true => self.weighing.done(begun),
            false => self.measuring.done(begun),
        }
        if memory {
            self.measuring.done(Instant::now());
        }
    }

    /// Reads what is told of what is chosen, or fills the page that covers the view.
    fn tell(&mut self) {
        (self.cache.stale.events, self.cache.stale.log) = (false, false);
        self.wants_detail = false;
        if let InputMode::Page(page) = &mut self.scene.mode {
            if !page.words.is_empty() {
                fill(self.session, page);
            }
            return;
        }
        let detail = &mut self.scene.detail;
        let Some(chosen) = self.scene.chosen.clone() else {
            (detail.events, detail.log) = (Vec::new(), Vec::new());
            return;
        };
        detail.events = events_of(self.session, &chosen);
        detail.log = Vec::new();
        let Chosen::Pet((namespace, name)) = &chosen else {
            return;
        };
        let words = ["logs", &format!("pod/{name}"), "--tail", &LINES.to_string()];
        let words = words.map(str::to_owned);
        let output = petset(self.session, namespace, &words).output();
        let output = output.map(|output| output.stdout).unwrap_or_default();
        detail.log = lines(&output);
        if self.logged.as_ref() != Some(&chosen) {
            if let Ok(namespace) = namespace.parse() {
                self.cache.watch_log(&namespace, name);
            }
            self.logged = Some(chosen);
        }
    }

    /// Does what a key asks for; returns whether the view goes on.
    fn perform(&mut self, deed: Deed, screen: &mut Screen) -> Result<bool> {
        match deed {
            Deed::Nothing => {}
            Deed::Quit => return Ok(false),
            Deed::Redraw => screen.refresh()?,
            Deed::Suspend => {
                // The terminal is given back by the handler of the signal.
                let _ = kill_process(getpid(), Signal::TSTP);
                screen.refresh()?;
            }
            Deed::Run(namespace, words) => {
                self.scene.answer = Some(answer(self.session, &namespace, &words));
            }
            Deed::Lend(namespace, words) => {
                let mut command = petset(self.session, &namespace, &words);
                let ended = screen.lend(|| command.status())?;
                if let Err(error) = ended {
                    self.scene.answer = Some((false, error.to_string()));
                }
            }
            Deed::Fill => self.tell(),
            Deed::Slow => match self.replay.take() {
                Some(mut replay) => {
                    if let Some(last) = replay.skip() {
                        self.present(last);
                    }
                }
                None => self.replay = Some(Replay::starting_at(&self.scene.snapshot)),
            },
        }
        Ok(true)
    }

    /// Waits for something to do; returns what was typed, and nothing where the terminal is gone.
    fn wait(&mut self, signals: &CaughtSignals) -> Result<Option<Vec<u8>>> {
        let timeout = self.until().saturating_duration_since(Instant::now());
        let timeout = timeout + Duration::from_millis(1);
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        });
        let (terminal, watch) = (stdin(), self.cache.as_fd());
        let mut fds = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::new(&watch, PollFlags::IN),
            PollFd::new(&signals.changed, PollFlags::IN),
            PollFd::new(&signals.quit, PollFlags::IN),
        ];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
        let typed = !fds[0].revents().is_empty();
        self.cache.notice()?;
        if !typed {
            return Ok(Some(Vec::new()));
        }
        let mut buffer = [0; 256];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(buffer[..length].to_vec())),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Some(Vec::new())),
            // Its other end is closed.
            Err(Errno::IO) => Ok(None),
            Err(error) => Err(error).context("cannot read from the terminal"),
        }
    }

    /// Returns when there is something to do without a key or a change.
    fn until(&self) -> Instant {
        let mut until = Instant::now() + SECOND;
        let stale = &self.cache.stale;
        if stale.has_objects() {
            until = until.min(self.reading.next);
        }
        if stale.events || stale.log || self.wants_detail {
            until = until.min(self.telling.next);
        }
        let step = self.replay.as_ref().and_then(Replay::due);
        let all = [self.rereading.next, self.measuring.next];
        let all = all.into_iter().chain(step);
        all.fold(until, Instant::min)
    }
}

/// CaughtSignals as they come.
struct CaughtSignals {
    /// The terminal has another size, or is ours again.
    changed: UnixStream,
    quit: UnixStream,
}

impl CaughtSignals {
    fn catch() -> std::io::Result<Self> {
        let catch = |signals: [i32; 2]| -> std::io::Result<UnixStream> {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            for signal in signals {
                pipe::register(signal, theirs.try_clone()?)?;
            }
            Ok(ours)
        };
        Ok(Self {
            changed: catch([SIGWINCH, SIGCONT])?,
            quit: catch([SIGINT, SIGQUIT])?,
        })
    }

    fn changed(&self) -> bool {
        came(&self.changed)
    }

    fn quit(&self) -> bool {
        came(&self.quit)
    }
}

fn came(mut stream: &UnixStream) -> bool {
    stream.read(&mut [0; 64]).is_ok_and(|length| length > 0)
}

/// Returns a command of petset about the same state directory.
fn petset(session: &Session, namespace: &str, words: &[String]) -> std::process::Command {
    let mut command = Role::Command.command();
    command
        .arg("--state-dir")
        .arg(session.store.layout().root());
    command.args(["--namespace", namespace, "--lock-timeout", "3s"]);
    command.args(words);
    command
}

/// Runs a verb; returns whether it succeeded, and what it said.
fn answer(session: &Session, namespace: &str, words: &[String]) -> (bool, String) {
    let mut command = petset(session, namespace, words);
    match command.stdin(Stdio::null()).output() {
        Err(error) => (false, error.to_string()),
        Ok(output) => {
            let said = match output.status.success() {
                true => output.stdout,
                false => output.stderr,
            };
            (output.status.success(), lines(&said).join("  "))
        }
    }
}

/// Has petset print a page.
fn fill(session: &Session, page: &mut PageShown) {
    let mut command = petset(session, &page.namespace, &page.words);
    page.lines = match command.stdin(Stdio::null()).output() {
        Err(error) => vec![error.to_string()],
        Ok(output) => [lines(&output.stdout), lines(&output.stderr)].concat(),
    };
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::to_owned).collect()
}

/// Returns the last events of a workload, or of a pet.
fn events_of(session: &Session, chosen: &Chosen) -> Vec<EventLine> {
    let (namespace, scope) = match chosen {
        Chosen::Workload((namespace, full)) => {
            let (kind, name) = full.split_once('/').unwrap_or(("", full));
            let scope = match kind {
                "sts" => Scope::Set(name.to_owned()),
                kind => Scope::named(kind, name),
            };
            (namespace, scope)
        }
        Chosen::Pet((namespace, name)) => (namespace, Scope::named("pod", name)),
    };
    let Ok(namespace) = namespace.parse::<Namespace>() else {
        return Vec::new();
    };
    let all = scope.events_in(session, &namespace).unwrap_or_default();
    let last = all.len().saturating_sub(LINES);
    let line = |event: &crate::store::journal::Event| EventLine {
        time: event.time,
        warning: event.severity == Severity::Warning,
        text: match chosen {
            Chosen::Pet(_) => format!("{}: {}", event.reason, event.text()),
            Chosen::Workload(_) => format!("{} {}: {}", event.object, event.reason, event.text()),
        },
    };
    all[last..].iter().map(line).collect()
}
