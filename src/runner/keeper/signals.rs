//! What a runner is told by: signals, and its control socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use k8s_openapi::api::core::v1::Pod;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use crate::store::{self, Layout, PetLayout, RunnerRecord};

/// What signals have asked for.
pub(super) struct ToldBySignal {
    pub(super) stop: Arc<AtomicBool>,
    /// The control socket was damaged: listen anew, and look at all files.
    pub(super) reload: Arc<AtomicBool>,
}

impl ToldBySignal {
    /// Makes signals wake the loop; SIGTERM, SIGINT and SIGHUP also set a flag.
    pub(super) fn listen(waker: &Arc<OwnedFd>) -> io::Result<Self> {
        let (stop, reload) = (Arc::default(), Arc::default());
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] {
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(Self { stop, reload })
    }
}

/// Writes the first record of a runner and binds its control socket, for a pod that is to end on a
/// full disk too.
pub(super) fn announce(
    record: &RunnerRecord,
    layout: &Layout,
    pet: &PetLayout,
    pod: &Pod,
) -> io::Result<UnixDatagram> {
    if pod.metadata.deletion_timestamp.is_some() {
        record.write_at_any_cost(layout, pet)?;
        return store::bind_last_runner(layout, pet);
    }
    record.write(pet)?;
    store::bind_runner(pet)
}
