//! What every store must do, as tests that run against each of them.
//!
//! [`store_contract!`](crate::store_contract) turns each function here into a test of its own.

use std::io::Read;
use std::sync::Barrier;
use std::thread;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{Error, Store};

/// A store under test, and a way round it.
pub trait Subject {
    /// The store, created and empty.
    fn store(&self) -> &dyn Store;

    /// Puts any bytes under a name, past the store.
    fn plant(&self, name: FileName, bytes: &[u8]);

    /// Whether it has a place for records, which are no part of restic's layout: a server of
    /// restic's protocol alone has none.
    fn keeps_records(&self) -> bool {
        true
    }
}

/// Hands the names of all parts of the contract to another macro, behind what that is given.
#[doc(hidden)]
#[macro_export]
macro_rules! each_behaviour {
    ($callback:ident $($given:tt)*) => {
        $crate::$callback! { $($given)*
            what_is_saved_can_be_read_in_every_way
            an_empty_file_is_a_file
            what_is_not_there_is_not_found
            an_empty_store_lists_nothing
            a_listing_tells_names_and_sizes_of_its_type_alone
            config_is_listed_under_the_default_id
            saving_the_same_again_changes_nothing
            other_bytes_under_the_name_are_left_alone
            a_shorter_file_under_the_name_is_left_alone
            a_second_config_is_refused
            replace_heals_wrong_bytes
            replace_stores_what_was_missing
            removing_what_is_not_there_succeeds
            what_was_removed_can_be_saved_again
            a_range_past_the_end_is_a_short_file
            an_empty_range_is_empty_and_lies_inside_the_file
            a_large_file_streams_whole
            a_huge_key_file_is_not_read_into_memory
            creating_again_changes_nothing
            many_threads_save_and_read_at_once
        }
    };
}

/// Makes a test of each part of the contract; `$subject` is an expression that makes a fresh
/// [`Subject`](crate::contract::Subject). With `atomic`, a file must never be seen half written:
/// rclone, which writes in place, cannot promise that.
#[macro_export]
macro_rules! store_contract {
    (atomic $subject:expr) => {
        $crate::store_contract!($subject);
        $crate::store_contract!(@ $subject; threads_that_save_the_same_file_all_succeed);
    };
    (@ $subject:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::contract::$name(&$subject);
            }
        )*
    };
    ($subject:expr) => {
        $crate::each_behaviour!(store_contract @ $subject;);
    };
}

/// Holds each of several fresh subjects against a part of the contract.
#[doc(hidden)]
#[macro_export]
macro_rules! hold_each {
    ($make:ident; $($name:ident)*) => {
        $( $name(&$make(stringify!($name))); )*
    };
}

/// Holds a store against all of the contract in one test, where what is behind it takes long to
/// start; `make` makes a fresh subject of that name.
pub fn store_contract<S: Subject>(make: impl Fn(&str) -> S) {
    crate::each_behaviour!(hold_each make;);
    let name = "threads_that_save_the_same_file_all_succeed";
    threads_that_save_the_same_file_all_succeed(&make(name));
}

const KINDS: [FileType; 6] = [
    FileType::Keys,
    FileType::Data,
    FileType::Index,
    FileType::Snapshots,
    FileType::Locks,
    FileType::Records,
];

/// Bytes that no compression or alignment makes special.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut bytes = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// The types that a store keeps, but for `config`.
fn kinds_of(subject: &dyn Subject) -> impl Iterator<Item = FileType> + use<> {
    let keeps_records = subject.keeps_records();
    let kinds = KINDS.into_iter();
    kinds.filter(move |kind| keeps_records || *kind != FileType::Records)
}

fn named(kind: FileType, bytes: &[u8]) -> FileName {
    FileName::new(kind, Id::of(bytes))
}

#[expect(missing_docs, reason = "each name says the behaviour that it tests")]
mod behaviours {
    use super::*;

    pub fn what_is_saved_can_be_read_in_every_way(subject: &dyn Subject) {
        let store = subject.store();
        for kind in kinds_of(subject).chain([FileType::Config]) {
            let bytes = noise(kind as u64, 70_001);
            let name = named(kind, &bytes);
            store.save(name, &bytes).unwrap();
            assert_eq!(store.size(name).unwrap(), 70_001);
            assert_eq!(store.read(name).unwrap(), bytes);
            assert_eq!(store.read_range(name, 5..69_000).unwrap(), bytes[5..69_000]);
            assert_eq!(
                store.read_range(name, 70_000..70_001).unwrap(),
                bytes[70_000..]
            );
            let mut streamed = Vec::new();
            store
                .open(name, None)
                .unwrap()
                .read_to_end(&mut streamed)
                .unwrap();
            assert_eq!(streamed, bytes);
            streamed.clear();
            store
                .open(name, Some(7..70_001))
                .unwrap()
                .read_to_end(&mut streamed)
                .unwrap();
            assert_eq!(streamed, bytes[7..]);
        }
    }

    pub fn an_empty_file_is_a_file(subject: &dyn Subject) {
        let name = named(FileType::Data, b"");
        subject.store().save(name, b"").unwrap();
        assert_eq!(subject.store().size(name).unwrap(), 0);
        assert_eq!(subject.store().read(name).unwrap(), b"");
        assert_eq!(subject.store().list(FileType::Data).unwrap().len(), 1);
    }

    pub fn what_is_not_there_is_not_found(subject: &dyn Subject) {
        let store = subject.store();
        for kind in kinds_of(subject).chain([FileType::Config]) {
            let name = named(kind, b"absent");
            for error in [
                store.size(name).unwrap_err(),
                store.read(name).unwrap_err(),
                store.read_range(name, 0..1).unwrap_err(),
                store.read_range(name, 0..0).unwrap_err(),
                store.open(name, None).err().unwrap(),
            ] {
                assert!(
                    matches!(error, Error::NotFound { name: told, .. } if told == name),
                    "{error:?}"
                );
            }
        }
    }

    pub fn an_empty_store_lists_nothing(subject: &dyn Subject) {
        for kind in kinds_of(subject).chain([FileType::Config]) {
            assert_eq!(subject.store().list(kind).unwrap(), []);
        }
    }

    pub fn a_listing_tells_names_and_sizes_of_its_type_alone(subject: &dyn Subject) {
        let store = subject.store();
        for kind in kinds_of(subject) {
            let mut expected = Vec::new();
            for length in 0..20 {
                let bytes = noise(kind as u64, 3 * length);
                let name = named(kind, &bytes);
                store.save(name, &bytes).unwrap();
                expected.push((name.id().unwrap(), bytes.len() as u64));
            }
            let listed = store.list(kind).unwrap();
            let mut listed: Vec<_> = listed
                .iter()
                .map(|entry| (entry.id, entry.size_bytes))
                .collect();
            listed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(listed, expected);
        }
    }

    pub fn config_is_listed_under_the_default_id(subject: &dyn Subject) {
        subject.store().save(FileName::CONFIG, b"config").unwrap();
        let listed = subject.store().list(FileType::Config).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id, listed[0].size_bytes), (Id::default(), 6));
    }

    pub fn saving_the_same_again_changes_nothing(subject: &dyn Subject) {
        let bytes = noise(1, 300_000);
        let name = named(FileType::Data, &bytes);
        subject.store().save(name, &bytes).unwrap();
        subject.store().save(name, &bytes).unwrap();
        assert_eq!(subject.store().read(name).unwrap(), bytes);
        assert_eq!(subject.store().list(FileType::Data).unwrap().len(), 1);
    }

    pub fn other_bytes_under_the_name_are_left_alone(subject: &dyn Subject) {
        let bytes = noise(2, 300_000);
        let mut rotten = bytes.clone();
        rotten[299_999] ^= 1;
        let name = named(FileType::Data, &bytes);
        subject.plant(name, &rotten);
        let error = subject.store().save(name, &bytes).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error:?}");
        assert_eq!(subject.store().read(name).unwrap(), rotten);
    }

    pub fn a_shorter_file_under_the_name_is_left_alone(subject: &dyn Subject) {
        let name = named(FileType::Index, b"whole");
        subject.plant(name, b"who");
        let error = subject.store().save(name, b"whole").unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error:?}");
        assert_eq!(subject.store().read(name).unwrap(), b"who");
    }

    pub fn a_second_config_is_refused(subject: &dyn Subject) {
        subject.store().save(FileName::CONFIG, b"first").unwrap();
        let error = subject
            .store()
            .save(FileName::CONFIG, b"other")
            .unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error:?}");
        assert_eq!(subject.store().read(FileName::CONFIG).unwrap(), b"first");
    }

    pub fn replace_heals_wrong_bytes(subject: &dyn Subject) {
        let bytes = noise(3, 100_000);
        for name in [named(FileType::Data, &bytes), FileName::CONFIG] {
            subject.plant(name, b"rot");
            subject.store().replace(name, &bytes).unwrap();
            assert_eq!(subject.store().read(name).unwrap(), bytes);
        }
    }

    pub fn replace_stores_what_was_missing(subject: &dyn Subject) {
        let name = named(FileType::Snapshots, b"snapshot");
        subject.store().replace(name, b"snapshot").unwrap();
        assert_eq!(subject.store().read(name).unwrap(), b"snapshot");
    }

    pub fn removing_what_is_not_there_succeeds(subject: &dyn Subject) {
        for kind in kinds_of(subject) {
            subject.store().remove(named(kind, b"absent")).unwrap();
        }
    }

    pub fn what_was_removed_can_be_saved_again(subject: &dyn Subject) {
        let store = subject.store();
        for kind in kinds_of(subject) {
            let name = named(kind, b"again");
            store.save(name, b"again").unwrap();
            store.remove(name).unwrap();
            assert!(matches!(store.read(name), Err(Error::NotFound { .. })));
            assert_eq!(store.list(kind).unwrap(), []);
            store.save(name, b"again").unwrap();
            assert_eq!(store.read(name).unwrap(), b"again");
        }
    }

    pub fn a_range_past_the_end_is_a_short_file(subject: &dyn Subject) {
        let store = subject.store();
        let name = named(FileType::Data, b"0123456789");
        store.save(name, b"0123456789").unwrap();
        for range in [0..11, 5..11, 10..11, 11..12, 11..11, u64::MAX - 1..u64::MAX] {
            for error in [
                store.read_range(name, range.clone()).unwrap_err(),
                store.open(name, Some(range.clone())).err().unwrap(),
            ] {
                assert!(
                    matches!(error, Error::ShortFile { .. }),
                    "{range:?}: {error:?}"
                );
            }
        }
    }

    pub fn an_empty_range_is_empty_and_lies_inside_the_file(subject: &dyn Subject) {
        let store = subject.store();
        let name = named(FileType::Data, b"0123456789");
        store.save(name, b"0123456789").unwrap();
        for at in [0, 5, 10] {
            assert_eq!(store.read_range(name, at..at).unwrap(), b"");
        }
    }

    pub fn a_large_file_streams_whole(subject: &dyn Subject) {
        let bytes = noise(4, 17 << 20);
        let name = named(FileType::Data, &bytes);
        subject.store().save(name, &bytes).unwrap();
        let mut stream = subject.store().open(name, None).unwrap();
        let mut part = vec![0; 1_000_003];
        for expected in bytes.chunks(part.len()) {
            stream.read_exact(&mut part[..expected.len()]).unwrap();
            assert!(part[..expected.len()] == *expected);
        }
        assert_eq!(stream.read(&mut part).unwrap(), 0);
    }

    pub fn a_huge_key_file_is_not_read_into_memory(subject: &dyn Subject) {
        let name = named(FileType::Keys, b"huge");
        subject.plant(name, &vec![0; (1 << 20) + 1]);
        let error = subject.store().read(name).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    }

    pub fn creating_again_changes_nothing(subject: &dyn Subject) {
        let name = named(FileType::Data, b"kept");
        subject.store().save(name, b"kept").unwrap();
        subject.store().create().unwrap();
        assert_eq!(subject.store().read(name).unwrap(), b"kept");
    }

    pub fn many_threads_save_and_read_at_once(subject: &dyn Subject) {
        let store = subject.store();
        thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || {
                    for number in 0..8 {
                        let bytes = noise(worker * 100 + number, 20_000);
                        let name = named(FileType::Data, &bytes);
                        store.save(name, &bytes).unwrap();
                        assert!(store.read(name).unwrap() == bytes);
                    }
                });
            }
        });
        assert_eq!(store.list(FileType::Data).unwrap().len(), 64);
    }

    pub fn threads_that_save_the_same_file_all_succeed(subject: &dyn Subject) {
        let store = subject.store();
        let bytes = noise(5, 200_000);
        let (bytes, name) = (&bytes, named(FileType::Data, &bytes));
        let start = &Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    start.wait();
                    store.save(name, bytes).unwrap();
                });
            }
        });
        assert!(store.read(name).unwrap() == *bytes);
        assert_eq!(store.list(FileType::Data).unwrap().len(), 1);
    }
}

pub use behaviours::*;
