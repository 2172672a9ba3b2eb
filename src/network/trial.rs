//! Trying, in a process of its own, whether this machine can have a private network.

use std::ffi::OsStr;
use std::io;

use super::bridge;
use super::namespace::{PrivateNetwork, enter_network, enter_user};
use crate::model::address::Block;
use crate::problem::Result;

/// What is tried, as an argument in the place of a state directory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trial {
    Network,
    Egress,
}

impl Trial {
    const ALL: [Self; 2] = [Self::Network, Self::Egress];

    pub(super) const fn argument(self) -> &'static str {
        match self {
            Self::Network => "try",
            Self::Egress => "try-egress",
        }
    }

    /// Returns the trial that an argument asks for.
    pub(super) fn of(argument: &OsStr) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|trial| argument == trial.argument())
    }

    /// Makes what is tried; it goes with this process.
    pub(super) fn run(self) -> Result<()> {
        enter_user(None)?;
        enter_network(None)?;
        match self {
            Self::Network => bridge::attempt()?,
            Self::Egress => {
                let block = Block::new(1);
                let block = block.ok_or_else(|| io::Error::other("there is no address block"))?;
                PrivateNetwork::make(block)?.tproxy?;
            }
        }
        Ok(())
    }
}
