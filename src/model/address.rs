//! Which address a pet has: one for its identity, for ever, out of its state directory's block.
//!
//! A state directory has the block 127.b.0.0/16 on the host and 10.b.0.0/16 inside a private
//! network; the last two numbers are the same in both. 127.b.0.y is kept for petset itself, the
//! rows from 240 up are for services, and those between are for pets.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};
use crate::sorted::SortedMap;

/// The first octet of addresses on the host, and inside a private network.
const HOST_NET: u8 = 127;
const INSIDE_NET: u8 = 10;
const FIRST_BLOCK: u8 = 1;
const LAST_BLOCK: u8 = 254;
/// How many addresses a row 127.b.x.0/24 has for use: y from 1 to 254.
const COLUMNS: u32 = 254;

/// A part of the block, by what its addresses are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// x from 1 to 239.
    Pets,
    /// x from 240 to 255.
    Services,
}

impl Pool {
    const fn first_row(self) -> u32 {
        match self {
            Self::Pets => 1,
            Self::Services => 240,
        }
    }

    const fn size(self) -> u32 {
        match self {
            Self::Pets => 239 * COLUMNS,
            Self::Services => 16 * COLUMNS,
        }
    }

    /// Returns whether an address is in this part of any block.
    pub(crate) fn holds(self, ip: Ipv4Addr) -> bool {
        let [_, _, x, y] = ip.octets();
        let rows = self.first_row()..self.first_row() + self.size() / COLUMNS;
        rows.contains(&u32::from(x)) && (1..=254).contains(&y)
    }
}

/// The addresses of one state directory: 127.b.0.0/16. Never 127.0, which every program uses.
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
        Ipv4Addr::new(HOST_NET, self.0, 0, y)
    }

    /// Returns the block that an address is in, be it that on the host or inside.
    pub(crate) fn of(ip: Ipv4Addr) -> Option<Self> {
        let [net, b, ..] = ip.octets();
        Self::new(b).filter(|_| net == HOST_NET || net == INSIDE_NET)
    }

    /// Returns the address inside the private network that stands for `ip` on the host.
    pub(crate) const fn inside(self, ip: Ipv4Addr) -> Ipv4Addr {
        let [_, _, x, y] = ip.octets();
        Ipv4Addr::new(INSIDE_NET, self.0, x, y)
    }

    /// Returns the address on the host that stands for `ip` inside the private network.
    pub(crate) const fn outside(self, ip: Ipv4Addr) -> Ipv4Addr {
        let [_, _, x, y] = ip.octets();
        Ipv4Addr::new(HOST_NET, self.0, x, y)
    }

    /// Returns the address of the private network's gateway, inside.
    pub(crate) const fn gateway(self) -> Ipv4Addr {
        self.inside(self.reserved(1))
    }

    /// Returns the address at which the private network has the host's loopback.
    pub(crate) const fn host(self) -> Ipv4Addr {
        self.inside(self.reserved(2))
    }

    /// Returns the address of the private network's DNS server, inside.
    pub(crate) const fn name_server(self) -> Ipv4Addr {
        self.inside(self.reserved(53))
    }

    /// Returns the network inside a private one that the addresses of services are in, and of how
    /// many bits its own part is.
    pub(crate) const fn service_network(self) -> (Ipv4Addr, u8) {
        (Ipv4Addr::new(INSIDE_NET, self.0, 240, 0), 20)
    }

    /// Returns the zones of reverse names of this block, on the host and inside.
    pub(crate) fn reverse_zones(self) -> [String; 2] {
        [HOST_NET, INSIDE_NET].map(|net| format!("{}.{net}.in-addr.arpa", self.0))
    }

    /// Returns whether an address on the host is in this block.
    pub(crate) fn holds(self, ip: Ipv4Addr) -> bool {
        let [net, b, ..] = ip.octets();
        (net, b) == (HOST_NET, self.0)
    }

    /// Returns whether an address inside the private network is in this block.
    pub(crate) fn holds_inside(self, ip: Ipv4Addr) -> bool {
        let [net, b, ..] = ip.octets();
        (net, b) == (INSIDE_NET, self.0)
    }

    fn at(self, [x, y]: HostPart) -> Ipv4Addr {
        Ipv4Addr::new(HOST_NET, self.0, x, y)
    }
}

/// FNV-1a, because the hash of the standard library may change between releases.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The pod or service that has an address; stored beside it for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct AddressOwner {
    pub(crate) namespace: String,
    pub(crate) pod: String,
}

/// The last two octets of an address.
type HostPart = [u8; 2];

/// All addresses of one pool that a state directory ever gave out.
#[derive(Debug, Clone)]
pub(crate) struct AddressAllocator {
    block: Block,
    pool: Pool,
    owners: SortedMap<HostPart, AddressOwner>,
    places: HashMap<AddressOwner, HostPart>,
    /// All numbers below it were given out.
    next: u32,
}

impl AddressAllocator {
    /// Begins with the addresses that were given out before. Only their last two octets count, so
    /// that a state directory that had to move to another block keeps those.
    pub(crate) fn new(
        block: Block,
        pool: Pool,
        given: impl IntoIterator<Item = (Ipv4Addr, AddressOwner)>,
    ) -> Self {
        let mut addresses = Self {
            block,
            pool,
            owners: SortedMap::new(),
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

    /// Returns all addresses that were given out, with their owners.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Ipv4Addr, &AddressOwner)> {
        let owners = self.owners.iter();
        owners.map(|(place, owner)| (self.block.at(*place), owner))
    }

    /// Returns the address of an identity that has one.
    pub(crate) fn find(&self, identity: &AddressOwner) -> Option<Ipv4Addr> {
        self.places.get(identity).map(|place| self.block.at(*place))
    }

    /// Returns the identity that has an address.
    pub(crate) fn owner(&self, ip: Ipv4Addr) -> Option<&AddressOwner> {
        let [_, _, x, y] = ip.octets();
        self.owners.get(&[x, y])
    }

    /// Returns the address of an identity, giving it the lowest one that was never given out.
    pub(crate) fn allot(&mut self, identity: &AddressOwner) -> Result<Ipv4Addr, Problem> {
        if let Some(ip) = self.find(identity) {
            return Ok(ip);
        }
        // What was given back is given again when nothing else is left.
        let mut left = (self.next..self.pool.size()).chain(0..self.next);
        let free = left.find(|number| !self.owners.contains_key(&self.place(*number)));
        let number = free.ok_or_else(|| self.full(identity))?;
        self.next = self.next.max(number + 1);
        let place = self.place(number);
        self.take(place, identity);
        Ok(self.block.at(place))
    }

    /// Gives an identity without an address the one that it asks for, if that was never given out;
    /// returns whether the identity has it now.
    pub(crate) fn allot_wish(&mut self, identity: &AddressOwner, wish: Ipv4Addr) -> bool {
        if let Some(known) = self.find(identity) {
            return known == wish;
        }
        let [_, _, x, y] = wish.octets();
        let free = self.block.holds(wish) && self.pool.holds(wish) && self.owner(wish).is_none();
        if free {
            self.take([x, y], identity);
        }
        free
    }

    fn take(&mut self, place: HostPart, identity: &AddressOwner) {
        self.owners.insert(place, identity.clone());
        self.places.insert(identity.clone(), place);
    }

    /// Numbers the places of the pool, leaving out every y that is 0 or 255.
    fn place(&self, number: u32) -> HostPart {
        let (row, column) = (number / COLUMNS, number % COLUMNS + 1);
        [self.pool.first_row() + row, column].map(|part| u8::try_from(part).unwrap_or(u8::MAX))
    }

    /// Takes back the address of an identity that was not told of it yet.
    pub(crate) fn take_back(&mut self, identity: &AddressOwner) {
        if let Some(place) = self.places.remove(identity) {
            self.owners.remove(&place);
            self.next = 0;
        }
    }

    /// Takes back the address of an identity that is never to come again.
    pub(crate) fn release(&mut self, identity: &AddressOwner) {
        if let Some(place) = self.places.remove(identity) {
            self.owners.remove(&place);
        }
    }

    fn full(&self, identity: &AddressOwner) -> Problem {
        let AddressOwner { namespace, pod } = identity;
        let b = self.block.number();
        let all = self.pool.size();
        let whose = match self.pool {
            Pool::Pets => "pet",
            Pool::Services => "service",
        };
        let message = format!(
            "no address is left for {namespace}/{pod}: all {all} of 127.{b}.0.0/16 for {whose}s have been given to others"
        );
        let hint =
            format!("an address is never given to another {whose}; use another state directory");
        Problem::new(Kind::Failed, message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pet(number: u32) -> AddressOwner {
        AddressOwner {
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
        let mut addresses = AddressAllocator::new(Block(5), Pool::Pets, given);
        assert_eq!(addresses.allot(&pet(7)).unwrap(), ip("127.5.1.2"));
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.3"));
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.3"));
        assert_eq!(addresses.owner(ip("127.5.1.1")), Some(&pet(3)));
        assert_eq!(addresses.find(&pet(9)), None);
    }

    #[test]
    fn an_address_that_was_taken_back_is_free_again() {
        let mut addresses = AddressAllocator::new(Block(5), Pool::Pets, []);
        addresses.allot(&pet(0)).unwrap();
        addresses.allot(&pet(1)).unwrap();
        addresses.take_back(&pet(0));
        assert_eq!(addresses.allot(&pet(2)).unwrap(), ip("127.5.1.1"));
        assert_eq!(addresses.allot(&pet(3)).unwrap(), ip("127.5.1.3"));
    }

    #[test]
    fn a_state_directory_that_moves_to_another_block_keeps_the_last_numbers() {
        let mut addresses =
            AddressAllocator::new(Block(9), Pool::Pets, [(ip("127.5.1.2"), pet(7))]);
        assert_eq!(addresses.allot(&pet(7)).unwrap(), ip("127.9.1.2"));
        assert_eq!(Block(9).inside(ip("127.9.1.2")), ip("10.9.1.2"));
        assert_eq!(Block(9).outside(ip("10.9.1.2")), ip("127.9.1.2"));
        assert_eq!(Block::of(ip("10.9.1.2")), Some(Block(9)));
        assert_eq!(Block::of(ip("127.9.1.2")), Some(Block(9)));
        assert_eq!(Block::of(ip("127.0.0.1")), None, "of no state directory");
        assert_eq!(Block::of(ip("192.9.1.2")), None);
    }

    #[test]
    fn a_full_block_is_refused_clearly() {
        let mut addresses = AddressAllocator::new(Block(5), Pool::Pets, []);
        let mut last = ip("127.5.0.0");
        for number in 0..Pool::Pets.size() {
            let next = addresses.allot(&pet(number)).unwrap();
            let [_, _, _, y] = next.octets();
            assert!(next > last && y != 0 && y != 255, "{next}");
            last = next;
        }
        assert_eq!(last, ip("127.5.239.254"));
        let problem = addresses.allot(&pet(70_000)).unwrap_err();
        assert!(
            problem
                .message
                .starts_with("no address is left for default/web-70000: all 60706"),
            "{problem}"
        );
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.1.1"));
    }

    #[test]
    fn a_service_gets_an_address_that_no_pet_can_have() {
        let mut addresses = AddressAllocator::new(Block(5), Pool::Services, []);
        assert_eq!(addresses.allot(&pet(0)).unwrap(), ip("127.5.240.1"));
        assert!(addresses.allot_wish(&pet(1), ip("127.5.240.2")));
        assert!(!addresses.allot_wish(&pet(2), ip("127.5.240.1")), "taken");
        assert!(
            !addresses.allot_wish(&pet(2), ip("127.6.240.9")),
            "of another block"
        );
        assert!(!addresses.allot_wish(&pet(2), ip("127.5.239.9")), "a pet's");
        assert!(
            !addresses.allot_wish(&pet(1), ip("127.5.240.9")),
            "it has one"
        );
        assert_eq!(addresses.allot(&pet(2)).unwrap(), ip("127.5.240.3"));
        let mut last = ip("127.5.0.0");
        for number in 3..Pool::Services.size() {
            last = addresses.allot(&pet(number)).unwrap();
        }
        assert_eq!(last, ip("127.5.255.254"));
        let problem = addresses.allot(&pet(70_000)).unwrap_err();
        assert!(
            problem
                .message
                .contains("all 4064 of 127.5.0.0/16 for services"),
            "{problem}"
        );
    }
}
