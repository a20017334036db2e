//! Places of which nobody has so many that another has none.
//!
//! A client has a share of them. That alone does not do: whoever has stolen as many tokens as there
//! are shares would have all. So the fewer places are free, the fewer one may have to get another:
//! with an eighth as the share, the last eighth is for those that have none, the one before it for
//! those that have one at most, and so on. Whoever holds most waits.
//!
//! What can go wrong: more tokens in one hand than the last eighth has places. Then it depends on
//! who comes first, as it does anywhere.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A bounded number of places.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    /// How many one client may have.
    of_one: usize,
    taken: Mutex<Taken>,
    /// Tells those who wait that one became free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By the client's name; those who have none are forgotten.
    of: HashMap<String, usize>,
}

/// One place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: String,
}

impl Places {
    /// So many in all, and so many of one client.
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self {
            all,
            of_one: of_one.max(1),
            taken: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Takes a place as soon as the client may have one.
    pub(crate) async fn take(self: &Arc<Self>, client: &str) -> Place {
        loop {
            // Before it is looked, so that none that becomes free meanwhile is missed.
            let freed = self.freed.notified();
            if let Some(place) = self.try_take(client) {
                return place;
            }
            freed.await;
        }
    }

    /// Takes a place where the client may have one now.
    pub(crate) fn try_take(self: &Arc<Self>, client: &str) -> Option<Place> {
        let mut taken = self.taken.lock();
        let own = taken.of.get(client).copied().unwrap_or_default();
        let free = self.all.saturating_sub(taken.all);
        let for_others = own.saturating_mul(self.all / self.of_one);
        if own >= self.of_one || free <= for_others {
            return None;
        }
        taken.all += 1;
        taken.of.insert(client.to_owned(), own + 1);
        Some(Place {
            places: Arc::clone(self),
            client: client.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.of.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.of.remove(&self.client);
            }
        }
        drop(taken);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &Arc<Places>, client: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(client)).collect()
    }

    #[test]
    fn one_client_has_its_share_and_nobody_is_remembered_who_has_none() {
        let places = Arc::new(Places::new(64, 8));
        let held = take_all(&places, "one");
        assert_eq!(held.len(), 8);
        let other = places.try_take("other").unwrap();
        assert_eq!(places.taken.lock().of.len(), 2);
        drop((held, other));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }

    #[tokio::test]
    async fn ten_tokens_of_one_hand_leave_places_for_those_that_have_none() {
        let places = Arc::new(Places::new(64, 8));
        let mut held = Vec::new();
        for _ in 0..3 {
            for token in 0..10 {
                held.extend(take_all(&places, &format!("stolen {token}")));
            }
        }
        let stolen = held.len();
        assert!(stolen <= 64 - 8, "{stolen}");
        for number in stolen..64 {
            held.push(places.try_take(&format!("honest {number}")).unwrap());
        }
        assert!(places.try_take("late").is_none());
        // Who has some waits longer than who has none.
        let late = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take("late").await }
        });
        tokio::task::yield_now().await;
        drop(held.pop());
        let late = late.await.unwrap();
        assert!(places.try_take("stolen 0").is_none());
        drop(late);
        assert!(places.try_take("stolen 0").is_none());
    }
}
