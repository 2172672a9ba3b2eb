//! Keeps two state directories of one machine from using the same block of addresses.
//!
//! A directory that every user may write to holds one symbolic link for each block, from its number
//! to the state directory that owns it. Creating a link is atomic, so each block has one owner.
//! Where the directory cannot be written, the preferred block is used without a claim.
//!
//! It tells as well which state directories there are, none of which a pet may see.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::model::address::Block;
use crate::sorted::SortedSet;

/// The mode of the registry: every user may add an entry, and only its owner may remove it.
const SHARED: u32 = 0o1777;

/// The state directories of this machine by their blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocks {
    registry: PathBuf,
    /// The folder of the kernel's lists of sockets.
    sockets: PathBuf,
}

/// What somebody has entered as a state directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RegistryEntry {
    pub(crate) path: PathBuf,
    pub(crate) user: u32,
    /// When: a directory that is made again is entered again.
    pub(crate) made: (i64, i64),
}

/// The outcome of claiming a block.
#[derive(Debug, PartialEq, Eq)]
enum ClaimOutcome {
    Ours,
    Theirs,
    /// Its state directory is gone, but this user may not remove the entry.
    Stale,
}

impl Blocks {
    /// Uses the registry of this machine.
    pub(crate) fn of_this_machine() -> Self {
        Self::at(crate::store::registry())
    }

    /// Uses the registry in a directory, which is created when it is first needed.
    pub(crate) fn at(registry: impl Into<PathBuf>) -> Self {
        Self {
            registry: registry.into(),
            sockets: PathBuf::from("/proc/self/net"),
        }
    }

    /// Claims a block for the state directory at `state`: the one it `has`, else the one that a
    /// hash of its path prefers, else the next free one; where all are taken, the first again.
    /// A block in which anything listens is not free: another machine's registry may give it, where
    /// containers share the network but not their files.
    ///
    /// `says` returns the block that another state directory has recorded; an entry with another
    /// number is stale. A directory without a record is taken to be claiming its block right now.
    pub(crate) fn claim(
        &self,
        state: &Path,
        has: Option<Block>,
        says: impl Fn(&Path) -> Option<Block>,
    ) -> Block {
        let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
        let wish = has.unwrap_or_else(|| Block::preferred(&state));
        if self.prepare().is_err() {
            return wish;
        }
        let used = match has {
            Some(_) => SortedSet::new(),
            None => self.in_use(),
        };
        let mut stale = Vec::new();
        for block in wish.and_others() {
            if used.contains(&block) && self.holder(block).is_none_or(|holder| holder != state) {
                continue;
            }
            match self.enter(block, &state, &says) {
                Ok(ClaimOutcome::Ours) => {
                    if block != wish {
                        self.release_others(&state, block);
                    }
                    return block;
                }
                Ok(ClaimOutcome::Theirs) => {}
                Ok(ClaimOutcome::Stale) => stale.push(block),
                Err(_) => return wish,
            }
        }
        // No state directory uses a stale block, although its entry cannot be replaced. Where all
        // are taken, which any user can see to, two directories that do not run together may share.
        stale.into_iter().next().unwrap_or(wish)
    }

    /// Removes the entries of a state directory that is gone.
    pub(crate) fn release(&self, state: &Path) {
        for entry in fs::read_dir(&self.registry).into_iter().flatten().flatten() {
            if fs::read_link(entry.path()).is_ok_and(|target| target == state) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Returns the state directory that the registry lists for a block.
    pub(crate) fn holder(&self, block: Block) -> Option<PathBuf> {
        fs::read_link(self.entry(block)).ok()
    }

    /// Lists what is entered as a state directory. It may be anything: everybody can make an entry.
    pub(crate) fn entered(&self) -> SortedSet<RegistryEntry> {
        let entries = fs::read_dir(&self.registry).into_iter().flatten().flatten();
        let entered = entries.filter_map(|entry| {
            let found = fs::symlink_metadata(entry.path()).ok()?;
            Some(RegistryEntry {
                path: fs::read_link(entry.path()).ok()?,
                user: found.uid(),
                made: (found.mtime(), found.mtime_nsec()),
            })
        });
        entered.filter(|entry| entry.path.is_absolute()).collect()
    }

    fn release_others(&self, state: &Path, kept: Block) {
        let others = kept.and_others().skip(1).map(|block| self.entry(block));
        for entry in others {
            if fs::read_link(&entry).is_ok_and(|target| target == state) {
                let _ = fs::remove_file(entry);
            }
        }
    }

    /// Returns the blocks at whose addresses something has a socket; none where the kernel does not
    /// list them.
    fn in_use(&self) -> SortedSet<Block> {
        let lists = ["tcp", "tcp6", "udp", "udp6"].map(|list| self.sockets.join(list));
        let texts = lists
            .iter()
            .filter_map(|list| fs::read_to_string(list).ok());
        texts.flat_map(|text| blocks_of_sockets(&text)).collect()
    }

    fn entry(&self, block: Block) -> PathBuf {
        self.registry.join(block.number().to_string())
    }

    /// Creates the registry, which every user may write to; a symbolic link in its place is
    /// refused.
    fn prepare(&self) -> io::Result<()> {
        match fs::create_dir(&self.registry) {
            Ok(()) => fs::set_permissions(&self.registry, PermissionsExt::from_mode(SHARED)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_dir = fs::symlink_metadata(&self.registry)?.is_dir();
                is_dir.then_some(()).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn enter(
        &self,
        block: Block,
        state: &Path,
        says: impl Fn(&Path) -> Option<Block>,
    ) -> io::Result<ClaimOutcome> {
        let entry = self.entry(block);
        loop {
            match symlink(state, &entry) {
                Ok(()) => return Ok(ClaimOutcome::Ours),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Another process has just removed the registry, which was empty.
                    self.prepare()?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let target = match fs::read_link(&entry) {
                Ok(target) => target,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return Ok(ClaimOutcome::Theirs),
            };
            if target == state {
                return Ok(ClaimOutcome::Ours);
            }
            if is_of_owner(&entry, &target) && !is_stale(&target, block, &says) {
                return Ok(ClaimOutcome::Theirs);
            }
            if !self.remove_stale(&entry, &target) {
                return Ok(ClaimOutcome::Stale);
            }
        }
    }

    /// Removes a stale entry, unless another process is removing one: of two processes that found
    /// it stale, the second would remove the new entry of the first.
    fn remove_stale(&self, entry: &Path, stale: &Path) -> bool {
        let alone = || -> io::Result<File> {
            let registry = File::open(&self.registry)?;
            flock(&registry, FlockOperation::NonBlockingLockExclusive)?;
            Ok(registry)
        };
        let Ok(_alone) = alone() else {
            return false;
        };
        let unchanged = fs::read_link(entry).is_ok_and(|target| target == stale);
        unchanged && fs::remove_file(entry).is_ok()
    }
}

/// Returns the blocks of the local addresses in a list of sockets (`proc_pid_net(5)`): each line
/// has its number, then the address, whose words of 32 bits are printed as the machine reads them,
/// and the port. An address of IPv4 is the last word of one of IPv6.
fn blocks_of_sockets(text: &str) -> SortedSet<Block> {
    let block = |line: &str| {
        let (address, _) = line.split_whitespace().nth(1)?.split_once(':')?;
        let word = address.get(address.len().checked_sub(8)?..)?;
        let address = Ipv4Addr::from(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
        Block::of(address).filter(|block| block.holds(address))
    };
    text.lines().skip(1).filter_map(block).collect()
}

/// Returns whether an entry's state directory is gone, or has recorded another block.
fn is_stale(target: &Path, block: Block, says: impl Fn(&Path) -> Option<Block>) -> bool {
    match fs::metadata(target) {
        Ok(_) => says(target).is_some_and(|said| said != block),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Returns whether an entry was made by who owns the state directory that it names, or by root:
/// anybody can make one, but only for a directory of their own does it count.
fn is_of_owner(entry: &Path, target: &Path) -> bool {
    match (fs::symlink_metadata(entry), fs::metadata(target)) {
        (Ok(entry), Ok(target)) => entry.uid() == target.uid() || entry.uid() == 0,
        // What is behind a closed door may be in use.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a registry and some state directories.
    struct Machine {
        dir: tempfile::TempDir,
        blocks: Blocks,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let blocks = Blocks {
                registry: dir.path().join("blocks"),
                sockets: dir.path().join("net"),
            };
            Self { dir, blocks }
        }

        fn state(&self, name: &str) -> PathBuf {
            let path = self.dir.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        }

        fn claim(&self, state: &Path, has: Option<Block>) -> Block {
            self.blocks.claim(state, has, |_| None)
        }
    }

    #[test]
    fn a_state_directory_keeps_its_block_and_another_gets_another() {
        let machine = Machine::new();
        let (one, other) = (machine.state("one"), machine.state("other"));
        let block = machine.claim(&one, None);
        assert_eq!(block, Block::preferred(&one));
        assert_eq!(machine.claim(&one, None), block);
        let next = machine.claim(&other, Some(block));
        assert_eq!(next, block.and_others().nth(1).unwrap());
        assert_eq!(machine.claim(&other, Some(next)), next);
    }

    #[test]
    fn an_entry_whose_state_directory_is_gone_or_moved_on_is_taken_over() {
        let machine = Machine::new();
        let (one, other) = (machine.state("one"), machine.state("other"));
        let block = machine.claim(&one, None);
        let moved = block.and_others().nth(5);
        assert_eq!(machine.blocks.claim(&other, Some(block), |_| moved), block);
        fs::remove_dir(&other).unwrap();
        assert_eq!(machine.claim(&one, Some(block)), block);
        let names = fs::read_dir(&machine.blocks.registry).unwrap().count();
        assert_eq!(names, 1);
    }

    #[test]
    fn without_a_registry_the_preferred_block_is_used() {
        let machine = Machine::new();
        let one = machine.state("one");
        fs::write(machine.dir.path().join("blocks"), "").unwrap();
        assert_eq!(machine.claim(&one, None), Block::preferred(&one));
        let lost = Blocks {
            registry: machine.dir.path().join("no/such/place"),
            ..machine.blocks
        };
        assert_eq!(lost.claim(&one, None, |_| None), Block::preferred(&one));
    }

    #[test]
    fn where_all_blocks_are_taken_the_preferred_one_is_used() {
        let machine = Machine::new();
        let one = machine.state("one");
        let all = Block::preferred(&one).and_others();
        for block in all {
            let state = machine.state(&format!("other-{}", block.number()));
            assert_eq!(machine.claim(&state, Some(block)), block);
        }
        assert_eq!(machine.claim(&one, None), Block::preferred(&one));
        let other = machine.state("other-7");
        machine.blocks.release(&other);
        assert_eq!(machine.claim(&one, None), Block::new(7).unwrap());
    }

    /// A line of a list of sockets, for one that listens at an address of a block.
    fn socket_in(block: Block) -> String {
        let address = u32::from_ne_bytes(block.reserved(53).octets());
        format!("   0: {address:08X}:0035 00000000:0000 0A 00000000:00000000\n")
    }

    #[test]
    fn a_block_in_which_anything_listens_is_not_free() {
        let machine = Machine::new();
        let one = machine.state("one");
        let preferred = Block::preferred(&one);
        let next = preferred.and_others().nth(1).unwrap();
        let sockets = machine.dir.path().join("net");
        fs::create_dir(&sockets).unwrap();
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let listed = format!("{heading}{}", socket_in(preferred));
        fs::write(sockets.join("udp"), listed).unwrap();
        assert_eq!(machine.claim(&one, None), next);
        // What it has is kept, whoever listens there: most likely its own pets.
        fs::write(sockets.join("tcp"), format!("{heading}{}", socket_in(next))).unwrap();
        assert_eq!(machine.claim(&one, None), next);
        assert_eq!(machine.claim(&one, Some(preferred)), preferred);
    }

    #[test]
    fn the_sockets_of_a_machine_tell_which_blocks_are_in_use() {
        let block = |b| Block::new(b).unwrap();
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let six = format!(
            "{:016}{}{}",
            0,
            word([0, 0, 255, 255]),
            word([127, 7, 1, 1])
        );
        let addresses = [
            word([127, 185, 1, 1]),
            word([10, 9, 1, 1]),
            six,
            "torn".to_owned(),
        ];
        let lines = addresses.map(|address| format!("   0: {address}:1F90 0:0 0A\n"));
        let list = format!("  sl  local_address\n{}   1: 7F\n", lines.concat());
        let used: Vec<Block> = blocks_of_sockets(&list).into_iter().collect();
        assert_eq!(used, [block(7), block(185)]);
    }

    #[test]
    fn of_many_that_want_one_stale_block_one_gets_it_and_the_others_get_others() {
        let machine = Machine::new();
        let gone = machine.state("gone");
        let block = machine.claim(&gone, None);
        fs::remove_dir(&gone).unwrap();
        let states: Vec<PathBuf> = (0..16).map(|n| machine.state(&n.to_string())).collect();
        let claimed: SortedSet<Block> = std::thread::scope(|scope| {
            let mut claims = Vec::new();
            for state in &states {
                claims.push(scope.spawn(|| machine.claim(state, Some(block))));
            }
            claims
                .into_iter()
                .map(|claim| claim.join().unwrap())
                .collect()
        });
        assert_eq!(claimed.len(), 16);
    }
}
