//! The logs of everything that is up, and what becomes of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::styling::{AnsiColor, Style};
use k8s_openapi::api::core::v1::Pod;

use crate::cli::shared::attended::Attendance;
use crate::cli::shared::log_stream::LogStream;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::waiting::{Goal, GoalState};
use crate::cli::shared::watcher::Watcher;
use crate::cli::shared::{containers, pods, render};
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::{Namespace, ObjectRef};
use crate::problem::{Result, report};
use crate::sorted::SortedSet;
use crate::supervisor;

/// How long a change may be missed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The colours of pets, one after the other.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];

/// A container whose log is shown.
struct ShownLog {
    uid: String,
    container: String,
    stream: LogStream,
}

/// What is up, as it is seen.
pub(super) struct LiveLogs<'a> {
    session: &'a Session,
    /// What runs pods, as it is stored.
    objects: Vec<Object>,
    goals: Vec<Goal>,
    has_prefix: bool,
    watcher: Watcher,
    shown: Vec<ShownLog>,
    /// The pets that have a colour.
    coloured: Vec<String>,
    /// The length of the longest name so far.
    width: usize,
    is_ready: bool,
    /// Whether all that ran has ended for good.
    pub(super) is_over: bool,
    /// Why something does not become ready.
    pub(super) trouble: Option<anyhow::Error>,
}

impl<'a> LiveLogs<'a> {
    pub(super) fn begin(session: &'a Session, given: &[Object], has_prefix: bool) -> Result<Self> {
        let mut objects = Vec::new();
        for object in given {
            let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
            objects.extend(match object.pod_spec() {
                Some(_) => session.item(object.kind(), &namespace, &name)?,
                None => None,
            });
        }
        let mut watcher = Watcher::for_reader()?;
        watcher.guard(supervisor::lifeline(session.store.layout()));
        Ok(Self {
            session,
            goals: Goal::all_of(&objects),
            objects,
            has_prefix,
            watcher,
            shown: Vec::new(),
            coloured: Vec::new(),
            width: 0,
            is_ready: false,
            is_over: false,
            trouble: None,
        })
    }

    /// Shows what was written since the last look; while it is `up`, also how far it is.
    pub(super) fn look(&mut self, up: bool) -> Result<()> {
        self.watch()?;
        let pods = self.pods()?;
        for pod in &pods {
            self.show(pod)?;
        }
        for one in &mut self.shown {
            one.stream.print_new()?;
        }
        let lives = |one: &ShownLog| {
            pods.iter()
                .any(|pod| pod.metadata.uid.as_ref() == Some(&one.uid))
        };
        let (alive, dead): (Vec<ShownLog>, Vec<ShownLog>) = self.shown.drain(..).partition(lives);
        self.shown = alive;
        dead.into_iter().try_for_each(|one| one.stream.end())?;
        if up {
            self.judge(&pods);
        }
        Ok(())
    }

    /// Shows the rest.
    pub(super) fn end(&mut self) -> Result<()> {
        for mut one in self.shown.drain(..) {
            one.stream.print_new()?;
            one.stream.end()?;
        }
        Ok(())
    }

    /// Waits for a change, a signal, or the end of a child.
    pub(super) fn wait(&mut self, attendance: &Attendance, child: Option<&OwnedFd>) -> Result<()> {
        let others = attendance.receivers().map(AsFd::as_fd);
        let others: Vec<_> = others.chain(child.map(AsFd::as_fd)).collect();
        self.watcher
            .wait_for(Some(Instant::now() + LOOK_AGAIN), &others)?;
        if self.watcher.supervisor_ended() && child.is_none() {
            // It may have ended because nothing is left to do; if not, a new one takes over.
            self.session.wake_supervisor()?;
            let lifeline = supervisor::lifeline(self.session.store.layout());
            self.watcher.guard(lifeline);
        }
        Ok(())
    }

    /// Notes whether everything is ready, or over.
    fn judge(&mut self, pods: &[Pod]) {
        let (mut waits, mut trouble) = (false, None);
        for goal in &self.goals {
            match self.session.progress(goal) {
                Ok(GoalState::Reached) => {}
                Ok(GoalState::Waiting(_)) => waits = true,
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble.as_ref().filter(|_| self.trouble.is_none()) {
            let why = report(error);
            say(format!(
                "warning: {}",
                why.trim_start_matches("error: ").trim_end()
            ));
        }
        self.trouble = trouble;
        let ends = [ObjectKind::Pod, ObjectKind::Workload(WorkloadKind::Job)];
        let lasts = |object: &Object| !ends.contains(&object.kind());
        let all_ended = !pods.is_empty() && pods.iter().all(pods::has_ended);
        self.is_over = !waits && all_ended && !self.objects.iter().any(lasts);
        if !waits && !self.is_ready && self.trouble.is_none() && !self.is_over {
            self.is_ready = true;
            say("Everything is ready; Ctrl-C takes it down.");
        }
    }

    /// Returns the pods that belong to what is up.
    fn pods(&self) -> Result<Vec<Pod>> {
        let mut all = Vec::new();
        for object in &self.objects {
            let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
            if let Object::Workload(owner) = object {
                all.extend(self.session.pods_of_workload(&namespace, owner)?);
            } else if object.kind() == ObjectKind::StatefulSet {
                all.extend(self.session.pets_of(&namespace, name.as_str())?);
            } else {
                all.extend(self.session.pet(&namespace, &name)?);
            }
        }
        Ok(all)
    }

    /// Begins to show the logs of a pod that are not shown yet.
    fn show(&mut self, pod: &Pod) -> Result<()> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let all = containers::all(pod);
        for container in &all {
            let known = |one: &ShownLog| one.uid == uid && one.container == *container;
            if self.shown.iter().any(known) {
                continue;
            }
            let files = self.session.files(pod);
            let prefix = self.prefix(pod, container, all.len());
            let mut stream = LogStream::new(files.log(container), prefix)
                .across_restarts(files.previous_log(container));
            stream.begin(None)?;
            self.shown.push(ShownLog {
                uid: uid.clone(),
                container: container.clone(),
                stream,
            });
        }
        Ok(())
    }

    /// Returns what stands before each line: `web-0 | `.
    fn prefix(&mut self, pod: &Pod, container: &str, containers: usize) -> Option<String> {
        if !self.has_prefix {
            return None;
        }
        let pet = pod.metadata.name.clone().unwrap_or_default();
        let name = match containers {
            1 => pet.clone(),
            _ => format!("{pet}/{container}"),
        };
        self.width = self.width.max(name.len());
        let at = self.coloured.iter().position(|it| *it == pet);
        let at = at.unwrap_or_else(|| {
            self.coloured.push(pet);
            self.coloured.len() - 1
        });
        let style = match render::shows_colours() {
            true => Style::new().fg_color(Some(COLOURS[at % COLOURS.len()].into())),
            false => Style::new(),
        };
        Some(format!(
            "{style}{name:width$} |{style:#} ",
            width = self.width
        ))
    }

    fn watch(&mut self) -> Result<()> {
        let layout = self.session.store.layout();
        let spaces = self.objects.iter().map(Object::namespace);
        let spaces: SortedSet<String> = spaces.map(ToOwned::to_owned).collect();
        let mut places: Vec<PathBuf> = Vec::new();
        for space in spaces {
            let namespace: Namespace = space.parse()?;
            places.push(layout.pets_of(&namespace));
            places.push(layout.set_statuses(&namespace));
            for kind in WorkloadKind::ALL {
                places.push(layout.workload_statuses(&namespace, kind));
            }
        }
        for pod in self.pods()? {
            let files = self.session.files(&pod);
            places.extend([files.root().to_owned(), files.logs()]);
        }
        self.watcher.watch(&places)
    }
}
