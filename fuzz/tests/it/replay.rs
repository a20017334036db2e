//! Every input of the corpus, fed to its target as the fuzzer does.
//!
//! An input that costs too much memory ends the process: the last name that was printed tells
//! which.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use strongroom_fuzz::{TARGETS, limit_memory};

/// The most files of one target: `cargo xtask fuzz keep` is told how many to take.
const TARGET_LIMIT_FILES: usize = 50;
const CORPUS_LIMIT_BYTES: u64 = 300 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/corpus")
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<_> = entries.collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

#[test]
fn no_input_of_the_corpus_breaks_a_rule() {
    limit_memory().unwrap();
    let mut broken = Vec::new();
    for target in TARGETS {
        let (mut taken, mut refused) = (0, 0);
        let inputs = entries(&corpus().join(target.name));
        for path in inputs.unwrap_or_else(|error| panic!("{}: {error}", target.name)) {
            println!("{}", path.display());
            let data = fs::read(&path).unwrap();
            match std::panic::catch_unwind(|| (target.run)(&data)) {
                Ok(true) => taken += 1,
                Ok(false) => refused += 1,
                Err(_) => broken.push(path),
            }
        }
        // A target whose rules are never reached proves nothing.
        assert!(taken > 0, "{}: the corpus holds nothing good", target.name);
        assert!(refused > 0, "{}: the corpus holds nothing bad", target.name);
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_folder_of_the_corpus_has_its_target_and_stays_small() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.into()).collect();
    let folders = entries(&corpus()).unwrap();
    let names = folders.iter().map(|path| path.file_name().unwrap().into());
    let names: BTreeSet<std::ffi::OsString> = names.collect();
    assert_eq!(names, targets);
    let mut bytes = 0;
    for folder in &folders {
        let files = entries(folder).unwrap();
        let (name, count) = (folder.display(), files.len());
        assert!(count <= TARGET_LIMIT_FILES, "{name}: {count} files");
        let sizes = files.iter().map(|path| path.metadata().unwrap().len());
        bytes += sizes.sum::<u64>();
    }
    assert!(bytes <= CORPUS_LIMIT_BYTES, "{bytes} bytes");
}
