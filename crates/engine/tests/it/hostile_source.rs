//! Sources whose users wish the backup ill, or only change things at the wrong moment.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, mkdirat, openat};

use strongroom_engine::Error;
use strongroom_engine::backup::report::{BackupReport, SourceErrorKind};
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::filesystem::MAX_DEPTH;
use strongroom_engine::restore::report::RestoreReport;
use strongroom_engine::restore::{RestoreOptions, restore};
use strongroom_model::{ByteSize, FileType};
use strongroom_testkit::contract::noise;
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, Rule};

use crate::fixture::Fixture;

/// Closes a gate before every pack of every copy, runs a backup with more data than fits into
/// memory, and does something while it stands still.
fn backup_while(fixture: &mut Fixture, meanwhile: impl FnOnce()) -> BackupReport {
    let gate = Gate::closed();
    for copy in ["one", "two", "three"] {
        let rule = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        fixture.wrap(copy, |store| FaultyStore::new(store).with(rule));
    }
    std::thread::scope(|scope| {
        let running = scope.spawn(|| backup_in_order(fixture));
        gate.wait_for_waiting(3);
        meanwhile();
        gate.open();
        running.join().unwrap()
    })
}

/// A backup by one thread, which looks through folders by rising names, with little memory.
fn backup_in_order(fixture: &Fixture) -> BackupReport {
    let mut options = BackupOptions::default();
    options.limits.workers = 1;
    options.limits.pack_size = ByteSize::mib(4);
    options.limits.memory = ByteSize::mib(4);
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let sources = fixture.folder_source();
    let mut session = fixture.open();
    let report = backup(&mut session, &sources, &options, environment, progress);
    report.unwrap()
}

/// Restores the snapshot of a report.
fn restore_of(fixture: &Fixture, report: &BackupReport, target: &Path) -> RestoreReport {
    let options = RestoreOptions {
        verify: true,
        ..RestoreOptions::default()
    };
    let (environment, progress) = (&fixture.environment, &fixture.progress);
    let snapshot = report.sources[0].snapshot.unwrap();
    let mut session = fixture.open();
    restore(
        &mut session,
        snapshot,
        target,
        &options,
        environment,
        progress,
    )
    .unwrap()
}

/// What is mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts something at an existing place; `arguments` stand before the place.
    fn new(arguments: &[&str], place: &Path) -> Self {
        let status = Command::new("mount").args(arguments).arg(place).status();
        assert!(status.unwrap().success(), "this test mounts and needs root");
        Self(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status();
        assert!(status.unwrap().success() || std::thread::panicking());
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Removes a folder that is too deep for the standard library.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let status = Command::new("rm").arg("-rf").arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

fn open_in(folder: impl AsFd, name: &str, flags: OFlags) -> OwnedFd {
    openat(folder, name, flags, Mode::RWXU).unwrap()
}

/// Opens the innermost of so many folders of one name in one another, and makes them first.
fn descend(top: &Path, name: &str, levels: usize, make: bool) -> OwnedFd {
    let mut folder = openat(CWD, top, FOLDER, Mode::empty()).unwrap();
    for _ in 0..levels {
        if make {
            mkdirat(&folder, name, Mode::RWXU).unwrap();
        }
        folder = open_in(&folder, name, FOLDER);
    }
    folder
}

fn write_in(folder: impl AsFd, name: &str, text: &str) {
    let file = open_in(folder, name, OFlags::WRONLY | OFlags::CREATE);
    rustix::io::write(file, text.as_bytes()).unwrap();
}

#[test]
fn what_is_saved_of_folders_without_end_is_restored_and_the_rest_is_named() {
    let fixture = Fixture::new();
    let source = fixture.source();
    let target = fixture.folder.path().join("target");
    let _removed = [Removed(source.clone()), Removed(target.clone())];
    let name = "x".repeat(250);
    let saved_levels = MAX_DEPTH - (source.components().count() - 1);
    let bottom = descend(&source, &name, saved_levels, true);
    write_in(&bottom, "file", "bottom");
    fs::write(source.join("top"), "linked").unwrap();
    linkat(CWD, source.join("top"), &bottom, "linked", AtFlags::empty()).unwrap();
    mkdirat(&bottom, "beyond", Mode::RWXU).unwrap();
    write_in(open_in(&bottom, "beyond", FOLDER), "lost", "lost");

    let report = fixture.backup();
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert!(error.path.ends_with("xxx/beyond"), "{error}");
    assert!(error.path.len() < 5000);
    assert!(
        error.to_string().contains("more than 2048 folders"),
        "{error}"
    );

    let restored = restore_of(&fixture, &report, &target);
    assert!(restored.is_complete(), "{restored:?}");
    assert_eq!(restored.verified.unwrap().files, 3);
    let top = target.join(source.strip_prefix("/").unwrap());
    let bottom = descend(&top, &name, saved_levels, false);
    for (name, expected) in [("file", "bottom"), ("linked", "linked")] {
        let mut text = String::new();
        let mut file = File::from(open_in(&bottom, name, OFlags::RDONLY));
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[test]
fn an_inode_that_changes_between_its_names_is_two_files_when_it_is_restored() {
    let mut fixture = Fixture::new();
    let source = fixture.source();
    for name in ["a", "m", "z"] {
        fs::create_dir(source.join(name)).unwrap();
    }
    let (first, last) = (source.join("a/x"), source.join("z/x"));
    fs::write(&first, "AAAA").unwrap();
    fs::hard_link(&first, &last).unwrap();
    // More than fits into memory: nobody gets past it while no copy takes anything.
    fs::write(source.join("m/noise"), noise(1, 40 << 20)).unwrap();
    let report = backup_while(&mut fixture, || fs::write(&first, "BBBB").unwrap());
    // A copy may be left behind meanwhile.
    assert_eq!(report.sources[0].errors, [], "{report:?}");

    let target = fixture.folder.path().join("target");
    let restored = restore_of(&fixture, &report, &target);
    assert!(restored.is_complete(), "{restored:?}");
    let content = |path: &Path| {
        let path = target.join(path.strip_prefix("/").unwrap());
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(content(&first), "AAAA");
    assert_eq!(content(&last), "BBBB");
}

#[test]
fn a_file_that_grows_is_read_as_far_as_it_was_long() {
    let mut fixture = Fixture::new();
    let path = fixture.source().join("log");
    fs::write(&path, noise(1, 40 << 20)).unwrap();
    let report = backup_while(&mut fixture, || {
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&noise(2, 10 << 20)).unwrap();
    });
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert_eq!(error.kind, SourceErrorKind::ChangedWhileRead);
    assert_eq!(report.sources[0].stats.bytes_read, 40 << 20);
    let target = fixture.folder.path().join("target");
    assert!(restore_of(&fixture, &report, &target).is_complete());
    let restored = fs::read(target.join(path.strip_prefix("/").unwrap())).unwrap();
    assert!(restored == noise(1, 40 << 20));
}

#[test]
fn what_vanishes_before_it_is_opened_is_named_and_the_rest_is_saved() {
    let mut fixture = Fixture::new();
    let source = fixture.source();
    // Nobody gets past it while no copy takes anything, and the others are listed by then.
    fs::write(source.join("a"), noise(1, 40 << 20)).unwrap();
    fs::write(source.join("file"), "file").unwrap();
    fs::write(source.join("kept"), "kept").unwrap();
    fs::create_dir(source.join("folder")).unwrap();
    fs::write(source.join("folder/file"), "file").unwrap();
    let report = backup_while(&mut fixture, || {
        fs::remove_file(source.join("file")).unwrap();
        fs::remove_dir_all(source.join("folder")).unwrap();
    });
    let errors = report.sources[0].errors.iter();
    let named: Vec<_> = errors
        .map(|error| (Path::new(&error.path).to_owned(), error.kind))
        .collect();
    let vanished = |name: &str| (source.join(name), SourceErrorKind::Vanished);
    assert_eq!(named, [vanished("file"), vanished("folder")]);
    assert_eq!(report.error_count(), 2);
    assert!(!report.is_complete());
    assert_eq!(report.sources[0].stats.files_processed, 2);

    let target = fixture.folder.path().join("target");
    assert!(restore_of(&fixture, &report, &target).is_complete());
    let restored = target.join(source.strip_prefix("/").unwrap());
    let names = fs::read_dir(&restored).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "kept"]);
    assert!(fs::read(restored.join("a")).unwrap() == noise(1, 40 << 20));
}

#[test]
fn a_file_that_says_to_be_empty_is_read_for_a_while_and_named_where_there_is_more() {
    let fixture = Fixture::new();
    let sources = fixture.sources("path = \"/proc/kallsyms\"");
    let report = fixture.backup_of(&sources).unwrap();
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert_eq!(error.kind, SourceErrorKind::ChangedWhileRead);
    assert_eq!(report.sources[0].stats.bytes_processed, 256 << 10);
}

/// Writes a file with data at these offsets and holes between them, or zeros where it is dense.
fn write_holes(path: &Path, data: &[(u64, usize)], size_bytes: u64, dense: bool) {
    let file = File::create(path).unwrap();
    if dense {
        file.write_all_at(&vec![0; usize::try_from(size_bytes).unwrap()], 0)
            .unwrap();
    }
    for (offset, length) in data {
        file.write_all_at(&noise(*offset, *length), *offset)
            .unwrap();
    }
    file.set_len(size_bytes).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn holes_are_not_read_and_cut_as_their_zeros_would_be() {
    const MIB: u64 = 1 << 20;
    let layouts: [(&[(u64, usize)], u64); 5] = [
        // Nothing but a hole; of the length of whole chunks, and a little more.
        (&[], 32 * MIB),
        (&[], 17 * MIB + 1),
        // Data before, between and after, with holes shorter and longer than a chunk.
        (
            &[(0, 3_000_000), (20 * MIB, 4096), (60 * MIB, 1)],
            60 * MIB + 1,
        ),
        (&[(9 * MIB, 700_000), (11 * MIB, 5)], 50 * MIB),
        (&[(100 * MIB, 100)], 100 * MIB + 100),
    ];
    let fixture = Fixture::new();
    let path = |number: usize| fixture.source().join(number.to_string());
    let build = |dense: bool| {
        for (number, (data, size_bytes)) in layouts.iter().enumerate() {
            let _ = fs::remove_file(path(number));
            write_holes(&path(number), data, *size_bytes, dense);
        }
    };
    build(true);
    let dense = fixture.backup();
    assert!(dense.is_complete(), "{dense:?}");
    build(false);
    let sparse = fixture.backup();
    assert!(sparse.is_complete(), "{sparse:?}");
    let (before, after) = (dense.sources[0].stats, sparse.sources[0].stats);
    assert_eq!(after.data_blobs, 0);
    assert_eq!(after.files_read, 5);
    assert_eq!(after.bytes_processed, before.bytes_processed);
    assert_eq!(before.bytes_read, before.bytes_processed);
    assert!(after.bytes_read < 12 * MIB, "{}", after.bytes_read);

    let target = fixture.folder.path().join("target");
    let restored = restore_of(&fixture, &sparse, &target);
    assert!(restored.is_complete(), "{restored:?}");
    for number in 0..layouts.len() {
        let restored = target.join(path(number).strip_prefix("/").unwrap());
        assert!(fs::read(&restored).unwrap() == fs::read(path(number)).unwrap());
        let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
        let (theirs, ours) = (blocks(&path(number)), blocks(&restored));
        assert!(ours <= theirs + 64, "{number}: {ours} and {theirs}");
    }
}

#[test]
fn a_file_of_a_hundred_gibibytes_of_holes_costs_what_its_data_costs() {
    let fixture = Fixture::new();
    let data = [(0, 1 << 20), (50 << 30, 1 << 20), (90 << 30, 4096)];
    write_holes(&fixture.source().join("disk"), &data, 100 << 30, false);
    let report = fixture.backup();
    assert!(report.is_complete(), "{report:?}");
    let stats = report.sources[0].stats;
    assert_eq!(stats.bytes_processed, 100 << 30);
    assert!(stats.bytes_read < 5 << 20, "{}", stats.bytes_read);

    let target = fixture.folder.path().join("target");
    let snapshot = report.sources[0].snapshot.unwrap();
    let options = RestoreOptions::default();
    let restored = restore(
        &mut fixture.open(),
        snapshot,
        &target,
        &options,
        &fixture.environment,
        &fixture.progress,
    );
    assert!(restored.unwrap().is_complete());
    let disk = fixture.source().join("disk");
    let restored = File::open(target.join(disk.strip_prefix("/").unwrap())).unwrap();
    let metadata = restored.metadata().unwrap();
    assert_eq!(metadata.len(), 100 << 30);
    assert!(metadata.blocks() < 3 << 11, "{}", metadata.blocks());
    for (offset, length) in data {
        let mut bytes = vec![0; length];
        restored.read_exact_at(&mut bytes, offset).unwrap();
        assert!(bytes == noise(offset, length));
    }
}

#[test]
fn a_file_that_no_disk_could_hold_is_named_and_not_read() {
    let fixture = Fixture::new();
    // The files of a disk end before.
    let memory = tempfile::tempdir_in("/dev/shm").expect("this test needs a RAM disk at /dev/shm");
    fs::write(memory.path().join("kept"), "kept").unwrap();
    let file = File::create(memory.path().join("endless")).unwrap();
    file.set_len(7 << 60).unwrap();
    let sources = fixture.sources(&format!("path = {:?}", memory.path()));
    let report = fixture.backup_of(&sources).unwrap();
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert!(error.path.ends_with("endless"));
    assert!(error.message.contains("exclude"), "{error}");
    assert_eq!(report.sources[0].stats.files_processed, 1);
    assert_eq!(report.sources[0].stats.bytes_read, 4);
}

#[test]
fn a_copy_that_lies_in_a_source_behind_a_link_is_refused_unless_it_is_left_out() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("file"), "content").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let alias = elsewhere.path().join("alias");
    symlink(fixture.folder.path(), &alias).unwrap();
    let copies = ["one", "two", "three"];
    let before = copies.map(|copy| fixture.ids(copy, FileType::Data));
    let refused = fixture.backup_of(&fixture.sources(&format!("path = {alias:?}")));
    let Err(error @ Error::CopyInSource { .. }) = refused else {
        panic!("{refused:?}");
    };
    let excluded = format!("exclude = [{:?}]", alias.join("one"));
    assert!(error.hint().unwrap().contains(&excluded), "{error:?}");
    assert_eq!(copies.map(|copy| fixture.ids(copy, FileType::Data)), before);

    for exclude in ["\"/one\", \"/two\", \"/three\"", "\"/*\", \"!/source\""] {
        let sources = fixture.sources(&format!("path = {alias:?}\nexclude = [{exclude}]"));
        let report = fixture.backup_of(&sources).unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.sources[0].stats.files_processed, 1);
    }
}

#[test]
fn a_copy_that_a_source_meets_through_a_mount_is_named_and_left_out() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("file"), "content").unwrap();
    let mounted = fixture.source().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let copy = fixture.copy_path("two");
    let mounting = Mounted::new(&["--bind", copy.to_str().unwrap()], &mounted);
    let report = fixture.backup();
    drop(mounting);
    let [error] = &report.sources[0].errors[..] else {
        panic!("{report:?}");
    };
    assert_eq!(error.path, mounted.display().to_string());
    assert!(error.message.contains("copy two"), "{error}");
    assert_eq!(report.sources[0].stats.files_processed, 1);
}

#[test]
fn a_source_that_stays_on_its_filesystem_saves_where_others_are_mounted_and_nothing_of_them() {
    let fixture = Fixture::new();
    let source = fixture.source();
    let (mounted, bound) = (source.join("mounted"), source.join("bound"));
    fs::write(source.join("file"), "content").unwrap();
    fs::create_dir(&mounted).unwrap();
    fs::write(&bound, "what lies below").unwrap();
    let _other = Mounted::new(&["-t", "tmpfs", "tmpfs"], &mounted);
    let inside = mounted.join("inside");
    fs::write(&inside, "inside").unwrap();
    // A file of the other filesystem, mounted on one of ours.
    let _file = Mounted::new(&["--bind", inside.to_str().unwrap()], &bound);
    for (stays, files) in [(true, 1), (false, 3)] {
        let settings = format!("path = {source:?}\none_file_system = {stays}");
        let report = fixture.backup_of(&fixture.sources(&settings)).unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.sources[0].stats.files_processed, files);

        let target = fixture.folder.path().join(format!("target-{stays}"));
        assert!(restore_of(&fixture, &report, &target).is_complete());
        let restored = target.join(source.strip_prefix("/").unwrap());
        assert!(restored.join("file").is_file());
        // There is something to mount on, with nothing in it.
        let names = fs::read_dir(restored.join("mounted")).unwrap();
        assert_eq!(names.count(), usize::from(!stays));
        let content = fs::read_to_string(restored.join("bound")).ok();
        assert_eq!(content.as_deref(), (!stays).then_some("inside"));
    }
}
