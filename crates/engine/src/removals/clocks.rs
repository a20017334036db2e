//! What time counts for what takes something away: that of the clock which is the furthest behind, of
//! this machine's and those of the places that tell theirs.
//!
//! What can go wrong: somebody sets our clock ahead, as with a false time server, so that the week in
//! which a removal of others can be taken back seems to be over. Where all places are folders there is
//! no other clock, and ours alone counts. Whoever holds a place may keep its clock behind: then what
//! others decided waits, which costs space, and our clock is told to be ahead of that place's. Where he
//! keeps it ahead, what is new is noted as first seen at that later time, and waits for so much longer:
//! then our clock is told to be behind that place's.

use std::time::SystemTime;

use jiff::Timestamp;
use strongroom_store::are_apart;

use crate::removals::Telling;
use crate::session::CopyStore;

/// What the clocks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clocks {
    /// The earliest time of any: by this one something is over.
    pub(super) earliest: Timestamp,
    /// The latest time of any: by this one something begins.
    pub(super) latest: Timestamp,
    /// The places of which ours is so far ahead, or behind, that one of the two must be wrong.
    pub(super) apart: Vec<Telling>,
}

impl Clocks {
    /// What our clock says, and those of the places of copies; no place is asked.
    pub(super) fn of<'c>(copies: impl Iterator<Item = &'c CopyStore>, ours: Timestamp) -> Self {
        let mut clocks = Self {
            earliest: ours,
            latest: ours,
            apart: Vec::new(),
        };
        for copy in copies {
            let Some(told) = copy.store.time() else {
                continue;
            };
            let (Ok(theirs), Ok(by_us)) = (Timestamp::try_from(told), SystemTime::try_from(ours))
            else {
                continue;
            };
            clocks.earliest = clocks.earliest.min(theirs);
            clocks.latest = clocks.latest.max(theirs);
            if !are_apart(told, by_us) {
                continue;
            }
            let copy = copy.name.clone();
            clocks.apart.push(match theirs < ours {
                true => Telling::ClockAhead { copy, ours, theirs },
                false => Telling::ClockBehind { copy, ours, theirs },
            });
        }
        clocks
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_testkit::{FakeBucket, MemoryStore};

    use super::*;

    /// A copy whose place says that it is so many seconds after 1970; of a folder it is `None`.
    fn copy(name: &str, now_s: Option<u64>) -> CopyStore {
        let bucket = |now_s| {
            let bucket = FakeBucket::new(name);
            bucket.set_time(now_s);
            bucket
        };
        CopyStore {
            name: name.to_owned(),
            store: match now_s {
                Some(now_s) => Arc::new(bucket(now_s)),
                None => Arc::new(MemoryStore::new(name)),
            },
            is_local: false,
        }
    }

    #[test]
    fn of_several_clocks_the_earliest_ends_the_latest_begins_and_each_far_off_is_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let copies = [
            copy("folder", None),
            copy("behind", Some(900_000)),
            copy("near", Some(999_400)),
            copy("soon", Some(1_000_600)),
            copy("ahead", Some(1_005_000)),
        ];
        let clocks = Clocks::of(copies.iter(), at(1_000_000));
        assert_eq!(
            (clocks.earliest, clocks.latest),
            (at(900_000), at(1_005_000))
        );
        let [Telling::ClockAhead { copy, .. }, behind] = clocks.apart.as_slice() else {
            panic!("{clocks:?}");
        };
        assert_eq!(copy, "behind");
        assert!(matches!(behind, Telling::ClockBehind { copy, .. } if copy == "ahead"));
        assert!(
            behind.to_string().contains("behind that of ahead"),
            "{behind}"
        );
        let alone = Clocks::of(copies[..1].iter(), at(1_000_000));
        assert_eq!(
            (alone.earliest, alone.latest),
            (at(1_000_000), at(1_000_000))
        );
        assert_eq!(alone.apart, []);
    }
}
