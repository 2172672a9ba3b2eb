//! What a set is and what it does next: values in, values out.
//!
//! Nothing below this module reads a file, a clock, the environment or a random number; time
//! comes in as an argument. That is what lets the rules be tested by tables, by recordings of a
//! real control plane, and by simulated worlds.

pub mod lifecycle;
mod name;

pub use name::{
    MAX_LABEL, MAX_REPLICAS, MAX_SET_NAME, Namespace, ObjectName, Ordinal, PetName, SetName,
    label_fault, subdomain_fault,
};
