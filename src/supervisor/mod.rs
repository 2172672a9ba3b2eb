//! The controller of one state directory: it compares wanted objects with the observed state and
//! performs the next steps, until nothing is left to run.
//!
//! One thread decides. It waits on the state directory (wanted objects and the statuses that
//! runners write), on its socket, on signals and on the runners of earlier supervisors. All of its
//! memory can be read again from files, so that it may be killed at any instant.

mod ability;
mod addresses;
mod bare;
mod bare_pods;
mod claims;
mod config;
mod controllers;
mod copied_state;
mod covering;
mod damaged;
mod ephemeral;
mod events;
mod garbage;
mod grace;
mod launch;
mod loading;
mod log;
mod losses;
mod names;
mod notify;
mod overlays;
mod owner;
mod perform;
mod pets;
mod proxy_process;
mod publish;
mod readiness;
mod rebuilding;
mod requests;
mod restoring;
mod retry;
mod run;
mod runners;
mod services;
mod shutdown;
mod signals;
mod state;
mod storage;
mod storage_plan;
mod storage_queue;
mod taking_back;
mod termination;
mod turn;
mod work_queue;
mod workload_steps;
mod workloads;
mod world;
mod writer;
mod zones;

pub(crate) use ability::{lacks_of_isolation, way_out};
pub(crate) use launch::{is_running, lifeline, nudge};
pub(crate) use perform::new_uid;
pub(crate) use run::{run_in_background, run_in_foreground};
