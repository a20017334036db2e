//! Somebody hides snapshots on every copy, and whoever prunes has never seen them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_engine::Error;
use strongroom_engine::prune::PruneOptions;
use strongroom_engine::session::{self, CopyStore};
use strongroom_engine::snapshots::unread_behind;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::record::{Record, Removal, RemovedBy};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::FakeBucket;

use crate::fixture::{Fixture, PASSWORD};
use crate::prune::{
    ALL, forget, half_needed, open, prune_session, remove_files, state, try_prune, write_files,
};

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Adds a copy in a bucket that locks, with all that the first one has.
fn add_bucket(fixture: &mut Fixture) -> Arc<FakeBucket> {
    let offsite = Arc::new(FakeBucket::locking("offsite", MONTH));
    let one = LocalStore::new(fixture.copy_path("one"));
    for kind in FileType::STORED.into_iter().chain([FileType::Config]) {
        for entry in one.list(kind).unwrap() {
            let name = FileName::new(kind, entry.id);
            offsite.save(name, &one.read(name).unwrap()).unwrap();
        }
    }
    fixture.copies.push(CopyStore {
        name: "offsite".to_owned(),
        store: offsite.clone(),
        is_local: false,
    });
    offsite
}

#[test]
fn what_a_snapshot_needs_that_is_hidden_in_a_locked_bucket_stays_though_nothing_is_remembered() {
    let mut fixture = Fixture::new();
    write_files(&fixture, 0..12);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..6);
    fixture.backup();
    let offsite = add_bucket(&mut fixture);
    forget(&fixture, first);
    let name = FileName::new(FileType::Snapshots, first);
    offsite.hide(name);
    // Whoever has not the key hides what he likes: it is none.
    let junk = FileName::new(FileType::Snapshots, Id::of(b"junk"));
    offsite.put(junk, b"junk");
    offsite.hide(junk);

    let before = fixture.ids("one", FileType::Data);
    let report = try_prune(&fixture).unwrap();
    assert_eq!(report.repacked.files, 0, "{report:?}");
    assert_eq!(fixture.ids("one", FileType::Data), before);

    // Where somebody has said that it was meant, half of the files go.
    let memory = state(&fixture).repository(open(&fixture).id());
    let meant = BTreeSet::from([name]);
    memory.update_gone(|gone| gone.accept(&meant)).unwrap();
    let report = try_prune(&fixture).unwrap();
    assert!(report.repacked.files > 0, "{report:?}");
    assert_ne!(fixture.ids("one", FileType::Data), before);
}

#[test]
fn nothing_is_pruned_where_somebody_has_hidden_a_snapshot_and_its_index_file_with_it() {
    let mut fixture = Fixture::new();
    write_files(&fixture, 0..2);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    let index = fixture.ids("one", FileType::Index);
    // The second one shares nothing with it.
    remove_files(&fixture, 0..2);
    write_files(&fixture, 2..4);
    fixture.backup();
    let offsite = add_bucket(&mut fixture);
    forget(&fixture, first);
    offsite.hide(FileName::new(FileType::Snapshots, first));
    let index = index.into_iter();
    for name in index.map(|id| FileName::new(FileType::Index, id)) {
        for copy in ALL {
            let store = LocalStore::new(fixture.copy_path(copy));
            store.remove(name).unwrap();
        }
        offsite.hide(name);
    }

    let before = fixture.ids("one", FileType::Data);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::NotPruned { .. }), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("recover --copy"), "{hint}");
    assert_eq!(fixture.ids("one", FileType::Data), before);
    assert_eq!(fixture.ids("one", FileType::Records), []);
}

#[test]
fn nothing_is_pruned_where_a_hidden_snapshot_may_be_among_too_many_names() {
    let mut fixture = Fixture::new();
    write_files(&fixture, 0..2);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..2);
    write_files(&fixture, 2..4);
    fixture.backup();
    let offsite = add_bucket(&mut fixture);
    forget(&fixture, first);
    offsite.hide(FileName::new(FileType::Snapshots, first));
    for number in 0..100_000_u32 {
        let junk = number.to_le_bytes();
        let name = FileName::new(FileType::Snapshots, Id::of(&junk));
        offsite.put(name, &junk);
        offsite.hide(name);
    }
    let before = fixture.ids("one", FileType::Data);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::NotPruned { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("prune again"));
    assert_eq!(fixture.ids("one", FileType::Data), before);

    // The next one goes on with what is left, and what the snapshot needs stays.
    offsite.take_asked();
    try_prune(&fixture).unwrap();
    assert_eq!(fixture.ids("one", FileType::Data), before);
    let opened = offsite.take_asked().opened;
    assert!((1..100).contains(&opened), "{opened}");
}

#[test]
fn a_hidden_snapshot_is_nobodys_only_where_all_its_versions_were_tried() {
    let mut fixture = Fixture::new();
    write_files(&fixture, 0..12);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    let name = FileName::new(FileType::Snapshots, first);
    let snapshot = LocalStore::new(fixture.copy_path("one")).read(name);
    remove_files(&fixture, 0..6);
    fixture.backup();
    forget(&fixture, first);
    let offsite = add_bucket(&mut fixture);
    let put = |bytes: &[u8]| {
        offsite.advance(Duration::from_secs(1));
        offsite.put(name, bytes);
    };
    put(b"junk that came before it");
    put(&snapshot.unwrap());
    for number in 0..17_u8 {
        put(&[number; 300]);
    }
    offsite.hide(name);
    let before = fixture.ids("one", FileType::Data);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::NotPruned { .. }), "{error:?}");
    assert!(error.to_string().contains(&name.to_string()), "{error}");
    assert_eq!(fixture.ids("one", FileType::Data), before);
}

#[test]
fn what_a_hidden_snapshot_needs_stays_while_a_record_is_unread_that_may_take_its_removal_back() {
    let mut fixture = Fixture::new();
    write_files(&fixture, 0..12);
    let first = fixture.backup().sources[0].snapshot.unwrap();
    remove_files(&fixture, 0..6);
    fixture.backup();
    let offsite = add_bucket(&mut fixture);
    let now = (fixture.environment.clock)();
    let forged = Record::Removal(Removal {
        at: now,
        host: "elsewhere".to_owned(),
        by: RemovedBy::Forget,
        snapshots: [first].into(),
        index: BTreeSet::new(),
        data: BTreeSet::new(),
        stays: BTreeSet::new(),
    });
    let (record, bytes) = forged.seal(&fixture.key).unwrap();
    let store = LocalStore::new(fixture.copy_path("one"));
    let name = FileName::new(FileType::Records, record);
    store.save(name, &bytes).unwrap();
    // He hides besides what it names, and its week is over.
    forget(&fixture, first);
    offsite.hide(FileName::new(FileType::Snapshots, first));
    let open_at = |now: Timestamp| {
        offsite.set_time(u64::try_from(now.as_second()).unwrap());
        let (looking, state) = (&fixture.looking, state(&fixture));
        let (copies, password) = (&fixture.copies, PASSWORD.as_bytes());
        session::open_remembering(copies, password, looking, &state, now).unwrap()
    };
    open_at(now - SignedDuration::from_hours(8 * 24));
    let folder = fixture.copy_path("two").join("strongroom");
    let unread = folder.join(Id::of(b"somebody took it back").to_string());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&unread, "junk in its stead").unwrap();

    let before = fixture.ids("one", FileType::Data);
    let pruned = || {
        let (mut session, options) = (open_at(now), PruneOptions::default());
        prune_session(&fixture, &mut session, &options).unwrap()
    };
    let report = pruned();
    assert_eq!(report.repacked.files, 0, "{report:?}");
    assert_eq!(fixture.ids("one", FileType::Data), before);
    // Where nothing is unread any more it was removed.
    std::fs::remove_file(&unread).unwrap();
    let report = pruned();
    assert!(report.repacked.files > 0, "{report:?}");
}

#[test]
fn nothing_is_pruned_where_what_is_hidden_cannot_be_read_until_somebody_says_that_it_was_removed() {
    let (mut fixture, _) = half_needed();
    let offsite = add_bucket(&mut fixture);
    let sealed = FileName::new(FileType::Snapshots, Id::of(b"sealed"));
    offsite.put_sealed(sealed, b"sealed");
    offsite.hide(sealed);
    let before = fixture.ids("one", FileType::Data);
    let error = try_prune(&fixture).unwrap_err();
    assert!(matches!(error, Error::NotPruned { .. }), "{error:?}");
    assert!(error.to_string().contains(&sealed.to_string()), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("sync --accept-removed"), "{hint}");
    assert_eq!(fixture.ids("one", FileType::Data), before);

    let session = open(&fixture);
    let memory = state(&fixture).repository(session.id());
    let cancel = &fixture.environment.cancel;
    let unread = unread_behind(&session, &memory, cancel).unwrap();
    assert_eq!(unread, BTreeSet::from([sealed]));
    memory.update_gone(|gone| gone.accept(&unread)).unwrap();
    assert_eq!(
        unread_behind(&session, &memory, cancel).unwrap(),
        BTreeSet::new()
    );
    let report = try_prune(&fixture).unwrap();
    assert!(report.repacked.files > 0, "{report:?}");
}
