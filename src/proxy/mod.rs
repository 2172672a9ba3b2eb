//! The proxy: it offers each `ClusterIP` service at its virtual address and spreads the clients
//! over the pets that are ready.
//!
//! It is a process of its own, one for each state directory, so that connections outlive a
//! supervisor that is killed. It gets no messages: it follows the records that the supervisor
//! publishes, and while there is no supervisor it goes on with the last ones, as long as they name
//! a pet. A second proxy, started by the next supervisor, waits for its lock and takes over when it
//! dies. One thread serves all connections; bytes are copied through one buffer, and only what a
//! slow receiver does not take at once is kept.
//!
//! It listens on the host. In a private network a thread of the network process does the same with
//! the addresses that hold there ([`serve_inside`]).

mod balance;
mod engine;
mod follow;
mod lifeline;
mod log;
mod plan;
mod port;
mod process;
mod report;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use process::{run, serve_inside};
