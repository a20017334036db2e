//! First backups, increments, copies that fail, and what stock restic says of them.

use std::fs;
use std::os::unix::fs::symlink;

use strongroom_engine::Error;
use strongroom_engine::backup::report::CopyOutcome;
use strongroom_engine::backup::take_back;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_model::{FileName, FileType};
use strongroom_store::{LocalStore, Store};
use strongroom_testkit::gate::Gate;
use strongroom_testkit::tree::{TreeSpec, mutate};
use strongroom_testkit::{Fault, FaultyStore, Op, RecordingStore, Rule};

use crate::fixture::{Fixture, environment, outcome};

const ALL: [&str; 3] = ["one", "two", "three"];

#[test]
fn stock_restic_finds_three_sound_copies_and_restores_everything() {
    let fixture = Fixture::new();
    fs::remove_dir(fixture.source()).unwrap();
    TreeSpec::everything(1).build(&fixture.source());
    let first = fixture.backup();
    assert!(first.is_complete(), "{first:?}");
    fixture.check(&ALL);
    ALL.iter()
        .for_each(|copy| fixture.assert_restic_restores(copy));

    mutate(&fixture.source(), 2);
    let second = fixture.backup();
    assert!(second.is_complete(), "{second:?}");
    assert_eq!(second.sources[0].parent, first.sources[0].snapshot);
    fixture.check(&ALL);
    fixture.assert_restic_restores("three");
}

#[test]
fn all_copies_get_the_same_bytes() {
    let fixture = Fixture::new();
    TreeSpec::small(3).build(&fixture.source().join("tree"));
    fixture.backup();
    for kind in FileType::SYNCED {
        let ids = fixture.ids("one", kind);
        assert!(!ids.is_empty(), "{kind}");
        assert_eq!(ids, fixture.ids("two", kind));
        assert_eq!(ids, fixture.ids("three", kind));
    }
}

#[test]
fn an_unchanged_source_uploads_one_snapshot_and_reads_no_file() {
    let mut fixture = Fixture::new();
    TreeSpec::small(4).build(&fixture.source().join("tree"));
    fixture.backup();
    let stores = ALL.map(|copy| fixture.wrap(copy, RecordingStore::new));
    let report = fixture.backup();
    assert_eq!(report.sources[0].stats.files_read, 0);
    for store in stores {
        assert_eq!(store.tally(&Op::WRITES, FileType::Data).calls, 0);
        assert_eq!(store.tally(&Op::WRITES, FileType::Index).calls, 0);
        assert_eq!(store.tally(&Op::WRITES, FileType::Snapshots).calls, 1);
        assert_eq!(store.tally(&Op::WRITES, FileType::Locks).calls, 1);
        assert_eq!(store.tally(&Op::WRITES, FileType::Keys).calls, 0);
    }
    assert!(fixture.ids("one", FileType::Locks).is_empty());
}

#[test]
fn a_snapshot_that_no_copy_has_is_taken_back() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("file"), "content").unwrap();
    let mut report = fixture.backup();
    let made = report.sources.clone();
    take_back(&fixture.open(), &mut report.sources);
    assert_eq!(report.sources[0].snapshot, made[0].snapshot);
    for copy in ALL {
        let store = LocalStore::new(fixture.copy_path(copy));
        let name = FileName::new(FileType::Snapshots, made[0].snapshot.unwrap());
        store.remove(name).unwrap();
    }
    take_back(&fixture.open(), &mut report.sources);
    assert!(!report.has_snapshot());
    let failure = report.sources[0].failure.as_deref().unwrap();
    assert!(failure.contains("no copy has everything"), "{failure}");
}

#[test]
fn an_inode_with_several_names_is_read_once() {
    let fixture = Fixture::new();
    let source = fixture.source();
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(source.join("a"), &content).unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    fs::create_dir(source.join("folder")).unwrap();
    fs::hard_link(source.join("a"), source.join("folder/c")).unwrap();
    let report = fixture.backup();
    let stats = report.sources[0].stats;
    assert_eq!(stats.bytes_read, content.len() as u64);
    assert_eq!(stats.files_read, 1);
    assert_eq!(stats.files_processed, 3);
    assert_eq!(stats.bytes_processed, 3 * content.len() as u64);
    fixture.assert_restic_restores("one");
}

#[test]
fn a_changed_file_costs_only_its_own_packs() {
    let mut fixture = Fixture::new();
    TreeSpec::small(5).build(&fixture.source().join("tree"));
    fixture.backup();
    fs::write(fixture.source().join("new"), "new").unwrap();
    let stores = ALL.map(|copy| fixture.wrap(copy, RecordingStore::new));
    let report = fixture.backup();
    assert_eq!(report.sources[0].stats.files_read, 1);
    for store in stores {
        assert_eq!(store.tally(&Op::WRITES, FileType::Data).calls, 2);
        assert_eq!(store.tally(&Op::WRITES, FileType::Index).calls, 1);
        assert!(store.tally(&Op::WRITES, FileType::Data).bytes < 20_000);
    }
}

#[test]
fn a_full_copy_fails_by_name_and_the_others_go_on() {
    let mut fixture = Fixture::new();
    TreeSpec::small(6).build(&fixture.source().join("tree"));
    fixture.wrap("two", |store| FaultyStore::new(store).with_room(1000));
    let report = fixture.backup();
    let CopyOutcome::Failed(failure) = outcome(&report, "two") else {
        panic!("{report:?}");
    };
    assert!(failure.reason.contains("is full"), "{failure:?}");
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    assert_eq!(outcome(&report, "three"), &CopyOutcome::Whole);
    assert!(!report.is_complete());
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
    fixture.check(&["one", "three"]);
}

#[test]
fn an_unreachable_copy_fails_by_name_and_the_others_go_on() {
    let mut fixture = Fixture::new();
    TreeSpec::small(7).build(&fixture.source().join("tree"));
    let store = fixture.wrap("one", FaultyStore::new);
    store.set_unreachable(true);
    let report = fixture.backup();
    assert!(matches!(outcome(&report, "one"), CopyOutcome::Failed(_)));
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
    fixture.check(&["two", "three"]);
}

#[test]
fn a_copy_that_hangs_is_left_behind_and_never_gets_the_snapshot() {
    let mut fixture = Fixture::new();
    // More packs than wait for one copy.
    for number in 0..12_u64 {
        let name = fixture.source().join(number.to_string());
        fs::write(name, strongroom_testkit::contract::noise(number, 16 << 20)).unwrap();
    }
    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        FaultyStore::new(store).with(wait)
    });
    let report = std::thread::scope(|scope| {
        let backup = scope.spawn(|| fixture.backup());
        while fixture.ids("three", FileType::Snapshots).is_empty() {
            std::thread::yield_now();
        }
        gate.open();
        backup.join().unwrap()
    });
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    assert!(
        matches!(outcome(&report, "two"), CopyOutcome::Behind { .. }),
        "{report:?}"
    );
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
    fixture.check(&ALL);
}

#[test]
fn a_copy_that_lacks_an_old_pack_never_gets_a_snapshot_that_needs_it() {
    let fixture = Fixture::new();
    TreeSpec::small(8).build(&fixture.source().join("tree"));
    fixture.backup();
    let lost = fixture.ids("two", FileType::Data)[0];
    let two = LocalStore::new(fixture.copy_path("two"));
    two.remove(FileName::new(FileType::Data, lost)).unwrap();
    let snapshots = fixture.ids("two", FileType::Snapshots);
    fs::write(fixture.source().join("new"), "new").unwrap();
    let report = fixture.backup();
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Behind { files: 2 });
    assert_eq!(fixture.ids("two", FileType::Snapshots), snapshots);
    fixture.check(&["one", "three"]);
}

#[test]
fn what_another_host_wrote_to_some_copies_only_is_not_taken_for_granted() {
    let mut fixture = Fixture::new();
    TreeSpec::small(9).build(&fixture.source().join("tree"));
    let store = fixture.wrap("two", FaultyStore::new);
    store.set_unreachable(true);
    let sources = fixture.folder_source();
    fixture
        .backup_as(&sources, &environment("otherhost"))
        .unwrap();
    store.set_unreachable(false);
    let report = fixture.backup();
    assert!(matches!(
        outcome(&report, "two"),
        CopyOutcome::Behind { .. }
    ));
    assert!(fixture.ids("two", FileType::Snapshots).is_empty());
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
    fixture.check(&ALL);
}

#[test]
fn packs_of_a_run_that_wrote_no_index_are_used_again() {
    let mut fixture = Fixture::new();
    TreeSpec::everything(10).build(&fixture.source().join("tree"));
    let stores = ALL.map(|copy| {
        let fault = Rule::on(&Op::WRITES, Fault::Unreachable).of(FileType::Index);
        fixture.wrap(copy, |store| FaultyStore::new(store).with(fault))
    });
    let failed = fixture.backup_of(&fixture.folder_source());
    assert!(failed.is_err() || !failed.unwrap().is_complete());
    let packs = fixture.ids("one", FileType::Data);
    assert!(!packs.is_empty());
    stores.iter().for_each(|store| store.heal());
    let report = fixture.backup();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.sources[0].stats.data_blobs, 0);
    // The folders above the source may have changed meanwhile: /tmp is not ours alone.
    let above = fixture.source().components().count() as u64;
    assert!(report.sources[0].stats.tree_blobs <= above, "{report:?}");
    let after = fixture.ids("one", FileType::Data);
    assert!(packs.iter().all(|pack| after.contains(pack)));
    fixture.check(&ALL);
}

#[test]
fn an_empty_source_makes_no_snapshot() {
    let fixture = Fixture::new();
    let report = fixture.backup();
    assert_eq!(
        report.sources[0].failure.as_deref(),
        Some("there is nothing in it; is it mounted?")
    );
    assert!(!report.has_snapshot());
    assert!(fixture.ids("one", FileType::Snapshots).is_empty());
}

#[test]
fn a_path_that_does_not_exist_is_an_error_before_anything_is_written() {
    let mut fixture = Fixture::new();
    let stores = ALL.map(|copy| fixture.wrap(copy, RecordingStore::new));
    let sources = fixture.sources("path = \"/no/such/folder\"");
    let error = fixture.backup_of(&sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The source main cannot be backed up: /no/such/folder: No such file or directory (os error 2)"
    );
    for store in stores {
        assert!(store.written().is_empty());
    }
}

#[test]
fn the_output_of_a_command_becomes_one_file() {
    let fixture = Fixture::new();
    let sources = fixture.sources("command = [\"seq\", \"3000000\"]\nas = \"numbers\"");
    let report = fixture.backup_of(&sources).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.sources[0].stats.bytes_read, 22_888_896);
    let restic = &strongroom_testkit::programs::restic_versions()[0];
    let path = fixture.copy_path("two");
    let password = crate::fixture::PASSWORD;
    let dumped =
        crate::fixture::run_restic(restic, &path, password, &["dump", "latest", "/numbers"]);
    assert!(dumped.ends_with("2999999\n3000000\n"));
    assert_eq!(dumped.len(), 22_888_896);
    let again = fixture.backup_of(&sources).unwrap();
    assert_eq!(again.sources[0].stats.data_blobs, 0);
}

#[test]
fn a_command_that_fails_fails_its_source_and_no_other() {
    let fixture = Fixture::new();
    TreeSpec::small(11).build(&fixture.source().join("tree"));
    let mut sources = fixture
        .sources("command = [\"sh\", \"-c\", \"echo half; echo broken >&2; exit 7\"]\nas = \"x\"");
    sources.extend(fixture.folder_source());
    let report = fixture.backup_of(&sources).unwrap();
    assert_eq!(
        report.sources[0].failure.as_deref(),
        Some("sh ended with exit status: 7 and said: broken")
    );
    assert!(report.sources[1].snapshot.is_some());
    assert!(!report.is_complete());
    assert_eq!(fixture.ids("one", FileType::Snapshots).len(), 1);
    fixture.check(&ALL);
}

#[test]
fn what_is_left_out_is_not_read() {
    let fixture = Fixture::new();
    let source = fixture.source();
    for folder in ["keep", "cache", "tagged"] {
        fs::create_dir(source.join(folder)).unwrap();
        fs::write(source.join(folder).join("file"), folder).unwrap();
    }
    fs::write(source.join("keep/a.tmp"), "x").unwrap();
    fs::write(source.join("keep/large"), vec![0; 5000]).unwrap();
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# cache";
    fs::write(source.join("tagged/CACHEDIR.TAG"), tag).unwrap();
    let path = source.display();
    let sources = fixture.sources(&format!(
        "path = \"{path}\"\nexclude = [\"*.tmp\", \"{path}/cache\"]\nexclude_caches = true\n\
         exclude_larger_than = \"4KiB\""
    ));
    let report = fixture.backup_of(&sources).unwrap();
    // keep/file and the tag.
    assert_eq!(report.sources[0].stats.files_processed, 2);
    assert_eq!(
        report.sources[0].stats.dirs_new as usize,
        2 + source.components().count() - 1
    );
}

#[test]
fn of_patterns_that_lead_into_the_source_and_others_the_last_decides() {
    let fixture = Fixture::new();
    let source = fixture.source();
    for folder in ["a", "b"] {
        fs::create_dir_all(source.join(folder).join("cache")).unwrap();
        fs::write(source.join(folder).join("cache/file"), folder).unwrap();
        fs::write(source.join(folder).join("x.tmp"), folder).unwrap();
    }
    let above = fixture.folder.path().display();
    let sources = fixture.sources(&format!(
        "path = {source:?}\nexclude = [\"*.tmp\", \"!{above}/*/a/x.tmp\", \
         \"{above}/s?urce/*/cache/\", \"!/b/cache\"]"
    ));
    let report = fixture.backup_of(&sources).unwrap();
    assert_eq!(report.sources[0].stats.files_processed, 2);
    let listed = fixture.restic("one", &["ls", "latest"]);
    assert!(listed.contains("/source/a/x.tmp\n"), "{listed}");
    assert!(listed.contains("/source/b/cache/file\n"), "{listed}");
}

#[test]
fn a_file_whose_size_is_not_what_was_listed_is_saved_as_it_was_read() {
    // Files of procfs have size 0 and content.
    let fixture = Fixture::new();
    symlink("/no/where", fixture.source().join("dangling")).unwrap();
    let sources = fixture.sources(&format!(
        "paths = [\"/proc/version\", \"{}\"]",
        fixture.source().display()
    ));
    let report = fixture.backup_of(&sources).unwrap();
    let version = fs::read("/proc/version").unwrap();
    assert_eq!(report.sources[0].stats.bytes_read, version.len() as u64);
    let restic = &strongroom_testkit::programs::restic_versions()[0];
    let (path, password) = (fixture.copy_path("one"), crate::fixture::PASSWORD);
    let dump = ["dump", "latest", "/proc/version"];
    let dumped = crate::fixture::run_restic(restic, &path, password, &dump);
    assert_eq!(dumped.as_bytes(), version);
}

#[test]
fn all_copies_failing_is_an_error_that_names_each() {
    let mut fixture = Fixture::new();
    TreeSpec::small(12).build(&fixture.source().join("tree"));
    for copy in ALL {
        fixture.wrap(copy, |store| FaultyStore::new(store).with_room(10_000));
    }
    match fixture.backup_of(&fixture.folder_source()) {
        Err(Error::NoCopy { reasons }) => assert_eq!(reasons.len(), 3, "{reasons:?}"),
        Err(other) => panic!("{other:?}"),
        Ok(report) => assert!(
            report
                .copies
                .iter()
                .all(|c| matches!(c.outcome, CopyOutcome::Failed(_))),
            "{report:?}"
        ),
    }
}

#[test]
fn what_is_removed_between_listing_and_locking_is_noticed() {
    let mut fixture = Fixture::new();
    TreeSpec::small(13).build(&fixture.source().join("tree"));
    fixture.backup();
    fs::write(fixture.source().join("new"), "new").unwrap();
    let gate = Gate::closed();
    fixture.wrap("two", |store| {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Locks);
        FaultyStore::new(store).with(wait)
    });
    let backup = || fixture.backup();
    let report = gate.meanwhile(backup, || {
        let lost = fixture.ids("two", FileType::Data)[0];
        let two = LocalStore::new(fixture.copy_path("two"));
        two.remove(FileName::new(FileType::Data, lost)).unwrap();
    });
    assert_eq!(
        outcome(&report, "two"),
        &CopyOutcome::Behind { files: 2 },
        "{report:?}"
    );
    assert_eq!(outcome(&report, "one"), &CopyOutcome::Whole);
}

#[test]
fn a_lead_that_cannot_be_read_is_replaced_by_the_next() {
    let mut fixture = Fixture::new();
    TreeSpec::small(14).build(&fixture.source().join("tree"));
    fixture.backup();
    fixture.wrap("one", |store| {
        let away = Rule::on(&Op::READS, Fault::Unreachable).of(FileType::Index);
        FaultyStore::new(store).with(away)
    });
    let report = fixture.backup();
    assert!(matches!(outcome(&report, "one"), CopyOutcome::Failed(_)));
    assert_eq!(report.lead, "two");
    assert_eq!(report.packs_written, 0);
    assert_eq!(outcome(&report, "two"), &CopyOutcome::Whole);
}

#[test]
fn a_damaged_tree_of_the_parent_is_stored_again() {
    let fixture = Fixture::new();
    let source = fixture.source().join("folder");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "a").unwrap();
    fixture.backup();
    for copy in ALL {
        // The pack of trees is the smaller of the two: one file has one blob.
        let packs = fixture.copy_path(copy).join("data");
        let mut files: Vec<_> = walk(&packs).collect();
        files.sort_by_key(|file| fs::metadata(file).unwrap().len());
        let trees = files.pop().unwrap();
        let mut bytes = fs::read(&trees).unwrap();
        bytes[40..].iter_mut().take(200).for_each(|byte| *byte ^= 1);
        fs::remove_file(&trees).unwrap();
        fs::write(&trees, bytes).unwrap();
    }
    fs::remove_file(source.join("a")).unwrap();
    fs::write(fixture.source().join("b"), "b").unwrap();
    let report = fixture.backup();
    // The old snapshot is lost, and that is said; the new one is whole.
    assert!(!report.is_complete(), "{report:?}");
    assert_eq!(report.lead_problems.len(), 1);
    for copy in ALL {
        assert_eq!(outcome(&report, copy), &CopyOutcome::Whole);
        // Not a word of the damaged trees is in the new snapshot.
        fixture.assert_restic_restores(copy);
    }
}

fn walk(folder: &std::path::Path) -> impl Iterator<Item = std::path::PathBuf> {
    let folders = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    })
}

#[test]
fn a_command_that_prints_nothing_makes_no_snapshot() {
    let fixture = Fixture::new();
    let sources = fixture.sources("command = [\"true\"]\nas = \"dump\"");
    let report = fixture.backup_of(&sources).unwrap();
    assert_eq!(
        report.sources[0].failure.as_deref(),
        Some("the command printed nothing")
    );
    assert!(!report.has_snapshot());
}

#[test]
fn a_command_that_is_silent_hears_a_wish_to_stop() {
    let fixture = Fixture::new();
    let sources = fixture.sources("command = [\"sleep\", \"1000\"]\nas = \"dump\"");
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| fixture.backup_of(&sources));
        while fixture.progress.read().phase != "saving main" {
            std::thread::yield_now();
        }
        fixture.environment.cancel.cancel();
        assert!(matches!(backup.join().unwrap(), Err(Error::Interrupted)));
    });
    assert!(fixture.ids("one", FileType::Locks).is_empty());
}

#[test]
fn little_memory_is_enough() {
    let fixture = Fixture::new();
    for number in 0..10_u64 {
        let name = fixture.source().join(number.to_string());
        fs::write(name, strongroom_testkit::contract::noise(number, 8 << 20)).unwrap();
    }
    let options = BackupOptions {
        limits: strongroom_model::config::Limits {
            memory: "64MiB".parse().unwrap(),
            ..Default::default()
        },
        ..Default::default()
    };
    let report = backup(
        &mut fixture.open(),
        &fixture.folder_source(),
        &options,
        &fixture.environment,
        &fixture.progress,
    )
    .unwrap();
    assert!(report.sources[0].snapshot.is_some());
    fixture.check(&["one"]);
}
