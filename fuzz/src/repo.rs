//! The files of a repository that are JSON: `config`, keys, index, snapshots, locks.
//!
//! Most stand behind encryption, which a fuzzer never gets through. So each is fed as plain text
//! to its parser, and as it is to the function that decrypts first, which must take nothing.

use std::fmt::Debug;

use jiff::Timestamp;
use strongroom_model::Id;
use strongroom_repo::index::{Index, IndexFile, IndexedPack};
use strongroom_repo::key::KeyFile;
use strongroom_repo::lock::Lock;
use strongroom_repo::record::Record;
use strongroom_repo::{Key, RepoConfig, Result, Snapshot};

use crate::key;

/// What costs scrypt less than this is tried with a password.
const CHEAP_SCRYPT: u64 = 1 << 10;

pub(crate) fn config(data: &[u8]) -> bool {
    let open = |bytes: &[u8]| RepoConfig::open(bytes, key(), "here");
    assert!(open(data).is_err(), "junk was taken");
    let Ok(config) = key().seal(data).and_then(|bytes| open(&bytes)) else {
        return false;
    };
    assert!((1..=2).contains(&config.version));
    let again = config.seal(key()).and_then(|bytes| open(&bytes));
    assert_eq!(again.ok(), Some(config));
    true
}

pub(crate) fn key_file(data: &[u8]) -> bool {
    let Ok(file) = KeyFile::parse(data) else {
        return false;
    };
    let bytes = file.to_bytes().unwrap_or_default();
    let again = KeyFile::parse(&bytes).and_then(|file| file.to_bytes().map_err(|e| e.to_string()));
    assert_eq!(again, Ok(bytes));
    let cost = file.cost();
    assert!(cost.is_ok(), "it was parsed without a cost");
    if let Ok(cost) = cost {
        let memory_blocks = u64::from(cost.r) << cost.log_n;
        assert!(memory_blocks * 128 <= 1 << 30, "{cost:?}");
        if memory_blocks * u64::from(cost.p) <= CHEAP_SCRYPT {
            let _ = file.open(b"password");
        }
    }
    true
}

pub(crate) fn index(data: &[u8]) -> bool {
    let Some(file) = comes_back(data, IndexFile::parse, IndexFile::seal, IndexFile::open) else {
        return false;
    };
    let table = Index::new();
    for pack in &file.packs {
        for blob in &pack.blobs {
            let known = table.get(blob.blob);
            table.insert(&IndexedPack {
                id: pack.id,
                blobs: vec![*blob],
            });
            let found = table.get(blob.blob);
            match known {
                Some(_) => assert_eq!(found, known, "a later entry took its place"),
                None => assert_eq!(
                    found.map(|at| (at.pack, at.offset, at.length, at.uncompressed_length)),
                    Some((pack.id, blob.offset, blob.length, blob.uncompressed_length)),
                ),
            }
        }
    }
    true
}

pub(crate) fn snapshot(data: &[u8]) -> bool {
    let file = comes_back(data, Snapshot::parse, Snapshot::seal, Snapshot::open);
    file.is_some_and(|snapshot| {
        let _ = snapshot.source();
        true
    })
}

pub(crate) fn lock(data: &[u8]) -> bool {
    let file = comes_back(data, Lock::parse, Lock::seal, Lock::open);
    file.is_some_and(|lock| {
        let _ = lock.to_string();
        for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            let _ = lock.is_stale(now);
        }
        true
    })
}

pub(crate) fn record(data: &[u8]) -> bool {
    let name = Id::of(data);
    let junk = Record::open(name, data.to_vec(), key());
    assert!(junk.is_err(), "junk was taken");
    let Ok(record) = Record::parse(data) else {
        return false;
    };
    let (name, bytes) = record.seal(key()).unwrap_or_default();
    assert_eq!(name, Id::of(&bytes));
    let again = Record::open(name, bytes, key());
    assert_eq!(again.ok().as_ref(), Some(&record));
    if let Record::Removal(removal) = &record {
        assert_eq!(removal.len(), removal.files().count());
        assert!(removal.files().all(|name| removal.names(name)));
        assert!(removal.stays.is_disjoint(&removal.snapshots));
    }
    true
}

/// A file's name and bytes.
type Sealed = (Id, Vec<u8>);

/// Checks that what was parsed can be sealed and opened again, in both versions of the format,
/// and that the same bytes are not taken without the key.
fn comes_back<T: PartialEq + Debug>(
    data: &[u8],
    parse: fn(&[u8]) -> std::result::Result<T, String>,
    seal: fn(&T, &Key, u32) -> Result<Sealed>,
    open: fn(&Key, Vec<u8>) -> std::result::Result<T, String>,
) -> Option<T> {
    assert!(open(key(), data.to_vec()).is_err(), "junk was taken");
    let file = parse(data).ok()?;
    for version in [1, 2] {
        let (id, bytes) = seal(&file, key(), version).unwrap_or_default();
        assert_eq!(id, Id::of(&bytes));
        assert_eq!(open(key(), bytes).as_ref(), Ok(&file), "version {version}");
    }
    Some(file)
}
