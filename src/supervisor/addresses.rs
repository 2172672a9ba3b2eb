//! The addresses of this state directory: its block on this machine, and one for each identity,
//! pet or service.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::log::log;
use crate::model::address::{self, AddressOwner, Block, Pool};
use crate::model::{Namespace, ObjectRef};
use crate::problem::Result;
use crate::store::registry::Blocks;
use crate::store::{self, Given, Layout, Store, Sync};

/// The addresses, kept in the state directory.
#[derive(Debug)]
pub(super) struct Addresses {
    pets: AddressList,
    services: AddressList,
}

/// The size in bytes from which on a list is made shorter, unless it is still mostly of use.
const CROWDED: u64 = 64 << 10;

/// The addresses of one pool, and the file that lists them.
#[derive(Debug)]
struct AddressList {
    list: PathBuf,
    given: address::AddressAllocator,
    /// From which size in bytes on the list is made shorter.
    crowded: u64,
}

impl AddressList {
    fn new(list: PathBuf, block: Block, pool: Pool, given: Vec<Given>) -> Self {
        let given = given.into_iter().map(|given| {
            let Given { ip, namespace, pod } = given;
            (ip, AddressOwner { namespace, pod })
        });
        let given = address::AddressAllocator::new(block, pool, given);
        Self {
            list,
            given,
            crowded: CROWDED,
        }
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

    /// Takes an address back; a list that mostly tells of such is made shorter. Returns whether it
    /// was.
    fn take_back(&mut self, owner: &AddressOwner) -> io::Result<bool> {
        self.given.release(owner);
        let size = store::take_address_back(&self.list, &owner.namespace, &owner.pod)?;
        if size < self.crowded {
            return Ok(false);
        }
        let left: Vec<Given> = self.given.all().map(given).collect();
        let size = store::compact_addresses(&self.list, &left)?;
        self.crowded = CROWDED.max(size * 4);
        Ok(true)
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
        let block = Blocks::of_this_machine().claim(layout.root(), has, block_of);
        note_block(layout, block)?;
        Ok(Self {
            pets: AddressList::new(pets, block, Pool::Pets, to_pets),
            services: AddressList::new(services, block, Pool::Services, to_services),
        })
    }

    /// Notes the addresses of pods that the list has lost.
    pub(super) fn relearn(&mut self, pets: &[(ObjectRef, Ipv4Addr)]) -> Result<()> {
        let mut lines = Vec::new();
        for (key, ip) in pets {
            let owner = identity(key.namespace.as_str(), key.name.as_str());
            let lost = self.pets.given.find(&owner).is_none();
            if lost && self.pets.given.allot_wish(&owner, *ip) {
                lines.push(given((*ip, &owner)));
            }
        }
        match lines.is_empty() {
            true => Ok(()),
            false => self.pets.write(&lines),
        }
    }

    /// Returns the lists that have any address.
    pub(super) fn lists(&self) -> impl Iterator<Item = PathBuf> {
        let lists = [&self.pets, &self.services].into_iter();
        let used = lists.filter(|list| list.given.all().next().is_some());
        used.map(|list| list.list.clone())
    }

    /// Writes the lists and the block again, where they are missing or are no files.
    pub(super) fn restore(&self, store: &Store) -> Result<()> {
        for list in [&self.pets, &self.services] {
            let lines: Vec<Given> = list.given.all().map(given).collect();
            if !lines.is_empty() && !list.list.is_file() {
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

    /// Takes back the address of a pod whose name never comes again.
    pub(super) fn take_back(&mut self, layout: &Layout, key: &ObjectRef) {
        let (namespace, pod) = (key.namespace.as_str(), key.name.as_str());
        let taken = self.pets.take_back(&identity(namespace, pod));
        let shown = taken.and_then(|shorter| match shorter {
            true => store::show_addresses(layout),
            false => Ok(()),
        });
        if let Err(error) = shown {
            log(&format!(
                "cannot write {}: {error}",
                self.pets.list.display()
            ));
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_list_of_addresses_that_come_and_go_stays_short_and_is_shown_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let block = Block::new(7).unwrap();
        let list = layout.addresses();
        let mut addresses = AddressList::new(list.clone(), block, Pool::Pets, Vec::new());
        let kept = addresses.of(&identity("default", "web-0")).unwrap();
        store::show_addresses(&layout).unwrap();
        let shown = layout.shown(&list).unwrap();
        let (mut shorter, mut longest) = (0, 0);
        // As many pods as a CronJob makes in a day that runs every minute.
        for number in 0..1440 {
            let pod = identity("default", &format!("dump-{number}-x5z6v"));
            addresses.of(&pod).unwrap();
            if addresses.take_back(&pod).unwrap() {
                shorter += 1;
                store::show_addresses(&layout).unwrap();
            }
            let inode = |path: &Path| fs::metadata(path).unwrap().ino();
            assert_eq!(inode(&list), inode(&shown));
            longest = longest.max(fs::metadata(&list).unwrap().len());
        }
        assert!(
            shorter > 0 && longest < CROWDED + 100,
            "{shorter} {longest}"
        );
        let read = store::addresses_given(&list).unwrap();
        assert_eq!(read, [given((kept, &identity("default", "web-0")))]);
        let folder = fs::read_dir(shown.parent().unwrap()).unwrap();
        assert_eq!(folder.count(), 1, "nothing else is left beside it");
    }
}
