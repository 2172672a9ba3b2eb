//! What a supervisor holds in memory. All of it can be read or made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use rustix::process::Pid;

use super::addresses::Addresses;
use super::bare_pods::BarePods;
use super::names::ServedNames;
use super::proxy_process::ProxyProcess;
use super::signals::{Signals, WatchedDir};
use super::world::ClusterState;
use super::writer::Writer;
use crate::model::{Namespace, ObjectRef};
use crate::store::{Lock, SetReport, Store, Watch};

/// The controller of one state directory.
pub(super) struct Supervisor {
    pub(super) store: Store,
    /// Held for life: one supervisor a state directory.
    pub(super) _lock: Lock,
    pub(super) socket: UnixDatagram,
    pub(super) watch: Watch<WatchedDir>,
    pub(super) signals: Signals,
    pub(super) world: ClusterState,
    pub(super) addresses: Addresses,
    /// Sets that have to be looked at.
    pub(super) due: BTreeSet<ObjectRef>,
    /// Sets that have to be looked at when a time has come.
    pub(super) alarms: BTreeMap<ObjectRef, Instant>,
    pub(super) bare: BarePods,
    /// The last report of each set; while it is worked on, ahead of what was published.
    pub(super) reports: BTreeMap<ObjectRef, SetReport>,
    /// The reports as they were published.
    pub(super) published: BTreeMap<ObjectRef, SetReport>,
    /// How often in a row a step for this set failed.
    pub(super) failures: BTreeMap<ObjectRef, u32>,
    /// When to look again whether there is anything left to do.
    pub(super) look_again: Option<Instant>,
    pub(super) names: ServedNames,
    /// Whether this machine can isolate pets, once that has been tried.
    pub(super) can_isolate: Option<bool>,
    /// Commands that run in pets which are about to leave.
    pub(super) hooks: HashMap<Pid, RunningHook>,
    pub(super) proxy: ProxyProcess,
    /// Services that got no address, and why.
    pub(super) refused: BTreeMap<ObjectRef, String>,
    /// Sets whose service does not exist.
    pub(super) unserved: BTreeSet<ObjectRef>,
    /// Writes what need not be there at once.
    pub(super) writer: Writer,
    /// Namespaces whose services may have other endpoints now.
    pub(super) stirred: BTreeSet<Namespace>,
}

/// A hook that runs: in which pet, and which run of it.
#[derive(Debug)]
pub(super) struct RunningHook {
    pub(super) pet: ObjectRef,
    pub(super) uid: String,
    pub(super) generation: i64,
}
