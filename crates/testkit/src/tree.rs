//! Source trees for tests: made from a seed, changed by a seed, and compared completely.
//!
//! With their oddities they hold everything that a backup must keep.

mod compare;
mod mutate;
mod odd;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

pub use compare::{Difference, compare, compare_with, digest};
pub use mutate::mutate;
pub use odd::{NEWER_FOLDER, make_oddities};

/// What a tree is made of.
#[derive(Clone, Debug)]
pub struct TreeSpec {
    /// Two equal specs make equal trees.
    pub seed: u64,
    /// How many folders, nested at random.
    pub folders: usize,
    /// How many files of up to 16 KiB, some of them empty, half of them compressible.
    pub small_files: usize,
    /// The sizes of further files, by turns compressible and not.
    pub big_files_bytes: Vec<u64>,
    /// Whether to add the corner cases, in a folder `odd`: see [`make_oddities`].
    pub oddities: bool,
}

impl TreeSpec {
    /// A few folders and files: enough for most tests.
    pub const fn small(seed: u64) -> Self {
        Self {
            seed,
            folders: 8,
            small_files: 40,
            big_files_bytes: Vec::new(),
            oddities: false,
        }
    }

    /// Everything that a file system can hold, and files of several chunks.
    pub fn everything(seed: u64) -> Self {
        Self {
            folders: 12,
            small_files: 60,
            big_files_bytes: vec![3 << 20, 5 << 20],
            oddities: true,
            ..Self::small(seed)
        }
    }

    /// Makes the tree at `root`, which is made where it is missing and must be empty.
    ///
    /// # Panics
    /// Panics where the file system cannot hold the tree: `oddities` need extended attributes.
    pub fn build(&self, root: &Path) {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut paths = Vec::new();
        fs::create_dir_all(root).unwrap();
        let mut folders = vec![root.to_owned()];
        for number in 0..self.folders {
            let parent = pick(&folders, &mut random);
            let path = parent.join(format!("folder {number}"));
            fs::create_dir(&path).unwrap();
            folders.push(path.clone());
            paths.push(path);
        }
        for number in 0..self.small_files {
            let path = pick(&folders, &mut random).join(format!("file-{number}.dat"));
            let length = match number % 7 {
                0 => 0,
                _ => random.random_range(1..16 << 10),
            };
            write_content(&path, length, number % 2 == 0, &mut random);
            paths.push(path);
        }
        for (number, length) in self.big_files_bytes.iter().enumerate() {
            let path = pick(&folders, &mut random).join(format!("big-{number}.bin"));
            write_content(&path, *length, number % 2 == 0, &mut random);
            paths.push(path);
        }
        // Times last and deepest first: making a file changes its folder's time.
        paths.sort();
        for path in paths.iter().rev() {
            let seconds = random.random_range(0..1_700_000_000);
            set_modified(path, seconds, random.random_range(0..1_000_000_000));
        }
        if self.oddities {
            let folder = root.join("odd");
            fs::create_dir(&folder).unwrap();
            make_oddities(&folder);
        }
        set_modified(root, 1_600_000_000, 123_456_789);
    }
}

fn pick(folders: &[PathBuf], random: &mut StdRng) -> PathBuf {
    folders[random.random_range(0..folders.len())].clone()
}

/// Writes a file of random bytes, or of random words, which compress well.
pub(crate) fn write_content(path: &Path, length: u64, compressible: bool, random: &mut StdRng) {
    const WORDS: [&str; 8] = [
        "backup ", "copy ", "vault ", "seal ", "medium ", "site ", "domain ", "plan\n",
    ];
    let mut bytes = vec![0; length as usize];
    if compressible {
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let word = WORDS[random.random_range(0..WORDS.len())].as_bytes();
            let count = rest.write(word).unwrap();
            assert!(count > 0);
        }
    } else {
        random.fill_bytes(&mut bytes);
    }
    fs::write(path, bytes).unwrap();
}

/// Sets the time of modification, of a link itself and not of what it leads to.
pub(crate) fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
