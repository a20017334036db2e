//! Turns of those of whom nothing is known but their address: few in all, and fewer for each.
//!
//! Whoever shows no token, or one that nobody has seen, takes no place of those who are known. What
//! he may have at a time is bounded here, and no address has all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::http::limits::AddressKey;

/// A bounded number of turns. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    most: usize,
    most_of_one: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By address; those that have none are forgotten.
    of: HashMap<AddressKey, usize>,
}

/// One turn; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    taken: Arc<Mutex<Taken>>,
    address: AddressKey,
}

impl Turns {
    /// So many at a time, and so many of one address.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            most,
            most_of_one,
            taken: Arc::default(),
        }
    }

    /// Takes a turn; `None` where all are taken, or all that the address may have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Turn> {
        let address = AddressKey::from(address);
        let mut taken = self.taken.lock();
        let own = taken.of.get(&address).copied().unwrap_or_default();
        if taken.all >= self.most || own >= self.most_of_one {
            return None;
        }
        taken.all += 1;
        taken.of.insert(address, own + 1);
        Some(Turn {
            taken: Arc::clone(&self.taken),
            address,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.of.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.of.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn no_address_has_all_turns_and_those_that_end_are_free_again() {
        let turns = Turns::new(5, 2);
        let take = |last| (0..10).map_while(|_| turns.take(address(last))).collect();
        let first: Vec<Turn> = take(1);
        let second: Vec<Turn> = take(2);
        let third: Vec<Turn> = take(3);
        let counts = [&first, &second, &third].map(Vec::len);
        assert_eq!(counts, [2, 2, 1]);
        drop(first);
        assert!(turns.take(address(2)).is_none());
        assert!(turns.take(address(3)).is_some());
        drop((second, third));
        let taken = turns.taken.lock();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }
}
