//! How much a pet is kept apart from the host: not at all, or as a container is.
//!
//! With `full`, a pet has a [`Sandbox`]: namespaces of its own, held by a process that is pid 1 in
//! them, and for each run of a container a [`Room`], which is what the container sees mounted.
//! Processes of the pet are children of the runner all the same, so that exit codes, logs, probes
//! and hooks work as without isolation; when the runner dies, pid 1 does, and with it everything.

mod dialer;
mod files;
mod full;
mod home;
mod network;
mod plan;
mod step;
mod trial;
mod visit;

use std::net::Ipv4Addr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Service};

pub(in crate::runner) use dialer::Dialer;
pub(super) use full::Sandbox;
pub(crate) use trial::{trials, whom_pets_can_be};
pub(crate) use visit::visit;

use crate::model::ISOLATION_ANNOTATION;
use crate::model::address::Block;
use crate::store::network::NetworkSpec;
use crate::store::{Launch, Layout, Mount, PetLayout};
use crate::sys::users::Known;
use crate::sys::{Door, Ids};

/// Tells a pet the number of its private network's block.
pub(crate) const NETWORK_VARIABLE: &str = "PETSET_NETWORK_BLOCK";

/// What a container sees mounted, for one run.
#[derive(Debug)]
pub(super) struct Room {
    mounts: OwnedFd,
    /// What it has to do without.
    pub(super) lacks: Vec<String>,
}

/// A user namespace of an ordinary user.
#[derive(Debug)]
pub(super) struct Realm {
    /// Who is somebody in it.
    pub(super) known: Known,
    /// The file that it is entered by.
    pub(super) space: PathBuf,
}

/// Where a pet's processes live.
#[derive(Debug)]
pub(super) struct Isolation {
    /// What is asked for.
    full: bool,
    sandbox: Option<Sandbox>,
}

/// What the runner knows about a pet and its surroundings that a sandbox needs.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) pod: &'a Pod,
    pub(super) ip: &'a str,
    pub(super) pet: &'a PetLayout,
    pub(super) layout: &'a Layout,
    /// How the pet and what is outside its network find each other, if it has one.
    pub(super) doors: Option<NetworkSpec>,
    pub(super) cluster_domain: &'a str,
    pub(super) program: &'a Path,
    /// What of the host every pet sees and may write to.
    pub(super) shared: &'a [PathBuf],
}

impl Isolation {
    /// Reads in the pod how much it is kept apart.
    pub(super) fn of(pod: &Pod) -> Self {
        Self {
            full: is_full(pod),
            sandbox: None,
        }
    }

    /// Makes the sandbox, unless it is there.
    pub(super) fn prepare(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
        let there = self.sandbox.as_ref().is_some_and(Sandbox::is_alive);
        if self.full && !there {
            self.sandbox = Some(Sandbox::make(around)?);
        }
        Ok(())
    }

    /// Returns how to reach the pet from within its own network, if it has one.
    pub(super) fn dialer(&self) -> Option<Dialer> {
        self.sandbox.as_ref().and_then(Sandbox::dialer)
    }

    /// Returns what becomes readable when the network has to be joined again.
    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.sandbox.as_ref().and_then(Sandbox::lifeline)
    }

    /// Joins the network again, if who held it has died.
    pub(super) fn heal(&mut self, around: &Surroundings<'_>) -> Result<(), String> {
        let sandbox = self.sandbox.as_mut();
        sandbox.map_or(Ok(()), |sandbox| sandbox.heal(around))
    }

    /// Returns what of the network is not as it was to be, once.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        let sandbox = self.sandbox.as_mut();
        sandbox.map(Sandbox::warnings).unwrap_or_default()
    }

    /// Returns the user namespace that the pet lives in, if that is one of an ordinary user.
    pub(super) fn realm(&self) -> Option<Realm> {
        let sandbox = self.sandbox.as_ref()?;
        let process = Path::new("/proc").join(sandbox.pid().to_string());
        Some(Realm {
            known: sandbox.known()?.clone(),
            space: process.join("ns/user"),
        })
    }

    /// Returns the pid of the sandbox's first process.
    pub(super) fn init(&self) -> Option<u32> {
        self.sandbox.as_ref().map(Sandbox::pid)
    }

    /// Makes what a container sees, where it sees anything of its own.
    pub(super) fn furnish(
        &mut self,
        launch: &Launch,
        around: &Surroundings<'_>,
    ) -> Result<Option<Room>, String> {
        self.prepare(around)?;
        let Some(sandbox) = &self.sandbox else {
            return Ok(None);
        };
        sandbox.furnish(launch, around).map(Some)
    }

    /// Returns the way to a container, where it is not simply here.
    pub(super) fn door(
        &self,
        room: Option<&Room>,
        launch: &Launch,
    ) -> Result<Option<Door>, String> {
        let (Some(sandbox), Some(room)) = (&self.sandbox, room) else {
            return Ok(None);
        };
        let door = sandbox.door(room, launch);
        door.map(Some)
            .map_err(|error| format!("entering its namespaces: {error}"))
    }
}

/// Returns the numbers of who a container runs as, as the kernel takes them.
fn ids_of(launch: &Launch) -> Option<Ids> {
    let user = launch.user.as_ref()?;
    let groups = user.groups.iter().copied();
    Some(Ids {
        uid: user.uid,
        gid: user.gid,
        groups: groups.map(rustix::process::Gid::from_raw).collect(),
    })
}

/// Tells whether a pod has a sandbox.
pub(crate) fn is_full(pod: &Pod) -> bool {
    let notes = pod.metadata.annotations.as_ref();
    notes.and_then(|notes| notes.get(ISOLATION_ANNOTATION)) == Some(&"full".to_owned())
}

/// Tells whether a pod is in the private network, rather than in the host's.
pub(super) fn has_network(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    is_full(pod) && spec.is_none_or(|spec| spec.host_network != Some(true))
}

/// Puts the address that a pod has in the private network in the place of the host's.
pub(crate) fn move_inside(pod: &mut Pod) {
    let Some(status) = &mut pod.status else {
        return;
    };
    status.pod_ip.iter_mut().for_each(translate_inside);
    let all = status.pod_ips.iter_mut().flatten();
    all.for_each(|one| translate_inside(&mut one.ip));
}

/// Does the same with the virtual addresses of a service.
pub(super) fn move_service_inside(service: &mut Service) {
    let Some(spec) = &mut service.spec else {
        return;
    };
    spec.cluster_ip.iter_mut().for_each(translate_inside);
    let all = spec.cluster_ips.iter_mut().flatten();
    all.for_each(translate_inside);
}

/// Replaces an address of a state directory by the one that holds inside.
fn translate_inside(text: &mut String) {
    if let Ok(ip) = text.parse::<Ipv4Addr>()
        && let Some(block) = Block::of(ip)
    {
        *text = block.inside(ip).to_string();
    }
}

/// Returns the address at which the host finds a pod of the private network.
pub(super) fn outer_ip(pod: &Pod) -> Option<Ipv4Addr> {
    let ip = pod.status.as_ref()?.pod_ip.as_ref()?;
    let ip: Ipv4Addr = ip.parse().ok()?;
    Some(Block::of(ip)?.outside(ip))
}

/// Returns what a container's environment says beside what it always does.
pub(super) fn variables(pod: &Pod) -> Option<(String, String)> {
    let ip = has_network(pod).then(|| outer_ip(pod))??;
    let block = Block::of(ip)?.number();
    Some((NETWORK_VARIABLE.to_owned(), block.to_string()))
}

/// Lists programs that a container needs to see wherever they are: those on its PATH, and its own.
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

/// Tries for real whether this machine can isolate a pet: makes a sandbox and a room, and lets
/// them go.
/// Returns what a pet has to do without here.
pub(crate) fn attempt() -> Result<Vec<String>, String> {
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    let layout = Layout::new(place.path());
    let pet = layout.pet(&crate::model::Namespace::default(), "attempt-0");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let pod = Pod::default();
    let around = Surroundings {
        pod: &pod,
        ip: "127.0.0.1",
        pet: &pet,
        layout: &layout,
        doors: None,
        cluster_domain: "cluster.local",
        program: &program,
        shared: &[],
    };
    let launch = Launch {
        cwd: PathBuf::from("/"),
        ..Launch::default()
    };
    let sandbox = Sandbox::make(&around)?;
    sandbox.furnish(&launch, &around).map(|room| room.lacks)
}
