//! A sandbox made for trial: only that shows whether a machine can isolate pets.

use std::io;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use tempfile::TempDir;

use super::context::PodContext;
use super::sandbox::Sandbox;
use crate::model::Namespace;
use crate::problem::Problem;
use crate::store::{Launch, Layout};

/// Makes a sandbox and a root file system, and drops them; returns what a pet has to do without on
/// this machine, or why there is no isolation at all.
pub(crate) fn attempt() -> Result<Vec<String>, Problem> {
    let place = place().map_err(|error| error.to_string())?;
    let layout = Layout::new(place.path());
    let pet = layout.pet(&Namespace::default(), "attempt-0");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let pod = Pod::default();
    let context = PodContext {
        pod: &pod,
        ip: "127.0.0.1",
        pet: &pet,
        layout: &layout,
        network: None,
        cluster_domain: "cluster.local",
        program: &program,
        shared: &[],
    };
    let launch = Launch {
        cwd: PathBuf::from("/"),
        ..Launch::default()
    };
    let sandbox = Sandbox::make(&context)?;
    sandbox
        .try_rootfs(&launch, &context)
        .map(|rootfs| rootfs.lacks)
}

/// Makes a directory for the trial, wherever there is room: `TMPDIR` may name a directory that went
/// with an earlier session, which says nothing about isolation.
fn place() -> io::Result<TempDir> {
    let others = ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter();
    others.fold(tempfile::tempdir(), |made, folder| {
        made.or_else(|error| tempfile::tempdir_in(folder).map_err(|_| error))
    })
}
