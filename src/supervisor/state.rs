//! The memory of a supervisor. All of it can be read again from files.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use rustix::process::Pid;

use super::addresses::Addresses;
use super::bare_pods::BarePods;
use super::losses::Losses;
use super::names::ServedNames;
use super::owner::StateOwner;
use super::proxy_process::ProxyProcess;
use super::retry::NamespaceRetries;
use super::signals::{Signals, WatchedDir};
use super::storage_queue::StorageQueue;
use super::work_queue::WorkQueue;
use super::world::ClusterState;
use super::writer::Writer;
use crate::model::{Namespace, ObjectRef};
use crate::runner::Nursery;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::covers::EnteredStates;
use crate::store::{Lock, SetReport, Store, Watch};

/// The controller of one state directory.
pub(super) struct Supervisor {
    pub(super) store: Store,
    pub(super) socket: UnixDatagram,
    pub(super) watch: Watch<WatchedDir>,
    /// Whether it was told that nothing can be watched.
    pub(super) limit_told: bool,
    pub(super) signals: Signals,
    pub(super) world: ClusterState,
    pub(super) addresses: Addresses,
    /// The state directories that running pets do not see.
    pub(super) entered: EnteredStates,
    /// Sets to reconcile in the next turn.
    pub(super) due: SortedSet<ObjectRef>,
    /// Sets to reconcile at a certain time.
    pub(super) alarms: SortedMap<ObjectRef, Instant>,
    pub(super) bare: BarePods,
    pub(super) work: WorkQueue,
    pub(super) storage: StorageQueue,
    /// The last report of each set, which may not be published yet.
    pub(super) reports: SortedMap<ObjectRef, SetReport>,
    /// The reports as they were published.
    pub(super) published: SortedMap<ObjectRef, SetReport>,
    /// How many steps of a set have failed in a row.
    pub(super) failures: SortedMap<ObjectRef, u32>,
    /// Where files could not be written that no step of a set or a pod writes.
    pub(super) unwritten: NamespaceRetries,
    /// What was removed by hand, and when it is made again.
    pub(super) losses: Losses,
    /// When to check again whether anything is left to do.
    pub(super) look_again: Option<Instant>,
    /// The command that the state directory ends with, if it ends with one.
    pub(super) owner: Option<StateOwner>,
    pub(super) names: ServedNames,
    /// Whether this machine can isolate pets; `None` before that has been tried.
    pub(super) can_isolate: Option<bool>,
    /// Commands that run in pets which are about to be removed.
    pub(super) hooks: HashMap<Pid, RunningHook>,
    pub(super) proxy: ProxyProcess,
    pub(super) nursery: Nursery,
    /// Services without an address, each with the reason.
    pub(super) refused: SortedMap<ObjectRef, String>,
    /// Sets whose service does not exist.
    pub(super) unserved: SortedSet<ObjectRef>,
    /// Writes files that need not be durable at once.
    pub(super) writer: Writer,
    /// Namespaces in which endpoints of services may have changed.
    pub(super) stirred: SortedSet<Namespace>,
    /// Held while it runs, so that a state directory has one supervisor at most. The last field,
    /// since fields are dropped in order: the next supervisor finds all addresses free.
    pub(super) _lock: Lock,
}

/// A running hook: its pet, and the number of the run.
#[derive(Debug)]
pub(super) struct RunningHook {
    pub(super) pet: ObjectRef,
    pub(super) uid: String,
    pub(super) generation: i64,
}
