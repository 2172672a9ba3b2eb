//! Sets, pods and their objects, and every decision about them: values in, values out.
//!
//! Nothing below this module reads a file, a clock, the environment or a random number; time
//! comes in as an argument. That is what lets the rules be tested by tables, by recordings of a
//! real control plane, and by simulated worlds.

pub(crate) mod address;
mod apply;
mod back_off;
pub mod bare;
pub mod binder;
mod canonical;
pub(crate) mod capabilities;
mod claim;
mod claim_users;
pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub(crate) mod duration;
mod edit;
mod egress;
pub(crate) mod endpoints;
pub mod environment;
pub mod expansion;
pub mod fields;
mod guess;
mod history;
pub mod image;
mod isolation;
pub mod job;
pub(crate) mod json;
pub(crate) mod kind;
pub mod lifecycle;
mod name;
pub mod node;
pub(crate) mod object;
mod overlay;
pub(crate) mod patch;
mod pet;
pub mod plan;
pub(crate) mod pod;
pub mod printer;
mod qos;
pub mod quantity;
mod reconcile;
pub mod replica_set;
pub(crate) mod restart;
mod revision;
pub mod rollout;
pub mod schedule;
mod set;
#[cfg(test)]
mod simulation;
mod status;
mod step;
pub(crate) mod sysctl;
pub mod template_hash;
mod wish;
pub mod workload;

pub use name::{
    MAX_LABEL, MAX_REPLICAS, MAX_SET_NAME, Namespace, ObjectName, ObjectRef, Ordinal, PetName,
    SetName, claim_name, label_fault, subdomain_fault,
};

pub use back_off::BackOff;
pub use claim::{ClaimSeen, Claims, claim_for};
pub use claim_users::{ClaimUsers, mounts_claim, names_claim};
pub(crate) use duration::parse_duration;
pub use edit::{
    Change, RESTARTED_ANNOTATION, pod_of, restart, scale_to, set_command, set_env, set_image,
    set_partition,
};
pub use egress::{EGRESS_ANNOTATION, Egress};
pub(crate) use guess::nearest;
pub use isolation::{HOST_PATHS_ANNOTATION, HostPath, ISOLATION_ANNOTATION, Isolation, host_paths};
pub use object::Workload;
pub use overlay::{FROZEN_ANNOTATION, Freeze, Notes, Overlay, freeze_while, is_frozen};
pub use pet::{
    HOOK_ANNOTATION, HookOutcome, INITIALIZED_ANNOTATION, POD_INDEX_LABEL, POD_NAME_LABEL, PetSeen,
    Phase, REVISION_LABEL, ScaleDownHook, pod_for, stopping,
};
pub use qos::qos_class;
pub use reconcile::reconcile;
pub use revision::{HASH_LABEL, hash_of, template_of};
pub use set::{
    Bound, Deletion, Keep, ORPHAN_FINALIZER, PETSET, Policy, Retention, Roll, Selector, Set,
    Strategy,
};
pub use step::{Outcome, Reason, Rules, Seen, Step};
pub use wish::{
    CANARY_ANNOTATION, CHANGE_CAUSE, CHANGE_CAUSE_ANNOTATION, FAILED_REVISIONS_ANNOTATION,
    KIND_ANNOTATION, ON_FAILURE_ANNOTATION, OWN_PREFIX, PAUSE_AFTER_ANNOTATION, PAUSED_ANNOTATION,
    PRE_SCALE_DOWN_ANNOTATION, PROGRESS_DEADLINE_ANNOTATION, PURGE_ANNOTATION,
    ROLLED_BACK_ANNOTATION, STRICT_ANNOTATION, SetOptions, TOGETHER_ANNOTATION,
};
