//! Which files a copy once held, and which of them were read.
//!
//! A listing alone cannot tell "was never here" from "was here and is gone". The ids of index files
//! and snapshots, which are few, are remembered so that sync can.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
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
}

impl ReadFiles {
    /// Takes note of a verify: what it read, of what it listed. One that read all of it replaces
    /// what was known, and so does one of another place. One that could not tell the place, although
    /// it is known where the rest was read, changes nothing.
    pub fn add(&mut self, sound: &[FileName], listing: &Listing, is_all: bool) {
        if self.place.is_some() && listing.place.is_none() {
            return;
        }
        if is_all || self.is_elsewhere(listing) {
            self.files.clear();
        }
        self.place = listing.place;
        let sound: BTreeSet<FileName> = sound.iter().copied().collect();
        let is_read = |id: &Id| {
            let names = FileType::SYNCED.map(|kind| FileName::new(kind, *id));
            let mut listed = names.iter().filter(|name| listing.holds(**name));
            listed.all(|name| sound.contains(name))
        };
        let read = sound.iter().filter_map(FileName::id);
        self.files.extend(read.filter(is_read));
        self.keep_listed(listing);
    }

    /// Forgets that files were read which are not listed: what comes in their stead was not.
    pub fn keep_listed(&mut self, listing: &Listing) {
        let listed: BTreeSet<Id> = listing.entries().map(|entry| entry.id).collect();
        self.files.retain(|id| listed.contains(id));
    }

    /// Forgets that files were read, since they were written anew.
    pub fn forget(&mut self, written: &BTreeSet<Id>) {
        self.files.retain(|id| !written.contains(id));
    }

    /// As [`CopyEvidence::rebind`](strongroom_model::CopyEvidence::rebind).
    pub fn rebind(&mut self, before: Id, now: Id) {
        if self.place == Some(before) {
            self.place = Some(now);
        }
    }

    /// Whether they were not read in this place, or nobody knows. Where no place was noted, as by
    /// earlier versions, they were.
    fn is_elsewhere(&self, listing: &Listing) -> bool {
        self.place.is_some() && self.place != listing.place
    }

    /// What a copy holds that was not read.
    pub fn unread(&self, listing: &Listing) -> Unread {
        let is_other = self.is_elsewhere(listing);
        let unread = listing.entries();
        let unread = unread.filter(|entry| is_other || !self.files.contains(&entry.id));
        unread.fold(Unread::default(), |so_far, entry| Unread {
            files: so_far.files.saturating_add(1),
            bytes: so_far.bytes.saturating_add(entry.size_bytes),
        })
    }
}

/// What was once seen on a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFiles {
    /// Index files.
    #[serde(default)]
    pub index: BTreeSet<Id>,
    /// Snapshots.
    #[serde(default)]
    pub snapshots: BTreeSet<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Files;
    use strongroom_model::FileEntry;

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
        read.add(&[pack("a")], &two, false);
        assert_eq!(
            read.unread(&two),
            Unread {
                files: 1,
                bytes: 10
            }
        );
        read.add(&[pack("b")], &two, false);
        assert_eq!(read.unread(&two), Unread::default());
        // Repacked: as many files as before, and all of them new.
        let others = listing(&["c", "d"]);
        assert_eq!(read.unread(&others).files, 2);
        read.add(&[pack("c")], &others, false);
        assert_eq!(read.files, [id("c")].into());
        // One that read all of it does not vouch for what it found damaged.
        read.add(&[pack("d")], &others, true);
        assert_eq!(read.unread(&others).files, 1);
    }

    #[test]
    fn what_was_written_anew_and_what_lies_in_another_place_was_not_read() {
        let mut read = ReadFiles::default();
        let at = |place: &str| Listing {
            place: Some(id(place)),
            ..listing(&["a", "b"])
        };
        read.add(&[pack("a"), pack("b")], &at("old disk"), true);
        assert_eq!(read.unread(&at("old disk")), Unread::default());
        assert_eq!(read.unread(&at("new disk")).files, 2);
        assert_eq!(read.unread(&listing(&["a", "b"])).files, 2);
        read.forget(&[id("a")].into());
        assert_eq!(read.unread(&at("old disk")).files, 1);
        // A share of the new disk does not add to what was read of the old one.
        read.add(&[pack("a")], &at("new disk"), false);
        assert_eq!(read.files, [id("a")].into());
        assert_eq!(read.unread(&at("new disk")).files, 1);
    }

    #[test]
    fn what_was_read_is_kept_where_the_place_was_not_noted_or_is_not_told() {
        let packs = [pack("a"), pack("b")];
        let at = |place: Option<&str>| Listing {
            place: place.map(id),
            ..listing(&["a", "b"])
        };
        let mut read = ReadFiles::default();
        read.add(&packs[..1], &at(None), false);
        // Of an earlier version, which noted no place.
        assert_eq!(read.unread(&at(Some("disk"))).files, 1);
        read.add(&packs[1..], &at(Some("disk")), false);
        assert_eq!(read.unread(&at(Some("disk"))).files, 0);
        // Its config is missing.
        assert_eq!(read.unread(&at(None)).files, 2);
        read.add(&[], &at(None), true);
        assert_eq!(read.unread(&at(Some("disk"))).files, 0);
        // It was healed by us, here or in another place.
        read.rebind(id("another"), id("healed"));
        assert_eq!(read.unread(&at(Some("disk"))).files, 0);
        read.rebind(id("disk"), id("healed"));
        assert_eq!(read.unread(&at(Some("healed"))).files, 0);
        assert_eq!(read.unread(&at(Some("disk"))).files, 2);
    }

    #[test]
    fn a_pack_is_not_read_because_its_bytes_were_read_as_a_key() {
        let mut read = ReadFiles::default();
        let mut both = listing(&["a", "b"]);
        both.keys = Files::new(both.data.iter().take(1).collect());
        let listed: Vec<_> = both.keys.iter().map(|entry| entry.id).collect();
        let key = FileName::new(FileType::Keys, listed[0]);
        let same = FileName::new(FileType::Data, listed[0]);
        read.add(&[key], &both, false);
        assert_eq!(read.files, BTreeSet::new());
        read.add(&[key, same], &both, false);
        assert_eq!(read.files, [listed[0]].into());
    }
}
