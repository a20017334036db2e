//! What a backup asks of the copies: a dry run only reads, and nothing is read twice.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use strongroom_engine::backup::report::{BackupReport, SourceReport};
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_model::{FileName, FileType};
use strongroom_store::Store;
use strongroom_testkit::tree::{TreeSpec, mutate};
use strongroom_testkit::{Op, RecordingStore};

use crate::fixture::Fixture;

const ALL: [&str; 3] = ["one", "two", "three"];

type Recorder = Arc<RecordingStore<Arc<dyn Store>>>;

fn recorded(fixture: &mut Fixture) -> [Recorder; 3] {
    ALL.map(|copy| fixture.wrap(copy, RecordingStore::new))
}

fn run(fixture: &Fixture, dry_run: bool) -> BackupReport {
    let mut options = BackupOptions {
        dry_run,
        ..BackupOptions::default()
    };
    // Two threads may miss the same block of a pack at once.
    options.limits.workers = 1;
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let mut session = fixture.open();
    let sources = fixture.folder_source();
    backup(&mut session, &sources, &options, environment, progress).unwrap()
}

#[test]
fn a_dry_run_counts_what_a_backup_does_and_only_reads() {
    let mut fixture = Fixture::new();
    TreeSpec::small(1).build(&fixture.source().join("tree"));
    let recorders = recorded(&mut fixture);
    for seed in 0..2 {
        // Nothing is stored yet, and then all but what has changed.
        if seed > 0 {
            mutate(&fixture.source().join("tree"), seed);
        }
        recorders.iter().for_each(|recorder| recorder.clear());
        let dry = run(&fixture, true);
        for record in recorders.iter().flat_map(|recorder| recorder.records()) {
            let looks = matches!(record.op, Op::List | Op::Size);
            assert!(looks || Op::READS.contains(&record.op), "{record:?}");
        }
        let real = run(&fixture, false);
        assert!(real.is_complete(), "{real:?}");
        assert!(recorders.iter().all(|place| !place.written().is_empty()));

        let ([dry], [real]) = (&dry.sources[..], &real.sources[..]) else {
            panic!("{dry:?}");
        };
        assert_eq!((dry.snapshot, &dry.errors), (None, &Vec::new()));
        assert_eq!(dry.parent, real.parent);
        // Without a parent it holds the times of folders above the source, which are not ours alone.
        assert!(dry.tree.is_some() && (seed == 0 || dry.tree == real.tree));
        let counted = |source: &SourceReport| {
            let stats = source.stats;
            [
                stats.files_new,
                stats.files_changed,
                stats.files_unmodified,
                stats.files_read,
                stats.bytes_read,
                stats.data_blobs,
            ]
        };
        assert_eq!(counted(dry), counted(real));
    }
}

#[test]
fn a_backup_asks_for_no_stored_file_twice() {
    let mut fixture = Fixture::new();
    let spec = TreeSpec {
        big_files_bytes: vec![3 << 20],
        ..TreeSpec::small(1)
    };
    spec.build(&fixture.source().join("tree"));
    for seed in 0..3 {
        mutate(&fixture.source().join("tree"), seed);
        assert!(fixture.backup().is_complete());
    }
    let recorders = recorded(&mut fixture);
    mutate(&fixture.source().join("tree"), 3);
    assert!(run(&fixture, false).is_complete());

    let mut index_files = BTreeMap::<FileName, u64>::new();
    for (copy, recorder) in ALL.into_iter().zip(&recorders) {
        let mut asked = BTreeMap::<FileName, (u64, u64)>::new();
        for record in recorder.records() {
            // Who opens the repository reads its `config` while the copies are listed.
            let is_counted =
                |name: &FileName| Op::READS.contains(&record.op) && name.kind() != FileType::Config;
            let Some(name) = record.name.filter(is_counted) else {
                continue;
            };
            let (calls, bytes) = asked.entry(name).or_default();
            *calls += u64::from(record.op != Op::ReadRange);
            *bytes += record.bytes;
        }
        for (name, (calls, bytes)) in asked {
            assert!(calls <= 1, "{name} on {copy}: {calls} times");
            // Of packs only the trees of the parent are read, each by its place.
            let whole = recorder.inner().size(name).unwrap_or(u64::MAX);
            assert!(bytes <= whole, "{name} on {copy}: {bytes} of {whole}");
            if name.kind() == FileType::Index {
                *index_files.entry(name).or_default() += calls;
            }
        }
    }
    // What one copy has said need not be asked of another.
    assert_eq!(index_files.len(), 3);
    assert!(index_files.values().all(|calls| *calls == 1));
    let kept = fs::read_dir(fixture.copy_path("one").join("locks")).unwrap();
    assert_eq!(kept.count(), 0);
}
