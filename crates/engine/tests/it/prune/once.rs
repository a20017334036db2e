//! Repacking is done once, however many copies there are: what is needed is read from one of them,
//! packed once, and goes to each as the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_engine::prune::PruneOptions;
use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::{Op, RecordingStore};

use crate::fixture::Fixture;
use crate::prune::{
    ALL, assert_identical, forget, open, prune_session, remove_files, try_prune, write_files,
};

fn packs(fixture: &Fixture) -> BTreeSet<Id> {
    fixture.ids("one", FileType::Data).into_iter().collect()
}

/// Packs of three backups; of each half of the files are needed.
fn half_of_each_needed() -> Fixture {
    let fixture = Fixture::new();
    for first in [0, 8, 16] {
        write_files(&fixture, first..first + 8);
        fixture.backup();
    }
    let old = fixture.ids("one", FileType::Snapshots);
    for first in [0, 8, 16] {
        remove_files(&fixture, first..first + 4);
    }
    fixture.backup();
    for snapshot in old {
        forget(&fixture, snapshot);
    }
    fixture
}

#[test]
fn what_is_repacked_is_read_once_from_one_copy_packed_once_and_sent_once_to_each() {
    let mut fixture = half_of_each_needed();
    let dry = PruneOptions {
        dry_run: true,
        ..PruneOptions::default()
    };
    let planned = prune_session(&fixture, &mut open(&fixture), &dry).unwrap();
    assert!(planned.repacked.files > 0, "{planned:?}");
    // What is needed of these packs; and a bit more, for what lies between that and for headers.
    let needed = planned.packs_written.bytes;
    let about_needed = needed..needed + needed / 10;
    let before = packs(&fixture);
    let stores = ALL.map(|copy| fixture.wrap(copy, RecordingStore::new));
    let report = try_prune(&fixture).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.repacked, planned.repacked);
    let after = packs(&fixture);

    let (mut read, mut read_bytes) = (BTreeMap::<Id, BTreeSet<&str>>::new(), 0);
    for (copy, store) in ALL.into_iter().zip(&stores) {
        let mut records = store.records();
        records.retain(|record| Op::READS.contains(&record.op));
        for record in records {
            let name = record.name.filter(|name| name.kind() == FileType::Data);
            let pack = name.and_then(|name| name.id());
            if let Some(pack) = pack.filter(|pack| !after.contains(pack)) {
                read.entry(pack).or_default().insert(copy);
                read_bytes += record.bytes;
            }
        }
    }
    // Packs of which nothing is needed are not among them.
    assert_eq!(read.len() as u64, report.repacked.files, "{read:?}");
    assert!(read.values().all(|copies| copies.len() == 1), "{read:?}");
    assert!(about_needed.contains(&read_bytes), "{read_bytes}");

    let new: BTreeSet<Id> = after.difference(&before).copied().collect();
    let told = report.packs_written;
    assert!(about_needed.contains(&told.bytes), "{told:?}: {needed}");
    assert_eq!(told.files, new.len() as u64);
    for (copy, store) in ALL.into_iter().zip(&stores) {
        let mut written = store.written();
        written.retain(|name| name.kind() == FileType::Data);
        let written: BTreeSet<Id> = written.iter().filter_map(FileName::id).collect();
        assert_eq!(written, new, "{copy}");
        let sent = store.tally(&Op::WRITES, FileType::Data);
        let sent = (sent.calls, sent.bytes);
        assert_eq!(sent, (told.files, told.bytes), "{copy}");
        let index = store.tally(&Op::WRITES, FileType::Index);
        assert_eq!(index.calls, report.index_written.files, "{copy}");
    }
    assert_identical(&fixture, &ALL);
}
