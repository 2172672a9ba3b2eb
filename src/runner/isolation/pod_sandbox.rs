//! The sandbox of a pod, made when the pod first needs it, and made again after it has died.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::builder::{Preparation, Rootfs};
use super::context::PodContext;
use super::dialer::Dialer;
use super::memory::MemoryRoots;
use super::pod::{is_full, shares_processes};
use super::sandbox::Sandbox;
use crate::problem::Problem;
use crate::store::Launch;
use crate::store::covers::{EnteredStates, cover_in};
use crate::sys::users::IdMap;
use crate::sys::{NamespaceFlags, Namespaces};

/// The user namespace of an ordinary user's pet.
#[derive(Debug)]
pub(in crate::runner) struct UserNamespace {
    pub(in crate::runner) id_map: IdMap,
    /// The file that it is entered by.
    pub(in crate::runner) userns_path: PathBuf,
}

/// How a process of a container gets into its namespaces.
pub(in crate::runner) struct Entrance {
    pub(in crate::runner) namespaces: Namespaces,
    pub(in crate::runner) prepare: Preparation,
}

/// The namespaces of a container that its main process is about to make.
#[derive(Debug)]
pub(in crate::runner) struct NewContainer {
    namespaces: Namespaces,
    rootfs: Rootfs,
    /// The user namespace that is entered last.
    users: Option<Arc<OwnedFd>>,
}

/// The namespaces of one run of a container, kept open.
#[derive(Debug)]
pub(in crate::runner) struct ContainerSpace {
    namespaces: Namespaces,
    /// That of its mounts.
    mounts: Option<Arc<OwnedFd>>,
    /// The state directories that were known when it was planned.
    states: EnteredStates,
    /// What the container has to do without, as warnings.
    pub(in crate::runner) lacks: Vec<String>,
}

impl NewContainer {
    /// Returns how the main process gets there.
    pub(in crate::runner) fn entrance(&self) -> Entrance {
        Entrance {
            namespaces: self.namespaces.clone(),
            prepare: Box::new(self.rootfs.work()),
        }
    }

    /// Takes over what the main process has made, once it is started or could not be.
    pub(in crate::runner) fn finish(self) -> Result<ContainerSpace, Problem> {
        let built = self.rootfs.finish()?;
        let mut namespaces = self.namespaces;
        namespaces.new = NamespaceFlags::empty();
        let own = built.namespaces.into_iter().map(Arc::new);
        namespaces.entered.extend(own);
        let mounts = namespaces.entered.last().cloned();
        namespaces.entered.extend(self.users);
        Ok(ContainerSpace {
            namespaces,
            mounts,
            states: built.states,
            lacks: built.lacks,
        })
    }
}

impl ContainerSpace {
    /// Returns how another process of the container gets there.
    pub(in crate::runner) fn entrance(&self) -> Entrance {
        Entrance {
            namespaces: self.namespaces.clone(),
            prepare: Box::new(|| Ok(())),
        }
    }

    /// Covers the state directories that have been made since it was planned: whoever made one did
    /// not find this container.
    pub(in crate::runner) fn cover_newer(&self, launch: &Launch, own: &Path) -> io::Result<()> {
        match EnteredStates::read().beyond(&self.states).as_slice() {
            [] => Ok(()),
            newer => cover_in(launch, own, newer),
        }
    }
}

/// The namespaces that the processes of a pod live in: the host's, or those of a [`Sandbox`].
#[derive(Debug)]
pub(in crate::runner) struct PodSandbox {
    /// Whether the isolation level is `full`.
    full: bool,
    /// Whether its containers share one process namespace.
    shared: bool,
    sandbox: Option<Sandbox>,
}

impl PodSandbox {
    /// Reads the isolation level of a pod; nothing is made yet.
    pub(in crate::runner) fn of(pod: &Pod) -> Self {
        Self {
            full: is_full(pod),
            shared: shares_processes(pod),
            sandbox: None,
        }
    }

    /// Makes the sandbox, unless it is there.
    pub(in crate::runner) fn prepare(&mut self, context: &PodContext<'_>) -> Result<(), Problem> {
        let there = self.sandbox.as_ref().is_some_and(Sandbox::is_alive);
        if self.full && !there {
            self.sandbox = Some(Sandbox::make(context)?);
        }
        Ok(())
    }

    /// Returns what connects to the pet from within its own network, if it has one.
    pub(in crate::runner) fn dialer(&self) -> Option<Dialer> {
        self.sandbox.as_ref().and_then(Sandbox::dialer)
    }

    /// Hears what the network's process tells of the pet; `None` when it has died.
    pub(in crate::runner) fn hear(&mut self) -> Option<String> {
        self.sandbox.as_mut().and_then(Sandbox::hear)
    }

    /// Returns the descriptor that becomes readable when the network's process tells something, or
    /// has died.
    pub(in crate::runner) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.sandbox.as_ref().and_then(Sandbox::lifeline)
    }

    /// Joins the private network again after its process has died.
    pub(in crate::runner) fn rejoin_network(
        &mut self,
        context: &PodContext<'_>,
    ) -> Result<(), Problem> {
        let sandbox = self.sandbox.as_mut();
        sandbox.map_or(Ok(()), |sandbox| sandbox.rejoin_network(context))
    }

    /// Returns what of the network spec could not be provided; each warning is returned once.
    pub(in crate::runner) fn warnings(&mut self) -> Vec<String> {
        let sandbox = self.sandbox.as_mut();
        sandbox.map(Sandbox::warnings).unwrap_or_default()
    }

    /// Returns the pet's user namespace; `None` where root needs none.
    pub(in crate::runner) fn userns(&self) -> Option<UserNamespace> {
        let sandbox = self.sandbox.as_ref()?;
        Some(UserNamespace {
            id_map: sandbox.id_map()?.clone(),
            userns_path: sandbox.users_path()?,
        })
    }

    /// Returns its volumes in memory, opened.
    pub(in crate::runner) fn memory_roots(&self) -> MemoryRoots {
        let sandbox = self.sandbox.as_ref();
        sandbox.map_or_else(MemoryRoots::new, |sandbox| sandbox.memory_roots().clone())
    }

    /// Returns whether the isolation level is `full`.
    pub(in crate::runner) const fn is_full(&self) -> bool {
        self.full
    }

    /// Returns whether the main process of each container is process 1 of a namespace of its own:
    /// the kernel ends all others with it.
    pub(in crate::runner) const fn separates_processes(&self) -> bool {
        self.full && !self.shared
    }

    /// Returns the pid of process 1, where all containers share one.
    pub(in crate::runner) fn shared_init(&self) -> Option<u32> {
        self.sandbox.as_ref().and_then(Sandbox::shared_init)
    }

    /// Plans the namespaces of a container; `None` without isolation.
    pub(in crate::runner) fn plan_container(
        &mut self,
        launch: &Launch,
        context: &PodContext<'_>,
    ) -> Result<Option<NewContainer>, Problem> {
        self.prepare(context)?;
        let Some(sandbox) = &self.sandbox else {
            return Ok(None);
        };
        Ok(Some(NewContainer {
            rootfs: sandbox.plan_rootfs(launch, context)?,
            namespaces: sandbox.new_namespaces(launch),
            users: sandbox.own_users(launch),
        }))
    }

    /// Shows a container, whose main process this is, the view of the state directory again, if its
    /// own was removed.
    pub(in crate::runner) fn show_view_again(
        &self,
        space: &ContainerSpace,
        pid: u32,
        state: &Path,
    ) -> io::Result<()> {
        let (Some(sandbox), Some(mounts)) = (&self.sandbox, &space.mounts) else {
            return Ok(());
        };
        sandbox.show_view_again(mounts.as_fd(), pid, state)
    }
}
