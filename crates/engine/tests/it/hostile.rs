//! Copies that belong to an attacker who has no key: what they claim must not cost anybody else a
//! snapshot or a byte.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use std::io::BufRead;

use parking_lot::Mutex;
use strongroom_engine::backup::report::{BackupReport, CopyOutcome};
use strongroom_engine::session::Locks;
use strongroom_engine::sync::{SyncOptions, SyncReport, sync_session};
use strongroom_engine::{CopyState, backup::BackupOptions, backup::backup};
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Error, Result, Store};
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Fault, FaultyStore, Op, Rule};

use crate::fixture::{Fixture, outcome};

/// A place that shows other packs than it has.
#[derive(Debug)]
struct LyingStore {
    inner: Arc<dyn Store>,
    lies: Mutex<Lies>,
}

#[derive(Debug, Default)]
struct Lies {
    /// Listed beside the true ones.
    invented: Vec<FileEntry>,
    /// The name under which a pack is shown, and its own.
    alias: Vec<(Id, Id)>,
    /// Whether no index file and no snapshot is listed.
    hides_index: bool,
    /// Whether bytes are taken and not kept.
    drops: bool,
    /// What was dropped.
    dropped: Vec<FileEntry>,
}

impl LyingStore {
    fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            lies: Mutex::default(),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.lies.lock());
    }

    /// Where a file really lies.
    fn real(&self, name: FileName) -> FileName {
        let lies = self.lies.lock();
        let found = lies
            .alias
            .iter()
            .find(|(shown, _)| Some(*shown) == name.id());
        found.map_or(name, |(_, own)| FileName::new(FileType::Data, *own))
    }
}

impl Store for LyingStore {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn create(&self) -> Result<()> {
        self.inner.create()
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let lies = self.lies.lock();
        if lies.hides_index && matches!(kind, FileType::Index | FileType::Snapshots) {
            return Ok(Vec::new());
        }
        let mut entries = self.inner.list(kind)?;
        if kind == FileType::Data {
            for entry in &mut entries {
                let alias = lies.alias.iter().find(|(_, own)| *own == entry.id);
                entry.id = alias.map_or(entry.id, |(shown, _)| *shown);
            }
            entries.extend(&lies.invented);
            entries.extend(&lies.dropped);
        }
        Ok(entries)
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.inner.size(self.real(name))
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        self.inner.open(self.real(name), range)
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.inner.read(self.real(name))
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.inner.read_range(self.real(name), range)
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let mut lies = self.lies.lock();
        if let Some(id) = name
            .id()
            .filter(|_| lies.drops && name.kind() == FileType::Data)
        {
            let size_bytes = bytes.len() as u64;
            lies.dropped.push(FileEntry { id, size_bytes });
            return Ok(());
        }
        drop(lies);
        self.inner.save(name, bytes)
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.inner.replace(name, bytes)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.inner.remove(name)
    }
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let spec = TreeSpec {
        big_files_bytes: vec![3_000_000],
        ..TreeSpec::small(1)
    };
    spec.build(&fixture.source().join("tree"));
    fixture
}

/// Makes a copy the first, and one that is far away.
fn lie(fixture: &mut Fixture, copy: &str) -> Arc<LyingStore> {
    let lying = fixture.wrap(copy, LyingStore::new);
    fixture.copies.sort_by_key(|other| other.name != copy);
    lying
}

fn synced(fixture: &Fixture, doubts: &[(&str, Vec<FileName>)]) -> SyncReport {
    let mut session = fixture.open();
    for (copy, files) in doubts {
        session.doubt(copy, files.iter().copied().collect());
    }
    let environment = &fixture.environment;
    let mut locks = Locks::acquire(&mut session, environment, false).unwrap();
    let options = SyncOptions {
        transfers: 1,
        ..SyncOptions::default()
    };
    let cancel = &environment.cancel;
    let report = sync_session(&session, &options, &fixture.progress, cancel);
    locks.release();
    report
}

fn backup_with_doubts(fixture: &Fixture, doubts: &SyncReport) -> BackupReport {
    let mut session = fixture.open();
    for copy in &doubts.copies {
        session.doubt(&copy.name, copy.unmended.iter().copied().collect());
    }
    assert!(
        session
            .copies
            .iter()
            .all(|copy| matches!(copy.state, CopyState::Ready(_)))
    );
    let sources = fixture.folder_source();
    let options = BackupOptions::default();
    let environment = &fixture.environment;
    backup(
        &mut session,
        &sources,
        &options,
        environment,
        &fixture.progress,
    )
    .unwrap()
}

#[test]
fn a_copy_that_lists_the_key_and_does_not_give_it_is_not_whole() {
    let mut fixture = fixture();
    assert!(fixture.backup().is_complete());
    let tried = fixture.open().try_keys();
    assert_eq!(tried.not_given.len(), 0);
    let given: Vec<_> = tried.given.iter().map(|(copy, _)| &copy.name).collect();
    assert_eq!(given, ["two", "three"]);
    let key = FileName::new(FileType::Keys, fixture.open().repository.key_id());
    let withheld = Rule::on(&[Op::Read, Op::ReadRange], Fault::Denied).of(FileType::Keys);
    fixture.wrap("two", |store| FaultyStore::new(store).with(withheld));
    let path = fixture.copy_path("three").join(key.to_string());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "junk").unwrap();
    let found = fixture.open().try_keys().not_given;
    let named: Vec<_> = found.iter().map(|found| found.copy.name.as_str()).collect();
    assert_eq!(named, ["two", "three"]);
    assert!(found.iter().all(|found| found.key == key));
    // What is in doubt is no key that opens a copy, and a sync reads it.
    let doubts = [("two", vec![key]), ("three", vec![key])];
    let report = synced(&fixture, &doubts);
    assert!(!report.is_complete());
    let [one, two, three] = report.copies.try_into().unwrap();
    assert!(one.is_whole());
    assert_eq!((two.unmended, two.healed), (vec![key], vec![]));
    assert_eq!((three.unmended, three.healed), (vec![], vec![key]));
}

#[test]
fn a_copy_that_goes_away_while_its_key_is_fetched_has_failed_and_its_key_is_not_blamed() {
    let mut fixture = fixture();
    assert!(fixture.backup().is_complete());
    let rule = |ops: &[Op]| Rule::on(ops, Fault::Unreachable).of(FileType::Keys);
    let (breaks, away) = (rule(&[Op::Read]), rule(&[Op::Read, Op::Size]));
    fixture.wrap("two", |store| FaultyStore::new(store).with(breaks));
    fixture.wrap("three", |store| FaultyStore::new(store).with(away));
    let mut session = fixture.open();
    let tried = session.try_keys();
    assert_eq!(tried.given.len(), 0);
    // It answers, and does not give the key.
    let named: Vec<_> = tried
        .not_given
        .iter()
        .map(|found| &found.copy.name)
        .collect();
    assert_eq!(named, ["two"]);
    let ready: Vec<_> = session.ready().map(|(copy, _)| &copy.name).collect();
    assert_eq!(ready, ["one", "two"]);
    assert!(matches!(session.copies[2].state, CopyState::Failed(_)));
}

#[test]
fn packs_that_nobody_made_do_not_help_a_copy_to_lead() {
    let mut fixture = fixture();
    assert!(fixture.backup().is_complete());
    let lying = lie(&mut fixture, "three");
    lying.tell(|lies| {
        lies.hides_index = true;
        lies.invented = (0..300_u32)
            .map(|number| FileEntry {
                id: Id::of(&number.to_le_bytes()),
                size_bytes: 1_000_000,
            })
            .collect();
    });
    let report = fixture.backup_of(&fixture.folder_source()).unwrap();
    assert_ne!(report.lead, "three");
    assert_eq!(report.packs_written, 0, "nothing is stored a second time");
    assert!(report.sources[0].parent.is_some());
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
}

#[test]
fn packs_of_ours_under_other_names_are_not_used() {
    let mut fixture = fixture();
    assert!(fixture.backup().is_complete());
    let packs = fixture.ids("three", FileType::Data);
    let lying = lie(&mut fixture, "three");
    lying.tell(|lies| {
        lies.hides_index = true;
        lies.alias = packs
            .iter()
            .map(|id| (Id::of(id.as_bytes()), *id))
            .collect();
        lies.invented = vec![FileEntry {
            id: Id::of(b"one more"),
            size_bytes: 1_000,
        }];
    });
    // Even where it is the only one that can be asked.
    let alone: Vec<_> = fixture.copies.drain(1..).collect();
    let report = fixture.backup_of(&fixture.folder_source()).unwrap();
    let new: Vec<_> = report.sources[0]
        .needs
        .packs
        .iter()
        .map(|(id, _)| *id)
        .collect();
    assert!(
        !new.iter().any(|id| *id == Id::of(packs[0].as_bytes())),
        "{new:?}"
    );
    assert!(report.packs_written > 0);

    fixture.copies.extend(alone);
    fs::write(fixture.source().join("new"), "new").unwrap();
    let report = fixture.backup_of(&fixture.folder_source()).unwrap();
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole, "{report:?}");
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole, "{report:?}");
    fixture.check(&["one", "two"]);
}

#[test]
fn what_only_a_black_hole_claims_is_stored_again_by_the_next_backup() {
    let mut fixture = fixture();
    // The others are away while the attacker's copy takes everything.
    let lying = lie(&mut fixture, "three");
    lying.tell(|lies| lies.drops = true);
    let others: Vec<_> = fixture.copies.drain(1..).collect();
    let report = fixture.backup_of(&fixture.folder_source()).unwrap();
    assert!(report.packs_written > 0);
    fixture.copies.extend(others);

    let sync = synced(&fixture, &[]);
    assert!(!sync.is_complete());
    assert!(!sync.copies[0].is_whole(), "{sync:?}");
    let lost = &sync.copies[0].unmended;
    assert!(
        lost.iter().any(|name| name.kind() == FileType::Data),
        "{sync:?}"
    );
    assert!(!sync.problems.is_empty(), "what is nowhere has a name");

    let report = backup_with_doubts(&fixture, &sync);
    assert!(report.packs_written > 0, "{report:?}");
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole, "{report:?}");
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole, "{report:?}");
    fixture.check(&["one", "two"]);
    fixture.assert_restic_restores("two");
}

#[test]
fn what_a_copy_does_not_give_is_in_doubt_and_all_of_it_the_second_time() {
    let mut fixture = fixture();
    let holding: Vec<_> = fixture.copies.drain(1..).collect();
    assert!(fixture.backup().sources[0].snapshot.is_some());
    let rule = Rule::on(&Op::READS, Fault::Unreachable).of(FileType::Data);
    let faulty = fixture.wrap("one", |store| FaultyStore::new(store).with(rule));
    fixture.copies.extend(holding);
    // Of one outage only what was asked for is in doubt, of a second in a row all of it.
    let first = synced(&fixture, &[]);
    let asked = first.copies[0].unmended.clone();
    assert_eq!(asked.len(), 1, "{first:?}");
    let second = synced(&fixture, &[("one", asked)]);
    let withheld = second.copies[0].unmended.clone();
    let packs = withheld.iter().filter(|name| name.kind() == FileType::Data);
    assert_eq!(packs.count(), fixture.ids("one", FileType::Data).len());

    // And no longer once it was read right.
    faulty.heal();
    let third = synced(&fixture, &[("one", withheld.clone())]);
    assert!(third.is_complete(), "{third:?}");
    assert_eq!(third.copies[0].proved, withheld);
}

#[test]
fn no_more_is_read_than_was_listed() {
    let mut fixture = fixture();
    assert!(fixture.backup().is_complete());
    let biggest = *fixture.ids("three", FileType::Data).first().unwrap();
    let store = strongroom_store::LocalStore::new(fixture.copy_path("three"));
    for copy in ["one", "two"] {
        let other = strongroom_store::LocalStore::new(fixture.copy_path(copy));
        other
            .remove(FileName::new(FileType::Data, biggest))
            .unwrap();
    }
    let size = store.size(FileName::new(FileType::Data, biggest)).unwrap();
    let lying = lie(&mut fixture, "three");
    lying.tell(|lies| {
        // It is listed twice, and of equals the smaller size counts.
        lies.invented = vec![FileEntry {
            id: biggest,
            size_bytes: 1,
        }];
    });
    assert!(size > 1);
    let report = synced(&fixture, &[]);
    assert!(!report.is_complete());
    assert!(matches!(
        lying.read_range(FileName::new(FileType::Data, biggest), 0..size + 1),
        Err(Error::ShortFile { .. })
    ));
    assert!(
        fixture
            .ids("one", FileType::Data)
            .binary_search(&biggest)
            .is_err()
    );
}
