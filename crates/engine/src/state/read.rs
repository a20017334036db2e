//! Which files of a copy were read, and which were written anew since.
//!
//! A verify reads for hours and notes in the end what it has read. What can go wrong: a sync writes
//! one of these files anew meanwhile, and the old reading vouches for the new bytes. So whoever
//! writes a file anew says here when that was, and a verify that began before then has not read it.
//! Of too many the oldest are let go of: then it is kept when that was, and a verify that began
//! before has read nothing. A verify lets go of none, for a longer one may be under way beside it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::evidence::Rebound;
use strongroom_model::scorecard::Unread;
use strongroom_model::{FileName, FileType, Id};

use crate::Listing;

/// Which files of a copy were read and found sound, so that a scorecard can tell what came since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFiles {
    /// The files, of all types. An id stands for each file that has it: anybody may list the bytes of
    /// one file under another type as well.
    #[serde(default)]
    pub files: BTreeSet<Id>,
    /// The place where they were read, as its listing tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Id>,
    /// That the place is told otherwise since its `config` was healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rebound: Option<Rebound>,
    /// Files that were written anew, and when that was over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written: BTreeMap<Id, Timestamp>,
    /// Until when others were, which are not named any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unnamed_until: Option<Timestamp>,
}

/// How many files that were written anew are named.
const MAX_WRITTEN: usize = 10_000;

impl ReadFiles {
    /// Takes note of a verify that began then: what it read, of what it listed, but for what was
    /// written anew since. One that read all of it replaces what was known, and so does one of
    /// another place. One that could not tell the place, although it is known where the rest was
    /// read, changes nothing.
    pub fn add(&mut self, sound: &[FileName], listing: &Listing, is_all: bool, began: Timestamp) {
        let (rebound, told) = (self.rebound, listing.place);
        let place = rebound.map_or(told, |rebound| rebound.place_of(told, began));
        if self.place.is_some() && place.is_none() {
            return;
        }
        if is_all || self.is_elsewhere(place) {
            self.files.clear();
        }
        self.place = place;
        let sound: BTreeSet<FileName> = sound.iter().copied().collect();
        let is_read = |id: &Id| {
            let names = FileType::SYNCED.map(|kind| FileName::new(kind, *id));
            let mut listed = names.iter().filter(|name| listing.holds(**name));
            listed.all(|name| sound.contains(name)) && !self.was_written_since(*id, began)
        };
        let read = sound.iter().filter_map(FileName::id);
        let read: Vec<Id> = read.filter(is_read).collect();
        self.files.extend(read);
        self.keep_listed(listing);
    }

    /// Forgets that files were read which are not listed: what comes in their stead was not.
    pub fn keep_listed(&mut self, listing: &Listing) {
        let listed: BTreeSet<Id> = listing.entries().map(|entry| entry.id).collect();
        self.files.retain(|id| listed.contains(id));
    }

    /// Forgets that files were read, since they were written anew by then; a verify that began before
    /// has not read them either.
    pub fn forget(&mut self, written: &BTreeSet<Id>, now: Timestamp) {
        self.files.retain(|id| !written.contains(id));
        for id in written {
            let at = self.written.entry(*id).or_insert(now);
            *at = now.max(*at);
        }
        let mut times: Vec<Timestamp> = self.written.values().copied().collect();
        times.sort_unstable();
        let surplus = times.len().saturating_sub(MAX_WRITTEN);
        if let Some(last) = times.iter().take(surplus).next_back().copied() {
            self.written.retain(|_, at| *at > last);
            self.unnamed_until = self.unnamed_until.max(Some(last));
        }
    }

    /// Lets nothing have been written anew later than now: the clock was ahead then, and no verify
    /// would ever have begun after that.
    pub fn keep_until(&mut self, now: Timestamp) {
        for at in self.written.values_mut() {
            *at = now.min(*at);
        }
        self.unnamed_until = self.unnamed_until.map(|at| now.min(at));
    }

    /// As [`CopyEvidence::rebind`](strongroom_model::CopyEvidence::rebind).
    pub fn rebind(&mut self, rebound: Rebound) {
        self.place = rebound.place_of(self.place, rebound.at);
        self.rebound = Some(rebound);
    }

    /// Whether a file was written anew since then, or nobody knows.
    fn was_written_since(&self, id: Id, began: Timestamp) -> bool {
        let named = self.written.get(&id).copied();
        named.max(self.unnamed_until) >= Some(began)
    }

    /// Whether they were not read in this place, or nobody knows. Where no place was noted, as by
    /// earlier versions, they were.
    fn is_elsewhere(&self, place: Option<Id>) -> bool {
        self.place.is_some() && self.place != place
    }

    /// What a copy holds that was not read.
    pub fn unread(&self, listing: &Listing) -> Unread {
        let is_other = self.is_elsewhere(listing.place);
        let unread = listing.entries();
        let unread = unread.filter(|entry| is_other || !self.files.contains(&entry.id));
        unread.fold(Unread::default(), |so_far, entry| Unread {
            files: so_far.files.saturating_add(1),
            bytes: so_far.bytes.saturating_add(entry.size_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Files;
    use strongroom_model::FileEntry;

    /// When the verifies began.
    const BEGAN: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    fn pack(text: &str) -> FileName {
        FileName::new(FileType::Data, id(text))
    }

    fn listing(packs: &[&str]) -> Listing {
        let entry = |text: &&str| FileEntry {
            id: id(text),
            size_bytes: 10,
        };
        Listing {
            data: Files::new(packs.iter().map(entry).collect()),
            ..Listing::default()
        }
    }

    #[test]
    fn what_was_not_read_since_it_came_is_counted() {
        let mut read = ReadFiles::default();
        let two = listing(&["a", "b"]);
        read.add(&[pack("a")], &two, false, BEGAN);
        assert_eq!(
            read.unread(&two),
            Unread {
                files: 1,
                bytes: 10
            }
        );
        read.add(&[pack("b")], &two, false, BEGAN);
        assert_eq!(read.unread(&two), Unread::default());
        // Repacked: as many files as before, and all of them new.
        let others = listing(&["c", "d"]);
        assert_eq!(read.unread(&others).files, 2);
        read.add(&[pack("c")], &others, false, BEGAN);
        assert_eq!(read.files, [id("c")].into());
        // One that read all of it does not vouch for what it found damaged.
        read.add(&[pack("d")], &others, true, BEGAN);
        assert_eq!(read.unread(&others).files, 1);
    }

    #[test]
    fn what_was_written_anew_and_what_lies_in_another_place_was_not_read() {
        let mut read = ReadFiles::default();
        let disk = |place: &str| Listing {
            place: Some(id(place)),
            ..listing(&["a", "b"])
        };
        read.add(&[pack("a"), pack("b")], &disk("old disk"), true, BEGAN);
        assert_eq!(read.unread(&disk("old disk")), Unread::default());
        assert_eq!(read.unread(&disk("new disk")).files, 2);
        assert_eq!(read.unread(&listing(&["a", "b"])).files, 2);
        read.forget(&[id("a")].into(), at(1));
        assert_eq!(read.unread(&disk("old disk")).files, 1);
        // A share of the new disk does not add to what was read of the old one.
        read.add(&[pack("a")], &disk("new disk"), false, at(2));
        assert_eq!(read.files, [id("a")].into());
        assert_eq!(read.unread(&disk("new disk")).files, 1);
    }

    #[test]
    fn what_was_read_is_kept_where_the_place_was_not_noted_or_is_not_told() {
        let packs = [pack("a"), pack("b")];
        let disk = |place: Option<&str>| Listing {
            place: place.map(id),
            ..listing(&["a", "b"])
        };
        let mut read = ReadFiles::default();
        read.add(&packs[..1], &disk(None), false, BEGAN);
        // Of an earlier version, which noted no place.
        assert_eq!(read.unread(&disk(Some("disk"))).files, 1);
        read.add(&packs[1..], &disk(Some("disk")), false, BEGAN);
        assert_eq!(read.unread(&disk(Some("disk"))).files, 0);
        // Its config is missing.
        assert_eq!(read.unread(&disk(None)).files, 2);
        read.add(&[], &disk(None), true, BEGAN);
        assert_eq!(read.unread(&disk(Some("disk"))).files, 0);
        // It was healed by us, here or in another place.
        let rebound = |before: &str| Rebound {
            before: id(before),
            now: id("healed"),
            at: at(5),
        };
        read.rebind(rebound("another"));
        assert_eq!(read.unread(&disk(Some("disk"))).files, 0);
        read.rebind(rebound("disk"));
        assert_eq!(read.unread(&disk(Some("healed"))).files, 0);
        assert_eq!(read.unread(&disk(Some("disk"))).files, 2);
        // What went on meanwhile read the same place, and what began later another one.
        read.add(&packs[..1], &disk(Some("disk")), true, at(5));
        assert_eq!(read.unread(&disk(Some("healed"))).files, 1);
        read.add(&packs, &disk(Some("disk")), true, at(6));
        assert_eq!(read.unread(&disk(Some("healed"))).files, 2);
    }

    #[test]
    fn what_is_written_anew_was_read_only_by_a_verify_that_began_later() {
        let both = [pack("a"), pack("b")];
        let listing = listing(&["a", "b"]);
        let mut read = ReadFiles::default();
        read.forget(&[id("a")].into(), at(5));
        // Whatever became of it meanwhile.
        read.forget(&[id("a")].into(), at(4));
        let json = serde_json::to_vec(&read).unwrap();
        read = serde_json::from_slice(&json).unwrap();
        read.add(&both, &listing, true, at(5));
        assert_eq!(read.files, [id("b")].into());
        read.add(&both, &listing, true, at(6));
        assert_eq!(read.unread(&listing), Unread::default());
        // A longer one that ends after a shorter one lacks what was written meanwhile and no more.
        read.add(&both[..1], &listing, false, at(7));
        read.add(&both, &listing, true, at(5));
        assert_eq!(read.files, [id("b")].into());
    }

    #[test]
    fn what_was_written_anew_while_the_clock_was_ahead_is_read_by_the_verify_after_the_next() {
        let number = |number: usize| Id::of(&number.to_le_bytes());
        let (both, listing) = ([pack("a"), pack("b")], listing(&["a", "b"]));
        let mut read = ReadFiles::default();
        read.forget(&(0..MAX_WRITTEN).map(number).collect(), at(900));
        read.forget(&[id("a")].into(), at(901));
        read.add(&both, &listing, true, at(5));
        assert_eq!(read.files, BTreeSet::new());
        read.keep_until(at(6));
        read.add(&both, &listing, true, at(6));
        assert_eq!(read.files, BTreeSet::new());
        read.add(&both, &listing, true, at(7));
        assert_eq!(read.unread(&listing), Unread::default());
    }

    #[test]
    fn of_too_many_files_that_were_written_anew_the_oldest_are_not_named_and_count_as_unread() {
        let number = |number: usize| Id::of(&number.to_le_bytes());
        let listing = listing(&["a", "b"]);
        let mut read = ReadFiles::default();
        read.forget(&[id("a")].into(), at(1));
        read.forget(&(0..MAX_WRITTEN).map(number).collect(), at(3));
        assert_eq!(read.written.len(), MAX_WRITTEN);
        read.add(&[pack("a"), pack("b")], &listing, true, at(1));
        assert_eq!(read.files, BTreeSet::new());
        read.add(&[pack("a"), pack("b")], &listing, true, at(2));
        assert_eq!(read.unread(&listing), Unread::default());
    }

    #[test]
    fn a_pack_is_not_read_because_its_bytes_were_read_as_a_key() {
        let mut read = ReadFiles::default();
        let mut both = listing(&["a", "b"]);
        both.keys = Files::new(both.data.iter().take(1).collect());
        let listed: Vec<_> = both.keys.iter().map(|entry| entry.id).collect();
        let key = FileName::new(FileType::Keys, listed[0]);
        let same = FileName::new(FileType::Data, listed[0]);
        read.add(&[key], &both, false, BEGAN);
        assert_eq!(read.files, BTreeSet::new());
        read.add(&[key, same], &both, false, BEGAN);
        assert_eq!(read.files, [listed[0]].into());
    }
}
