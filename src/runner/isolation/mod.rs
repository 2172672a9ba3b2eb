//! Isolation of a pet from the host: the level `none`, or the level `full`, as in a container.
//!
//! With `full` a pod has a [`Sandbox`](sandbox::Sandbox) of namespaces, which its runner keeps
//! open, and each run of a container has a mount and a process namespace of its own. The main
//! process is process 1 there: when it ends, the kernel ends all others. All processes of the pet
//! that petset starts are children of the runner, so that exit codes, logs, probes and hooks work
//! as without isolation; when the runner dies, the main processes get SIGKILL (PDEATHSIG).
//!
//! When a pod is prepared ([`sandbox`], [`init`]):
//!
//! 1. The runner connects to the network process of the state directory, which it starts where
//!    there is none. Without a network, an ordinary user makes a user namespace instead: a fork
//!    unshares it, the runner writes its `uid_map` and `gid_map` (with `newuidmap` and
//!    `newgidmap` where the user has subordinate ids), and keeps it open by a descriptor.
//! 2. The runner forks; the child enters the user namespace (the network's, or that of step 1;
//!    root has none) with `setns`.
//! 3. The child clones the init process as its sibling (`CLONE_PARENT`), with new UTS and IPC
//!    namespaces, and a network namespace where the pod does not use the host's.
//! 4. Init closes all inherited descriptors, resets signals, leaves the session, asks for its
//!    death with the runner (`PR_SET_PDEATHSIG`), sets the host name, and opens low ports and
//!    pings to every user of its network.
//! 5. The runner opens its namespaces; the network process connects the network namespace to the
//!    bridge, and opens the pod's ports on the host. Then init ends, unless it is needed: in the
//!    host's network it stays beside the pet, and ends all that is left of it when its runner has
//!    died. With `shareProcessNamespace` it was born in a process namespace that all containers
//!    join, and stays as its process 1, with an empty root directory and nothing open but its end
//!    of a socket; when it has died, the sandbox is made again.
//!
//! At each start of a container ([`plan`], [`builder`]):
//!
//! 6. The runner plans the root file system as a list of [`MountStep`](step::MountStep)s, since
//!    what follows a fork must not allocate.
//! 7. std forks; before exec the child enters the namespaces of the sandbox, and clones the main
//!    process as its sibling, with a new mount and a new process namespace, for only a process
//!    that was born in that may mount its `/proc`. It sends the pid, and ends when the program is
//!    executed, or kills who takes too long.
//! 8. The main process sends descriptors of the two namespaces, makes its mounts private, and takes
//!    the steps: a tmpfs, the host's directories under overlays (or the image's root), `/proc`,
//!    `/sys`, `/dev`, `/etc`, the volumes; remounts read-only what is to be; and ends with
//!    `pivot_root`. If it is a privileged one of root, it enters the pod's user namespace then, in
//!    which every id is itself, and unshares the mounts, which are locked by that.
//! 9. It lets exec close all descriptors above stderr; sets its umask; drops capabilities from its
//!    bounding set; switches to its groups, gid and uid; and sets `no_new_privs` where the
//!    container wants that.
//! 10. It starts a session, asks for its death with the runner, changes to its working directory,
//!     and executes the program. A seccomp filter is installed in step 9: that of its profile, and
//!     for root's pets that of `RuntimeDefault` where they name none.
//!
//! For each other process of a container (`spawn` in the runner, [`exec`](mod@exec), and
//! [`Namespaces`](crate::sys::Namespaces)) the child enters all these namespaces, and clones one
//! that does what steps 9 and 10 say. Until exec all of them are out of the pet's reach
//! (`PR_SET_DUMPABLE`), and the program that they are forks of lies where no pet can change it
//! ([`SealedProgram`](crate::sys::SealedProgram)). The runner must reap it before process 1 can
//! end; for `petset exec`, which may be stopped, the child stays as its parent and does that.

mod attempt;
mod builder;
mod context;
mod dialer;
mod exec;
mod files;
mod guard;
mod home;
mod init;
mod memory;
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
pub(super) use context::PodContext;
pub(super) use dialer::Dialer;
pub(crate) use exec::exec;
pub(super) use memory::MemoryRoots;
pub(crate) use pod::{NETWORK_VARIABLE, is_full, move_inside, shares_processes};
pub(super) use pod::{has_network, move_service_inside, outer_ip, variables};
pub(super) use pod_sandbox::{ContainerSpace, Entrance, NewContainer, PodSandbox, UserNamespace};
pub(crate) use trial::{trials, whom_pets_can_be};
