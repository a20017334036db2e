//! When this machine listed each snapshot of a copy for the first time.
//!
//! A folder and a plain server do not tell when a file came, so that this is all that is known there.
//! And whoever runs a copy that does tell could put fakes into the past: what we have listed without
//! a snapshot did not have it then.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;
use strongroom_model::retention::{Arrival, SeenBy};

/// The first sightings of a copy's snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sightings {
    /// When the last listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed: Option<Timestamp>,
    #[serde(default)]
    snapshots: BTreeMap<Id, Sighting>,
}

/// That a snapshot was listed for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sighting {
    /// When the listing was there.
    at: Timestamp,
    /// When the copy had been listed without it; none where it had never been listed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    without: Option<Timestamp>,
}

/// How many snapshots of a copy are noted; what comes beyond them counts as seen at each moment for
/// the first time, which lets less go.
const MOST: usize = 200_000;

impl Sightings {
    /// Takes note of a listing that began at one moment and was there at another.
    pub fn note(&mut self, listed: impl IntoIterator<Item = Id>, began: Timestamp, now: Timestamp) {
        // Our own clock may have been ahead: then it was before now, and nobody knows when.
        let without = self.listed.map(|listed| listed.min(now));
        for id in listed {
            if self.snapshots.len() < MOST {
                let first = Sighting { at: now, without };
                self.snapshots.entry(id).or_insert(first);
            }
        }
        self.listed = self.listed.max(Some(began.min(now)));
    }

    /// When a snapshot came that the copy lists now: as the copy says, where we did not list it
    /// without the snapshot after that, else when we saw it.
    pub fn arrival(&self, id: Id, told: Option<Arrival>, now: Timestamp) -> Arrival {
        let first = self.snapshots.get(&id);
        let seen = Arrival {
            at: first.map_or(now, |first| first.at),
            by: SeenBy::Us,
        };
        let without = match first {
            Some(first) => first.without,
            None => self.listed.map(|listed| listed.min(now)),
        };
        let told = told.map(|told| told.not_before(without));
        told.map_or(seen, |told| match told.at <= seen.at {
            true => told,
            false => seen,
        })
    }

    /// When each was listed for the first time: by then it was there.
    pub fn first_seen(&self) -> impl Iterator<Item = (Id, Timestamp)> {
        self.snapshots.iter().map(|(id, first)| (*id, first.at))
    }

    /// Forgets snapshots that were removed.
    pub fn forget(&mut self, removed: &BTreeSet<Id>) {
        self.snapshots.retain(|id, _| !removed.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    fn told(second: i64) -> Option<Arrival> {
        Some(Arrival {
            at: at(second),
            by: SeenBy::Vault,
        })
    }

    fn seen(second: i64) -> Arrival {
        Arrival {
            at: at(second),
            by: SeenBy::Us,
        }
    }

    #[test]
    fn a_snapshot_came_when_its_copy_says_but_not_before_it_was_listed_without() {
        let mut sightings = Sightings::default();
        sightings.note([id("old")], at(100), at(101));
        // What was there at the first listing may have come at any time.
        assert_eq!(sightings.arrival(id("old"), None, at(900)), seen(101));
        let of_old = |second| sightings.arrival(id("old"), told(second), at(900));
        assert_eq!(Some(of_old(7)), told(7));
        assert_eq!(of_old(500), seen(101));
        sightings.note([id("old"), id("new")], at(200), at(202));
        let of_new = |second| sightings.arrival(id("new"), told(second), at(900));
        assert_eq!(Some(of_new(150)), told(150));
        assert_eq!(of_new(7), seen(100));
        assert_eq!(of_new(300), seen(202));
        // One that was never noted came after the last listing.
        assert_eq!(sightings.arrival(id("x"), told(7), at(900)), seen(200));
        assert_eq!(sightings.arrival(id("x"), None, at(900)), seen(900));
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nobody_believe_more() {
        let mut sightings = Sightings::default();
        sightings.note([], at(9_000), at(9_000));
        sightings.note([id("new")], at(200), at(201));
        assert_eq!(sightings.arrival(id("new"), told(7), at(300)), seen(201));
        sightings.note([id("newer")], at(210), at(211));
        assert_eq!(sightings.arrival(id("newer"), told(7), at(300)), seen(211));
    }

    #[test]
    fn what_was_removed_is_seen_anew_and_the_rest_comes_back_from_its_record() {
        let mut sightings = Sightings::default();
        sightings.note([id("a"), id("b")], at(1), at(2));
        sightings.forget(&[id("a")].into());
        let text = serde_json::to_string(&sightings).unwrap();
        let read: Sightings = serde_json::from_str(&text).unwrap();
        assert_eq!(read, sightings);
        assert_eq!(read.arrival(id("b"), None, at(9)), seen(2));
        assert_eq!(read.arrival(id("a"), None, at(9)), seen(9));
    }
}
