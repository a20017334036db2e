//! How many requests a restore makes, since each one costs a round trip.

use std::sync::Arc;

use strongroom_engine::restore::RestoreOptions;
use strongroom_model::FileType;
use strongroom_store::{RestOptions, RestStore, Store};
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Op, RcloneServer, RecordingStore};

use crate::fixture::Fixture;
use crate::restore::{Target, restore_only};

/// 2,000 small files in 200 folders, and some MB.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    TreeSpec {
        folders: 200,
        small_files: 2000,
        big_files_bytes: vec![9 << 20],
        ..TreeSpec::small(40)
    }
    .build(&fixture.source().join("tree"));
    fixture.backup();
    fixture
}

#[test]
fn a_copy_behind_a_network_is_asked_for_many_files_at_once() {
    let mut fixture = fixture();
    let server = RcloneServer::start(&fixture.copy_path("one"), &[]);
    let url = server.url().parse().unwrap();
    let store: Arc<dyn Store> = Arc::new(RestStore::new(RestOptions::new(url)).unwrap());
    fixture.copies.truncate(1);
    let recording = Arc::new(RecordingStore::new(store));
    fixture.copies[0].store = recording.clone();
    fixture.copies[0].is_local = false;
    for threads in [1, 0] {
        recording.clear();
        let target = Target::new(&fixture);
        let options = RestoreOptions {
            threads,
            ..RestoreOptions::default()
        };
        let report = restore_only(&fixture, &target, &options).unwrap();
        assert!(report.is_complete(), "{report:?}");
        target.assert_same();
        let calls = recording.tally(&Op::READS, FileType::Data).calls;
        assert!(calls < 200, "{calls} requests, {threads} threads");
        let index_files = fixture.ids("one", FileType::Index).len() as u64;
        let read = recording.tally(&Op::READS, FileType::Index);
        assert_eq!(read.calls, index_files);
    }
}

#[test]
fn a_healthy_restore_asks_only_the_best_copy() {
    let mut fixture = fixture();
    let others = ["two", "three"].map(|copy| fixture.wrap(copy, RecordingStore::new));
    fixture.copies[1].is_local = false;
    let target = Target::new(&fixture);
    let report = restore_only(&fixture, &target, &RestoreOptions::default()).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.lead, "one");
    for other in others {
        for kind in [FileType::Data, FileType::Index, FileType::Snapshots] {
            assert_eq!(other.tally(&Op::READS, kind).calls, 0);
        }
    }
}

#[test]
fn what_is_left_out_is_not_fetched() {
    let mut fixture = fixture();
    let recording = fixture.wrap("one", RecordingStore::new);
    let everything = Target::new(&fixture);
    restore_only(&fixture, &everything, &RestoreOptions::default()).unwrap();
    let all = recording.tally(&Op::READS, FileType::Data);
    recording.clear();
    let options = RestoreOptions {
        include: vec!["/nothing/like/it".to_owned()],
        ..RestoreOptions::default()
    };
    restore_only(&fixture, &Target::new(&fixture), &options).unwrap();
    let none = recording.tally(&Op::READS, FileType::Data);
    assert_eq!(none.calls, 1, "the root tree alone");
    assert!(all.calls > 10 && all.bytes > 9 << 20);
}
