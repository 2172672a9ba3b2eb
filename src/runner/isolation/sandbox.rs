//! The namespaces of one pod, and what the runner does with them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Gid, Pid, PidfdFlags, pidfd_open};

use super::builder::{BuiltRootfs, Rootfs};
use super::context::PodContext;
use super::dialer::Dialer;
use super::home;
use super::init::{self, InitProcess};
use super::memory::{self, MemoryRoots};
use super::message::WorkOutcome;
use super::mountinfo::HostMounts;
use super::network::Network;
use super::plan::{RootfsSpec, plan};
use super::pod::{is_less_confined, shares_processes};
use super::view;
use crate::problem::Problem;
use crate::store::covers::EnteredStates;
use crate::store::network::publish_moved_ports;
use crate::store::{self, Launch, Mount};
use crate::sys::users::{self, IdMap};
use crate::sys::{self, Fork, Ids, NamespaceFlags, Namespaces, link};

/// The namespaces of a pod, kept open.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// That of its users, where it is an ordinary user's.
    users: Option<Arc<OwnedFd>>,
    /// That of its containers that are privileged or not filtered, where it is root's.
    less_confined: Option<Arc<OwnedFd>>,
    /// That of its network, unless it has the host's.
    space: Option<Arc<OwnedFd>>,
    /// Those of its host name, of its means of communication, and, if all containers share one,
    /// of its processes.
    others: Vec<Arc<OwnedFd>>,
    /// Process 1 of the process namespace that all containers share.
    shared: Option<SharedProcesses>,
    /// The link of the process that ends what this one would leave behind.
    guard: Option<OwnedFd>,
    network: Option<Network>,
    /// The mount namespace with its volumes in memory.
    memory: Option<Arc<OwnedFd>>,
    /// These volumes themselves, by their places.
    memory_roots: MemoryRoots,
    /// The uid and gid maps of its user namespace; `None` when every id is mapped.
    id_map: Option<IdMap>,
    warnings: Vec<String>,
}

/// The first process of a process namespace that all containers of a pod share.
#[derive(Debug)]
struct SharedProcesses {
    pid: u32,
    process: OwnedFd,
    /// Closing it ends everything in the namespace.
    _link: OwnedFd,
}

impl Sandbox {
    /// Makes the namespaces of a pod, and attaches it to the network.
    pub(super) fn make(context: &PodContext<'_>) -> Result<Self, Problem> {
        let ordinary = sys::is_ordinary();
        let fault = |error: io::Error| format!("creating the sandbox: {}", sys::with_limit(error));
        let mut network = None;
        if context.network.is_some() {
            network = Some(join(context, None)?);
        }
        let less_confined = !ordinary && is_less_confined(context.pod);
        let own = match ordinary {
            true => network.is_none().then(users::make),
            false => less_confined.then(users::make_identical),
        };
        let own = own.transpose().map_err(fault)?;
        let shared = shares_processes(context.pod);
        let init = InitProcess::new(context, network.is_some());
        let (link, theirs) = link().map_err(fault)?;
        let Some(_) = sys::fork(Fork::CHILD).map_err(fault)? else {
            let userns = network.as_ref().and_then(Network::user);
            init.fork(userns.or(own.as_ref().map(AsFd::as_fd)), theirs.as_fd())
        };
        drop(theirs);
        let (pid, outcome) = WorkOutcome::receive_with_pid(&link).map_err(fault)?;
        if let Some((step, error)) = outcome.failed {
            let step = init::step_name(step);
            return Err(Problem::failed(format!(
                "creating the sandbox: {step}: {error}"
            )));
        }
        let mut sandbox = Self::of_process(pid, network, ordinary).map_err(fault)?;
        sandbox.less_confined = own.filter(|_| !ordinary).map(Arc::new);
        if shared {
            sandbox.attach(pid, context)?;
            sandbox.share(pid, link).map_err(fault)?;
        } else {
            sandbox.attach(pid, context)?;
            // Without one, that process ends now.
            sandbox.guard = Some(link).filter(|_| sandbox.network.is_none());
        }
        sandbox.memory = sandbox.mount_memory(context)?;
        let opened = sandbox.open_memory(context);
        sandbox.memory_roots = opened.map_err(|it| format!("opening volumes in memory: {it}"))?;
        Ok(sandbox)
    }

    /// Keeps the namespaces open that a process has made.
    fn of_process(pid: u32, network: Option<Network>, ordinary: bool) -> io::Result<Self> {
        let users = ordinary.then(|| open_namespace(pid, "user"));
        let space = network.as_ref().map(|_| open_namespace(pid, "net"));
        Ok(Self {
            users: users.transpose()?,
            less_confined: None,
            space: space.transpose()?,
            others: vec![open_namespace(pid, "uts")?, open_namespace(pid, "ipc")?],
            shared: None,
            guard: None,
            network,
            memory: None,
            memory_roots: MemoryRoots::new(),
            id_map: ordinary.then(|| IdMap::of_process(pid)),
            warnings: Vec::new(),
        })
    }

    /// Keeps the first process for the containers to share, and waits until it has nothing left
    /// that they may get at.
    fn share(&mut self, pid: u32, link: OwnedFd) -> io::Result<()> {
        self.others.push(open_namespace(pid, "pid")?);
        let process = open_process(pid)?;
        init::strip(&link)?;
        self.shared = Some(SharedProcesses {
            pid,
            process,
            _link: link,
        });
        Ok(())
    }

    /// Attaches it to the network, which finds it by a process that is in it.
    fn attach(&mut self, process: u32, context: &PodContext<'_>) -> Result<(), Problem> {
        let (Some(network), Some(spec)) = (&mut self.network, &context.network) else {
            return Ok(());
        };
        let attached = network.attach(process, spec);
        let notes = attached.map_err(|error| format!("joining the network: {error}"))?;
        self.warnings = notes.warnings();
        // Without it only `get` and `describe` show less.
        let _ = publish_moved_ports(context.pet, &notes.moved);
        Ok(())
    }

    /// Returns what of the network spec could not be provided; each warning is returned once.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Joins the private network again after its process has died.
    pub(super) fn rejoin_network(&mut self, context: &PodContext<'_>) -> Result<(), Problem> {
        let Some(before) = &self.network else {
            return Ok(());
        };
        self.network = Some(join(context, Some(before))?);
        let fault = |error: io::Error| format!("joining the network: {error}");
        let (link, theirs) = link().map_err(fault)?;
        let namespaces = self.network_namespaces();
        let Some(holder) = sys::fork(Fork::CHILD).map_err(fault)? else {
            init::hold(&namespaces, theirs.as_fd())
        };
        drop(theirs);
        let outcome = WorkOutcome::receive(&link).map_err(fault)?;
        match outcome.failed {
            Some((_, error)) => Err(fault(error).into()),
            None => self.attach(holder, context),
        }
    }

    /// Returns the namespaces that lead to the network.
    fn network_namespaces(&self) -> Namespaces {
        let users = self.users.iter().cloned();
        Namespaces {
            entered: users.chain(self.space.clone()).collect(),
            new: NamespaceFlags::empty(),
            capabilities: None,
            seccomp: None,
            ids: None,
            no_new_privs: false,
        }
    }

    pub(super) fn dialer(&self) -> Option<Dialer> {
        let network = self.network.as_ref();
        network.map(|_| Dialer::new(self.network_namespaces()))
    }

    pub(super) fn hear(&mut self) -> Option<String> {
        self.network.as_mut().and_then(Network::hear)
    }

    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.network.as_ref().map(Network::lifeline)
    }

    pub(super) const fn id_map(&self) -> Option<&IdMap> {
        self.id_map.as_ref()
    }

    /// Returns the path by which another process of this user can open its user namespace.
    pub(super) fn users_path(&self) -> Option<PathBuf> {
        let users = self.users.as_ref()?.as_raw_fd();
        Some(format!("/proc/{}/fd/{users}", std::process::id()).into())
    }

    /// Returns the pid of process 1 that all containers share, as the host numbers it.
    pub(super) fn shared_init(&self) -> Option<u32> {
        self.shared.as_ref().map(|shared| shared.pid)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| {
            let mut ended = [PollFd::new(&shared.process, PollFlags::IN)];
            poll(&mut ended, Some(&Timespec::default())) == Ok(0)
        })
    }

    /// Returns the user namespace of a container that is alone in it.
    pub(super) fn own_users(&self, launch: &Launch) -> Option<Arc<OwnedFd>> {
        let own = self.less_confined.as_ref();
        own.filter(|_| launch.own_users).cloned()
    }

    /// Plans the root file system of a container for one run.
    pub(super) fn plan_rootfs(
        &self,
        launch: &Launch,
        context: &PodContext<'_>,
    ) -> Result<Rootfs, Problem> {
        let ordinary = self.users.is_some();
        let user = launch.user.as_ref();
        let other_user = user.is_some_and(|user| user.uid != sys::own_ids().0);
        if !ordinary || other_user {
            home::open_claims(launch, context);
        }
        let shown = store::show_addresses(context.layout);
        shown.map_err(|error| format!("showing the addresses: {error}"))?;
        let staging = context.pet.sandbox();
        let made = store::make_dir(&staging);
        made.map_err(|error| format!("{}: {error}", staging.display()))?;
        let host_mounts = HostMounts::read();
        let mut states = EnteredStates::read();
        let steps = plan(&RootfsSpec {
            staging: &staging,
            state: context.layout.root(),
            root: launch.rootfs.as_deref().unwrap_or(Path::new("/")),
            others: &home::state_directories(&mut states, &host_mounts),
            ordinary,
            etc: &home::etc(launch, context),
            read_only_root: launch.read_only_root,
            other_user,
            id_map: self.id_map.as_ref().filter(|_| other_user),
            mounts: &launch.mounts,
            memory: &memory::places(context.pod, context.pet),
            shared: context.shared,
            cwd: &launch.cwd,
            needed: &needed(launch, context.program),
            program: context.program,
            host_mounts: &host_mounts,
        })?;
        let users = self.own_users(launch);
        let rootfs = Rootfs::new(steps, users, states, host_mounts.lacks().collect());
        rootfs.map_err(|error| format!("mounting: {}", sys::with_limit(error)).into())
    }

    /// Shows a container the view of the state directory again, if its own was removed.
    pub(super) fn show_view_again(
        &self,
        mounts: BorrowedFd<'_>,
        pid: u32,
        state: &Path,
    ) -> io::Result<()> {
        if !view::is_outdated(pid, state) {
            return Ok(());
        }
        let users = self.users.as_ref().map(AsFd::as_fd);
        view::show_again(users, mounts, state)
    }

    /// Returns the namespaces of the main process of a container, which gets some of its own.
    pub(super) fn new_namespaces(&self, launch: &Launch) -> Namespaces {
        let all = self.users.iter().chain(&self.others).chain(&self.space);
        let mut new = NamespaceFlags::NEWNS;
        new.set(NamespaceFlags::NEWPID, self.shared.is_none());
        Namespaces {
            entered: all.chain(&self.memory).cloned().collect(),
            new,
            capabilities: launch.capabilities,
            seccomp: launch.filter(),
            ids: ids_of(launch),
            no_new_privs: launch.no_new_privs,
        }
    }

    /// Builds the root file system of a container in a process that then ends.
    pub(super) fn try_rootfs(
        &self,
        launch: &Launch,
        context: &PodContext<'_>,
    ) -> Result<BuiltRootfs, Problem> {
        self.build(self.plan_rootfs(launch, context)?, launch)
    }

    /// Mounts the volumes in memory; returns the mount namespace that has them.
    fn mount_memory(&self, context: &PodContext<'_>) -> Result<Option<Arc<OwnedFd>>, Problem> {
        let steps = memory::steps(context.pod, context.pet);
        if steps.is_empty() {
            return Ok(None);
        }
        for place in memory::places(context.pod, context.pet) {
            let made = store::make_dir(&place);
            made.map_err(|error| format!("{}: {error}", place.display()))?;
        }
        let rootfs = Rootfs::new(steps, None, EnteredStates::default(), Vec::new());
        let rootfs = rootfs.map_err(|error| format!("mounting: {error}"))?;
        let built = self.build(rootfs, &Launch::default())?;
        Ok(built.namespaces.into_iter().nth(1).map(Arc::new))
    }

    /// Opens the volumes in memory, which the runner does not see otherwise.
    fn open_memory(&self, context: &PodContext<'_>) -> io::Result<MemoryRoots> {
        let Some(mounts) = &self.memory else {
            return Ok(MemoryRoots::new());
        };
        let entered: Vec<_> = self.users.iter().chain([mounts]).cloned().collect();
        let open = |place: PathBuf| {
            let root = memory::open(&entered, &place)?;
            Ok((place, Arc::new(root)))
        };
        let places = memory::places(context.pod, context.pet).into_iter();
        places.map(open).collect()
    }

    pub(super) const fn memory_roots(&self) -> &MemoryRoots {
        &self.memory_roots
    }

    fn build(&self, rootfs: Rootfs, launch: &Launch) -> Result<BuiltRootfs, Problem> {
        let (namespaces, work) = (self.new_namespaces(launch), rootfs.work());
        let forked = sys::fork(Fork::CHILD);
        let forked = forked.map_err(|error| format!("entering the sandbox: {error}"))?;
        if forked.is_none() {
            if namespaces.enter().is_ok() && matches!(namespaces.fork(true), Ok(None)) {
                let _ = work();
            }
            sys::exit_now(0);
        }
        drop(work);
        rootfs.finish()
    }
}

fn join(context: &PodContext<'_>, before: Option<&Network>) -> Result<Network, Problem> {
    let joined = Network::join(context.layout, before);
    joined.map_err(|error| Problem::failed(format!("joining the network: {error}")))
}

/// Returns the ids that a container's processes switch to, if it runs as another user.
pub(super) fn ids_of(launch: &Launch) -> Option<Ids> {
    let user = launch.user.as_ref()?;
    let groups = user.groups.iter().copied();
    Some(Ids {
        uid: user.uid,
        gid: user.gid,
        groups: groups.map(Gid::from_raw).collect(),
    })
}

/// Lists the host's paths that a container must see wherever they are: this program, the folders
/// on its PATH, and the programs that its command names.
fn needed(launch: &Launch, program: &Path) -> Vec<PathBuf> {
    let own = std::iter::once(program.to_owned());
    if launch.rootfs.is_some() {
        return own.collect();
    }
    let path = launch.env.iter().find(|(name, _)| name == "PATH");
    let folders = path.map(|(_, path)| std::env::split_paths(path).collect::<Vec<_>>());
    let words = launch.argv.iter().map(PathBuf::from);
    let absolute = words.filter(|word| word.is_absolute() && is_of_host(word, &launch.mounts));
    own.chain(folders.unwrap_or_default())
        .chain(absolute)
        .collect()
}

/// A path at or below a mount is the volume's.
fn is_of_host(path: &Path, mounts: &[Mount]) -> bool {
    !mounts
        .iter()
        .any(|mount| path.starts_with(&mount.mount_path))
        && path.is_file()
}

fn open_namespace(pid: u32, kind: &str) -> io::Result<Arc<OwnedFd>> {
    let file = File::open(format!("/proc/{pid}/ns/{kind}"))?;
    Ok(Arc::new(file.into()))
}

fn open_process(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(Into::into)
}
