//! A pet's place in the private network of its state directory.
//!
//! The network process (`crate::network`) holds the network; here it is found or started, and
//! asked to attach a pet. The connection lasts as long as the pet: when it ends, the process has
//! died, and the network's namespaces, which are kept open here, are handed to the next one.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::iter;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::FlockOperation;
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use rustix::process::Signal;

use crate::role::{self, Role};
use crate::store::network::{
    self, AttachNotes, AttachReply, AttachRequest, FAREWELL, Greeting, NetworkSpec,
};
use crate::store::{self, Layout};
use crate::sys::{self, ExecProgram};

/// How often a network process is looked for or started.
const TRIES: u32 = 20;

/// A connection to the network process, and the network's namespaces.
#[derive(Debug)]
pub(super) struct Network {
    stream: BufReader<UnixStream>,
    /// The user namespace that owns it; nothing where that is the machine's.
    user: Option<OwnedFd>,
    space: OwnedFd,
}

impl Network {
    /// Finds the network process, or starts one, which takes over the namespaces of `before`.
    pub(super) fn join(layout: &Layout, before: Option<&Self>) -> io::Result<Self> {
        for _ in 0..TRIES {
            if let Ok(network) = Self::connect(layout) {
                return Ok(network);
            }
            let _lock = lock(layout)?;
            if let Ok(network) = Self::connect(layout) {
                return Ok(network);
            }
            end_deaf(layout);
            start(layout, before)?;
        }
        Err(io::Error::other("nobody holds the network for long"))
    }

    fn connect(layout: &Layout) -> io::Result<Self> {
        let stream = store::connect_to(&layout.network_socket())?;
        let mut stream = BufReader::with_capacity(256, stream);
        let greeting: Greeting = network::receive(&mut stream)?;
        let open = |path: String| File::open(path).map(OwnedFd::from);
        let user = match sys::is_ordinary() {
            true => Some(open(format!("/proc/{}/ns/user", greeting.pid))?),
            false => None,
        };
        let space = open(format!(
            "/proc/{}/task/{}/ns/net",
            greeting.pid, greeting.tid
        ))?;
        Ok(Self {
            stream,
            user,
            space,
        })
    }

    /// Returns the user namespace that pets have to be in.
    pub(super) fn user(&self) -> Option<BorrowedFd<'_>> {
        self.user.as_ref().map(AsFd::as_fd)
    }

    /// Attaches a pet. Returns where that differs from what was requested.
    pub(super) fn attach(&mut self, init: u32, spec: &NetworkSpec) -> io::Result<AttachNotes> {
        let spec = spec.clone();
        network::send(self.stream.get_ref(), &AttachRequest { init, spec })?;
        match AttachReply::receive(&mut self.stream)? {
            AttachReply::Attached(notes) => Ok(notes),
            AttachReply::Failed(why) => Err(io::Error::other(why)),
        }
    }

    /// Hears what the network process tells of the pet; `None` when it has died.
    pub(super) fn hear(&mut self) -> Option<String> {
        network::hear(&mut self.stream)
    }

    /// Becomes readable when the network process tells something, or has died.
    pub(super) fn lifeline(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A runner that says nothing may have left processes.
        if !std::thread::panicking() {
            let _ = rustix::net::send(self.stream.get_ref(), FAREWELL, SendFlags::NOSIGNAL);
        }
    }
}

/// Ends a network process whose socket somebody has damaged or removed: its runners move to the
/// next one, with the namespaces that they hold open. The caller holds the lock.
fn end_deaf(layout: &Layout) {
    if store::is_socket(&layout.network_socket()) {
        return;
    }
    for pid in Role::Network.played_by(&[layout.root().as_os_str()]) {
        // One that has ended meanwhile is as good.
        let _ = sys::signal_process(pid, Signal::KILL);
    }
}

fn lock(layout: &Layout) -> io::Result<File> {
    store::make_dir(&layout.network())?;
    let file = store::Lock::open(&layout.network_lock())?;
    retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

/// Starts the network process as a sibling of this one, whose descendants end with the pet.
fn start(layout: &Layout, before: Option<&Network>) -> io::Result<()> {
    let own = |fd: &OwnedFd| format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
    let taken = before.map(|before| {
        let user = before.user.as_ref().map(own).unwrap_or_default();
        format!("PETSET_NETWORK={user} {}", own(&before.space))
    });
    let variables: Vec<String> = taken.into_iter().collect();
    let argument = Role::Network.argument().map(OsStr::new);
    let words = iter::once(role::NAME.as_ref()).chain(argument);
    let words: Vec<&OsStr> = words.chain([layout.root().as_os_str()]).collect();
    let program = ExecProgram::new(role::SELF, &words, &variables);
    let (mut reader, writer) = io::pipe()?;
    let writer: OwnedFd = writer.into();
    program.start_beside(&writer)?;
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said)?;
    match said.trim() {
        "ready" => Ok(()),
        "" => Err(io::Error::other("the network's process died")),
        fault => Err(io::Error::other(fault.to_owned())),
    }
}
