//! A day's work on a tree: about one regular file in a hundred changes, but at least six.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::tree::{set_modified, write_content};

/// The kinds of change, which follow each other by turns.
const KINDS: usize = 6;

/// Changes a tree by a seed, and returns the paths that it touched.
///
/// By turns files grow, are overwritten in place with their times kept away from the old ones,
/// are removed, renamed, given another mode, or joined by a new one.
pub fn mutate(root: &Path, seed: u64) -> Vec<PathBuf> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let count = files.len().div_ceil(100).max(KINDS).min(files.len());
    let mut touched = Vec::new();
    for number in 0..count {
        let path = files.swap_remove(random.random_range(0..files.len()));
        match number % KINDS {
            0 => {
                let mut file = File::options().append(true).open(&path).unwrap();
                file.write_all(&seed.to_le_bytes()).unwrap();
            }
            1 => write_content(&path, 5000, false, &mut random),
            2 => fs::remove_file(&path).unwrap(),
            3 => fs::rename(
                &path,
                path.with_file_name(format!("renamed-{seed}-{number}")),
            )
            .unwrap(),
            4 => {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode ^ 0o011)).unwrap();
            }
            _ => {
                let new = path.with_file_name(format!("new-{seed}-{number}"));
                write_content(&new, 7000, true, &mut random);
                set_modified(&new, 1_750_000_000 + seed as i64, 42);
            }
        }
        touched.push(path);
    }
    touched
}

/// Finds regular files with one name, so that a change touches one path alone.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    use std::os::unix::fs::MetadataExt;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            collect(&path, files);
        } else if metadata.is_file() && metadata.nlink() == 1 {
            files.push(path);
        }
    }
}
