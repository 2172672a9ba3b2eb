//! The sandbox: namespaces held by a process of petset's own, and rooms furnished in them.
//!
//! The process is a fork of the runner. It sets up what the namespaces share, buries orphans, and
//! waits for the runner's end of their link to close.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use rustix::thread::ThreadNameSpaceType as Entered;

use super::dialer::{self, Dialer};
use super::home;
use super::network::Network;
use super::plan::{self, Site};
use super::step::Step;
use super::{Room, Surroundings, files, ids_of, needed};
use crate::store::Launch;
use crate::store::network::publish_moved_ports;
use crate::sys::users::{self, Known};
use crate::sys::{self, Door, Fork, Spaces};

/// How long the kernel may take over a sandbox or a room.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a forked process says: how far it came, and the error there.
type Word = [u8; 8];
const DONE: Word = [0xff; 8];
/// In the place of an error: the first number is a pid.
const TELLS_PID: i32 = -2;
/// Less the number of an error: a step did not work, but could be done without.
const TELLS_LACK: i32 = -1000;

/// The namespaces of one pet.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pid: u32,
    init: OwnedFd,
    /// Closing it ends everything in the sandbox; it is asked for sockets.
    dialer: Dialer,
    network: Option<Network>,
    ordinary: bool,
    /// Who is somebody in it, where that are not all.
    known: Option<Known>,
    warnings: Vec<String>,
}

impl Sandbox {
    /// Makes the namespaces of a pet.
    pub(super) fn make(around: &Surroundings<'_>) -> Result<Self, String> {
        let ordinary = sys::is_ordinary();
        let fault = |error: io::Error| format!("creating the sandbox: {error}");
        let mut network = None;
        if around.doors.is_some() {
            let joined = Network::join(around.layout, None);
            network = Some(joined.map_err(|error| format!("joining the network: {error}"))?);
        }
        let own = (ordinary && network.is_none()).then(users::make);
        let own = own.transpose().map_err(fault)?;
        let birth = Birth::new(around, network.is_some());
        let (link, theirs) = link().map_err(fault)?;
        let Some(_) = sys::fork(Fork::CHILD).map_err(fault)? else {
            let user = network.as_ref().and_then(Network::user);
            let own = own.as_ref().map(AsFd::as_fd);
            birth.give(user.or(own), theirs.as_fd());
        };
        drop(theirs);
        let mut words = [listen(&link), listen(&link)];
        words.sort_by_key(|word| word.as_ref().is_ok_and(|word| code(*word) != TELLS_PID));
        let [pid, outcome] = words;
        let pid = number(pid.map_err(fault)?);
        if let Some((stage, error)) = fault_of(outcome.map_err(fault)?) {
            let stage = STAGES.get(stage).copied().unwrap_or("its birth");
            return Err(format!("creating the sandbox: {stage}: {error}"));
        }
        let mut sandbox = Self {
            pid,
            init: open_process(pid).map_err(fault)?,
            dialer: Dialer::new(link),
            network,
            ordinary,
            known: ordinary.then(|| Known::to(pid)),
            warnings: Vec::new(),
        };
        sandbox.attach(around)?;
        Ok(sandbox)
    }

    fn attach(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
        let (Some(network), Some(doors)) = (&mut self.network, &around.doors) else {
            return Ok(());
        };
        let attached = network.attach(self.pid, doors);
        let notes = attached.map_err(|error| format!("joining the network: {error}"))?;
        self.warnings = notes.warnings();
        // Without it only `get` and `describe` show less.
        let _ = publish_moved_ports(around.pet, &notes.moved);
        Ok(())
    }

    /// Returns what is not as it was to be, once.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Joins the network again whose holder has died.
    pub(super) fn heal(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
        let Some(before) = &self.network else {
            return Ok(());
        };
        let joined = Network::join(around.layout, Some(before));
        self.network = Some(joined.map_err(|error| format!("joining the network: {error}"))?);
        self.attach(around)
    }

    pub(super) fn dialer(&self) -> Option<Dialer> {
        self.network.as_ref().map(|_| self.dialer.clone())
    }

    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.network.as_ref().map(Network::lifeline)
    }

    /// Tells who is somebody in it, where that are not all.
    pub(super) const fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_alive(&self) -> bool {
        let mut ended = [PollFd::new(&self.init, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec::default())) == Ok(0)
    }

    fn spaces(&self) -> Entered {
        let mut spaces = Entered::PROCESS_ID
            | Entered::HOST_NAME_AND_NIS_DOMAIN_NAME
            | Entered::INTER_PROCESS_COMMUNICATION;
        spaces.set(Entered::USER, self.ordinary);
        spaces.set(Entered::NETWORK, self.network.is_some());
        spaces
    }

    /// Makes what a container sees mounted.
    pub(super) fn furnish(
        &self,
        launch: &Launch,
        around: &Surroundings<'_>,
    ) -> Result<Room, String> {
        let stranger = launch.user.as_ref();
        let stranger = stranger.is_some_and(|user| user.uid != sys::own_ids().0);
        if !self.ordinary || stranger {
            home::open_claims(launch, around);
        }
        let shown = crate::store::view::show_addresses(around.layout);
        shown.map_err(|error| format!("showing the addresses: {error}"))?;
        let staging = around.pet.sandbox();
        let made = crate::store::make_dir(&staging);
        made.map_err(|error| format!("{}: {error}", staging.display()))?;
        let steps = plan::plan(&Site {
            staging: &staging,
            state: around.layout.root(),
            root: launch.rootfs.as_deref().unwrap_or(Path::new("/")),
            others: &home::state_directories(),
            ordinary: self.ordinary,
            etc: &home::etc(launch, around),
            closed: launch.read_only_root,
            stranger,
            known: self.known.as_ref().filter(|_| stranger),
            mounts: &launch.mounts,
            shared: around.shared,
            cwd: &launch.cwd,
            needed: &needed(launch, around.program),
            program: around.program,
        })?;
        let fault = |error: io::Error| format!("mounting: {error}");
        let (link, theirs) = link().map_err(fault)?;
        let Some(_) = sys::fork(Fork::CHILD).map_err(fault)? else {
            self.enter_and_build(&steps, theirs.as_fd());
        };
        drop(theirs);
        let (mut builder, mut outcome, mut lacks) = (None, None, Vec::new());
        // The one who builds may be faster than the one who tells who that is.
        while builder.is_none() || outcome.is_none() {
            let word = listen(&link).map_err(fault)?;
            match code(word) {
                TELLS_PID => builder = Some(number(word)),
                code if code <= TELLS_LACK && word != DONE => lacks.push((number(word), code)),
                _ => outcome = Some(word),
            }
        }
        match outcome.and_then(fault_of) {
            None => Ok(Room {
                mounts: open_mounts(builder.unwrap_or(0)).map_err(fault)?,
                lacks: lacks.iter().filter_map(|it| lack(&steps, *it)).collect(),
            }),
            Some((place, error)) => Err(match steps.get(place) {
                Some(step) => format!("{step}: {error}"),
                None => format!("entering the sandbox: {error}"),
            }),
        }
    }

    /// Forks into the sandbox, for only a process that is born there may mount its `/proc`, and
    /// says who builds.
    fn enter_and_build(&self, steps: &[Step], link: BorrowedFd<'_>) -> ! {
        let how = Fork {
            sibling: true,
            ..Fork::CHILD
        };
        let entered = sys::enter(self.init.as_fd(), self.spaces()).map_err(Into::into);
        match entered.and_then(|()| sys::fork(how)) {
            Ok(None) => build(steps, link),
            Ok(Some(pid)) => say(link, word(usize::try_from(pid).unwrap_or(0), TELLS_PID)),
            Err(error) => {
                say(link, word(0, TELLS_PID));
                say(link, word(usize::MAX, error.raw_os_error().unwrap_or(0)));
            }
        }
        sys::leave(0)
    }

    /// Returns the way to what a container sees.
    pub(super) fn door(&self, room: &Room, launch: &Launch) -> io::Result<Door> {
        Ok(Door {
            process: self.init.try_clone()?,
            spaces: self.spaces(),
            mounts: room.mounts.try_clone()?,
            harmless: !self.ordinary || launch.user.is_some(),
            ids: ids_of(launch),
            humble: launch.no_new_privs,
        })
    }
}

/// Says what a container has to do without.
fn lack(steps: &[Step], (place, code): (u32, i32)) -> Option<String> {
    let step = steps.get(usize::try_from(place).ok()?)?;
    let error = io::Error::from_raw_os_error(TELLS_LACK - code);
    Some(format!(
        "{step} under an overlay: {error}; nothing below it can be changed, and no volume be \
         mounted where it has no directory"
    ))
}

/// Takes the steps in a new mount namespace, and keeps that until somebody else does.
fn build(steps: &[Step], link: BorrowedFd<'_>) -> ! {
    // Above all the other end of the link, whose closing is waited for below.
    sys::close_all_but(link);
    rustix::process::umask(Mode::empty());
    let fault = match sys::unshare(Spaces::NEWNS) {
        Err(error) => Some(word(usize::MAX, error.raw_os_error())),
        Ok(()) => {
            let mut taken = steps.iter().enumerate();
            taken.find_map(|(place, step)| match step.take() {
                Ok(None) => None,
                Ok(Some(error)) => {
                    say(link, word(place, TELLS_LACK - error.raw_os_error()));
                    None
                }
                Err(error) => Some(word(place, error.raw_os_error().unwrap_or(0))),
            })
        }
    };
    say(link, fault.unwrap_or(DONE));
    let _ = rustix::net::recv(link, &mut [0; 1], RecvFlags::empty());
    sys::leave(0)
}

/// What the first process of a sandbox sets up.
struct Birth {
    spaces: Spaces,
    host_name: String,
    network: bool,
}

/// The stages of a birth, for its errors.
const STAGES: [&str; 3] = [
    "leaving the session",
    "naming the host",
    "freeing low ports",
];

impl Birth {
    /// Prepares a birth, in a network of its own where there is one.
    fn new(around: &Surroundings<'_>, network: bool) -> Self {
        let mut spaces = Spaces::NEWPID | Spaces::NEWUTS | Spaces::NEWIPC;
        spaces.set(Spaces::NEWNET, network);
        Self {
            spaces,
            host_name: files::host_name(around.pod, around.cluster_domain),
            network,
        }
    }

    /// Forks the first process of the sandbox, in a user namespace if there is one for it.
    fn give(&self, user: Option<BorrowedFd<'_>>, link: BorrowedFd<'_>) -> ! {
        let kind = Some(rustix::thread::LinkNameSpaceType::User);
        let entered = user.map_or(Ok(()), |user| {
            rustix::thread::move_into_link_name_space(user, kind)
        });
        let how = Fork {
            spaces: self.spaces,
            sibling: true,
        };
        match entered.map_err(Into::into).and_then(|()| sys::fork(how)) {
            Ok(None) => self.live(link),
            Ok(Some(pid)) => say(link, word(usize::try_from(pid).unwrap_or(0), TELLS_PID)),
            Err(error) => {
                say(link, word(0, TELLS_PID));
                say(link, word(usize::MAX, error.raw_os_error().unwrap_or(0)));
            }
        }
        sys::leave(0)
    }

    /// Is the first process of the sandbox, to its end.
    fn live(&self, link: BorrowedFd<'_>) -> ! {
        sys::close_all_but(link);
        sys::reset_signals();
        sys::ignore_children();
        let stages = [Self::part, Self::name, Self::free_ports];
        let mut stages = stages.iter().enumerate();
        let fault =
            stages.find_map(|(at, stage)| Some(word(at, stage(self).err()?.raw_os_error())));
        say(link, fault.unwrap_or(DONE));
        if fault.is_some() {
            sys::leave(1);
        }
        let mut wish = [0; 1];
        loop {
            match rustix::net::recv(link, &mut wish, RecvFlags::empty()) {
                Ok((0, _)) => sys::leave(0),
                Ok(_) => dialer::answer(link, wish[0]),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => sys::leave(1),
            }
        }
    }

    /// Lets everybody bind every port: all of them are the pet's.
    fn free_ports(&self) -> rustix::io::Result<()> {
        match self.network {
            true => {
                write(c"/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0")?;
                let _ = self.allow_ping();
                Ok(())
            }
            false => Ok(()),
        }
    }

    /// Lets everybody send pings, as container runtimes do; an ordinary user's namespace knows but
    /// one group.
    fn allow_ping(&self) -> rustix::io::Result<()> {
        let range = c"/proc/sys/net/ipv4/ping_group_range";
        let group = rustix::process::getegid().as_raw();
        let own = format!("{group} {group}");
        write(range, b"0 2147483647").or_else(|_| write(range, own.as_bytes()))
    }

    fn part(&self) -> rustix::io::Result<()> {
        rustix::process::setsid()?;
        let _ = rustix::thread::set_name(c"petset-init");
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
    }

    fn name(&self) -> rustix::io::Result<()> {
        rustix::system::sethostname(self.host_name.as_bytes())
    }
}

fn write(path: &std::ffi::CStr, text: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}

/// Makes two connected sockets: what one end says comes out at the other in one piece.
fn link() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None);
    pair.map_err(Into::into)
}

fn word(place: usize, code: i32) -> Word {
    let place = u32::try_from(place).unwrap_or(u32::MAX - 1).to_ne_bytes();
    let mut word = [0; 8];
    word[..4].copy_from_slice(&place);
    word[4..].copy_from_slice(&code.to_ne_bytes());
    word
}

/// Returns the first number of a word.
fn number(word: Word) -> u32 {
    let [a, b, c, d, ..] = word;
    u32::from_ne_bytes([a, b, c, d])
}

fn say(link: BorrowedFd<'_>, word: Word) {
    let _ = rustix::net::send(link, &word, SendFlags::NOSIGNAL);
}

/// Returns how far a process came that failed, and why.
fn fault_of(word: Word) -> Option<(usize, io::Error)> {
    let error = io::Error::from_raw_os_error(code(word));
    let place = usize::try_from(number(word)).unwrap_or(usize::MAX);
    (word != DONE).then_some((place, error))
}

fn code(word: Word) -> i32 {
    let [.., e, f, g, h] = word;
    i32::from_ne_bytes([e, f, g, h])
}

/// Receives the next word of a forked process.
fn listen(link: &OwnedFd) -> io::Result<Word> {
    let mut ready = [PollFd::new(link, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
    while match poll(&mut ready, Some(&patience)) {
        Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
        Ok(_) => false,
        Err(rustix::io::Errno::INTR) => true,
        Err(error) => return Err(error.into()),
    } {}
    let mut word: Word = [0; 8];
    match rustix::net::recv(link, &mut word, RecvFlags::empty())? {
        (length, _) if length == word.len() => Ok(word),
        _ => Err(io::Error::other("a process died that made it")),
    }
}

fn open_process(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(Into::into)
}

fn open_mounts(pid: u32) -> io::Result<OwnedFd> {
    let file = std::fs::File::open(Path::new("/proc").join(pid.to_string()).join("ns/mnt"))?;
    Ok(file.into())
}
