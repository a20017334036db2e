//! What lies on a copy: its listings, taken once and asked often.
//!
//! A listing is a fact of one moment. What is written afterwards is added by whoever wrote it;
//! what another host removes in between is kept from happening by locks.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_model::{FileEntry, FileName, FileType, Id, attack};
use strongroom_store::Store;

use crate::parallel::both;
use crate::session::CopyStore;

/// The files of one type: sorted, 40 bytes each. Clones share them until one of these is changed: several
/// parts of a run look at what a million files may be, each in a thread of its own.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Files(Arc<Vec<FileEntry>>);

/// All files of a copy but its locks. Records are listed too and counted nowhere: they belong to no
/// snapshot, and a copy may have no place for them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The key files.
    pub keys: Files,
    /// The packs.
    pub data: Files,
    /// The index files.
    pub index: Files,
    /// The snapshots.
    pub snapshots: Files,
    /// The records, where the copy has a place for them.
    pub records: Files,
    /// Whether the copy has a place for records and did not list them.
    pub lacks_records: bool,
    /// What tells the place from another that is put in its stead, as [`Store::identity`] says.
    pub place: Option<Id>,
}

impl Listing {
    /// Lists a copy. One behind a server is asked several things at a time.
    ///
    /// # Errors
    /// As [`Store::list`] and [`Store::identity`].
    pub fn of_copy(copy: &CopyStore) -> strongroom_store::Result<Self> {
        match copy.is_behind_server() {
            true => Self::of_server(copy.store.as_ref()),
            false => Self::read(copy.store.as_ref()),
        }
    }

    /// Lists a copy to which nobody else may write meanwhile. One behind a server is asked everything at
    /// a time, for then no order tells more than another.
    ///
    /// # Errors
    /// As [`Store::list`] and [`Store::identity`].
    pub fn of_copy_alone(copy: &CopyStore) -> strongroom_store::Result<Self> {
        match copy.is_behind_server() {
            true => Self::at_once(copy.store.as_ref()),
            false => Self::read(copy.store.as_ref()),
        }
    }

    /// Lists a store.
    ///
    /// # Errors
    /// As [`Store::list`] and [`Store::identity`].
    pub fn read(store: &dyn Store) -> strongroom_store::Result<Self> {
        match store.patient() {
            Some(patient) => patient.at_once(Self::of_store),
            None => Self::of_store(store),
        }
    }

    /// Whoever writes does so from packs by index files to snapshots, and others may write meanwhile; so
    /// these are listed the other way round, each behind what refers to it. Records are listed behind
    /// packs, for whoever removes has put that on record before.
    fn of_store(store: &dyn Store) -> strongroom_store::Result<Self> {
        let keys = store.list(FileType::Keys)?;
        let snapshots = store.list(FileType::Snapshots)?;
        let index = store.list(FileType::Index)?;
        let data = list_packs(store)?;
        let records = list_records(store)?;
        let place = store.identity()?;
        Ok(Self::new(keys, index, snapshots, data, records, place))
    }

    /// The same in four steps, for each answer is waited for.
    fn of_server(store: &dyn Store) -> strongroom_store::Result<Self> {
        let (keys, (place, snapshots)) = both(
            || store.list(FileType::Keys),
            || both(|| store.identity(), || store.list(FileType::Snapshots)),
        );
        let (keys, place, snapshots) = (keys?, place?, snapshots?);
        let index = store.list(FileType::Index)?;
        let data = list_packs(store)?;
        let records = list_records(store)?;
        Ok(Self::new(keys, index, snapshots, data, records, place))
    }

    fn at_once(store: &dyn Store) -> strongroom_store::Result<Self> {
        let list = |kind| store.list(kind);
        let small = || {
            both(
                || both(|| list(FileType::Keys), || store.identity()),
                || both(|| list(FileType::Snapshots), || list(FileType::Index)),
            )
        };
        let large = || both(|| list_packs(store), || list_records(store));
        let (((keys, place), (snapshots, index)), (data, records)) = both(small, large);
        let (keys, snapshots, index) = (keys?, snapshots?, index?);
        Ok(Self::new(keys, index, snapshots, data?, records?, place?))
    }

    fn new(
        keys: Vec<FileEntry>,
        index: Vec<FileEntry>,
        snapshots: Vec<FileEntry>,
        data: Vec<FileEntry>,
        records: Option<Vec<FileEntry>>,
        place: Option<Id>,
    ) -> Self {
        Self {
            keys: Files::new(keys),
            data: Files::new(data),
            index: Files::new(index),
            snapshots: Files::new(snapshots),
            lacks_records: records.is_none(),
            records: Files::new(records.unwrap_or_default()),
            place,
        }
    }

    /// The files of a type; `None` for `config` and locks, which are not listed here.
    pub fn of(&self, kind: FileType) -> Option<&Files> {
        match kind {
            FileType::Keys => Some(&self.keys),
            FileType::Data => Some(&self.data),
            FileType::Index => Some(&self.index),
            FileType::Snapshots => Some(&self.snapshots),
            FileType::Records => Some(&self.records),
            FileType::Config | FileType::Locks => None,
        }
    }

    /// The files of a type, to add to them.
    pub fn of_mut(&mut self, kind: FileType) -> Option<&mut Files> {
        match kind {
            FileType::Keys => Some(&mut self.keys),
            FileType::Data => Some(&mut self.data),
            FileType::Index => Some(&mut self.index),
            FileType::Snapshots => Some(&mut self.snapshots),
            FileType::Records => Some(&mut self.records),
            FileType::Config | FileType::Locks => None,
        }
    }

    /// Whether a file is there.
    pub fn holds(&self, name: FileName) -> bool {
        let files = self.of(name.kind()).zip(name.id());
        files.is_some_and(|(files, id)| files.contains(id))
    }

    /// Every file of every type.
    pub fn entries(&self) -> impl Iterator<Item = FileEntry> + '_ {
        let kinds = FileType::SYNCED.iter();
        let files = kinds.filter_map(|kind| self.of(*kind));
        files.flat_map(Files::iter)
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        FileType::SYNCED
            .iter()
            .all(|kind| self.of(*kind).is_none_or(Files::is_empty))
    }

    /// How many files there are, and how many bytes they have.
    pub fn totals(&self) -> (u64, u64) {
        FileType::SYNCED
            .iter()
            .filter_map(|kind| self.of(*kind))
            .flat_map(Files::iter)
            .fold((0, 0), |(files, bytes), entry| {
                (files + 1, bytes.saturating_add(entry.size_bytes))
            })
    }
}

/// The packs of a store, without the canary of a drill: it is put to be attacked, and is no pack.
fn list_packs(store: &dyn Store) -> strongroom_store::Result<Vec<FileEntry>> {
    let mut packs = store.list(FileType::Data)?;
    let canary = attack::canary().id();
    packs.retain(|entry| Some(entry.id) != canary);
    Ok(packs)
}

impl Files {
    /// Sorts a listing.
    pub fn new(mut entries: Vec<FileEntry>) -> Self {
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.id);
        Self(Arc::new(entries))
    }

    /// The size of a file; `None` where there is no such file.
    pub fn size_bytes(&self, id: Id) -> Option<u64> {
        let position = self.0.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.0.get(position).map(|entry| entry.size_bytes)
    }

    /// Whether there is such a file.
    pub fn contains(&self, id: Id) -> bool {
        self.size_bytes(id).is_some()
    }

    /// Adds files that were just written, or forgets old sizes of files that were replaced.
    pub fn add(&mut self, entries: impl IntoIterator<Item = FileEntry>) {
        // New entries go first, so that of two with one id the new size stays.
        let mut all: Vec<_> = entries.into_iter().collect();
        if all.is_empty() {
            return;
        }
        all.extend(self.iter());
        all.sort_by_key(|entry| entry.id);
        all.dedup_by_key(|entry| entry.id);
        self.0 = Arc::new(all);
    }

    /// Takes the files out that are named, and returns them.
    pub(crate) fn take(&mut self, is_named: impl Fn(Id) -> bool) -> Vec<FileEntry> {
        if !self.iter().any(|entry| is_named(entry.id)) {
            return Vec::new();
        }
        let (taken, left) = self.iter().partition(|entry| is_named(entry.id));
        self.0 = Arc::new(left);
        taken
    }

    /// All files, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FileEntry> + '_ {
        self.0.iter().copied()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Lists the records of a store; no record where it has no place for them, as a server of restic's
/// own protocol, which knows no such folder, and `None` where it has one and does not tell.
fn list_records(store: &dyn Store) -> strongroom_store::Result<Option<Vec<FileEntry>>> {
    use strongroom_store::Error as E;
    match store.list(FileType::Records) {
        Err(error @ (E::Denied { .. } | E::BadAnswer { .. } | E::Vault { .. })) => {
            // Of a server it is what it says each time; any other place should have told them.
            match store.location().starts_with("rest:") {
                true => {
                    tracing::debug!(%error, "A copy has no place for records");
                    Ok(Some(Vec::new()))
                }
                false => {
                    tracing::warn!(%error, "A copy does not list its records");
                    Ok(None)
                }
            }
        }
        listed => listed.map(Some),
    }
}

/// The keys that more than one copy lists. One that a copy alone lists was made by anybody; one that
/// two of them list need not have been opened by anybody either, and is believed.
pub(crate) fn shared_keys<'a>(listings: impl IntoIterator<Item = &'a Listing>) -> BTreeSet<Id> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for listing in listings {
        let listed = listing.keys.iter().map(|entry| entry.id);
        shared.extend(listed.filter(|id| !seen.insert(*id)));
    }
    shared
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::{Fault, FaultyStore, Gate, MemoryStore, Op, RecordingStore, Rule};

    use super::*;

    fn entry(text: &str, size_bytes: u64) -> FileEntry {
        FileEntry {
            id: Id::of(text.as_bytes()),
            size_bytes,
        }
    }

    #[test]
    fn nothing_is_listed_before_what_refers_to_it_or_says_that_it_was_removed() {
        const IN_ORDER: [FileType; 4] = [
            FileType::Snapshots,
            FileType::Index,
            FileType::Data,
            FileType::Records,
        ];
        for location in ["/mnt/backup", "rest:http://nas:8000/", "s3:nas/bucket"] {
            for (place, kind) in IN_ORDER.into_iter().enumerate() {
                let fails = Rule::on(&[Op::List], Fault::Unreachable).of(kind);
                let store = FaultyStore::new(MemoryStore::at(location)).with(fails);
                let store = Arc::new(RecordingStore::new(store));
                let copy = CopyStore {
                    name: "copy".to_owned(),
                    store: store.clone(),
                    is_local: true,
                };
                assert!(Listing::of_copy(&copy).is_err(), "{kind} of {location}");
                let asked = IN_ORDER.map(|kind| store.tally(&[Op::List], kind).calls);
                let mut expected = [0; IN_ORDER.len()];
                expected[..=place].fill(1);
                assert_eq!(asked, expected, "{location}");
            }
        }
    }

    #[test]
    fn a_server_to_which_nobody_else_writes_is_asked_everything_at_a_time() {
        let gate = Gate::closed();
        let waits = Rule::on(&[Op::List], Fault::Wait(gate.clone()));
        let copy = CopyStore {
            name: "copy".to_owned(),
            store: Arc::new(FaultyStore::new(MemoryStore::at("s3:nas/bucket")).with(waits)),
            is_local: true,
        };
        let listing = std::thread::scope(|scope| {
            let listing = scope.spawn(|| Listing::of_copy_alone(&copy));
            // Keys, snapshots, index files, packs and records.
            gate.wait_for_waiting(5);
            gate.open();
            listing.join().unwrap()
        });
        assert_eq!(listing.unwrap(), Listing::of_copy(&copy).unwrap());
    }

    #[test]
    fn files_are_found_and_replaced() {
        let mut files = Files::new(vec![entry("b", 2), entry("a", 1)]);
        assert_eq!(files.size_bytes(Id::of(b"a")), Some(1));
        assert!(!files.contains(Id::of(b"c")));
        files.add([entry("c", 3), entry("a", 7)]);
        assert_eq!(files.size_bytes(Id::of(b"a")), Some(7));
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn a_clone_takes_no_memory_until_it_is_changed_and_changes_nothing_else() {
        let files = Files::new(vec![entry("a", 1), entry("b", 2)]);
        let mut other = files.clone();
        assert!(Arc::ptr_eq(&files.0, &other.0));
        assert_eq!(other.take(|_| false), []);
        other.add([]);
        assert!(Arc::ptr_eq(&files.0, &other.0));
        other.add([entry("c", 3)]);
        assert_eq!(other.take(|id| id == Id::of(b"a")), [entry("a", 1)]);
        assert_eq!((files.len(), other.len()), (2, 2));
        assert!(files.contains(Id::of(b"a")) && !other.contains(Id::of(b"a")));
        assert!(other.contains(Id::of(b"c")) && !files.contains(Id::of(b"c")));
    }
}
