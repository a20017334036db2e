//! What is recorded is what was asked.

use std::io::Read;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::Store;
use strongroom_testkit::{MemoryStore, Op, RecordingStore, Tally};

#[test]
fn calls_and_bytes_are_counted_by_operation_and_type() {
    let store = RecordingStore::new(MemoryStore::new("m"));
    let name = FileName::new(FileType::Data, Id::of(b"0123456789"));
    store.save(name, b"0123456789").unwrap();
    store.read_range(name, 2..5).unwrap();
    store.read(FileName::CONFIG).unwrap_err();
    let mut part = [0; 4];
    store
        .open(name, None)
        .unwrap()
        .read_exact(&mut part)
        .unwrap();
    let tally = |ops: &[Op], kind| {
        let Tally { calls, bytes } = store.tally(ops, kind);
        (calls, bytes)
    };
    assert_eq!(tally(&Op::WRITES, FileType::Data), (1, 10));
    assert_eq!(tally(&[Op::ReadRange], FileType::Data), (1, 3));
    assert_eq!(
        tally(&[Op::Open], FileType::Data),
        (1, 4),
        "what was read, not what could be"
    );
    assert_eq!(tally(&Op::READS, FileType::Config), (1, 0));
    assert_eq!(store.written(), [name]);
    store.clear();
    assert!(store.records().is_empty());
}
