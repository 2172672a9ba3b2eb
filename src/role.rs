//! The processes of petset: one program, and the role that each process of it plays.
//!
//! | role | started by | how many | may write, mainly | ends |
//! | --- | --- | --- | --- | --- |
//! | `Command` | the user | one a call | wanted objects, under the lock | with its answer |
//! | `PeerFinder` | a container | one a call | nothing | after its last hook |
//! | `Supervisor` | a command | one a state directory | pods, claims, reports | with the last pet |
//! | `Nursery` | the supervisor | one a supervisor | nothing | with the supervisor |
//! | `Runner` | the nursery | one a pet | the pet's directory | with its pet |
//! | `Network` | a runner | one a state directory | `network/` | after its last runner |
//! | `Proxy` | the supervisor | one a state directory | detours | after the supervisor |
//! | `Hello` | a runner | one a container | a counter in its volume | when it is stopped |
//! | `UsernsHelper` | a command, a runner | one a task | files of subordinate ids | with its task |
//!
//! A runner is a child of the supervisor too, which executes it where there is no nursery.
//! Which file has which writers is the table of [`crate::store`].
//! The background roles outlive the process that starts them, and each may be killed at any
//! instant. Forks of a runner that only make or enter namespaces have no role; one of them stays,
//! `petset-init` in a process list, where the containers of a pet share their processes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;

use crate::sys::{self, SealedProgram, proc};

/// The `argv[0]` of every process that petset starts from its own program.
pub(crate) const NAME: &str = "petset";
/// The program of this process; the link stays valid when the file is replaced.
pub(crate) const SELF: &str = "/proc/self/exe";

/// The variable that tells a process whose program is sealed where the file of it is.
const FILE_VARIABLE: &str = "PETSET_PROGRAM";
/// The program that is executed for whatever enters a pet.
static SEALED: OnceLock<SealedProgram> = OnceLock::new();

/// The name of Kubernetes' old program for init containers: a process with this `argv[0]` has the
/// role `PeerFinder`.
pub(crate) const PEER_FINDER: &str = "peer-finder";

/// The role of a process of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// One verb of the command line, such as `petset create`.
    Command,
    /// A replacement for Kubernetes' old `peer-finder`, started by containers under that name.
    PeerFinder,
    /// The controller of a state directory: `petset supervisor <state-dir>`.
    Supervisor,
    /// Forks the runners: `petset nursery <state-dir> <blanks>`.
    Nursery,
    /// The kubelet of one pet: `petset runner <state-dir> <namespace> <pod>`.
    Runner,
    /// Holds the private network of the isolated pets: `petset network <state-dir>`.
    Network,
    /// Offers the `ClusterIP` services on the host: `petset proxy <state-dir>`.
    Proxy,
    /// The built-in image `petset/hello`: `petset hello [<port>]`.
    Hello,
    /// Does one task inside a user namespace: `petset userns-helper <namespace> <task> <object>`.
    UsernsHelper,
}

impl Role {
    /// The roles that are selected by the first argument.
    const NAMED: [Self; 7] = [
        Self::Supervisor,
        Self::Nursery,
        Self::Runner,
        Self::Network,
        Self::Proxy,
        Self::Hello,
        Self::UsernsHelper,
    ];

    /// Returns the role that a command line asks for, and the arguments of that role.
    pub(crate) fn of<'a>(program: &OsStr, arguments: &'a [OsString]) -> (Self, &'a [OsString]) {
        if Path::new(program).file_name() == Some(PEER_FINDER.as_ref()) {
            return (Self::PeerFinder, arguments);
        }
        let named = arguments.split_first().and_then(|(first, rest)| {
            let mut roles = Self::NAMED.into_iter();
            let role = roles.find(|role| role.argument().map(OsStr::new) == Some(first))?;
            role.takes(rest).then_some((role, rest))
        });
        named.unwrap_or((Self::Command, arguments))
    }

    /// Returns the first argument that makes this program play the role.
    pub(crate) const fn argument(self) -> Option<&'static str> {
        match self {
            Self::Command | Self::PeerFinder => None,
            Self::Supervisor => Some("supervisor"),
            Self::Nursery => Some("nursery"),
            Self::Runner => Some("runner"),
            Self::Network => Some("network"),
            Self::Proxy => Some("proxy"),
            Self::Hello => Some("hello"),
            Self::UsernsHelper => Some("userns-helper"),
        }
    }

    /// Returns whether the number of arguments is right, for roles whose name a user may type by
    /// mistake. The other roles check their arguments themselves.
    fn takes(self, arguments: &[OsString]) -> bool {
        match self {
            Self::Supervisor | Self::Proxy => arguments.len() == 1,
            Self::Nursery => arguments.len() == 2,
            Self::Command
            | Self::PeerFinder
            | Self::Runner
            | Self::Network
            | Self::Hello
            | Self::UsernsHelper => true,
        }
    }

    /// Returns the pids of the processes that play this role with these arguments.
    pub(crate) fn played_by(self, arguments: &[&OsStr]) -> impl Iterator<Item = u32> + use<> {
        let role = self.argument().map(OsStr::new);
        let words = role.into_iter().chain(arguments.iter().copied());
        let end: Vec<u8> = words
            .flat_map(|word| [word.as_bytes(), b"\0"].concat())
            .collect();
        let lead = NAME.len() + 1;
        let is_it = move |pid: &u32| {
            let line = proc::command_line_of(*pid).unwrap_or_default();
            line.get(lead..) == Some(&end[..]) && line.starts_with(NAME.as_bytes())
        };
        proc::processes().filter(is_it)
    }

    /// Returns a command that starts this program in the role.
    pub(crate) fn command(self) -> process::Command {
        let mut command = process::Command::new(SELF);
        command.arg0(NAME).args(self.argument());
        command
    }

    /// Returns a command that does so where no pet can change the program: for a role that enters
    /// pets.
    pub(crate) fn sealed_command(self) -> io::Result<process::Command> {
        let mut command = sealed()?;
        command.arg0(NAME).args(self.argument());
        Ok(command)
    }
}

/// The variables that a process in the background keeps, beside those for locales: the others of
/// its caller may hold secrets, and it lives for long.
const KEPT: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TERM",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
];

/// Takes all variables of this process from a command but those that petset acts on, or that pets
/// inherit, and those in `more`.
pub(crate) fn keep_environment(command: &mut process::Command, more: &[&str]) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = KEPT.iter().chain(more).any(|kept| *kept == text);
        if !kept && !text.starts_with("LC_") {
            command.env_remove(name);
        }
    }
}

/// Makes this process one whose program no pet can change, with the same words; that it is one
/// already is a success.
pub(crate) fn seal_this_process() -> io::Result<()> {
    if sys::is_sealed() {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| NAME.into());
    Err(sealed()?.arg0(name).args(words).exec())
}

fn sealed() -> io::Result<process::Command> {
    let program = match SEALED.get() {
        Some(program) => program,
        None => {
            let made = SealedProgram::make()?;
            SEALED.get_or_init(|| made)
        }
    };
    let mut command = process::Command::new(program.path());
    if let Some(file) = own_file() {
        command.env(FILE_VARIABLE, file);
    }
    Ok(command)
}

/// Returns the file of this process's program, unless it was replaced or removed.
pub(crate) fn own_file() -> Option<PathBuf> {
    let file = match sys::is_sealed() {
        true => std::env::var_os(FILE_VARIABLE).map(PathBuf::from),
        false => std::env::current_exe().ok(),
    };
    file.filter(|path| path.exists())
}

/// Detaches a background role from the process that started it: closes inherited descriptors,
/// restores signals, starts a session, and changes to `/`. Call it before opening any descriptor.
pub(crate) fn leave_caller() -> io::Result<()> {
    sys::close_inherited();
    sys::reset_signals();
    // After exec of SELF, ps and top would show the name "exe".
    let _ = rustix::thread::set_name(c"petset");
    // This fails only for the leader of a process group, which has its own group already.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(line: &str) -> Role {
        let mut words = line.split(' ').map(OsString::from);
        let program = words.next().unwrap();
        Role::of(&program, &words.collect::<Vec<_>>()).0
    }

    #[test]
    fn the_first_argument_names_the_role() {
        assert_eq!(role_of("petset"), Role::Command);
        assert_eq!(role_of("petset get pets"), Role::Command);
        assert_eq!(role_of("petset runner /s default web-0"), Role::Runner);
        assert_eq!(role_of("/s/bin/peer-finder -ns=x"), Role::PeerFinder);
        for role in Role::NAMED {
            let more = if role == Role::Nursery { " 3" } else { "" };
            let line = format!("petset {} /s{more}", role.argument().unwrap());
            assert_eq!(role_of(&line), role);
        }
    }

    #[test]
    fn a_mistyped_verb_is_left_to_the_parser_of_the_command_line() {
        assert_eq!(role_of("petset supervisor"), Role::Command);
        assert_eq!(role_of("petset proxy a b"), Role::Command);
        assert_eq!(role_of("petset nursery"), Role::Command);
    }
}
