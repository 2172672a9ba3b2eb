//! What each pet may take of the descriptors of the process that forwards for all of them.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The descriptors for connections and sessions, of which no pet may hold more than it leaves free
/// for all: one alone gets half of them, and there are always some for the next.
pub(crate) struct Shares {
    /// How many there are.
    all: usize,
    held: Mutex<Held>,
    /// Is told of a pet that is refused.
    refused: Box<dyn Fn(Ipv4Addr) + Send + Sync>,
}

/// How many descriptors are held.
#[derive(Debug, Default)]
struct Held {
    by_all: usize,
    by: HashMap<Ipv4Addr, usize>,
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, held, .. } = self;
        write!(f, "{all}: {held:?}")
    }
}

/// Descriptors that are held for a pet, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    pub(crate) pet: Ipv4Addr,
    count: usize,
}

impl Shares {
    /// Begins with nothing held of `all`; `refused` is told of each pet that asks for too much.
    pub(crate) fn new(all: usize, refused: impl Fn(Ipv4Addr) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            all,
            held: Mutex::default(),
            refused: Box::new(refused),
        })
    }

    /// Holds descriptors for a pet, unless it would then hold more than are left.
    pub(crate) fn take(self: &Arc<Self>, pet: Ipv4Addr, count: usize) -> Option<Share> {
        let is_left = {
            let mut held = self.held();
            let own = held.by.get(&pet).copied().unwrap_or(0) + count;
            let by_all = held.by_all + count;
            let is_left = own + by_all <= self.all;
            if is_left {
                held.by.insert(pet, own);
                held.by_all = by_all;
            }
            is_left
        };
        if !is_left {
            (self.refused)(pet);
            return None;
        }
        Some(Share {
            shares: Arc::clone(self),
            pet,
            count,
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        held.by_all -= self.count;
        if let Some(own) = held.by.get_mut(&self.pet) {
            *own -= self.count;
            if *own == 0 {
                held.by.remove(&self.pet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn pet(y: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 5, 1, y)
    }

    #[test]
    fn a_pet_takes_no_more_than_it_leaves_for_all() {
        let refusals = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&refusals);
        let shares = Shares::new(100, move |refused| {
            assert_eq!(refused, pet(1));
            told.fetch_add(1, Ordering::Relaxed);
        });
        let take = |y| shares.take(pet(y), 2);
        let take_all = |y| std::iter::from_fn(move || take(y)).take(100);
        let greedy: Vec<Share> = take_all(1).collect();
        assert_eq!((greedy.len(), refusals.load(Ordering::Relaxed)), (25, 1));
        let next: Vec<Share> = take_all(2).take(12).collect();
        assert_eq!(next.len(), 12, "half of what is left");
        assert!(shares.take(pet(3), 12).is_some(), "and half of that");
        drop(greedy);
        assert_eq!(shares.held().by.len(), 1);
        drop(next);
        let held = shares.held();
        assert_eq!((held.by_all, held.by.len()), (0, 0));
    }
}
