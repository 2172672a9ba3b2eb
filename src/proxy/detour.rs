//! Ports that could not be offered as they are, and where they are offered instead.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What became of one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detour {
    pub(crate) port: u16,
    pub(crate) protocol: String,
    /// Where it is offered; nowhere at all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<SocketAddr>,
    pub(crate) why: String,
}

/// The detours of one service, as its file holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detours {
    pub(crate) ports: Vec<Detour>,
}

impl std::fmt::Display for Detour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, protocol, .. } = self;
        match self.at {
            Some(at) => write!(f, "{port}/{protocol} at {at}"),
            None => write!(f, "{port}/{protocol} nowhere"),
        }
    }
}
