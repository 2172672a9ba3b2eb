//! The layout of the state directory: every path, and nothing else.

use std::path::{Path, PathBuf};

use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{Namespace, ObjectName, ObjectRef};

/// The registry of the state directories of this machine, unless [`REGISTRY_OVERRIDE`] is set.
const REGISTRY: &str = "/var/tmp/petset-blocks";
/// The variable that names another registry, so that tests do not share the machine's.
pub(crate) const REGISTRY_OVERRIDE: &str = "PETSET_BLOCKS_DIR";

/// Returns the directory that lists the state directories of this machine: one symbolic link each,
/// named after the number of its block of addresses.
pub(crate) fn registry() -> PathBuf {
    if cfg!(test) {
        // Tests of units leave no entry behind.
        return PathBuf::from("/nonexistent/petset-blocks");
    }
    let named = std::env::var_os(REGISTRY_OVERRIDE).filter(|named| !named.is_empty());
    named.map_or_else(|| PathBuf::from(REGISTRY), PathBuf::from)
}

/// The paths of one state directory. Names are validated before they come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The paths of the state directory at `root`, which need not exist yet.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The layout version.
    pub(crate) fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// The lock that is held while wanted objects change.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The process that this state directory ends with, if it ends with one.
    pub(crate) fn owner(&self) -> PathBuf {
        self.root.join("owner")
    }

    /// The settings of this state directory.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join("petset.toml")
    }

    /// This state directory's part of the image catalogue.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images.toml")
    }

    /// A seccomp profile, by its path below the folder of those that users bring (`Localhost`).
    pub(crate) fn seccomp_profile(&self, name: &str) -> PathBuf {
        self.root.join("seccomp").join(name)
    }

    /// Links to the program; this directory is appended to the PATH of containers.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn wanted(&self) -> PathBuf {
        self.root.join("wanted")
    }

    /// The marker that `petset stop` creates and `petset start` removes.
    pub(crate) fn stopped(&self) -> PathBuf {
        self.wanted().join("stopped")
    }

    /// The folder of the wanted objects of a kind in a namespace. Kinds without namespaces have one
    /// folder, whatever namespace is asked for.
    pub(crate) fn wanted_kind(&self, namespace: &Namespace, kind: ObjectKind) -> PathBuf {
        match kind.is_namespaced() {
            true => self.wanted().join(namespace.as_str()).join(kind.folder()),
            false => self.wanted_cluster().join(kind.folder()),
        }
    }

    /// The objects that belong to no namespace. No namespace can have this name.
    pub(crate) fn wanted_cluster(&self) -> PathBuf {
        self.wanted().join("_cluster")
    }

    pub(crate) fn wanted_object(
        &self,
        namespace: &Namespace,
        kind: ObjectKind,
        name: &ObjectName,
    ) -> PathBuf {
        self.wanted_kind(namespace, kind)
            .join(format!("{name}.yaml"))
    }

    /// Room for what has to be written on a full disk.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The copy for isolated pets, which has the same layout.
    pub(crate) fn view(&self) -> Self {
        Self::new(self.root.join("view"))
    }

    /// The place in [`Layout::view`] of a path in the state directory; `None` for other paths.
    pub(crate) fn shown(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok()?;
        Some(self.root.join("view").join(below))
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.root.join("seen")
    }

    fn seen_in(&self, namespace: &Namespace, what: &str) -> PathBuf {
        self.seen().join(namespace.as_str()).join(what)
    }

    pub(crate) fn set_statuses(&self, namespace: &Namespace) -> PathBuf {
        self.seen_in(namespace, "sets")
    }

    pub(crate) fn set_status(&self, namespace: &Namespace, set: &str) -> PathBuf {
        self.set_statuses(namespace).join(format!("{set}.json"))
    }

    pub(crate) fn revisions(&self, namespace: &Namespace, set: &str) -> PathBuf {
        self.seen_in(namespace, "revisions")
            .join(format!("{set}.json"))
    }

    /// The status of a workload.
    pub(crate) fn workload_status(
        &self,
        namespace: &Namespace,
        kind: WorkloadKind,
        name: &ObjectName,
    ) -> PathBuf {
        self.workload_statuses(namespace, kind)
            .join(format!("{name}.json"))
    }

    pub(crate) fn workload_statuses(&self, namespace: &Namespace, kind: WorkloadKind) -> PathBuf {
        self.seen_in(namespace, "workloads")
            .join(ObjectKind::Workload(kind).folder())
    }

    /// The templates that a daemon set has had.
    pub(crate) fn daemon_revisions(&self, namespace: &Namespace, set: &str) -> PathBuf {
        self.seen_in(namespace, "daemon-revisions")
            .join(format!("{set}.json"))
    }

    pub(crate) fn endpoints(&self, namespace: &Namespace) -> PathBuf {
        self.seen_in(namespace, "endpoints")
    }

    pub(crate) fn service_record(&self, namespace: &Namespace, service: &str) -> PathBuf {
        self.endpoints(namespace).join(format!("{service}.json"))
    }

    /// The ports of a service that the proxy could not bind at its virtual address.
    pub(crate) fn detours(&self, namespace: &Namespace, service: &str) -> PathBuf {
        self.seen_in(namespace, "detours")
            .join(format!("{service}.json"))
    }

    pub(crate) fn claims(&self, namespace: &Namespace) -> PathBuf {
        self.seen_in(namespace, "claims")
    }

    pub(crate) fn claim(&self, namespace: &Namespace, claim: &str) -> PathBuf {
        self.claims(namespace).join(format!("{claim}.json"))
    }

    pub(crate) fn events(&self, namespace: &Namespace) -> PathBuf {
        self.seen_in(namespace, "events")
    }

    /// The journal of a set and its pets, or of a pod that belongs to no set.
    pub(crate) fn journal(&self, namespace: &Namespace, owner: &str) -> PathBuf {
        self.events(namespace).join(format!("{owner}.jsonl"))
    }

    /// The `b` of this state directory's addresses 127.b.x.y.
    pub(crate) fn block(&self) -> PathBuf {
        self.seen().join("block")
    }

    /// The last trial of isolation on this machine.
    pub(crate) fn isolation(&self) -> PathBuf {
        self.seen().join("isolation.json")
    }

    /// The addresses of pets, one line each.
    pub(crate) fn addresses(&self) -> PathBuf {
        self.seen().join("addresses")
    }

    /// The virtual addresses of services, one line each.
    pub(crate) fn service_addresses(&self) -> PathBuf {
        self.seen().join("service-addresses")
    }

    pub(crate) fn pets(&self) -> PathBuf {
        self.root.join("pets")
    }

    pub(crate) fn pets_of(&self, namespace: &Namespace) -> PathBuf {
        self.pets().join(namespace.as_str())
    }

    pub(crate) fn pet(&self, namespace: &Namespace, pod: &str) -> PetLayout {
        PetLayout {
            root: self.pets_of(namespace).join(pod),
        }
    }

    /// The files of a pet.
    pub(crate) fn pet_of(&self, pet: &ObjectRef) -> PetLayout {
        self.pet(&pet.namespace, pet.name.as_str())
    }

    /// The data of claims, one directory each.
    pub(crate) fn volumes(&self, namespace: &Namespace) -> PathBuf {
        self.root.join("volumes").join(namespace.as_str())
    }

    /// The copies of volumes that users have made, a folder for each set.
    pub(crate) fn snapshots(&self, namespace: &Namespace) -> PathBuf {
        self.root.join("snapshots").join(namespace.as_str())
    }

    pub(crate) fn volume(&self, namespace: &Namespace, claim: &str) -> PathBuf {
        self.volumes(namespace).join(claim)
    }

    /// The files of the network process.
    pub(crate) fn network(&self) -> PathBuf {
        self.root.join("network")
    }

    /// The lock that is held while a network process is started.
    pub(crate) fn network_lock(&self) -> PathBuf {
        self.network().join("lock")
    }

    /// The pid of the network process.
    pub(crate) fn network_pid(&self) -> PathBuf {
        self.network().join("pid")
    }

    pub(crate) fn network_socket(&self) -> PathBuf {
        self.network().join("socket")
    }

    pub(crate) fn supervisor(&self) -> PathBuf {
        self.root.join("supervisor")
    }

    pub(crate) fn supervisor_lock(&self) -> PathBuf {
        self.supervisor().join("lock")
    }

    pub(crate) fn supervisor_pid(&self) -> PathBuf {
        self.supervisor().join("pid")
    }

    pub(crate) fn supervisor_socket(&self) -> PathBuf {
        self.supervisor().join("socket")
    }

    /// The lock that the proxy holds while it runs.
    pub(crate) fn proxy_lock(&self) -> PathBuf {
        self.supervisor().join("proxy.lock")
    }

    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.supervisor().join("log")
    }
}

/// The paths of one pet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PetLayout {
    root: PathBuf,
}

impl PetLayout {
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The pod, written by the supervisor.
    pub(crate) fn pod(&self) -> PathBuf {
        self.root.join("pod.json")
    }

    /// The pod's status, written by its runner, or by the supervisor when that is dead.
    pub(crate) fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// The ports of an isolated pet that are forwarded from other ports of the host.
    pub(crate) fn doors(&self) -> PathBuf {
        self.root.join("doors.json")
    }

    /// The lock that the runner holds while it runs, so that a pet has one runner at most.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The processes of the runner, so that its successor can kill those that are left.
    pub(crate) fn runner(&self) -> PathBuf {
        self.root.join("runner.json")
    }

    /// The runner's control socket.
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log(&self, container: &str) -> PathBuf {
        self.logs().join(format!("{container}.log"))
    }

    pub(crate) fn previous_log(&self, container: &str) -> PathBuf {
        self.logs().join(format!("{container}.previous.log"))
    }

    pub(crate) fn launches(&self) -> PathBuf {
        self.root.join("run")
    }

    /// How a container was started, for `exec` and `describe`.
    pub(crate) fn launch(&self, container: &str) -> PathBuf {
        self.launches().join(format!("{container}.json"))
    }

    /// What a container leaves as the message of its end.
    pub(crate) fn message(&self, container: &str) -> PathBuf {
        self.root.join("messages").join(container)
    }

    /// The ephemeral volumes, which are removed with the pet.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The mount point at which the root file system of a container is built.
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.root.join("sandbox")
    }

    /// The files of a container's image.
    pub(crate) fn image(&self, container: &str) -> PathBuf {
        self.root.join("image").join(container)
    }

    /// A container's working directory, with its mounts as links below it.
    pub(crate) fn container_root(&self, container: &str) -> PathBuf {
        self.root.join("root").join(container)
    }
}
