//! An audit of files finds everything that is wrong with them, and names it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use strongroom_ledger::audit::{FAULTS_LIMIT, Report};
use strongroom_ledger::{
    Checkpoint, Error, Folder, Hash, KeyKind, SignedCheckpoint, Signer, audit, audit_entries,
};

use crate::scene::{LogFolder, ORIGIN, entry, log_key};

/// A partial bundle, three full ones, and two levels of tiles.
const SIZE: u64 = 3 * 256 + 44;

fn check(log: &LogFolder) -> Report {
    audit(log.path(), Some(log_key().verifier()), None)
}

/// The files that are named, with their leaves.
fn named(report: &Report) -> Vec<(String, Option<u64>)> {
    let faults = report.faults.iter();
    faults
        .map(|fault| (fault.file().unwrap().to_owned(), fault.leaf()))
        .collect()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Whether a file is part of the log that its checkpoint signs.
fn files(log: &LogFolder) -> Vec<String> {
    let mut files = log.files();
    files.retain(|file| file != "checkpoint");
    files
}

#[test]
fn sound_logs_of_all_sizes_are_sound() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, SIZE, 66_000] {
        let log = LogFolder::new(size);
        let report = check(&log);
        assert!(report.is_sound(), "{size}: {:?}", report.faults);
        assert!(report.is_signed && !report.is_cut);
        assert_eq!(report.leaves, size);
        assert_eq!(report.files, log.files().len() as u64);
        let files = log.files();
        let bytes = files
            .iter()
            .map(|file| log.at(file).metadata().unwrap().len());
        assert_eq!(report.bytes, bytes.sum::<u64>());
        let state = report.checkpoint.unwrap();
        assert_eq!((state.size(), state.root()), (size, log.edge.root()));
        assert_eq!(report.leftovers, Vec::<String>::new());
    }
}

#[test]
fn a_bit_that_flipped_in_any_file_is_named_with_its_file() {
    let log = LogFolder::new(SIZE);
    for file in log.files() {
        let path = log.at(&file);
        let length = path.metadata().unwrap().len() as usize;
        for place in [0, 1, length / 3, length / 2, length - 1] {
            edit(&path, |bytes| bytes[place] ^= 1);
            let report = check(&log);
            let faults = named(&report);
            assert!(!faults.is_empty(), "{file} {place}");
            if file != "checkpoint" {
                assert_eq!(faults.len(), 1, "{file} {place}: {faults:?}");
                assert_eq!(faults[0].0, file, "{place}");
                assert!(faults[0].1.is_some(), "{file} {place}");
            }
            edit(&path, |bytes| bytes[place] ^= 1);
        }
    }
    assert!(check(&log).is_sound());
}

#[test]
fn the_very_leaf_that_was_edited_is_named() {
    let log = LogFolder::new(SIZE);
    for leaf in [0, 3, 255, 256, 700, SIZE - 1] {
        let name = match leaf / 256 {
            3 => "tile/entries/003.p/44".to_owned(),
            bundle => format!("tile/entries/{bundle:03}"),
        };
        let (path, text) = (log.at(&name), String::from_utf8(entry(leaf)).unwrap());
        let before = fs::read(&path).unwrap();
        let place = before
            .windows(text.len())
            .position(|bytes| bytes == text.as_bytes())
            .unwrap();
        edit(&path, |bytes| bytes[place + 2] = b'm');
        let report = check(&log);
        assert_eq!(named(&report), [(name, Some(leaf))]);
        assert!(matches!(report.faults[0], Error::WrongEntry { .. }));
        fs::write(path, before).unwrap();
    }
}

#[test]
fn a_truncated_lengthened_or_removed_file_is_named() {
    let log = LogFolder::new(SIZE);
    for file in files(&log) {
        let path = log.at(&file);
        let before = fs::read(&path).unwrap();
        for change in [
            (|bytes| bytes.truncate(bytes.len() - 1)) as fn(&mut Vec<u8>),
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| bytes.clear(),
            |bytes| bytes.push(0),
            |bytes| bytes.extend(bytes.clone()),
            |bytes| bytes.resize(20 << 20, 0),
        ] {
            edit(&path, change);
            let report = check(&log);
            assert_eq!(named(&report).len(), 1, "{file}: {:?}", report.faults);
            assert_eq!(named(&report)[0].0, file);
        }
        fs::remove_file(&path).unwrap();
        let report = check(&log);
        assert!(
            matches!(&report.faults[..], [Error::Missing { file: missing }] if *missing == file)
        );
        fs::write(path, before).unwrap();
    }
    assert!(check(&log).is_sound());
}

#[test]
fn swapped_files_are_both_named() {
    for (a, b) in [
        ("tile/entries/000", "tile/entries/002"),
        ("tile/0/001", "tile/0/002"),
    ] {
        let log = LogFolder::new(SIZE);
        fs::rename(log.at(a), log.at("tile/held")).unwrap();
        fs::rename(log.at(b), log.at(a)).unwrap();
        fs::rename(log.at("tile/held"), log.at(b)).unwrap();
        let report = check(&log);
        let found: Vec<_> = named(&report).into_iter().map(|(file, _)| file).collect();
        assert_eq!(found, [a, b], "{:?}", report.faults);
    }
}

#[test]
fn a_leaf_that_was_changed_with_its_tile_is_named() {
    let log = LogFolder::new(SIZE);
    let forged = {
        let mut forged = LogFolder::new(0);
        forged.grow(SIZE, |number| match number {
            300 => b"nothing happened".to_vec(),
            _ => entry(number),
        });
        forged
    };
    // Its bundle and its tile, and not the one above.
    for file in ["tile/entries/001", "tile/0/001"] {
        fs::copy(forged.at(file), log.at(file)).unwrap();
    }
    let report = check(&log);
    assert_eq!(named(&report), [("tile/0/001".to_owned(), Some(256))]);
    assert!(matches!(report.faults[0], Error::WrongBranch { .. }));
    // All but the checkpoint.
    for file in files(&log) {
        fs::copy(forged.at(&file), log.at(&file)).unwrap();
    }
    let report = check(&log);
    assert!(
        matches!(report.faults[..], [Error::WrongRoot { .. }]),
        "{:?}",
        report.faults
    );
    // With a key of his own it is sound in itself, and so a key must be given.
    let thief = Signer::from_seed(KeyKind::Log, ORIGIN, &[66; 32]).unwrap();
    let state = Checkpoint::new(ORIGIN, SIZE, forged.edge.root()).unwrap();
    let note = SignedCheckpoint::sign(state, &thief).unwrap();
    fs::write(log.at("checkpoint"), note.note().to_string()).unwrap();
    let report = audit(log.path(), None, None);
    assert!(report.is_sound() && !report.is_signed);
    let report = check(&log);
    assert!(matches!(report.faults[..], [Error::BadCheckpoint { .. }]));
}

#[test]
fn a_whole_rewritten_log_is_found_by_an_earlier_checkpoint() {
    let since = LogFolder::new(400).signed().checkpoint().clone();
    let compare = |log: &LogFolder| audit(log.path(), Some(log_key().verifier()), Some(&since));
    let report = compare(&LogFolder::new(SIZE));
    assert!(report.is_sound());
    assert_eq!(report.since, Some(400));
    assert_eq!(compare(&LogFolder::new(400)).since, Some(400));

    let report = compare(&LogFolder::new(399));
    assert!(matches!(
        report.faults[..],
        [Error::Shrunk {
            old_size: 400,
            new_size: 399,
            ..
        }]
    ));
    assert!(report.faults[0].hint().is_some());
    let mut forged = LogFolder::new(300);
    forged.grow(SIZE, |number| entry(number + 1));
    let report = compare(&forged);
    assert!(matches!(
        report.faults[..],
        [Error::Rewritten { old_size: 400, .. }]
    ));
    assert_eq!(report.since, None);
}

#[test]
fn what_no_log_has_is_named() {
    let log = LogFolder::new(SIZE);
    for file in [
        "notes.txt",
        "tile/README",
        "tile/0/4",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/x",
        "tile/0/001.p/5/6",
        "tile/8/000",
        "tile/entries/x001/x002/abc",
        "tile/entries/deep/000",
    ] {
        let path = log.at(file);
        let made = path.ancestors().take_while(|path| !path.exists()).count();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap();
        let report = check(&log);
        assert_eq!(report.faults.len(), 1, "{file}: {:?}", report.faults);
        assert!(matches!(report.faults[0], Error::Stray { .. }));
        assert!(file.starts_with(report.faults[0].file().unwrap()));
        let top = path.ancestors().nth(made - 1).unwrap();
        match top.is_dir() {
            true => fs::remove_dir_all(top).unwrap(),
            false => fs::remove_file(top).unwrap(),
        }
    }
    assert!(check(&log).is_sound());
}

#[test]
fn what_is_not_signed_yet_is_left_over_and_no_fault() {
    let mut log = LogFolder::new(SIZE);
    let checkpoint = fs::read(log.at("checkpoint")).unwrap();
    log.grow(5 * 256 + 1, entry);
    fs::write(log.at("checkpoint"), checkpoint).unwrap();
    fs::write(log.at(".checkpoint.new"), "").unwrap();
    let report = check(&log);
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!(report.leaves, SIZE);
    for file in [
        "tile/0/003",
        "tile/entries/005.p/1",
        "tile/1/000.p/5",
        ".checkpoint.new",
    ] {
        assert!(report.leftovers.contains(&file.to_owned()), "{file}");
    }
}

#[test]
fn earlier_partial_files_may_stay_or_go_but_must_agree() {
    let mut log = LogFolder::new(300);
    for size in [310, 512, 530, SIZE] {
        log.grow(size, entry);
    }
    assert!(log.at("tile/0/001.p/44").exists());
    let report = check(&log);
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!(report.files, log.files().len() as u64);

    for file in ["tile/0/001.p/44", "tile/entries/001.p/54", "tile/1/000.p/1"] {
        let before = fs::read(log.at(file)).unwrap();
        for change in [
            (|bytes| bytes[9] ^= 1) as fn(&mut Vec<u8>),
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| bytes.push(0),
            |bytes| bytes.clear(),
        ] {
            edit(&log.at(file), change);
            let report = check(&log);
            assert_eq!(
                named(&report),
                [(file.to_owned(), None)],
                "{:?}",
                report.faults
            );
        }
        fs::write(log.at(file), before).unwrap();
    }
    // A partial file may be removed when the full one is there.
    fs::remove_dir_all(log.at("tile/0/001.p")).unwrap();
    assert!(check(&log).is_sound());
    let at_300 = LogFolder::new(300).signed().note().to_string();
    fs::write(log.at("checkpoint"), at_300).unwrap();
    let report = check(&log);
    assert!(report.is_sound(), "{:?}", report.faults);
}

#[test]
fn nothing_is_read_through_a_link_or_out_of_a_pipe() {
    let elsewhere = LogFolder::new(SIZE);
    for (file, shown) in [
        ("checkpoint", "checkpoint"),
        ("tile", "tile"),
        ("tile/0", "tile/0"),
        ("tile/0/001", "tile/0/001"),
        ("tile/entries/003.p", "tile/entries/003.p"),
        ("tile/entries/003.p/44", "tile/entries/003.p/44"),
    ] {
        let log = LogFolder::new(SIZE);
        let path = log.at(file);
        match path.is_dir() {
            true => fs::remove_dir_all(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        symlink(elsewhere.at(file), &path).unwrap();
        let report = check(&log);
        let is_named = |fault: &Error| matches!(fault, Error::NotAFile { file } if file == shown);
        assert!(report.faults.iter().any(is_named), "{:?}", report.faults);
        assert!(
            report.files < elsewhere.files().len() as u64,
            "{file} was followed"
        );
    }
    let log = LogFolder::new(SIZE);
    fs::remove_file(log.at("tile/0/001")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(log.at("tile/0/001"))
        .status();
    assert!(made.unwrap().success());
    let report = check(&log);
    assert!(matches!(&report.faults[..], [Error::NotAFile { file }] if file == "tile/0/001"));
}

#[test]
fn a_checkpoint_that_claims_the_world_ends_the_audit_soon() {
    for size in [1 << 20, 1 << 40, (1 << 63) - 1] {
        let log = LogFolder::new(SIZE);
        let state = Checkpoint::new(ORIGIN, size, Hash::leaf(b"")).unwrap();
        let note = SignedCheckpoint::sign(state, &log_key()).unwrap();
        fs::write(log.at("checkpoint"), note.note().to_string()).unwrap();
        let report = check(&log);
        assert!(report.is_cut);
        assert_eq!(report.faults.len(), FAULTS_LIMIT);
    }
}

#[test]
fn a_folder_without_a_log_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let report = audit(&path, None, None);
        assert!(matches!(&report.faults[..], [Error::Missing { file }] if file == "checkpoint"));
        assert!(report.faults[0].hint().is_some());
    }
}

#[test]
fn a_publisher_takes_up_its_own_folder_and_no_other() {
    for size in [0, 1, 256, SIZE] {
        let log = LogFolder::new(size);
        let signed = log.signed();
        let edge = Folder::new(log.path()).edge(signed.checkpoint());
        assert_eq!(edge.unwrap(), log.edge);
    }
    let mut forged = LogFolder::new(3);
    forged.grow(SIZE, |number| entry(number + 1));
    let signed = LogFolder::new(SIZE).signed();
    let edge = Folder::new(forged.path()).edge(signed.checkpoint());
    assert!(matches!(edge, Err(Error::WrongRoot { .. })));
    let longer = LogFolder::new(SIZE + 1).signed();
    assert!(
        Folder::new(forged.path())
            .edge(longer.checkpoint())
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_damage_of_any_file_is_found(
        size in 1..700u64,
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..8u8,
        kind in 0..4,
    ) {
        let log = LogFolder::new(size);
        let files = files(&log);
        let file = &files[file.index(files.len())];
        edit(&log.at(file), |bytes| {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] ^= 1 << bit,
                1 => bytes.truncate(place),
                2 => bytes.insert(place, bit),
                _ => drop(bytes.remove(place)),
            }
        });
        let report = check(&log);
        prop_assert!(!report.is_sound());
        prop_assert_eq!(&named(&report)[0].0, file);
        prop_assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    }
}

#[test]
fn whoever_reads_along_is_given_each_entry_once_and_in_order() {
    for size in [0, 1, 255, 256, 257, SIZE, 66_000] {
        let (log, mut next) = (LogFolder::new(size), 0);
        let key = log_key();
        let report = audit_entries(
            log.path(),
            Some(key.verifier()),
            None,
            &mut |place, bytes| {
                assert_eq!((place, bytes), (next, &entry(next)[..]));
                next += 1;
            },
        );
        assert!(report.is_sound());
        assert_eq!(next, size);
    }
}
