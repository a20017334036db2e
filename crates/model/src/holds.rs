//! What people have said of single snapshots: which are held, and which are their own although
//! their day is crowded.
//!
//! It is to be kept as the records of the state folder are, in their envelope, and on every copy
//! besides, sealed by the repository's key: unlike those it must not get lost, for what it holds
//! may go then. Whoever has that key can write such a list, so that of another list only holds are
//! believed, which protect; what lets go counts where it was said.
//!
//! **Security:** a list that cannot be read, or that a newer version wrote, is not an empty one.
//! Whoever removes snapshots stops there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::Id;

/// What was said of snapshots, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Those that nothing removes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<Id, Hold>,
    /// Those that were held, and until when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    released: BTreeMap<Id, Timestamp>,
    /// Those of which somebody has said that they are his own, and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    admitted: BTreeMap<Id, Timestamp>,
}

/// That nothing removes a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of whoever said so; not fit for a terminal as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Holds {
    /// Holds a snapshot, whatever was said of it before.
    pub fn hold(&mut self, snapshot: Id, hold: Hold) {
        self.released.remove(&snapshot);
        self.held.insert(snapshot, hold);
    }

    /// Holds a snapshot no longer. Says whether it was held.
    pub fn release(&mut self, snapshot: Id, at: Timestamp) -> bool {
        let Some(hold) = self.held.remove(&snapshot) else {
            return false;
        };
        // Whatever the clocks show: the same hold on another list must not count again.
        self.released.insert(snapshot, at.max(hold.since));
        true
    }

    /// Notes that a snapshot is no intruder's, though more came on its day than is usual.
    pub fn admit(&mut self, snapshot: Id, at: Timestamp) {
        self.admitted.entry(snapshot).or_insert(at);
    }

    /// Holds what another list holds, but for what was released since. Nothing else is taken over.
    pub fn join(&mut self, other: &Self) {
        for (snapshot, hold) in &other.held {
            let released = self.released.get(snapshot);
            if released.is_none_or(|released| hold.since > *released) {
                let own = self.held.entry(*snapshot);
                own.or_insert_with(|| hold.clone());
            }
        }
    }

    /// Why a snapshot is held; `None` where it is not.
    pub fn held(&self, snapshot: Id) -> Option<&Hold> {
        self.held.get(&snapshot)
    }

    /// Whether somebody has said that a snapshot is his own.
    pub fn is_admitted(&self, snapshot: Id) -> bool {
        self.admitted.contains_key(&snapshot)
    }

    /// About how many bytes of memory it takes.
    pub fn size_bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 80;
        let entries = self.held.len() + self.released.len() + self.admitted.len();
        let whys = self.held.values().map(|hold| hold.why.len());
        whys.fold(entries.saturating_mul(ENTRY_BYTES), usize::saturating_add)
    }

    /// All that are held.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &Hold)> {
        self.held.iter().map(|(snapshot, hold)| (*snapshot, hold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn hold(second: i64) -> Hold {
        Hold {
            since: at(second),
            why: "audit of 2026".to_owned(),
        }
    }

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    #[test]
    fn what_is_held_stays_so_until_it_is_released() {
        let mut holds = Holds::default();
        assert!(!holds.release(id("a"), at(0)));
        holds.hold(id("a"), hold(1));
        assert_eq!(holds.held(id("a")), Some(&hold(1)));
        assert_eq!(holds.held(id("b")), None);
        assert!(holds.release(id("a"), at(2)));
        assert_eq!(holds.held(id("a")), None);
        // Also by a clock that was set back meanwhile.
        holds.hold(id("a"), hold(0));
        assert_eq!(holds.held(id("a")), Some(&hold(0)));
        assert_eq!(holds.iter().count(), 1);
    }

    #[test]
    fn another_list_can_hold_and_neither_release_nor_admit() {
        let mut own = Holds::default();
        own.hold(id("a"), hold(1));
        own.hold(id("b"), hold(1));
        assert!(own.release(id("b"), at(5)));
        let mut other = Holds::default();
        other.hold(id("a"), hold(3));
        assert!(other.release(id("a"), at(4)));
        other.admit(id("a"), at(4));
        other.hold(id("b"), hold(5));
        other.hold(id("c"), hold(5));
        own.join(&other);
        assert_eq!(own.held(id("a")), Some(&hold(1)));
        assert_eq!(own.held(id("b")), None, "it was released since");
        assert_eq!(own.held(id("c")), Some(&hold(5)));
        assert!(!own.is_admitted(id("a")));
        other.hold(id("b"), hold(6));
        own.join(&other);
        assert_eq!(own.held(id("b")), Some(&hold(6)));
    }

    #[test]
    fn a_hold_that_claims_to_be_of_the_future_can_be_released() {
        let mut own = Holds::default();
        let mut other = Holds::default();
        other.hold(id("a"), hold(1_000_000));
        own.join(&other);
        assert!(own.release(id("a"), at(0)));
        own.join(&other);
        assert_eq!(own.held(id("a")), None);
    }

    #[test]
    fn it_comes_back_from_its_record() {
        let mut holds = Holds::default();
        holds.hold(id("a"), hold(1));
        holds.hold(id("b"), hold(2));
        assert!(holds.release(id("b"), at(3)));
        holds.admit(id("c"), at(4));
        let text = serde_json::to_string(&holds).unwrap();
        assert_eq!(serde_json::from_str::<Holds>(&text).unwrap(), holds);
        let none: Holds = serde_json::from_str("{}").unwrap();
        assert_eq!(none, Holds::default());
        let odd = format!(r#"{{"held":{{"{}":{{}}}}}}"#, id("a"));
        assert!(serde_json::from_str::<Holds>(&odd).is_err());
    }
}
