//! Isolation of a pet from the host: the level `none`, or the level `full`, as in a container.
//!
//! With `full` a pod has a [`Sandbox`](sandbox::Sandbox), held by its first process, and each run
//! of a container has a [`MountNamespace`]. All processes of the pet are nevertheless children of
//! the runner, so that exit codes, logs, probes and hooks work as without isolation; when the
//! runner dies, pid 1 of the sandbox gets SIGKILL (PDEATHSIG), and with it its pid namespace ends.
//!
//! When a pod is prepared, and again when its sandbox has died ([`sandbox`], [`init`]):
//!
//! 1. The runner connects to the network process of the state directory, which it starts where
//!    there is none. Without a network, an ordinary user makes a user namespace instead: a fork
//!    unshares it, the runner writes its `uid_map` and `gid_map` (with `newuidmap` and
//!    `newgidmap` where the user has subordinate ids), and keeps it open by a descriptor.
//! 2. The runner forks; the child enters the user namespace (the network's, or that of step 1;
//!    root has none) with `setns`.
//! 3. The child clones the init process as its sibling (`CLONE_PARENT`), with new pid, UTS and
//!    IPC namespaces, and a network namespace where the pod does not use the host's.
//! 4. Init closes all inherited descriptors, resets signals, leaves the session, asks for its
//!    death with the runner (`PR_SET_PDEATHSIG`), sets the host name, and opens low ports and
//!    pings to every user of its network.
//! 5. The network process connects init's network namespace to the bridge, and opens the pod's
//!    ports on the host.
//!
//! Before each start of a container ([`plan`], [`builder`]):
//!
//! 6. The runner plans the root file system as a list of [`MountStep`](step::MountStep)s, since
//!    what follows a fork must not allocate.
//! 7. It forks; the child enters all namespaces of the sandbox and clones the builder as its
//!    sibling, for only a process that was born in a pid namespace may mount its `/proc`.
//! 8. The builder unshares a mount namespace, makes its mounts private, and takes the steps: a
//!    tmpfs, the host's directories under overlays (or the image's root), `/proc`, `/sys`,
//!    `/dev`, `/etc`, the volumes; remounts read-only what is to be; and ends with `pivot_root`.
//! 9. The runner opens the mount namespace, and the builder ends.
//!
//! For each process of a container (`spawn` in the runner, [`exec`](mod@exec), and
//! [`Namespaces`](crate::sys::Namespaces)):
//!
//! 10. std forks; before exec the child enters the sandbox's namespaces, then the mount
//!     namespace; sets its umask; drops capabilities from its bounding set; switches to its
//!     groups, gid and uid; and sets `no_new_privs` where the container wants that.
//! 11. It clones the process itself as its sibling, into the pid namespace, sends its pid, and
//!     ends.
//! 12. The process starts a session, asks for its death with the runner, changes to its working
//!     directory, and executes the program. No seccomp filter is installed.

mod attempt;
mod builder;
mod context;
mod dialer;
mod exec;
mod files;
mod home;
mod init;
mod message;
mod mountinfo;
mod network;
mod plan;
mod pod;
mod pod_sandbox;
mod sandbox;
mod step;
mod trial;
mod view;

pub(crate) use attempt::attempt;
pub(super) use builder::MountNamespace;
pub(super) use context::PodContext;
pub(super) use dialer::Dialer;
pub(crate) use exec::exec;
pub(crate) use pod::{NETWORK_VARIABLE, is_full, move_inside};
pub(super) use pod::{has_network, move_service_inside, outer_ip, variables};
pub(super) use pod_sandbox::{PodSandbox, UserNamespace};
pub(crate) use trial::{trials, whom_pets_can_be};
