//! The namespaces of one pod, and what the runner does with them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Gid, Pid, PidfdFlags, pidfd_open};
use rustix::thread::ThreadNameSpaceType;

use super::builder::{self, MountNamespace};
use super::context::PodContext;
use super::dialer::Dialer;
use super::home;
use super::init::{self, InitProcess};
use super::message::{WorkOutcome, link};
use super::mountinfo::HostMounts;
use super::network::Network;
use super::plan::{RootfsSpec, plan};
use super::view;
use crate::problem::Problem;
use crate::store::network::publish_moved_ports;
use crate::store::{self, Launch, Mount};
use crate::sys::users::{self, IdMap};
use crate::sys::{self, Fork, Ids, Namespaces};

/// The namespaces of a pod, held by its first process.
#[derive(Debug)]
pub(super) struct Sandbox {
    pid: u32,
    init: OwnedFd,
    /// Closing it ends everything in the sandbox.
    dialer: Dialer,
    network: Option<Network>,
    /// Whether it has a user namespace of an ordinary user.
    ordinary: bool,
    /// The uid and gid maps of its user namespace; `None` when every id is mapped.
    id_map: Option<IdMap>,
    warnings: Vec<String>,
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
        let own = (ordinary && network.is_none()).then(users::make);
        let own = own.transpose().map_err(fault)?;
        let init = InitProcess::new(context, network.is_some());
        let (link, theirs) = link().map_err(fault)?;
        let Some(_) = sys::fork(Fork::CHILD).map_err(fault)? else {
            let userns = network.as_ref().and_then(Network::user);
            init.fork(userns.or(own.as_ref().map(AsFd::as_fd)), theirs.as_fd())
        };
        drop(theirs);
        let WorkOutcome { pid, failed, .. } = WorkOutcome::receive(&link).map_err(fault)?;
        if let Some((step, error)) = failed {
            let step = init::step_name(step);
            return Err(Problem::failed(format!(
                "creating the sandbox: {step}: {error}"
            )));
        }
        let mut sandbox = Self {
            pid,
            init: open_process(pid).map_err(fault)?,
            dialer: Dialer::new(link),
            network,
            ordinary,
            id_map: ordinary.then(|| IdMap::of_process(pid)),
            warnings: Vec::new(),
        };
        sandbox.attach(context)?;
        Ok(sandbox)
    }

    fn attach(&mut self, context: &PodContext<'_>) -> Result<(), Problem> {
        let (Some(network), Some(spec)) = (&mut self.network, &context.network) else {
            return Ok(());
        };
        let attached = network.attach(self.pid, spec);
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
        self.attach(context)
    }

    pub(super) fn dialer(&self) -> Option<Dialer> {
        self.network.as_ref().map(|_| self.dialer.clone())
    }

    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.network.as_ref().map(Network::lifeline)
    }

    pub(super) const fn id_map(&self) -> Option<&IdMap> {
        self.id_map.as_ref()
    }

    /// Returns the pid of the first process, as the host numbers it.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_alive(&self) -> bool {
        let mut ended = [PollFd::new(&self.init, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec::default())) == Ok(0)
    }

    /// Returns the kinds of namespaces that it has, but for those of mounts.
    fn kinds(&self) -> ThreadNameSpaceType {
        let mut kinds = ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION;
        kinds.set(ThreadNameSpaceType::USER, self.ordinary);
        kinds.set(ThreadNameSpaceType::NETWORK, self.network.is_some());
        kinds
    }

    /// Builds the root file system of a container for one run.
    pub(super) fn build_rootfs(
        &self,
        launch: &Launch,
        context: &PodContext<'_>,
    ) -> Result<MountNamespace, Problem> {
        let user = launch.user.as_ref();
        let other_user = user.is_some_and(|user| user.uid != sys::own_ids().0);
        if !self.ordinary || other_user {
            home::open_claims(launch, context);
        }
        let shown = store::show_addresses(context.layout);
        shown.map_err(|error| format!("showing the addresses: {error}"))?;
        let staging = context.pet.sandbox();
        let made = store::make_dir(&staging);
        made.map_err(|error| format!("{}: {error}", staging.display()))?;
        let host_mounts = HostMounts::read();
        let steps = plan(&RootfsSpec {
            staging: &staging,
            state: context.layout.root(),
            root: launch.rootfs.as_deref().unwrap_or(Path::new("/")),
            others: &home::state_directories(&host_mounts),
            ordinary: self.ordinary,
            etc: &home::etc(launch, context),
            read_only_root: launch.read_only_root,
            other_user,
            id_map: self.id_map.as_ref().filter(|_| other_user),
            mounts: &launch.mounts,
            shared: context.shared,
            cwd: &launch.cwd,
            needed: &needed(launch, context.program),
            program: context.program,
            host_mounts: &host_mounts,
        })?;
        let mut mounts = builder::build(self.init.as_fd(), self.kinds(), &steps)?;
        mounts.lacks.extend(host_mounts.lacks());
        Ok(mounts)
    }

    /// Shows a container the view of the state directory again, if its own was removed.
    pub(super) fn show_view_again(
        &self,
        mounts: &MountNamespace,
        pid: u32,
        state: &Path,
    ) -> io::Result<()> {
        if !view::is_outdated(pid, state) {
            return Ok(());
        }
        let user = self.ordinary.then(|| self.init.as_fd());
        view::show_again(user, mounts.open()?.as_fd(), state)
    }

    /// Returns the namespaces that a process of a container enters.
    pub(super) fn namespaces(
        &self,
        mounts: &MountNamespace,
        launch: &Launch,
    ) -> io::Result<Namespaces> {
        Ok(Namespaces {
            process: self.init.try_clone()?,
            kinds: self.kinds(),
            mounts: mounts.open()?,
            drop_capabilities: !self.ordinary || launch.user.is_some(),
            ids: ids_of(launch),
            no_new_privs: launch.no_new_privs,
        })
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

fn open_process(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(Into::into)
}
