//! Load balancing: which pet gets the next client. Pure: the time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// With more clients than this, those whose affinity is over are removed.
const MANY: usize = 1024;

/// The pets behind one port, each in its turn.
#[derive(Debug, Default)]
pub(super) struct Balance {
    pets: Vec<SocketAddr>,
    next: usize,
    /// How long a client stays with the pet it got.
    affinity: Option<Duration>,
    /// The pet that each client got last, and when.
    known: HashMap<IpAddr, (SocketAddr, Instant)>,
}

impl Balance {
    /// Takes the pets that are ready now. Clients of one that is not get another next time.
    pub(super) fn follow(&mut self, pets: Vec<SocketAddr>, affinity: Option<Duration>) {
        self.known.retain(|_, (pet, _)| pets.contains(pet));
        (self.pets, self.affinity) = (pets, affinity);
    }

    /// Returns whether a pet is among those that get clients.
    pub(super) fn has(&self, pet: SocketAddr) -> bool {
        self.pets.contains(&pet)
    }

    /// Chooses a pet for a client, other than those it has `tried` in vain.
    pub(super) fn pick(
        &mut self,
        client: IpAddr,
        tried: &[SocketAddr],
        now: Instant,
    ) -> Option<SocketAddr> {
        let fits = |pet: &SocketAddr| !tried.contains(pet);
        let pet = self
            .again(client, now)
            .filter(fits)
            .or_else(|| self.in_turn(tried))?;
        if self.affinity.is_some() {
            self.remember(client, pet, now);
        }
        Some(pet)
    }

    fn again(&self, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        let (pet, at) = self.known.get(&client)?;
        (now.saturating_duration_since(*at) < self.affinity?).then_some(*pet)
    }

    fn in_turn(&mut self, tried: &[SocketAddr]) -> Option<SocketAddr> {
        for _ in 0..self.pets.len() {
            let pet = self.pets[self.next % self.pets.len()];
            self.next = (self.next + 1) % self.pets.len();
            if !tried.contains(&pet) {
                return Some(pet);
            }
        }
        None
    }

    fn remember(&mut self, client: IpAddr, pet: SocketAddr, now: Instant) {
        let time = self.affinity.unwrap_or_default();
        if self.known.len() >= MANY {
            self.known
                .retain(|_, (_, at)| now.saturating_duration_since(*at) < time);
        }
        self.known.insert(client, (pet, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pets(last: &[u8]) -> Vec<SocketAddr> {
        let pet = |y: &u8| SocketAddr::from(([127, 5, 1, *y], 80));
        last.iter().map(pet).collect()
    }

    fn client(y: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, y])
    }

    fn picks(balance: &mut Balance, count: usize) -> Vec<u8> {
        let now = Instant::now();
        let pick = |_| match balance.pick(client(1), &[], now).unwrap().ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        (0..count).map(pick).collect()
    }

    #[test]
    fn each_pet_has_its_turn_and_those_that_come_and_go_are_followed() {
        let mut balance = Balance::default();
        balance.follow(pets(&[1, 2, 3]), None);
        assert_eq!(picks(&mut balance, 4), [1, 2, 3, 1]);
        balance.follow(pets(&[1, 3]), None);
        assert_eq!(picks(&mut balance, 3), [3, 1, 3]);
        balance.follow(Vec::new(), None);
        assert_eq!(balance.pick(client(1), &[], Instant::now()), None);
    }

    #[test]
    fn a_pet_that_was_tried_in_vain_is_not_tried_again() {
        let mut balance = Balance::default();
        balance.follow(pets(&[1, 2]), None);
        let tried = pets(&[1]);
        for _ in 0..3 {
            let pick = balance.pick(client(1), &tried, Instant::now());
            assert_eq!(pick, Some(pets(&[2])[0]));
        }
        assert_eq!(
            balance.pick(client(1), &pets(&[1, 2]), Instant::now()),
            None
        );
    }

    #[test]
    fn a_client_stays_with_its_pet_for_its_time_or_until_that_is_not_ready() {
        let mut balance = Balance::default();
        let time = Duration::from_secs(10);
        balance.follow(pets(&[1, 2]), Some(time));
        let start = Instant::now();
        let first = balance.pick(client(1), &[], start).unwrap();
        let other = balance.pick(client(2), &[], start).unwrap();
        assert_ne!(first, other);
        let later = start + Duration::from_secs(9);
        assert_eq!(balance.pick(client(1), &[], later), Some(first));
        let much_later = later + Duration::from_secs(9);
        assert_eq!(
            balance.pick(client(1), &[], much_later),
            Some(first),
            "each use renews it"
        );
        assert_eq!(
            balance.pick(client(2), &[], much_later),
            Some(first),
            "whoever's turn it is"
        );
        balance.follow(vec![other], Some(time));
        assert_eq!(balance.pick(client(1), &[], much_later), Some(other));
    }
}
