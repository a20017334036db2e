//! The records of a repository as this machine keeps them, and its list of what is held.
//!
//! A record lies in `records/` under its name, sealed as on the copies, so that it is asked of none
//! of them again and outlives them all. Beside it is noted which of them this machine wrote, when it
//! first saw the others, and which files are none. Of others there is a bound to number and bytes, for
//! whoever has the repository's key can write any number.
//!
//! **Security:** the list of what is held is the one file of the state folder that is never taken
//! for an empty one: where it cannot be read, or is of a newer version, that is an error, and it is
//! neither set aside nor overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::{FileType, Holds, Id};
use strongroom_store::read_limit_bytes;

use crate::state::{RepositoryState, disk, local, record};
use crate::{Error, Result};

/// The most records of others that are kept, and the most junk that is noted.
const MOST_OF_OTHERS: usize = 10_000;

/// The most bytes of records of others that are kept.
const MOST_BYTES_OF_OTHERS: u64 = 256 << 20;

/// The most records of others of which it is noted when they were first seen. Beyond it none grows
/// older, so that what it names is removed here only where a person says so.
const MOST_SEEN: usize = 2 * MOST_OF_OTHERS;

/// What is known of records beside what they say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordNotes {
    /// Those that this machine wrote.
    #[serde(default)]
    pub(crate) ours: BTreeSet<Id>,
    /// Of the others, when this machine first saw them; of a removal, when it did and that counted.
    #[serde(default)]
    pub(crate) seen: BTreeMap<Id, Timestamp>,
    /// Files under right names that are no records of this repository.
    #[serde(default)]
    pub(crate) junk: BTreeSet<Id>,
    /// Those of whose files it is noted that they were removed on purpose.
    #[serde(default)]
    pub(crate) accepted: BTreeSet<Id>,
}

impl RecordNotes {
    /// Notes a record of somebody else; tells since when it is known, which of too many it is not.
    pub(crate) fn see(&mut self, record: Id, now: Timestamp) -> Timestamp {
        match self.seen.get(&record) {
            Some(since) => *since,
            None if self.seen.len() < MOST_SEEN => {
                self.seen.insert(record, now);
                now
            }
            None => now,
        }
    }

    /// Notes a file that is no record; of too many none more.
    pub(crate) fn pass_over(&mut self, junk: Id) {
        if self.junk.len() < MOST_OF_OTHERS {
            self.junk.insert(junk);
        }
    }
}

/// How much more of the records of others is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    records: usize,
    bytes: u64,
}

impl Room {
    /// Takes the room of a record, where there is enough.
    pub(crate) fn take(&mut self, size_bytes: u64) -> bool {
        let bytes = self.bytes.checked_sub(size_bytes);
        match self.records.checked_sub(1).zip(bytes) {
            Some((records, bytes)) => {
                *self = Self { records, bytes };
                true
            }
            None => false,
        }
    }
}

impl RepositoryState {
    /// What is noted of records; nothing, where that cannot be read.
    pub(crate) fn record_notes(&self) -> RecordNotes {
        self.read_record(&self.notes_path()).unwrap_or_default()
    }

    /// Changes what is noted of records.
    pub(crate) fn update_record_notes(&self, change: impl FnOnce(&mut RecordNotes)) -> Result<()> {
        self.update(&self.notes_path(), change)
    }

    /// The records that are kept here, by their names, whatever is in them.
    pub(crate) fn kept_records(&self) -> Result<BTreeSet<Id>> {
        let path = self.subfolder("records");
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(local("list", &path))?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(local("list", &path))?.file_name();
            names.extend(name.to_str().and_then(|name| name.parse::<Id>().ok()));
        }
        Ok(names)
    }

    /// The bytes of a record that is kept here; `None` where there is none.
    pub(crate) fn kept_record(&self, record: Id) -> Result<Option<Vec<u8>>> {
        disk::read(&self.kept_path(record))
    }

    /// Keeps a record that this machine is about to give to the copies.
    pub(crate) fn keep_own_record(&self, record: Id, bytes: &[u8]) -> Result<()> {
        // Noted first: one that is only noted says nothing.
        self.update_record_notes(|notes| {
            notes.ours.insert(record);
        })?;
        let lock = self.lock()?;
        disk::write(&lock, &self.kept_path(record), bytes)
    }

    /// Keeps a record that a copy gave.
    pub(crate) fn keep_record(&self, record: Id, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > read_limit_bytes(FileType::Records) {
            return Ok(());
        }
        let lock = self.lock()?;
        disk::write(&lock, &self.kept_path(record), bytes)
    }

    /// How much room is left for records of others, beside those that are kept: what has none is
    /// asked for again.
    pub(crate) fn room_for_records(&self) -> Result<Room> {
        let ours = self.record_notes().ours;
        let mut room = Room {
            records: MOST_OF_OTHERS,
            bytes: MOST_BYTES_OF_OTHERS,
        };
        let kept = self.kept_records()?;
        for id in kept.iter().filter(|id| !ours.contains(*id)) {
            let size_bytes = std::fs::metadata(self.kept_path(*id)).map_or(0, |kept| kept.len());
            room.records = room.records.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(size_bytes);
        }
        Ok(room)
    }

    /// What was said of single snapshots on this machine; `None` where nothing was, or the list is
    /// missing.
    ///
    /// # Errors
    /// [`Error::HoldsUnreadable`].
    pub fn holds(&self) -> Result<Option<Holds>> {
        let path = self.holds_path();
        let read = || -> Result<Option<Holds>> {
            match disk::read(&path)? {
                Some(bytes) => Ok(Some(record::decode(&bytes)?)),
                None => Ok(None),
            }
        };
        read().map_err(|error| Error::HoldsUnreadable {
            path: path.clone(),
            source: Box::new(error),
        })
    }

    /// Changes what was said of single snapshots; returns what it is now.
    ///
    /// # Errors
    /// [`Error::HoldsUnreadable`]; where it cannot be written.
    pub(crate) fn update_holds(&self, change: impl FnOnce(&mut Holds)) -> Result<Holds> {
        let lock = self.lock()?;
        let mut holds = self.holds()?.unwrap_or_default();
        change(&mut holds);
        disk::write(&lock, &self.holds_path(), &record::encode(&holds)?)?;
        Ok(holds)
    }

    fn kept_path(&self, record: Id) -> PathBuf {
        self.subfolder("records").join(record.to_string())
    }

    fn notes_path(&self) -> PathBuf {
        self.subfolder("record-notes.json")
    }

    fn holds_path(&self) -> PathBuf {
        self.subfolder("holds.json")
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::holds::Hold;

    use super::*;
    use crate::state::StateFolder;

    fn state() -> (tempfile::TempDir, RepositoryState) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state")).repository(Id::of(b"repo"));
        (folder, state)
    }

    #[test]
    fn records_are_kept_under_their_names_and_ours_are_told_from_others() {
        let (_folder, state) = state();
        assert_eq!(state.kept_records().unwrap(), BTreeSet::new());
        let (ours, other) = (Id::of(b"ours"), Id::of(b"other"));
        state.keep_own_record(ours, b"ours").unwrap();
        state.keep_record(other, b"other").unwrap();
        assert_eq!(state.kept_records().unwrap(), [ours, other].into());
        assert_eq!(state.kept_record(other).unwrap().unwrap(), b"other");
        assert_eq!(state.kept_record(Id::of(b"none")).unwrap(), None);
        assert_eq!(state.record_notes().ours, [ours].into());
        let later = Timestamp::from_second(9).unwrap();
        state
            .update_record_notes(|notes| {
                let first = notes.see(other, Timestamp::UNIX_EPOCH);
                assert_eq!(first, Timestamp::UNIX_EPOCH);
                assert_eq!(notes.see(other, later), Timestamp::UNIX_EPOCH);
            })
            .unwrap();
    }

    #[test]
    fn of_others_so_many_are_kept_and_so_many_are_noted_and_no_more() {
        let (_folder, state) = state();
        let whole = state.room_for_records().unwrap();
        state.keep_own_record(Id::of(b"ours"), b"ours").unwrap();
        assert_eq!(state.room_for_records().unwrap(), whole);
        state.keep_record(Id::of(b"other"), b"other").unwrap();
        let mut room = state.room_for_records().unwrap();
        assert_eq!(room.bytes, whole.bytes - 5);
        assert_eq!(room.records, whole.records - 1);
        let most = room.bytes;
        assert!(!room.take(most + 1) && room.take(most) && !room.take(1));
        room.records = 0;
        assert!(!room.take(0));

        let mut notes = RecordNotes::default();
        for number in 0..MOST_SEEN {
            notes.see(Id::of(&number.to_le_bytes()), Timestamp::UNIX_EPOCH);
        }
        let (more, later) = (Id::of(b"more"), Timestamp::from_second(9).unwrap());
        let first = notes.see(more, Timestamp::UNIX_EPOCH);
        assert_eq!(first, Timestamp::UNIX_EPOCH);
        assert_eq!(notes.see(more, later), later, "it grows no older");
        assert_eq!(notes.seen.len(), MOST_SEEN);
    }

    #[test]
    fn a_list_of_holds_that_cannot_be_read_is_no_empty_one_and_stays_as_it_is() {
        let (_folder, state) = state();
        assert_eq!(state.holds().unwrap(), None);
        let hold = Hold {
            since: Timestamp::UNIX_EPOCH,
            why: "audit".to_owned(),
        };
        let held = state
            .update_holds(|holds| holds.hold(Id::of(b"a"), hold))
            .unwrap();
        assert_eq!(state.holds().unwrap(), Some(held));
        for bytes in [&b"junk"[..], br#"{"version":9,"held":{}}"#] {
            std::fs::write(state.holds_path(), bytes).unwrap();
            for failed in [state.holds().err(), state.update_holds(|_| {}).err()] {
                let failed = failed.unwrap();
                assert!(matches!(failed, Error::HoldsUnreadable { .. }), "{failed}");
                assert!(failed.hint().is_some());
            }
            assert_eq!(std::fs::read(state.holds_path()).unwrap(), bytes);
        }
    }
}
