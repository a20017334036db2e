//! Somebody holds the repository's key, and writes index files that claim what is not so.

use std::collections::BTreeSet;
use std::fs;

use strongroom_engine::Error;
use strongroom_engine::prune::{PruneOptions, PruneReport};
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::{BlobKind, PackedBlob};
use strongroom_repo::index::{IndexFile, IndexedPack};
use strongroom_repo::pack;
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::contract::noise;

use crate::fixture::Fixture;
use crate::prune::{ALL, assert_identical, open, prune_session, try_prune, write_files};

/// A small repository, whose packs are all needed.
fn small() -> Fixture {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("noise"), noise(7, 100_000)).unwrap();
    fixture.backup();
    fixture
}

/// The packs of data, as the index files tell of them.
fn packs_of_data(fixture: &Fixture) -> Vec<IndexedPack> {
    let store = LocalStore::new(fixture.copy_path("one"));
    let mut packs = Vec::new();
    for id in fixture.ids("one", FileType::Index) {
        let bytes = store.read(FileName::new(FileType::Index, id)).unwrap();
        packs.extend(IndexFile::open(&fixture.key, bytes).unwrap().packs);
    }
    packs.retain(|pack| pack.blobs[0].blob.kind == BlobKind::Data);
    assert!(!packs.is_empty());
    packs
}

/// Saves a file on every copy, as a sync does with what it finds on one.
fn save(fixture: &Fixture, name: FileName, bytes: &[u8]) {
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        store.save(name, bytes).unwrap();
    }
}

fn save_index(fixture: &Fixture, packs: Vec<IndexedPack>) -> FileName {
    let (id, bytes) = IndexFile { packs }.seal(&fixture.key, 2).unwrap();
    let name = FileName::new(FileType::Index, id);
    save(fixture, name, &bytes);
    name
}

/// A pack of junk that has the size which these blobs make, and an id below another one's.
fn junk(blobs: &[PackedBlob], below: Id) -> (Id, Vec<u8>) {
    let size = usize::try_from(pack::size_bytes(blobs)).unwrap();
    let mut bytes = noise(99, size);
    for number in 0_u64.. {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let id = Id::of(&bytes);
        if id < below {
            return (id, bytes);
        }
    }
    unreachable!("some number does");
}

fn packs(fixture: &Fixture, copy: &str) -> BTreeSet<Id> {
    fixture.ids(copy, FileType::Data).into_iter().collect()
}

#[test]
fn a_pack_of_junk_that_is_said_to_hold_what_is_needed_takes_no_real_pack_with_it() {
    let fixture = small();
    let real = packs(&fixture, "one");
    let mut claims = Vec::new();
    for pack in packs_of_data(&fixture) {
        let (id, bytes) = junk(&pack.blobs, pack.id);
        save(&fixture, FileName::new(FileType::Data, id), &bytes);
        claims.push(IndexedPack {
            id,
            blobs: pack.blobs,
        });
    }
    let fakes: BTreeSet<Id> = claims.iter().map(|pack| pack.id).collect();
    save_index(&fixture, claims);

    let report = try_prune(&fixture).unwrap();
    let named: BTreeSet<Id> = report.wrong.keys().copied().collect();
    assert_eq!(named, fakes);
    assert!(!report.is_complete());
    for copy in ALL {
        assert_eq!(packs(&fixture, copy), real, "{copy}");
    }
    assert_identical(&fixture, &ALL);
    fixture.check_all();
    fixture.assert_restic_restores("two");
    let again = try_prune(&fixture).unwrap();
    assert!(again.is_complete(), "{again:?}");
}

#[test]
fn a_claim_is_believed_no_longer_than_all_packs_stay_that_are_said_to_hold_the_same() {
    let fixture = Fixture::new();
    write_files(&fixture, 0..12);
    fixture.backup();
    let real = packs(&fixture, "one");
    let of_several = packs_of_data(&fixture);
    let of_several = of_several.iter().find(|pack| pack.blobs.len() > 1).unwrap();
    let blobs = of_several.blobs[..1].to_vec();
    let (id, bytes) = junk(&blobs, of_several.id);
    save(&fixture, FileName::new(FileType::Data, id), &bytes);
    save_index(&fixture, vec![IndexedPack { id, blobs }]);
    let prune = |max_unused_percent| -> PruneReport {
        let options = PruneOptions {
            max_unused_percent,
            ..PruneOptions::default()
        };
        prune_session(&fixture, &mut open(&fixture), &options).unwrap()
    };
    // Nothing goes, and so nothing is read.
    let lax = prune(100.0);
    assert!(lax.wrong.is_empty() && lax.records.is_empty(), "{lax:?}");
    assert_eq!(packs(&fixture, "one").len(), real.len() + 1);
    let strict = prune(0.0);
    let named: Vec<Id> = strict.wrong.keys().copied().collect();
    assert_eq!(named, [id]);
    assert_eq!(packs(&fixture, "three"), real);
    fixture.check_all();
    fixture.assert_restic_restores("three");
}

#[test]
fn a_real_pack_that_is_said_to_hold_something_else_ends_it() {
    let fixture = small();
    let real = packs(&fixture, "one");
    let mut claims = packs_of_data(&fixture);
    for packed in claims.iter_mut().flat_map(|pack| &mut pack.blobs) {
        packed.blob.id = Id::of(packed.blob.id.as_bytes());
    }
    let claim = save_index(&fixture, claims);
    let error = try_prune(&fixture).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NotPruned { .. }), "{text}");
    assert!(text.contains("different blobs"), "{text}");
    for copy in ALL {
        assert_eq!(packs(&fixture, copy), real, "{copy}");
        let store = LocalStore::new(fixture.copy_path(copy));
        store.remove(claim).unwrap();
    }
    assert!(try_prune(&fixture).unwrap().is_complete());
}
