//! The sandbox of a pod, made when the pod first needs it, and made again after it has died.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::builder::MountNamespace;
use super::context::PodContext;
use super::dialer::Dialer;
use super::pod::is_full;
use super::sandbox::Sandbox;
use crate::problem::Problem;
use crate::store::Launch;
use crate::sys::Namespaces;
use crate::sys::users::IdMap;

/// The user namespace of an ordinary user's pet.
#[derive(Debug)]
pub(in crate::runner) struct UserNamespace {
    pub(in crate::runner) id_map: IdMap,
    /// The file that it is entered by.
    pub(in crate::runner) userns_path: PathBuf,
}

/// The namespaces that the processes of a pod live in: the host's, or those of a [`Sandbox`].
#[derive(Debug)]
pub(in crate::runner) struct PodSandbox {
    /// Whether the isolation level is `full`.
    full: bool,
    sandbox: Option<Sandbox>,
}

impl PodSandbox {
    /// Reads the isolation level of a pod; nothing is made yet.
    pub(in crate::runner) fn of(pod: &Pod) -> Self {
        Self {
            full: is_full(pod),
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

    /// Returns the descriptor that becomes readable when the network's process has died.
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
        let process = Path::new("/proc").join(sandbox.pid().to_string());
        Some(UserNamespace {
            id_map: sandbox.id_map()?.clone(),
            userns_path: process.join("ns/user"),
        })
    }

    /// Returns the pid of the sandbox's first process.
    pub(in crate::runner) fn init(&self) -> Option<u32> {
        self.sandbox.as_ref().map(Sandbox::pid)
    }

    /// Builds the root file system of a container; `None` without isolation.
    pub(in crate::runner) fn build_rootfs(
        &mut self,
        launch: &Launch,
        context: &PodContext<'_>,
    ) -> Result<Option<MountNamespace>, Problem> {
        self.prepare(context)?;
        let Some(sandbox) = &self.sandbox else {
            return Ok(None);
        };
        sandbox.build_rootfs(launch, context).map(Some)
    }

    /// Shows a container, whose main process this is, the view of the state directory again, if its
    /// own was removed.
    pub(in crate::runner) fn show_view_again(
        &self,
        mounts: &MountNamespace,
        pid: u32,
        state: &Path,
    ) -> io::Result<()> {
        let sandbox = self.sandbox.as_ref();
        sandbox.map_or(Ok(()), |it| it.show_view_again(mounts, pid, state))
    }

    /// Returns the namespaces that a process of a container enters; `None` without isolation.
    pub(in crate::runner) fn namespaces(
        &self,
        mounts: Option<&MountNamespace>,
        launch: &Launch,
    ) -> Result<Option<Namespaces>, Problem> {
        let (Some(sandbox), Some(mounts)) = (&self.sandbox, mounts) else {
            return Ok(None);
        };
        let namespaces = sandbox.namespaces(mounts, launch);
        namespaces
            .map(Some)
            .map_err(|error| Problem::failed(format!("entering its namespaces: {error}")))
    }
}
