//! What is remembered of verifies and syncs that found all sorts of things.

use std::sync::Arc;

use jiff::Timestamp;
use strongroom_engine::session::Clock;
use strongroom_engine::state::SeenFiles;
use strongroom_engine::sync::{BeforeHeal, Junk, SyncReport, SyncedCopy};
use strongroom_engine::verify::{Problem, ProblemKind, VerifiedCopy, VerifyReport};
use strongroom_engine::{CopyFailure, CopyFailureKind, Files, Listing};
use strongroom_model::evidence::{Share, Verifier, Verify};
use strongroom_model::{CopyEvidence, FileEntry};
use strongroom_repo::BlobId;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::MemoryStore;

use super::*;
use crate::memory::after_sync::{see, swapped};

/// What is remembered of two copies.
struct World {
    folder: tempfile::TempDir,
    memory: RepositoryState,
    copies: Vec<CopyStore>,
    stores: [Arc<MemoryStore>; 2],
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        let names = ["one", "two"];
        let stores = names.map(|name| Arc::new(MemoryStore::new(name)));
        let copy = |(name, store): (&str, &Arc<MemoryStore>)| CopyStore {
            name: name.to_owned(),
            store: Arc::clone(store) as Arc<dyn Store>,
            is_local: true,
        };
        Self {
            memory: state.repository(Id::of(b"repository")),
            copies: names.into_iter().zip(&stores).map(copy).collect(),
            stores,
            folder,
        }
    }

    /// Puts another disk in the stead of the second copy; `None` where nothing tells which it is.
    fn disk(&self, text: Option<&str>) -> Option<Id> {
        let place = text.map(|text| Id::of(text.as_bytes()));
        self.stores[1].set_identity(place);
        place
    }

    /// Remembers a verify of this share that found this.
    fn verified(&self, share: Share, decoded: bool, found: (Vec<VerifiedCopy>, Vec<Problem>)) {
        let (copies, problems) = found;
        let report = VerifyReport {
            copies,
            problems,
            ..VerifyReport::default()
        };
        let verify = Verify {
            at: Timestamp::UNIX_EPOCH,
            by: Verifier::Us,
            share,
            decoded,
        };
        let now = Timestamp::from_second(100).unwrap();
        verified(&self.memory, &self.copies, &report, &verify, now);
    }

    fn evidence(&self, copy: usize) -> CopyEvidence {
        self.memory.evidence(&self.copies[copy])
    }

    fn damaged(&self, copy: usize) -> Vec<String> {
        self.evidence(copy).damage().keys().cloned().collect()
    }
}

fn pack(text: &str) -> FileName {
    FileName::new(FileType::Data, Id::of(text.as_bytes()))
}

fn listing(packs: &[&str]) -> Listing {
    let entry = |text: &&str| FileEntry {
        id: Id::of(text.as_bytes()),
        size_bytes: 1,
    };
    Listing {
        data: Files::new(packs.iter().map(entry).collect()),
        ..Listing::default()
    }
}

/// A copy of which everything was read that it gave.
fn read(name: &str, listed: &[&str], sound: &[&str]) -> VerifiedCopy {
    VerifiedCopy {
        name: name.to_owned(),
        location: String::new(),
        files_read: 0,
        bytes_read: 0,
        files_listed: 0,
        bytes_listed: 0,
        sound: sound.iter().map(|text| pack(text)).collect(),
        listing: listing(listed),
        covered: true,
        failure: None,
    }
}

fn problem(copy: &str, text: &str, kind: ProblemKind) -> Problem {
    Problem {
        copy: copy.to_owned(),
        name: pack(text),
        kind,
    }
}

/// A copy on which a sync found nothing to do.
fn synced_copy(listing: Listing) -> SyncedCopy {
    SyncedCopy {
        name: "one".to_owned(),
        listing,
        ..SyncedCopy::default()
    }
}

#[test]
fn damage_of_what_a_copy_hides_stays_until_it_was_read_or_nobody_has_it() {
    let (x, y) = (["x", "y"], ["y"]);
    let world = World::new();
    let wrong = || problem("two", "x", ProblemKind::WrongContent);
    let whole = || read("one", &x, &x);
    let found = (vec![whole(), read("two", &x, &y)], vec![wrong()]);
    world.verified(Share::All, false, found);
    assert_eq!(world.damaged(1), [pack("x").to_string()]);
    // It is not listed, or listed and not read.
    let elsewhere = vec!["one".to_owned()];
    let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
    let found = (vec![whole(), read("two", &y, &y)], vec![missing]);
    world.verified(Share::All, false, found);
    let found = (vec![whole(), read("two", &x, &y)], vec![]);
    world.verified(Share::All, true, found);
    assert_eq!(world.damaged(1), [pack("x").to_string()]);
    let found = (vec![whole(), read("two", &x, &x)], vec![]);
    world.verified(Share::All, false, found);
    assert_eq!(world.damaged(1), [""; 0]);

    let found = (vec![whole(), read("two", &x, &y)], vec![wrong()]);
    world.verified(Share::All, false, found);
    let found = (vec![read("one", &y, &y), read("two", &y, &y)], vec![]);
    world.verified(Share::All, false, found);
    assert_eq!(world.damaged(1), [""; 0]);
}

#[test]
fn what_decoding_found_stays_until_decoding_does_not_find_it_or_nobody_has_it() {
    let (x, y) = (["x", "y"], ["y"]);
    let kinds = [
        ProblemKind::BadBlob {
            blob: BlobId::data(Id::of(b"blob")),
            reason: "it is another".to_owned(),
        },
        ProblemKind::BadPack {
            reason: "its header does not decrypt".to_owned(),
        },
    ];
    for kind in kinds {
        let world = World::new();
        let both = |packs: &[&str]| vec![read("one", packs, packs), read("two", packs, packs)];
        let bad = || (both(&x), vec![problem("one", "x", kind.clone())]);
        world.verified(Share::All, true, bad());
        assert!(world.evidence(0).damage()[&pack("x").to_string()].decoded);
        world.verified(Share::All, false, (both(&x), vec![]));
        assert_eq!(world.damaged(0), [pack("x").to_string()]);
        world.verified(Share::All, true, (both(&x), vec![]));
        assert_eq!(world.damaged(0), [""; 0]);
        world.verified(Share::All, true, bad());
        world.verified(Share::All, false, (both(&y), vec![]));
        assert_eq!(world.damaged(0), [""; 0]);
    }
}

#[test]
fn what_one_copy_s_index_alone_names_is_told_and_not_kept_as_lost() {
    let y = ["y"];
    let world = World::new();
    let elsewhere = Vec::new();
    let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
    let found = (
        vec![read("one", &y, &y), read("two", &y, &y)],
        vec![missing],
    );
    world.verified(Share::All, false, found);
    assert_eq!(world.memory.gone().lost.iter().count(), 0);
}

#[test]
fn a_share_of_which_something_was_hidden_was_not_read() {
    let x = ["x"];
    let share = Share::Slice { number: 1, of: 1 };
    let part = |sound: &[&str]| VerifiedCopy {
        covered: false,
        ..read("two", &x, sound)
    };
    let world = World::new();
    let elsewhere = vec!["one".to_owned()];
    let missing = problem("two", "x", ProblemKind::Missing { elsewhere });
    world.verified(share, false, (vec![part(&[])], vec![missing]));
    assert_eq!(world.evidence(1).every_byte_read_since(), None);
    world.verified(share, false, (vec![part(&x)], vec![]));
    assert!(world.evidence(1).every_byte_read_since().is_some());
}

#[test]
fn what_was_read_of_a_copy_stays_read_while_it_is_away() {
    let x = ["x", "y"];
    let world = World::new();
    world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
    let failure = CopyFailure {
        reason: "away".to_owned(),
        hint: None,
        kind: CopyFailureKind::Other,
    };
    let away = VerifiedCopy {
        covered: false,
        failure: Some(failure),
        ..read("two", &[], &[])
    };
    world.verified(Share::All, false, (vec![away], vec![]));
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&listing(&x)).files, 0);
}

#[test]
fn what_was_read_of_another_disk_at_the_same_path_is_forgotten() {
    let (x, y) = (["x", "y"], ["y"]);
    let world = World::new();
    let disk = |text: &str, sound: &[&str]| {
        let mut read = read("two", &x, sound);
        read.listing.place = world.disk(Some(text));
        read.covered = sound.len() == x.len();
        read
    };
    world.verified(Share::All, false, (vec![disk("old", &x)], vec![]));
    assert!(world.evidence(1).every_byte_read_since().is_some());
    let half = Share::Slice { number: 1, of: 2 };
    world.verified(half, false, (vec![disk("new", &y)], vec![]));
    assert_eq!(world.evidence(1).every_byte_read_since(), None);
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&disk("new", &x).listing).files, 1);

    // An init makes an empty place of it, whatever it is.
    world.disk(Some("made anew"));
    made_anew(&world.memory, &world.copies[1]);
    assert!(!world.evidence(1).was_read());
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&disk("new", &x).listing).files, 2);
}

#[test]
fn an_init_at_the_very_place_that_was_read_forgets_only_what_is_not_there() {
    let x = ["x", "y"];
    let mut world = World::new();
    let store = LocalStore::new(world.folder.path().join("two"));
    store.create().unwrap();
    store.save(FileName::CONFIG, b"config").unwrap();
    store.save(pack("x"), b"x").unwrap();
    let mut found = read("two", &x, &x);
    found.listing.place = store.identity().unwrap();
    let listed = found.listing.clone();
    world.copies[1].store = Arc::new(store);
    world.verified(Share::All, false, (vec![found], vec![]));
    made_anew(&world.memory, &world.copies[1]);
    assert!(world.evidence(1).every_byte_read_since().is_some());
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&listed).files, 1);
}

#[test]
fn what_a_sync_may_write_anew_is_forgotten_before_it_does() {
    let (x, y) = (["x", "y", "z"], ["y", "z"]);
    let world = World::new();
    let unread = || {
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        known.unread(&listing(&x)).files
    };
    world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
    assert_eq!(unread(), 0);
    // A later share finds one wrong, and another is not there.
    let wrong = problem("two", "z", ProblemKind::WrongContent);
    let found = (vec![read("two", &x, &["x"])], vec![wrong]);
    world.verified(Share::Percent(5), false, found);
    readings::not_there(&world.memory, &world.copies[1], &listing(&y));
    assert_eq!(unread(), 2);
    // It wrote nothing: a verify that was under way has read what it found right.
    world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
    assert_eq!(unread(), 0);
}

#[test]
fn what_a_sync_heals_is_forgotten_before_it_is_replaced() {
    let x = ["x", "y"];
    let world = World::new();
    let verified = || {
        world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
    };
    let unread = || {
        let known = world.memory.read_files(&world.copies[1]).unwrap();
        known.unread(&listing(&x)).files
    };
    verified();
    assert_eq!(unread(), 0);
    let clock: Clock = Arc::new(|| Timestamp::from_second(9).unwrap());
    let copies = world.copies.clone();
    let BeforeHeal(tell) = before_heal(world.memory.clone(), copies, clock);
    tell("two", FileName::CONFIG);
    assert_eq!(unread(), 0);
    tell("two", pack("x"));
    assert_eq!(unread(), 1);
    // One that began before has not read it.
    verified();
    assert_eq!(unread(), 1);
}

#[test]
fn what_is_written_anew_beside_a_verify_was_not_read_by_it() {
    let x = ["x", "y"];
    let world = World::new();
    let memory = &world.memory;
    let later = Timestamp::from_second(9).unwrap();
    let written = BTreeSet::from([Id::of(b"x")]);
    let wrote = memory.update_read_files(&world.copies[1], |known| known.forget(&written, later));
    wrote.unwrap();
    world.verified(Share::All, false, (vec![read("two", &x, &x)], vec![]));
    let known = memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&listing(&x)).files, 1);
}

#[test]
fn what_a_verify_reads_while_a_sync_heals_config_was_read_of_the_same_place() {
    let x = ["x", "y"];
    let world = World::new();
    let before = world.disk(Some("before"));
    let half = |number| {
        let mut read = read("two", &x, &x);
        read.listing.place = before;
        let found = (vec![read], vec![]);
        world.verified(Share::Slice { number, of: 2 }, false, found);
    };
    half(1);
    let now = world.disk(Some("healed"));
    let later = Timestamp::from_second(9).unwrap();
    readings::healed_config(&world.memory, &world.copies[1], (before, now), later);
    // This one began before.
    half(2);
    let mut evidence = world.evidence(1);
    assert!(!evidence.move_to(now));
    assert!(evidence.every_byte_read_since().is_some());
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    let healed = Listing {
        place: now,
        ..listing(&x)
    };
    assert_eq!(known.unread(&healed).files, 0);
}

#[test]
fn what_is_read_of_a_disk_that_is_swapped_meanwhile_counts_for_neither() {
    let x = ["x", "y"];
    let world = World::new();
    let mut found = read("two", &x, &x);
    found.listing.place = world.disk(Some("first"));
    world.disk(Some("second"));
    let wrong = problem("two", "x", ProblemKind::WrongContent);
    world.verified(Share::All, false, (vec![found], vec![wrong]));
    assert!(!world.evidence(1).was_read());
    assert!(world.memory.read_files(&world.copies[1]).is_none());
    assert_eq!(world.damaged(1), [pack("x").to_string()]);
}

#[test]
fn what_was_read_stays_read_while_nothing_tells_the_place() {
    let x = ["x", "y"];
    let world = World::new();
    let at = |place: Option<&str>| {
        let mut read = read("two", &x, &x);
        read.listing.place = world.disk(place);
        read
    };
    let half = |number| Share::Slice { number, of: 2 };
    // The first was noted by an earlier version, which knew no place.
    world.verified(half(1), false, (vec![at(None)], vec![]));
    world.verified(half(2), false, (vec![at(Some("disk"))], vec![]));
    let before = world.evidence(1);
    assert!(before.every_byte_read_since().is_some());
    // Its config is missing: what is wrong is noted all the same.
    let wrong = problem("two", "x", ProblemKind::WrongContent);
    world.verified(Share::All, false, (vec![at(None)], vec![wrong]));
    assert_eq!(world.damaged(1), [pack("x").to_string()]);
    world.verified(half(1), false, (vec![at(None)], vec![]));
    let after = world.evidence(1);
    assert_eq!(after.last_verify, before.last_verify);
    assert!(after.every_byte_read_since().is_some());
    let known = world.memory.read_files(&world.copies[1]).unwrap();
    assert_eq!(known.unread(&at(Some("disk")).listing).files, 0);
    // Of another disk nothing was read.
    assert_eq!(known.unread(&at(Some("other")).listing).files, 2);
}

#[test]
fn what_was_seen_is_added_to_and_junk_is_not_seen() {
    let id = |text: &str| Id::of(text.as_bytes());
    let entry = |text: &str| FileEntry {
        id: id(text),
        size_bytes: 1,
    };
    let snapshots = ["sound", "junk", "wrong"].map(entry);
    let synced = SyncedCopy {
        unmended: vec![FileName::new(FileType::Snapshots, id("wrong"))],
        ..synced_copy(Listing {
            snapshots: Files::new(snapshots.to_vec()),
            ..Listing::default()
        })
    };
    let report = SyncReport {
        junk: vec![Junk {
            name: FileName::new(FileType::Snapshots, id("junk")),
            copies: Vec::new(),
            reason: String::new(),
            advice: Vec::new(),
        }],
        ..SyncReport::default()
    };
    let mut seen = SeenFiles {
        snapshots: [id("gone")].into(),
        ..SeenFiles::default()
    };
    see(&mut seen, &synced, &report);
    assert_eq!(seen.snapshots, [id("gone"), id("sound")].into());
}

#[test]
fn of_a_disk_that_was_swapped_after_it_was_listed_nothing_was_seen_also_where_it_failed() {
    let world = World::new();
    let copies: Vec<&CopyStore> = world.copies.iter().collect();
    let listed = world.disk(Some("listed"));
    let two = |healed: &[FileName], failure: Option<CopyFailure>| SyncedCopy {
        name: "two".to_owned(),
        healed: healed.to_vec(),
        failure,
        ..synced_copy(Listing {
            place: listed,
            ..listing(&["x"])
        })
    };
    let failure = CopyFailure {
        reason: "it broke off".to_owned(),
        hint: None,
        kind: CopyFailureKind::Other,
    };
    let all = [
        two(&[], None),
        two(&[FileName::CONFIG], None),
        two(&[], Some(failure)),
    ];
    for synced in all {
        world.disk(Some("listed"));
        let report = SyncReport {
            copies: vec![synced_copy(listing(&["x"])), synced],
            ..SyncReport::default()
        };
        assert_eq!(swapped(&copies, &report), BTreeSet::new());
        world.disk(Some("another"));
        assert_eq!(swapped(&copies, &report), ["two"].into());
        // Where its disk is away nothing tells which it was.
        world.disk(None);
        assert_eq!(swapped(&copies, &report), ["two"].into());
    }
}

#[test]
fn a_file_name_is_read_as_it_was_written() {
    for name in [
        FileName::CONFIG,
        FileName::new(FileType::Data, Id::of(b"a")),
        FileName::new(FileType::Keys, Id::of(b"b")),
    ] {
        assert_eq!(file_name(&name.to_string()), Some(name));
    }
    assert_eq!(file_name("data/../../x"), None);
    assert_eq!(file_name("locks/00"), None);
}
