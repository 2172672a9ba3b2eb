//! The addresses of this state directory: its block on this machine, and one for each identity.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;

use crate::model::Namespace;
use crate::net::address::{self, Block, Identity};
use crate::net::block::Blocks;
use crate::problem::Result;
use crate::store::{self, Given, Layout, Store, Sync};

/// The addresses, kept in the state directory.
#[derive(Debug)]
pub(super) struct Addresses {
    layout: Layout,
    given: address::Addresses,
}

impl Addresses {
    /// Claims the state directory's block on this machine and reads what was given out before.
    pub(super) fn open(store: &Store) -> Result<Self> {
        let layout = store.layout().clone();
        let has = store
            .settings()
            .address_block
            .and_then(Block::new)
            .or_else(|| block_of(layout.root()));
        let block = Blocks::of_this_machine().claim(layout.root(), has, block_of)?;
        if block_of(layout.root()) != Some(block) {
            let path = layout.block();
            store::replace(&path, format!("{}\n", block.number()).as_bytes(), Sync::Yes)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let given = store::addresses_given(&layout).context("cannot read the addresses given")?;
        let given = given.into_iter().map(|given| {
            (
                given.ip,
                Identity {
                    namespace: given.namespace,
                    pod: given.pod,
                },
            )
        });
        Ok(Self {
            given: address::Addresses::new(block, given),
            layout,
        })
    }

    pub(super) const fn block(&self) -> Block {
        self.given.block()
    }

    /// Returns the address of a pet: the same one for ever.
    pub(super) fn address_of(&mut self, namespace: &Namespace, pod: &str) -> Result<Ipv4Addr> {
        let identity = Identity {
            namespace: namespace.to_string(),
            pod: pod.to_owned(),
        };
        if let Some(known) = self.given.find(&identity) {
            return Ok(known);
        }
        let ip = self.given.allot(&identity)?;
        let line = Given {
            ip,
            namespace: identity.namespace,
            pod: identity.pod,
        };
        store::give_address(&self.layout, &line).context("cannot write the addresses given")?;
        Ok(ip)
    }
}

/// Returns the block that the state directory at `root` says it has.
fn block_of(root: &Path) -> Option<Block> {
    let text = store::read(&Layout::new(root).block()).ok()??;
    Block::new(text.trim().parse().ok()?)
}
