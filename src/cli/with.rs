//! `petset with`

mod variables;

use std::fs;
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args as ClapArgs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::shared::attended::Attendance;
use super::shared::exit::PassedThrough;
use super::shared::global::Global;
use super::shared::session::{Session, say, say_all};
use crate::model::environment::STATE_DIR_VARIABLE;
use crate::model::{Namespace, SetName};
use crate::problem::{Problem, Result};
use crate::role::{self, Role};
use crate::store::damage::open_regular;
use crate::store::{self, Layout, OwnerFile};
use crate::supervisor;
use crate::sys::proc::ProcessId;

/// What the names of the state directories begin with, in the directory for temporary files.
const PREFIX: &str = "petset-with-";
/// How long the state directory may take to be removed, and its supervisor to end after that.
const END: Duration = Duration::from_secs(5);

/// Run a command with sets that are there only as long as the command
///
/// The sets get a state directory of their own. When everything is ready, the command is run, with
/// PETSET_STATE_DIR and the addresses of the pets in its environment: ETCD_0_ADDRESS and so on for
/// each pet of the set etcd, ETCD_PEERS for all of them with their first port, and
/// NAME_SERVICE_HOST and NAME_SERVICE_PORT for each service. At its end, at Ctrl-C, and even if
/// petset is killed, the pets are stopped and everything is removed. petset ends with the exit
/// code of the command.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset with -f etcd.yaml -- make integration-test
  petset with -f etcd.yaml --scale etcd=5 -- sh -c 'etcdctl --endpoints $ETCD_PEERS member list'
  petset with -f web.yaml --keep --logs ./logs -- ./smoke-test")]
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
    /// Number of replicas of a set, such as etcd=5; may be repeated
    #[arg(long, value_name = "SET=N")]
    scale: Vec<Scale>,
    /// Isolation of the pets from the host
    #[arg(long, value_name = "LEVEL", value_parser = ["auto", "full", "none"])]
    isolation: Option<String>,
    /// How long to wait until everything is ready
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: String,
    /// Keep everything running if something fails, for a look
    #[arg(long)]
    keep: bool,
    /// Directory to copy the logs of the pets to
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Command to run, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The number of replicas of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scale {
    set: SetName,
    replicas: u32,
}

impl FromStr for Scale {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let parts = text.split_once('=');
        let replicas = parts.and_then(|(_, number)| number.parse().ok());
        match (parts, replicas) {
            (Some((set, _)), Some(replicas)) => Ok(Self {
                set: set.parse()?,
                replicas,
            }),
            _ => Err(Problem::invalid(format!(
                "{text:?} is not of the form etcd=5"
            ))),
        }
    }
}

/// Runs the command with its sets.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let namespace = global.namespace.clone().unwrap_or_default();
    sweep(&std::env::temp_dir());
    let stay = Stay::begin(namespace)?;
    let outcome = stay.run(args);
    let (failed, logs) = (!matches!(outcome, Ok(0)), args.logs.as_deref());
    if failed && args.keep {
        stay.keep(logs)?;
    } else {
        stay.end(logs)?;
    }
    match outcome? {
        0 => Ok(()),
        code => Err(PassedThrough(code).into()),
    }
}

/// A state directory for the length of this process.
struct Stay {
    layout: Layout,
    namespace: Namespace,
    attendance: Attendance,
}

/// A command that brings things up.
struct BringUp {
    command: Command,
    /// Whether it has the standard input and says what it does; what another says is shown if it
    /// fails.
    is_shown: bool,
}

impl Stay {
    fn begin(namespace: Namespace) -> Result<Self> {
        // Signals are received before there is anything to clean up.
        let attendance = Attendance::begin().context("cannot receive signals")?;
        let own = ProcessId::of(std::process::id())?;
        let prefix = format!("{PREFIX}{}-{}-", own.pid, own.start);
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir();
        let dir = dir.context("cannot make a state directory")?;
        let layout = Layout::new(dir.keep());
        let owned = OwnerFile::of(&layout).write();
        owned.context("cannot write who owns the state directory")?;
        Ok(Self {
            layout,
            namespace,
            attendance,
        })
    }

    /// Returns a command of petset's about this state directory. Standard output is the user's
    /// command's alone.
    fn petset(&self, words: &[&str]) -> Command {
        let mut command = Role::Command.command();
        command
            .args(words)
            .arg("--namespace")
            .arg(self.namespace.to_string());
        command.env(STATE_DIR_VARIABLE, self.layout.root());
        command.stdout(Stdio::null());
        command
    }

    /// Brings everything up and runs the user's command; returns the exit code.
    fn run(&self, args: &Args) -> Result<u8> {
        let prepared = self.prepare(args)?;
        if !prepared.success() {
            say("note: not everything became ready, so the command was not run");
            return Ok(code_of(prepared));
        }
        let (program, words) = args.command.split_first().context("no command to run")?;
        let mut command = Command::new(program);
        let session = Session::of_dir(self.layout.root(), self.namespace.clone())?;
        command.args(words).envs(variables::of(&session)?);
        command.env(STATE_DIR_VARIABLE, self.layout.root());
        if let Some(program) = role::own_file() {
            command.env("PETSET", program);
        }
        self.attendance
            .run(&mut command)
            .map(code_of)
            .or_else(|error| {
                say(format!("error: cannot run {program}: {error}"));
                // As a shell has it.
                Ok(if error.kind() == ErrorKind::NotFound {
                    127
                } else {
                    126
                })
            })
    }

    /// Brings everything up; returns how the last command ended.
    fn prepare(&self, args: &Args) -> Result<ExitStatus> {
        let mut status = ExitStatus::default();
        for mut preparation in self.preparations(args) {
            let command = &mut preparation.command;
            let mut said = tempfile::tempfile().context("cannot make a temporary file")?;
            if !preparation.is_shown {
                command.stdin(Stdio::null()).stderr(said.try_clone()?);
            }
            status = self.attendance.run(command)?;
            if !status.success() {
                let mut words = String::new();
                said.rewind()
                    .and_then(|()| said.read_to_string(&mut words))?;
                say_all(&words);
                break;
            }
        }
        Ok(status)
    }

    /// Returns the commands that bring everything up. Sets that are scaled are created while
    /// everything is stopped, so that only the pets that are wanted are started.
    fn preparations(&self, args: &Args) -> Vec<BringUp> {
        let mut create = self.petset(&["create"]);
        for file in &args.filename {
            create.arg("-f").arg(file);
        }
        if let Some(level) = &args.isolation {
            create.args(["--isolation", level]);
        }
        let shown = |command| BringUp {
            command,
            is_shown: true,
        };
        if args.scale.is_empty() {
            create.args(["--timeout", &args.timeout]);
            return vec![shown(create)];
        }
        let silent = |command| BringUp {
            command,
            is_shown: false,
        };
        create.arg("--no-wait");
        let mut all = vec![silent(self.petset(&["stop"])), shown(create)];
        for Scale { set, replicas } in &args.scale {
            let number = replicas.to_string();
            let words = ["scale", set.as_str(), "--no-wait", "--replicas", &number];
            all.push(silent(self.petset(&words)));
        }
        let start = self.petset(&["start", "--timeout", &args.timeout]);
        all.push(shown(start));
        all
    }

    /// Stops the pets and removes everything. A second Ctrl-C skips the grace of the pets.
    fn end(self, logs: Option<&Path>) -> Result<()> {
        let mut stop = self.petset(&["stop", "--parallel"]);
        // Ctrl-C must not end it: this process decides.
        stop.process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let _ = self.attendance.run(&mut stop);
        logs.map_or(Ok(()), |logs| self.copy_logs(logs))?;
        let supervisor = supervisor::lifeline(&self.layout);
        let root = self.layout.root();
        store::remove_tree_in_use(root, END)
            .with_context(|| format!("cannot remove {}", root.display()))?;
        if let Some(supervisor) = supervisor {
            let mut fds = [PollFd::new(&supervisor, PollFlags::IN)];
            let limit = Timespec::try_from(END).ok();
            let _ = poll(&mut fds, limit.as_ref());
        }
        Ok(())
    }

    /// Lets everything run on, for a look.
    fn keep(self, logs: Option<&Path>) -> Result<()> {
        logs.map_or(Ok(()), |logs| self.copy_logs(logs))?;
        OwnerFile::of(&self.layout).keep()?;
        let root = self.layout.root().display();
        say(format!(
            "Everything is kept, and runs on: export {STATE_DIR_VARIABLE}={root}\n\
             hint: look with `petset get all`; `petset stop` and `rm -r {root}` end it"
        ));
        Ok(())
    }

    /// Copies the logs to `<dir>/<namespace>/<pod>/`.
    fn copy_logs(&self, to: &Path) -> Result<()> {
        let pets = self.layout.pets();
        for namespace in store::names_in(&pets)? {
            for pod in store::names_in(&pets.join(&namespace))? {
                let own: Namespace = namespace.parse()?;
                let logs = self.layout.pet(&own, &pod).logs();
                let into = to.join(&namespace).join(&pod);
                let context = || format!("cannot copy logs to {}", into.display());
                fs::create_dir_all(&into).with_context(context)?;
                for log in store::names_in(&logs)? {
                    // A log that was turned over meanwhile is there by its new name.
                    let _ = copy_file(&logs.join(&log), &into.join(&log));
                }
            }
        }
        Ok(())
    }
}

/// Copies a regular file; anything else in its place is not waited for.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = open_regular(from)?;
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let mut to = options.mode(0o600).open(to)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// Returns an exit code as a shell has it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code();
    let code = code.unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}

/// Removes what earlier commands left that were killed before they had a supervisor.
fn sweep(temporary: &Path) {
    for name in store::names_in(temporary).unwrap_or_default() {
        let Some(maker) = maker_of(&name) else {
            continue;
        };
        let layout = Layout::new(temporary.join(&name));
        let kept = OwnerFile::of(&layout).is_kept();
        if !kept && !maker.is_alive() && !supervisor::is_running(&layout) {
            // That of another user is closed to this one.
            let _ = store::remove_tree(layout.root());
        }
    }
}

/// Returns the process that has made a directory of this name.
fn maker_of(name: &str) -> Option<ProcessId> {
    let mut words = name.strip_prefix(PREFIX)?.split('-');
    Some(ProcessId {
        pid: words.next()?.parse().ok()?,
        start: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_its_maker() {
        let maker = maker_of("petset-with-12-345-aB3").unwrap();
        assert_eq!((maker.pid, maker.start), (12, 345));
        assert_eq!(maker_of("petset-with-aB3"), None);
        assert_eq!(maker_of("other-12-345-aB3"), None);
    }

    #[test]
    fn a_scale_names_a_set_and_a_number() {
        let scale: Scale = "etcd=5".parse().unwrap();
        assert_eq!((scale.set.as_str(), scale.replicas), ("etcd", 5));
        for wrong in ["etcd", "etcd=", "=5", "etcd=x", "etcd=-1"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }
}
