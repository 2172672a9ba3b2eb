//! The addresses of this state directory: its block on this machine, and one for each identity,
//! pet or service.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::model::Namespace;
use crate::model::address::{self, AddressOwner, Block, Pool};
use crate::problem::Result;
use crate::store::registry::Blocks;
use crate::store::{self, Given, Layout, Store, Sync};

/// The addresses, kept in the state directory.
#[derive(Debug)]
pub(super) struct Addresses {
    pets: AddressList,
    services: AddressList,
}

/// The addresses of one pool, and the file that lists them.
#[derive(Debug)]
struct AddressList {
    list: PathBuf,
    given: address::AddressAllocator,
}

impl AddressList {
    fn new(list: PathBuf, block: Block, pool: Pool, given: Vec<Given>) -> Self {
        let given = given.into_iter().map(|given| {
            let Given { ip, namespace, pod } = given;
            (ip, AddressOwner { namespace, pod })
        });
        let given = address::AddressAllocator::new(block, pool, given);
        Self { list, given }
    }

    fn of(&mut self, identity: &AddressOwner) -> Result<Ipv4Addr> {
        self.give(std::slice::from_ref(identity))?;
        Ok(self.given.allot(identity)?)
    }

    /// Gives an address to each identity without one, and syncs the list once.
    fn give(&mut self, all: &[AddressOwner]) -> Result<()> {
        let new = all.iter().filter(|it| self.given.find(it).is_none());
        let new: Vec<AddressOwner> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for identity in &new {
            let ip = self.given.allot(identity)?;
            let AddressOwner { namespace, pod } = identity.clone();
            lines.push(Given { ip, namespace, pod });
        }
        self.write(&lines)
    }

    fn write(&mut self, lines: &[Given]) -> Result<()> {
        let written = store::give_addresses(&self.list, lines);
        if written.is_err() {
            // An address that is not on the disk is not assigned.
            for Given { namespace, pod, .. } in lines {
                self.given.take_back(&identity(namespace, pod));
            }
        }
        written.with_context(|| format!("cannot write {}", self.list.display()))
    }
}

fn identity(namespace: &str, name: &str) -> AddressOwner {
    AddressOwner {
        namespace: namespace.to_owned(),
        pod: name.to_owned(),
    }
}

impl Addresses {
    /// Claims the state directory's block on this machine, and reads the assigned addresses.
    pub(super) fn open(store: &Store) -> Result<Self> {
        let layout = store.layout();
        let read = |list: &Path| {
            store::addresses_given(list).with_context(|| format!("cannot read {}", list.display()))
        };
        let (pets, services) = (layout.addresses(), layout.service_addresses());
        let (to_pets, to_services) = (read(&pets)?, read(&services)?);
        // The lists are synced; the file with the block is not, and exists for other readers.
        let last = to_pets
            .last()
            .and_then(|given| Block::new(given.ip.octets()[1]));
        let has = store
            .settings()
            .address_block
            .and_then(Block::new)
            .or_else(|| block_of(layout.root()))
            .or(last);
        let block = Blocks::of_this_machine().claim(layout.root(), has, block_of)?;
        note_block(layout, block)?;
        Ok(Self {
            pets: AddressList::new(pets, block, Pool::Pets, to_pets),
            services: AddressList::new(services, block, Pool::Services, to_services),
        })
    }

    /// Returns the lists that have any address.
    pub(super) fn lists(&self) -> impl Iterator<Item = PathBuf> {
        let lists = [&self.pets, &self.services].into_iter();
        let used = lists.filter(|list| list.given.all().next().is_some());
        used.map(|list| list.list.clone())
    }

    /// Writes the lists and the block again, where they are missing.
    pub(super) fn restore(&self, store: &Store) -> Result<()> {
        for list in [&self.pets, &self.services] {
            let lines: Vec<Given> = list.given.all().map(given).collect();
            if !lines.is_empty() && !list.list.exists() {
                store::give_addresses(&list.list, &lines)
                    .with_context(|| format!("cannot write {}", list.list.display()))?;
            }
        }
        note_block(store.layout(), self.block())
    }

    pub(super) const fn block(&self) -> Block {
        self.pets.given.block()
    }

    /// Returns the address of a pet, which never changes.
    pub(super) fn address_of(&mut self, namespace: &Namespace, pod: &str) -> Result<Ipv4Addr> {
        self.pets.of(&identity(namespace.as_str(), pod))
    }

    /// Gives an address to each of these pets without one.
    pub(super) fn give(&mut self, namespace: &Namespace, pods: &[String]) -> Result<()> {
        let all = pods.iter().map(|pod| identity(namespace.as_str(), pod));
        self.pets.give(&all.collect::<Vec<_>>())
    }

    /// Returns the virtual address of a service, which never changes: the requested one if that was
    /// free.
    pub(super) fn address_of_service(
        &mut self,
        namespace: &Namespace,
        service: &str,
        wish: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr> {
        let identity = identity(namespace.as_str(), service);
        let known = self.services.given.find(&identity);
        if let Some(ip) = wish.filter(|_| known.is_none())
            && self.services.given.allot_wish(&identity, ip)
        {
            let AddressOwner { namespace, pod } = identity.clone();
            self.services.write(&[Given { ip, namespace, pod }])?;
        }
        self.services.of(&identity)
    }
}

fn given((ip, owner): (Ipv4Addr, &AddressOwner)) -> Given {
    let AddressOwner { namespace, pod } = owner.clone();
    Given { ip, namespace, pod }
}

/// Writes the block to its file, unless it is there.
fn note_block(layout: &Layout, block: Block) -> Result<()> {
    if block_of(layout.root()) == Some(block) {
        return Ok(());
    }
    let path = layout.block();
    store::replace(&path, format!("{}\n", block.number()).as_bytes(), Sync::No)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the block that the state directory at `root` has recorded.
fn block_of(root: &Path) -> Option<Block> {
    store::block_of(&Layout::new(root)).ok()?
}
