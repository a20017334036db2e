//! The damage that a trial does to one of its own copies.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    flipped: usize,
    truncated: usize,
    deleted: usize,
}

impl Done {
    /// How many files are wrong now.
    pub(super) const fn files(&self) -> usize {
        self.flipped + self.truncated + self.deleted
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.flipped, "changed a byte in one pack"),
            (self.truncated, "cut one short"),
            (self.deleted, "deleted one"),
        ];
        let done: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, what)| *what)
            .collect();
        f.write_str(&done.join(", "))
    }
}

/// Flips a byte in one pack, cuts one short and deletes one, as far as there are so many.
pub(super) fn damage(copy: &Path) -> Result<Done> {
    let mut done = Done {
        flipped: 0,
        truncated: 0,
        deleted: 0,
    };
    let damaging = || Error::local(format!("damage {}", copy.display()));
    for (number, pack) in packs(&copy.join("data"))
        .map_err(damaging())?
        .iter()
        .enumerate()
    {
        let outcome = match number {
            0 => flip(pack).map(|()| done.flipped += 1),
            1 => truncate(pack).map(|()| done.truncated += 1),
            2 => fs::remove_file(pack).map(|()| done.deleted += 1),
            _ => break,
        };
        outcome.map_err(damaging())?;
    }
    Ok(done)
}

fn packs(data: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut packs = Vec::new();
    for folder in fs::read_dir(data)? {
        for pack in fs::read_dir(folder?.path())? {
            packs.push(pack?.path());
        }
    }
    packs.sort();
    Ok(packs)
}

fn flip(pack: &Path) -> std::io::Result<()> {
    let file = writable(pack)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle)?;
    file.write_all_at(&byte.map(|byte| byte ^ 1), middle)
}

fn truncate(pack: &Path) -> std::io::Result<()> {
    let file = writable(pack)?;
    let half = file.metadata()?.len() / 2;
    file.set_len(half)
}

/// Opens a stored file, which is read-only, to write.
fn writable(pack: &Path) -> std::io::Result<fs::File> {
    fs::set_permissions(pack, fs::Permissions::from_mode(0o600))?;
    fs::File::options().read(true).write(true).open(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_packs_are_damaged_in_three_ways_and_no_more_than_there_are() {
        let copy = tempfile::tempdir().unwrap();
        let data = copy.path().join("data");
        for name in ["aa", "bb", "cc", "dd"] {
            fs::create_dir_all(data.join(name)).unwrap();
            fs::write(data.join(name).join("pack"), "0123456789").unwrap();
        }
        let done = damage(copy.path()).unwrap();
        assert_eq!(done.files(), 3);
        let read = |name: &str| fs::read_to_string(data.join(name).join("pack"));
        assert_eq!(read("aa").unwrap(), "0123446789");
        assert_eq!(read("bb").unwrap(), "01234");
        assert!(read("cc").is_err());
        assert_eq!(read("dd").unwrap(), "0123456789");
        fs::remove_dir_all(data.join("aa")).unwrap();
        fs::remove_dir_all(data.join("bb")).unwrap();
        fs::remove_dir(data.join("cc")).unwrap();
        assert_eq!(damage(copy.path()).unwrap().files(), 1);
    }
}
