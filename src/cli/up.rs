//! `petset up`

mod attached;

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use clap::Args as ClapArgs;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use self::attached::LiveLogs;
use super::shared::attended::Attendance;
use super::shared::exit::PassedThrough;
use super::shared::files;
use super::shared::render::Document;
use super::shared::session::{Session, say};
use crate::model::environment::STATE_DIR_VARIABLE;
use crate::model::object::Object;
use crate::problem::Result;
use crate::role::Role;
use crate::yaml;

/// Bring up what manifests say, show all logs, and take it down at Ctrl-C
///
/// The manifests are applied, and every line that a pet writes is shown after its name. Ctrl-C
/// deletes what the manifests have, as `petset delete -f` does: pets stop in reverse order, their
/// logs are shown to the end, and their volumes stay for the next time. A second Ctrl-C kills them.
/// Where there are only Jobs and pods that end, it ends with them. If petset itself is killed, the
/// pets run on, as with `docker compose up`: `petset delete -f FILE` ends them.
///
/// The exit code is 130 after Ctrl-C (143 after SIGTERM), and 5 if a Job has failed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset up -f etcd.yaml
  helm template CHART | petset up -f -")]
pub(crate) struct Args {
    /// Manifest to read: a file, a directory, or - for standard input; may be repeated
    #[arg(
        short,
        long,
        required = true,
        value_name = "FILE",
        value_hint = clap::ValueHint::AnyPath
    )]
    filename: Vec<PathBuf>,
    /// Isolation of the pets from the host
    #[arg(long, value_name = "LEVEL", value_parser = ["auto", "full", "none"])]
    isolation: Option<String>,
    /// Print no names before the lines
    #[arg(long)]
    no_log_prefix: bool,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    session.store.expect_own()?;
    // Signals are received before there is anything to take down.
    let attendance = Attendance::begin().context("cannot receive signals")?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let given = given_files(&args.filename, scratch.path())?;
    let objects = files::load(session, &given)?.objects;
    let down = scratch.path().join("down.yaml");
    fs::write(&down, text_of(&objects)?).context("cannot write a temporary file")?;
    let stay = AttachedRun {
        session,
        attendance,
        down,
    };
    let mut apply = stay.petset("apply");
    for file in &given {
        apply.arg("-f").arg(file);
    }
    if let Some(level) = &args.isolation {
        apply.args(["--isolation", level]);
    }
    let applied = stay.attendance.run(apply.arg("--no-wait"));
    let applied = applied.context("cannot run petset apply")?;
    if stay.attendance.first().is_none() && !applied.success() {
        let code = applied.code().and_then(|code| u8::try_from(code).ok());
        return Err(PassedThrough(code.unwrap_or(1)).into());
    }
    let attached = LiveLogs::begin(session, &objects, !args.no_log_prefix)?;
    stay.attend(attached)
}

/// Returns the files to read; what comes by standard input is kept in one.
fn given_files(asked: &[PathBuf], scratch: &Path) -> Result<Vec<PathBuf>> {
    let mut given = asked.to_vec();
    for file in given.iter_mut().filter(|it| it.as_os_str() == "-") {
        let mut text = Vec::new();
        let mut stdin = std::io::stdin().lock();
        stdin
            .read_to_end(&mut text)
            .context("cannot read a manifest from standard input")?;
        *file = scratch.join("stdin.yaml");
        fs::write(&*file, text).context("cannot write a temporary file")?;
    }
    Ok(given)
}

/// Returns the manifest of what is taken down: all but what holds data.
fn text_of(objects: &[Object]) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        if matches!(
            object,
            Object::PersistentVolumeClaim(_)
                | Object::PersistentVolume(_)
                | Object::StorageClass(_)
        ) {
            continue;
        }
        text.push_str("---\n");
        text.push_str(&yaml::to_string(&Document::of_object(object)?)?);
    }
    Ok(text)
}

/// What is up, until a signal takes it down.
struct AttachedRun<'a> {
    session: &'a Session,
    attendance: Attendance,
    /// The manifest of what is taken down.
    down: PathBuf,
}

impl AttachedRun<'_> {
    /// Returns a command of petset's about this state directory.
    fn petset(&self, verb: &str) -> Command {
        let mut command = Role::Command.command();
        let namespace = self.session.namespace.to_string();
        command.args([verb, "--namespace", &namespace]);
        command.env(STATE_DIR_VARIABLE, self.session.store.layout().root());
        command
    }

    /// Shows logs until everything is down.
    fn attend(&self, mut attached: LiveLogs<'_>) -> Result<()> {
        let mut down: Option<Child> = None;
        let mut heard = 0;
        loop {
            attached.look(down.is_none())?;
            if let Some(child) = &mut down
                && let Some(status) = child.try_wait().context("cannot take it down")?
            {
                attached.end()?;
                if !status.success() {
                    let code = status.code().and_then(|code| u8::try_from(code).ok());
                    return Err(PassedThrough(code.unwrap_or(1)).into());
                }
                return self.outcome(attached.trouble);
            }
            let came = self.attendance.count();
            if came > heard || (attached.is_over && down.is_none()) {
                heard = came;
                down = Some(self.take_down(down, came)?);
            }
            let ended = down.as_ref().and_then(|child| {
                let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
                pidfd_open(pid, PidfdFlags::empty()).ok()
            });
            attached.wait(&self.attendance, ended.as_ref())?;
        }
    }

    /// Takes everything down; the second time at once.
    fn take_down(&self, before: Option<Child>, signals: u32) -> Result<Child> {
        let mut delete = self.petset("delete");
        delete.arg("--ignore-not-found").arg("-f").arg(&self.down);
        match (before, signals) {
            (Some(mut child), _) => {
                say("Killing everything.");
                // One that has ended meanwhile is as good.
                let _ = child.kill();
                let _ = child.wait();
                delete.arg("--force");
            }
            (None, 0) => {}
            (None, _) => say("Taking everything down; Ctrl-C again kills it."),
        }
        // Ctrl-C must not end it: this process decides.
        delete.process_group(0).stdin(Stdio::null());
        delete.spawn().context("cannot run petset delete")
    }

    /// Returns how it ended: by a signal, or by itself.
    fn outcome(&self, trouble: Option<anyhow::Error>) -> Result<()> {
        match (self.attendance.first(), trouble) {
            (Some(signal), _) => Err(PassedThrough(code_of(signal)).into()),
            (None, Some(trouble)) => Err(trouble),
            (None, None) => Ok(()),
        }
    }
}

/// Returns the exit code of a shell for a signal.
fn code_of(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}
