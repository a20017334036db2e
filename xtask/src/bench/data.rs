//! The data sets: made from what is on the machine, so that nothing is downloaded.
//!
//! Files are taken in the order of their paths until there is enough, so two runs on one machine
//! measure the same bytes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::run::{capture, run as run_command, workspace_root};

/// What is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum DataSet {
    /// Many small files: sources and headers
    A,
    /// Large binaries: shared libraries
    B,
    /// One big tar
    C,
    /// Incompressible data
    D,
    /// A million empty or tiny files
    E,
}

/// How much a folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// In the sets of large files, what is changed at once.
const BLOCK_BYTES: u64 = 512 << 10;

impl DataSet {
    /// Every data set.
    pub(super) const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// What the report calls it.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::A => "many small files",
            Self::B => "large binaries",
            Self::C => "one big tar",
            Self::D => "incompressible",
            Self::E => "empty or tiny files, 1,000 to a folder",
        }
    }

    /// How often it is measured: a million files take minutes a step.
    pub(super) fn rounds(self, rounds: u32) -> u32 {
        match self {
            Self::E => rounds.div_ceil(3),
            _ => rounds,
        }
    }

    /// Fills a new folder; `quick` takes a tenth.
    pub(super) fn make(self, folder: &Path, quick: bool) -> Result<Size> {
        fs::create_dir_all(folder)?;
        let share = if quick { 10 } else { 1 };
        let at_least = |files, bytes| Size {
            files: files / share,
            bytes: bytes / share,
        };
        match self {
            Self::A => copy(&small_files(at_least(37_000, 500_000_000))?, folder)?,
            Self::B => copy(&libraries(at_least(1, 950_000_000))?, folder)?,
            Self::C => tar(&small_files(at_least(1, 430_000_000))?, folder)?,
            Self::D => random(&folder.join("random"), (512 << 20) / share)?,
            Self::E => tiny(folder, 1_000 / share)?,
        }
        size_of(folder)
    }

    /// Changes one file in a hundred, or one block in a hundred; a second time changes it back.
    pub(super) fn change(self, folder: &Path) -> Result<()> {
        let mut files_seen = 0_u64;
        let mut blocks_seen = 0;
        each_file(folder, &mut |path, _| {
            match self {
                Self::A | Self::E if files_seen.is_multiple_of(100) => {
                    let bytes: Vec<u8> = fs::read(path)?.iter().map(|byte| !byte).collect();
                    fs::write(path, bytes)?;
                }
                Self::A | Self::E => {}
                Self::B | Self::C | Self::D => invert_blocks(path, &mut blocks_seen)?,
            }
            files_seen += 1;
            Ok(true)
        })
        .map(drop)
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "(a)",
            Self::B => "(b)",
            Self::C => "(c)",
            Self::D => "(d)",
            Self::E => "(e)",
        })
    }
}

/// Counts regular files and their bytes.
pub(super) fn size_of(folder: &Path) -> Result<Size> {
    let mut size = Size::default();
    each_file(folder, &mut |_, bytes| {
        size.files += 1;
        size.bytes += bytes;
        Ok(true)
    })?;
    Ok(size)
}

/// Sources and headers up to 1 MiB each.
fn small_files(wanted: Size) -> Result<Vec<PathBuf>> {
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let folders = [
        cargo_home.join("registry/src"),
        "/usr/include".into(),
        "/usr/lib/python3".into(),
        "/usr/share".into(),
    ];
    take(&folders, wanted, |_, bytes| bytes <= 1 << 20)
}

/// Shared libraries above 1 MB, Rust's own after the system's.
fn libraries(wanted: Size) -> Result<Vec<PathBuf>> {
    let sysroot = capture(
        Command::new("rustc")
            .current_dir(workspace_root())
            .args(["--print", "sysroot"]),
    )?;
    let folders = ["/usr/lib".into(), Path::new(sysroot.trim()).join("lib")];
    take(&folders, wanted, |path, bytes| {
        bytes > 1_000_000
            && path
                .as_os_str()
                .as_bytes()
                .windows(3)
                .any(|part| part == b".so")
    })
}

/// Takes files that fit, folder by folder, until there is enough of both.
fn take(
    folders: &[PathBuf],
    wanted: Size,
    fits: impl Fn(&Path, u64) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut taken = Vec::new();
    let mut size = Size::default();
    let enough = |size: &Size| size.files >= wanted.files && size.bytes >= wanted.bytes;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        each_file(folder, &mut |path, bytes| {
            if fits(path, bytes) {
                taken.push(path.to_path_buf());
                size.files += 1;
                size.bytes += bytes;
            }
            Ok(!enough(&size))
        })?;
        if enough(&size) {
            return Ok(taken);
        }
    }
    ensure!(
        enough(&size),
        "This machine has {} files with {} MB of the wanted kind in {folders:?}, too few",
        size.files,
        size.bytes / 1_000_000
    );
    Ok(taken)
}

fn copy(files: &[PathBuf], folder: &Path) -> Result<()> {
    for file in files {
        let to = folder.join(file.strip_prefix("/").unwrap_or(file));
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        fs::copy(file, &to).with_context(|| format!("Cannot copy {}", file.display()))?;
    }
    Ok(())
}

fn tar(files: &[PathBuf], folder: &Path) -> Result<()> {
    let mut list = tempfile::NamedTempFile::new()?;
    for file in files {
        list.write_all(file.as_os_str().as_bytes())?;
        list.write_all(b"\0")?;
    }
    run_command(
        Command::new("tar")
            .args(["--create", "--absolute-names", "--null", "--no-recursion"])
            .args(["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
            .arg("--files-from")
            .arg(list.path())
            .arg("--file")
            .arg(folder.join("sources.tar")),
    )
}

pub(super) fn random(path: &Path, bytes: u64) -> Result<()> {
    noise(path, 3_2_1, bytes)
}

/// A file of whole MiB, other bytes for each seed.
pub(super) fn noise(path: &Path, seed: u64, bytes: u64) -> Result<()> {
    let mut generator = StdRng::seed_from_u64(seed);
    let mut file = File::create(path)?;
    let mut block = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        generator.fill_bytes(&mut block);
        file.write_all(&block)?;
    }
    Ok(())
}

/// Folders of a thousand files: every tenth holds a few bytes, the others none.
fn tiny(folder: &Path, folders: u64) -> Result<()> {
    for outer in 0..folders {
        let inside = folder.join(format!("folder-{outer:03}"));
        fs::create_dir(&inside)?;
        for inner in 0..1_000 {
            let content = match inner % 10 {
                0 => format!("{outer}/{inner}\n"),
                _ => String::new(),
            };
            fs::write(inside.join(format!("file-{inner:03}")), content)?;
        }
    }
    Ok(())
}

/// Inverts every hundredth block, counted over all files.
fn invert_blocks(path: &Path, blocks_seen: &mut u64) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while at < length {
        if *blocks_seen % 100 == 50 {
            let size = usize::try_from(BLOCK_BYTES.min(length - at))?;
            let mut block = vec![0; size];
            file.read_exact_at(&mut block, at)?;
            block.iter_mut().for_each(|byte| *byte = !*byte);
            file.write_all_at(&block, at)?;
        }
        *blocks_seen += 1;
        at += BLOCK_BYTES;
    }
    Ok(())
}

/// Takes a file and its length; says whether to go on.
type Visit<'a> = dyn FnMut(&Path, u64) -> Result<bool> + 'a;

/// Visits regular files with their length in the order of their paths, until told to stop.
pub(super) fn each_file(folder: &Path, visit: &mut Visit<'_>) -> Result<bool> {
    let entries: std::io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    let mut entries = entries.with_context(|| format!("Cannot list {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        let path = entry.path();
        let go_on = if kind.is_dir() {
            each_file(&path, visit)?
        } else if kind.is_file() {
            visit(&path, entry.metadata()?.len())?
        } else {
            true
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_twice_gives_back_what_was_there() {
        for set in [DataSet::B, DataSet::A] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            random(&path, 30 << 20).unwrap();
            let before = fs::read(&path).unwrap();
            set.change(folder.path()).unwrap();
            let changed = fs::read(&path).unwrap();
            assert_ne!(changed, before);
            set.change(folder.path()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn of_a_large_file_one_block_in_a_hundred_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        random(&path, 50 << 20).unwrap();
        let before = fs::read(&path).unwrap();
        DataSet::D.change(folder.path()).unwrap();
        let after = fs::read(&path).unwrap();
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        let blocks = before.chunks(block).zip(after.chunks(block));
        assert_eq!(blocks.filter(|(before, after)| before != after).count(), 1);
    }
}
