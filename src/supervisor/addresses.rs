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
        let given = store::addresses_given(&layout).context("cannot read the addresses given")?;
        // What was given is durable; the block's own file is quicker to read for everybody else.
        let last = given
            .last()
            .and_then(|given| Block::new(given.ip.octets()[1]));
        let has = store
            .settings()
            .address_block
            .and_then(Block::new)
            .or_else(|| block_of(layout.root()))
            .or(last);
        let block = Blocks::of_this_machine().claim(layout.root(), has, block_of)?;
        if block_of(layout.root()) != Some(block) {
            let path = layout.block();
            store::replace(&path, format!("{}\n", block.number()).as_bytes(), Sync::No)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
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
        let identity = identity(namespace, pod);
        if self.given.find(&identity).is_none() {
            self.give(namespace, &[pod.to_owned()])?;
        }
        Ok(self.given.allot(&identity)?)
    }

    /// Gives these pets their addresses, as far as they have none: the disk is waited for once.
    pub(super) fn give(&mut self, namespace: &Namespace, pods: &[String]) -> Result<()> {
        let all = pods.iter().map(|pod| identity(namespace, pod));
        let new: Vec<Identity> = all.filter(|it| self.given.find(it).is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for identity in &new {
            let ip = self.given.allot(identity)?;
            let Identity { namespace, pod } = identity.clone();
            lines.push(Given { ip, namespace, pod });
        }
        let written = store::give_addresses(&self.layout, &lines);
        if written.is_err() {
            // What is not written down was not given.
            new.iter()
                .for_each(|identity| self.given.take_back(identity));
        }
        written.context("cannot write the addresses given")
    }
}

fn identity(namespace: &Namespace, pod: &str) -> Identity {
    Identity {
        namespace: namespace.to_string(),
        pod: pod.to_owned(),
    }
}

/// Returns the block that the state directory at `root` says it has.
fn block_of(root: &Path) -> Option<Block> {
    let text = store::read(&Layout::new(root).block()).ok()??;
    Block::new(text.trim().parse().ok()?)
}
