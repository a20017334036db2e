//! The tried folder against what was restored, file by file, by other code than the one that
//! restored it.

use std::fs::{self, File, Metadata};
use std::io::{BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use strongroom_engine::Cancel;

use crate::error::{Error, Result};
use crate::words::{count, size};

/// How many differences are named.
const NAMED: usize = 20;

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// What is not the same, for people to read.
    pub(super) differences: Vec<String>,
    entries: u64,
    bytes: u64,
}

impl Compared {
    /// How much is the same.
    pub(super) fn counted(&self) -> String {
        format!(
            "{} with {}",
            count(self.entries, "entry", "entries"),
            size(self.bytes)
        )
    }

    fn differs(&mut self, path: &Path, how: &str) {
        if self.differences.len() < NAMED {
            self.differences.push(format!("{}: {how}", path.display()));
        }
    }
}

/// Compares names, kinds, modes, times and contents; owners too where this is root, who alone can
/// restore them. What cannot be read in the original was not backed up and is passed over, and so
/// are sockets, which nobody restores.
pub(super) fn compare(original: &Path, restored: &Path, cancel: &Cancel) -> Result<Compared> {
    let mut compared = Compared::default();
    let is_root = rustix::process::geteuid().is_root();
    let mut open = vec![(original.to_owned(), restored.to_owned())];
    while let Some((left, right)) = open.pop() {
        cancel.check()?;
        let Ok(expected) = left.symlink_metadata() else {
            continue;
        };
        if expected.file_type().is_socket() {
            continue;
        }
        let Ok(found) = right.symlink_metadata() else {
            if can_be_read(&left, &expected) {
                compared.differs(&left, "it was not restored");
            }
            continue;
        };
        compared.entries += 1;
        if let Some(how) = difference(&expected, &found, is_root) {
            compared.differs(&left, how);
        }
        if expected.is_symlink() {
            if fs::read_link(&left).ok() != fs::read_link(&right).ok() {
                compared.differs(&left, "it points elsewhere");
            }
        } else if expected.is_file() && found.is_file() {
            if !same_content(&left, &right).map_err(Error::local("compare"))? {
                compared.differs(&left, "its content is another");
            }
            compared.bytes += expected.len();
        } else if expected.is_dir() && found.is_dir() {
            for name in names(&left, &right, &mut compared) {
                open.push((left.join(&name), right.join(&name)));
            }
        }
    }
    Ok(compared)
}

fn can_be_read(path: &Path, metadata: &Metadata) -> bool {
    !metadata.is_file() || File::open(path).is_ok()
}

fn difference(expected: &Metadata, found: &Metadata, is_root: bool) -> Option<&'static str> {
    if expected.file_type() != found.file_type() {
        return Some("it is of another kind");
    }
    if expected.is_file() && expected.len() != found.len() {
        return Some("it has another length");
    }
    let mode = |metadata: &Metadata| metadata.mode() & 0o7777;
    if !expected.is_symlink() && mode(expected) != mode(found) {
        return Some("it has another mode");
    }
    let time = |metadata: &Metadata| (metadata.mtime(), metadata.mtime_nsec());
    if time(expected) != time(found) {
        return Some("it has another time");
    }
    let owner = |metadata: &Metadata| (metadata.uid(), metadata.gid());
    (is_root && owner(expected) != owner(found)).then_some("it has another owner")
}

/// The names in the original folder; those that only the restored one has differ.
fn names(left: &Path, right: &Path, compared: &mut Compared) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into()).collect()
    };
    let mut expected = list(left);
    expected.sort();
    for name in list(right) {
        if expected.binary_search(&name).is_err() {
            compared.differs(&left.join(name), "only the restored folder has it");
        }
    }
    expected
}

fn same_content(left: &Path, right: &Path) -> std::io::Result<bool> {
    let open =
        |path: &Path| Ok::<_, std::io::Error>(BufReader::with_capacity(1 << 17, File::open(path)?));
    let Ok(mut expected) = open(left) else {
        return Ok(true);
    };
    let mut found = open(right)?;
    let (mut one, mut two) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = expected.read(&mut one)?;
        let Some(read) = one.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(found.read(&mut two)? == 0);
        };
        let Some(other) = two.get_mut(..count) else {
            return Ok(false);
        };
        if found.read_exact(other).is_err() || read != other {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        for side in [&left, &right] {
            fs::create_dir_all(side.join("sub")).unwrap();
            fs::write(side.join("sub/file"), "content").unwrap();
            std::os::unix::fs::symlink("sub/file", side.join("link")).unwrap();
        }
        for path in ["sub/file", "sub", "link", ""] {
            let time = fs::symlink_metadata(left.join(path)).unwrap();
            let time = rustix::fs::Timespec {
                tv_sec: time.mtime(),
                tv_nsec: time.mtime_nsec(),
            };
            let times = rustix::fs::Timestamps {
                last_access: time,
                last_modification: time,
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, right.join(path), &times, flags).unwrap();
        }
        (folder, left, right)
    }

    fn told(left: &Path, right: &Path) -> Vec<String> {
        compare(left, right, &Cancel::default())
            .unwrap()
            .differences
    }

    #[test]
    fn equal_trees_are_equal() {
        let (_folder, left, right) = trees();
        assert_eq!(told(&left, &right), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        type Change = fn(&Path);
        let changes: [(Change, &str); 5] = [
            (
                |right| fs::remove_file(right.join("link")).unwrap(),
                "it was not restored",
            ),
            (
                |right| fs::write(right.join("new"), "").unwrap(),
                "only the restored folder has it",
            ),
            (
                |right| fs::write(right.join("sub/file"), "longer content").unwrap(),
                "it has another length",
            ),
            (
                |right| {
                    let file = File::options()
                        .write(true)
                        .open(right.join("sub/file"))
                        .unwrap();
                    file.set_modified(std::time::UNIX_EPOCH).unwrap();
                },
                "it has another time",
            ),
            (
                |right| {
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                    fs::set_permissions(right.join("sub/file"), mode).unwrap();
                },
                "it has another mode",
            ),
        ];
        for (change, expected) in changes {
            let (_folder, left, right) = trees();
            change(&right);
            let told = told(&left, &right);
            assert!(
                told.iter().any(|text| text.ends_with(expected)),
                "{told:?}: {expected}"
            );
        }
    }

    #[test]
    fn content_of_the_same_length_is_compared_to_the_end() {
        let (_folder, left, right) = trees();
        assert!(same_content(&left.join("sub/file"), &right.join("sub/file")).unwrap());
        fs::write(right.join("sub/file"), "contenT").unwrap();
        assert!(!same_content(&left.join("sub/file"), &right.join("sub/file")).unwrap());
    }
}
