//! What the controllers of workloads share: whose a pod is, which pods go first, how names are made
//! up, and the steps that they ask for.
//!
//! A controller is a function of the object that is wanted and of what is seen: it returns the
//! status to publish, steps, and when to look again. It remembers nothing between passes.

mod batch;
pub mod edit;
mod naming;
mod owner;
pub mod past;
pub mod pods;
mod progress;
mod ranking;
mod rehearsal;
mod standing;
mod step;

pub use batch::{MAX_BATCHED, slow_start};
pub use naming::{Random, generated_name};
pub use owner::{Claim, claim, controller_of, is_controlled_by, owner_reference};
pub(crate) use progress::{WorkProgress, progress, wanted_pods};
pub use ranking::{Ranked, deletion_cost, younger_first};
pub use rehearsal::plan_workload;
pub use standing::workload_standing;
pub(in crate::model) use step::wake_by;
pub use step::{Reconciled, Told, Tone, WorkStep};
