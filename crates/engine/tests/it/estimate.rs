//! How much a first backup has before it: counted as it is read, and only for somebody.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use strongroom_engine::backup::report::BackupReport;
use strongroom_engine::backup::{BackupOptions, backup};
use strongroom_engine::progress::Progress;
use strongroom_model::FileType;
use strongroom_model::config::Limits;
use strongroom_testkit::tree::TreeSpec;
use strongroom_testkit::{Fault, FaultyStore, Gate, Op, Rule, contract};

use crate::fixture::Fixture;

#[test]
fn an_estimate_counts_what_a_first_backup_will_read() {
    let mut fixture = Fixture::new();
    let source = fixture.source();
    fill_with_all_kinds(&source);
    let settings = format!(
        "paths = [{source:?}, {:?}]\nexclude = [\"*.tmp\"]\nexclude_caches = true\n\
         exclude_larger_than = \"8MiB\"\none_file_system = true",
        source.join("a")
    );
    let mut expected = (0, 0);
    let report = back_up_slowly(&mut fixture, &settings, true, |progress| {
        let reading = std::iter::repeat_with(|| {
            std::thread::yield_now();
            progress.read()
        });
        let reading = reading.into_iter().find(|r| r.expected_files.is_some());
        let reading = reading.unwrap();
        assert_eq!(reading.phase, "saving main");
        expected = (
            reading.expected_files.unwrap(),
            reading.expected_bytes.unwrap(),
        );
    });
    let stats = report.sources[0].stats;
    assert_eq!(expected, (stats.files_processed, stats.bytes_read));
    assert!(stats.files_processed > 14);
}

#[test]
fn nothing_is_counted_where_nobody_looks_on() {
    let mut fixture = Fixture::new();
    fill_with_all_kinds(&fixture.source());
    let settings = format!("path = {:?}", fixture.source());
    back_up_slowly(&mut fixture, &settings, false, |progress| {
        assert_eq!(progress.read().expected_files, None);
    });
}

/// Backs up while no copy takes a pack until `meanwhile` is done, which sees the progress.
fn back_up_slowly(
    fixture: &mut Fixture,
    settings: &str,
    estimate: bool,
    meanwhile: impl FnOnce(&Progress),
) -> BackupReport {
    let gate = Gate::closed();
    for copy in ["one", "two", "three"] {
        let wait = Rule::on(&Op::WRITES, Fault::Wait(gate.clone())).of(FileType::Data);
        fixture.wrap(copy, |store| FaultyStore::new(store).with(wait));
    }
    let options = BackupOptions {
        limits: Limits {
            memory: "32MiB".parse().unwrap(),
            pack_size: "4MiB".parse().unwrap(),
            ..Default::default()
        },
        estimate,
        ..Default::default()
    };
    let sources = fixture.sources(settings);
    let (mut session, environment) = (fixture.open(), &fixture.environment);
    let progress = &fixture.progress;
    let run = || backup(&mut session, &sources, &options, environment, progress);
    gate.meanwhile(run, || meanwhile(progress)).unwrap()
}

/// A source with something of each kind that is counted in its own way, and more than fits into
/// the memory of [`back_up_slowly`].
fn fill_with_all_kinds(source: &Path) {
    TreeSpec::small(31).build(&source.join("tree"));
    let noise = |seed, length| contract::noise(seed, length);
    for folder in ["a", "b", "cache"] {
        fs::create_dir(source.join(folder)).unwrap();
    }
    for number in 0..12_u64 {
        fs::write(source.join(format!("a/{number}")), noise(number, 4 << 20)).unwrap();
    }
    fs::hard_link(source.join("a/1"), source.join("b/1")).unwrap();
    fs::write(source.join("b/x.tmp"), "x").unwrap();
    fs::write(source.join("b/large"), noise(20, 9 << 20)).unwrap();
    let tag = "Signature: 8a477f597d28d172789f06886806bc55";
    fs::write(source.join("cache/CACHEDIR.TAG"), tag).unwrap();
    fs::write(source.join("cache/file"), "x").unwrap();
    UnixListener::bind(source.join("b/socket")).unwrap();
}
