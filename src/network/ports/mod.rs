//! The ports of attached pets on the host: what listens there, and the thread that carries what
//! comes to the pets.

mod forwarder;
mod handle;
mod host_port;

pub(super) use forwarder::PortForwarder;
pub(super) use handle::PortForwarderHandle;
