//! The addresses of this state directory: its block on this machine, and one for each identity,
//! pet or service.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::model::Namespace;
use crate::net::address::{self, Block, Identity, Pool};
use crate::net::block::Blocks;
use crate::problem::Result;
use crate::store::{self, Given, Layout, Store, Sync};

/// The addresses, kept in the state directory.
#[derive(Debug)]
pub(super) struct Addresses {
    pets: Kept,
    services: Kept,
}

/// Addresses of one pool, and the list they are kept in.
#[derive(Debug)]
struct Kept {
    list: PathBuf,
    given: address::Addresses,
}

impl Kept {
    fn open(list: PathBuf, block: Block, pool: Pool) -> Result<Self> {
        let given = store::addresses_given(&list)
            .with_context(|| format!("cannot read {}", list.display()))?;
        let given = given
            .into_iter()
            .map(|given| (given.ip, identity(&given.namespace, &given.pod)));
        let given = address::Addresses::new(block, pool, given);
        Ok(Self { list, given })
    }

    fn of(&mut self, identity: &Identity) -> Result<Ipv4Addr> {
        if let Some(known) = self.given.find(identity) {
            return Ok(known);
        }
        let ip = self.given.allot(identity)?;
        self.write(ip, identity)?;
        Ok(ip)
    }

    fn write(&self, ip: Ipv4Addr, identity: &Identity) -> Result<()> {
        let line = Given {
            ip,
            namespace: identity.namespace.clone(),
            pod: identity.pod.clone(),
        };
        store::give_address(&self.list, &line)
            .with_context(|| format!("cannot write {}", self.list.display()))
    }
}

fn identity(namespace: &str, name: &str) -> Identity {
    Identity {
        namespace: namespace.to_owned(),
        pod: name.to_owned(),
    }
}

impl Addresses {
    /// Claims the state directory's block on this machine and reads what was given out before.
    pub(super) fn open(store: &Store) -> Result<Self> {
        let layout = store.layout();
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
        Ok(Self {
            pets: Kept::open(layout.addresses(), block, Pool::Pets)?,
            services: Kept::open(layout.service_addresses(), block, Pool::Services)?,
        })
    }

    pub(super) const fn block(&self) -> Block {
        self.pets.given.block()
    }

    /// Returns the address of a pet: the same one for ever.
    pub(super) fn address_of(&mut self, namespace: &Namespace, pod: &str) -> Result<Ipv4Addr> {
        self.pets.of(&identity(namespace.as_str(), pod))
    }

    /// Returns the virtual address of a service: the one it asks for where it can have that, and
    /// always the same one.
    pub(super) fn address_of_service(
        &mut self,
        namespace: &Namespace,
        service: &str,
        wish: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr> {
        let identity = identity(namespace.as_str(), service);
        let known = self.services.given.find(&identity);
        match wish {
            Some(wish) if known.is_none() && self.services.given.allot_wish(&identity, wish) => {
                self.services.write(wish, &identity)?;
                Ok(wish)
            }
            Some(_) | None => self.services.of(&identity),
        }
    }
}

/// Returns the block that the state directory at `root` says it has.
fn block_of(root: &Path) -> Option<Block> {
    let text = store::read(&Layout::new(root).block()).ok()??;
    Block::new(text.trim().parse().ok()?)
}
