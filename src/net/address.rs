//! Which address a pet has: one for its identity, for ever, out of its state directory's block.
//!
//! A state directory has the block 127.b.0.0/16 on the host and 10.b.0.0/16 inside a private
//! network; a pet's last two numbers are the same in both. 127.b.0.y is kept for petset itself.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};

const FIRST_BLOCK: u8 = 1;
const LAST_BLOCK: u8 = 254;
/// The first of the addresses that pets get, and the number of them: x from 1 to 255, y from 1
/// to 254.
const ROWS: u32 = 255;
const COLUMNS: u32 = 254;

/// The addresses of one state directory: 127.b.0.0/16. Never 127.0, which is everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Block(u8);

impl Block {
    /// Makes the block 127.b.0.0/16, where b is usable: 1 to 254.
    pub(crate) fn new(b: u8) -> Option<Self> {
        (FIRST_BLOCK..=LAST_BLOCK).contains(&b).then_some(Self(b))
    }

    /// Returns the block that the state directory at `path` would like: always the same one.
    pub(crate) fn preferred(path: &Path) -> Self {
        let blocks = u64::from(LAST_BLOCK - FIRST_BLOCK) + 1;
        let b = u8::try_from(fnv(path.as_os_str().as_bytes()) % blocks).unwrap_or(0);
        Self(FIRST_BLOCK + b)
    }

    /// Lists all blocks, beginning with this one.
    pub(crate) fn and_others(self) -> impl Iterator<Item = Self> {
        (self.0..=LAST_BLOCK).chain(FIRST_BLOCK..self.0).map(Self)
    }

    /// Returns b.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    /// Returns the address for petset's own use 127.b.0.y; the DNS server has y 53.
    pub(crate) const fn reserved(self, y: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, 0, y)
    }

    /// Returns the address inside a private network that stands for `ip` on the host.
    pub(crate) const fn internal(self, ip: Ipv4Addr) -> Ipv4Addr {
        let [_, _, x, y] = ip.octets();
        Ipv4Addr::new(10, self.0, x, y)
    }

    /// Returns the zones of reverse names of this block, on the host and inside.
    pub(crate) fn reverse_zones(self) -> [String; 2] {
        ["127", "10"].map(|net| format!("{}.{net}.in-addr.arpa", self.0))
    }

    fn host(self, place: Place) -> Ipv4Addr {
        let [x, y] = place;
        Ipv4Addr::new(127, self.0, x, y)
    }
}

/// FNV-1a, because what is written down must not depend on the compiler's hash.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Whose an address is; stored beside it for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) pod: String,
}

/// The last two numbers of an address.
type Place = [u8; 2];

/// All addresses ever given out by one state directory.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    block: Block,
    owners: BTreeMap<Place, Identity>,
    places: HashMap<Identity, Place>,
    /// All numbers below it are taken.
    next: u32,
}

impl Addresses {
    /// Takes up what was given out before. Only the last two numbers count, so that a state
    /// directory that had to move to another block keeps them.
    pub(crate) fn new(block: Block, given: impl IntoIterator<Item = (Ipv4Addr, Identity)>) -> Self {
        let mut addresses = Self {
            block,
            owners: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
        };
        for (ip, identity) in given {
            let [_, _, x, y] = ip.octets();
            addresses.places.entry(identity.clone()).or_insert([x, y]);
            addresses.owners.insert([x, y], identity);
        }
        addresses
    }

    /// Returns the block the addresses are in.
    pub(crate) const fn block(&self) -> Block {
        self.block
    }

    /// Returns the address of an identity that has one.
    pub(crate) fn find(&self, identity: &Identity) -> Option<Ipv4Addr> {
        self.places
            .get(identity)
            .map(|place| self.block.host(*place))
    }

    /// Returns whose an address is.
    pub(crate) fn owner(&self, ip: Ipv4Addr) -> Option<&Identity> {
        let [_, _, x, y] = ip.octets();
        self.owners.get(&[x, y])
    }

    /// Returns the address of an identity, giving it the lowest that nobody ever had.
    pub(crate) fn allot(&mut self, identity: &Identity) -> Result<Ipv4Addr, Problem> {
        if let Some(ip) = self.find(identity) {
            return Ok(ip);
        }
        let free =
            (self.next..ROWS * COLUMNS).find(|number| !self.owners.contains_key(&place(*number)));
        let number = free.ok_or_else(|| self.full(identity))?;
        self.next = number + 1;
        self.owners.insert(place(number), identity.clone());
        self.places.insert(identity.clone(), place(number));
        Ok(self.block.host(place(number)))
    }

    /// Forgets what was allotted to an identity that has not heard of it.
    pub(crate) fn take_back(&mut self, identity: &Identity) {
        if let Some(place) = self.places.remove(identity) {
            self.owners.remove(&place);
            self.next = 0;
        }
    }

    fn full(&self, identity: &Identity) -> Problem {
        let Identity { namespace, pod } = identity;
        let b = self.block.number();
        let all = ROWS * COLUMNS;
        let message = format!(
            "no address is left for {namespace}/{pod}: all {all} of 127.{b}.0.0/16 have been given to other pets"
        );
        Problem::new(Kind::Failed, message)
            .hint("an address is never given to another pet; use another state directory")
    }
}

/// Numbers the places from 1.1 to 255.254, leaving out every y that is 0 or 255.
fn place(number: u32) -> Place {
    let (row, column) = (number / COLUMNS + 1, number % COLUMNS + 1);
    [row, column].map(|part| u8::try_from(part).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pet(number: u32) -> Identity {
        Identity {
            namespace: "default".to_owned(),
            pod: format!("web-{number}"),
        }
    }

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_prefers_the_same_block_on_every_machine() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
        let block = Block::preferred(Path::new("/home/ann/.local/state/petset"));
        assert_eq!(
            block,
            Block::preferred(Path::new("/home/ann/.local/state/petset"))
        );
        assert!((1..=254).contains(&block.number()));
        assert_eq!((Block::new(0), Block::new(255)), (None, None));
    }

    #[test]
    fn the_blocks_after_a_preferred_one_are_all_others_once() {
        let all: Vec<u8> = Block(200).and_others().map(Block::number).collect();
        assert_eq!(
            (all.len(), all[0], all[54], all[55], all[253]),
            (254, 200, 254, 1, 199)
        );
    }

    #[test]
    fn an_identity_keeps_its_address_and_nobody_else_gets_it() {
        let given = [(ip("127.5.1.2"), pet(7)), (ip("127.5.1.1"), pet(3))];
        let mut addresses = Addresses::new(Block(5), given);
        assert_eq!(addresses.allot(&pet(7)).unwrap(), ip("127.5.1.2"));
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.3"));
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.3"));
        assert_eq!(addresses.owner(ip("127.5.1.1")), Some(&pet(3)));
        assert_eq!(addresses.find(&pet(9)), None);
    }

    #[test]
    fn an_address_that_was_taken_back_is_free_again() {
        let mut addresses = Addresses::new(Block(5), []);
        addresses.allot(&pet(0)).unwrap();
        addresses.allot(&pet(1)).unwrap();
        addresses.take_back(&pet(0));
        assert_eq!(addresses.allot(&pet(2)).unwrap(), ip("127.5.1.1"));
        assert_eq!(addresses.allot(&pet(3)).unwrap(), ip("127.5.1.3"));
    }

    #[test]
    fn a_state_directory_that_moves_to_another_block_keeps_the_last_numbers() {
        let mut addresses = Addresses::new(Block(9), [(ip("127.5.1.2"), pet(7))]);
        assert_eq!(addresses.allot(&pet(7)).unwrap(), ip("127.9.1.2"));
        assert_eq!(Block(9).internal(ip("127.9.1.2")), ip("10.9.1.2"));
    }

    #[test]
    fn a_full_block_is_refused_clearly() {
        let mut addresses = Addresses::new(Block(5), []);
        let mut last = ip("127.5.0.0");
        for number in 0..ROWS * COLUMNS {
            let next = addresses.allot(&pet(number)).unwrap();
            let [_, _, _, y] = next.octets();
            assert!(next > last && y != 0 && y != 255, "{next}");
            last = next;
        }
        assert_eq!(last, ip("127.5.255.254"));
        let problem = addresses.allot(&pet(70_000)).unwrap_err();
        assert!(
            problem
                .message
                .starts_with("no address is left for default/web-70000: all 64770"),
            "{problem}"
        );
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.1"));
    }
}
