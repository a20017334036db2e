//! Which version of a file is right: the newest that has its name, whatever hides it.
//!
//! Where there is one version alone, or all show the same content, nobody needs to read it: a lock on
//! it is a lock on what is there. Where somebody has put something else, versions are read until one
//! is right, the newest first, and those of the right size before all others.

use std::cmp::Reverse;
use std::io::Read;

use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id};
use strongroom_store::{
    Error as StoreError, FileVersion, Locks, Result, ShownLock, VersionContent, VersionId, Versions,
};

use crate::locking::needed::NeededFile;

/// How much of a version is read at a time.
const STEP_BYTES: usize = 64 << 10;

/// What was found of a file.
#[derive(Debug)]
pub(super) enum Found {
    /// Its newest right version, and its lock.
    Right(VersionId, ShownLock),
    /// So many versions, and none of them is right.
    Wrong(usize),
    /// It is not there, and never was.
    Missing,
}

/// What finds the right version of a file at a place.
#[derive(Clone, Copy)]
pub(super) struct Finder<'a> {
    pub(super) locks: &'a dyn Locks,
    /// `None` where none may be listed.
    pub(super) versions: Option<&'a dyn Versions>,
    /// The bytes of `config`.
    pub(super) config: &'a [u8],
}

impl Finder<'_> {
    /// Finds it among these, which are all that the place has; asks the place for them where they are
    /// not given.
    pub(super) fn find(
        &self,
        file: &NeededFile,
        listed: Option<Vec<FileVersion>>,
    ) -> Result<Found> {
        let Some(versions) = self.versions else {
            return self.find_seen(file);
        };
        let listed = match listed {
            Some(listed) => listed,
            None => match versions.versions_of(file.name) {
                Err(StoreError::Denied { .. }) => return self.find_seen(file),
                listed => listed?,
            },
        };
        let candidates = in_order(listed, file.size_bytes);
        let count = candidates.len();
        let mut not_locked = None;
        for (version, is_sure) in candidates {
            if !is_sure && !self.is_right(versions, file.name, &version)? {
                continue;
            }
            match self.locks.lock_of(file.name, Some(&version)) {
                Ok(lock) => return Ok(Found::Right(version, lock)),
                // A key encrypts it, or an archive has it: an older one may be as right.
                Err(error @ StoreError::NotLocked { .. }) => not_locked = Some(error),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match (not_locked, count) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(Found::Missing),
            (None, count) => Ok(Found::Wrong(count)),
        }
    }

    /// Takes what is seen under the name, where it has the right size.
    fn find_seen(&self, file: &NeededFile) -> Result<Found> {
        let seen = match self.locks.seen(file.name) {
            Err(StoreError::NotFound { .. }) => return Ok(Found::Missing),
            seen => seen?,
        };
        match file.size_bytes.is_none_or(|size| size == seen.size_bytes) {
            true => Ok(Found::Right(seen.version, seen.lock)),
            false => Ok(Found::Wrong(1)),
        }
    }

    /// Reads a version, and holds it against the name of the file.
    fn is_right(
        &self,
        versions: &dyn Versions,
        name: FileName,
        version: &VersionId,
    ) -> Result<bool> {
        let mut stream = match versions.open_version(name, version) {
            Ok(stream) => stream,
            Err(error) => return wrong_or(error),
        };
        let expected = name.id().unwrap_or_else(|| Id::of(self.config));
        let mut hash = Sha256::new();
        let mut step = vec![0; STEP_BYTES];
        loop {
            match stream.read(&mut step) {
                Ok(0) => break,
                Ok(count) => hash.update(step.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return wrong_or(StoreError::of_stream("", name, error)),
            }
        }
        Ok(Id::from_bytes(hash.finalize().into()) == expected)
    }
}

/// What cannot be read is not right, but for where nothing can be read at all.
fn wrong_or(error: StoreError) -> Result<bool> {
    match error {
        StoreError::Unreachable { .. } | StoreError::Cancelled { .. } => Err(error),
        _ => Ok(false),
    }
}

/// The versions that have bytes in the order in which they are tried, and of each whether it is right
/// without being read.
fn in_order(versions: Vec<FileVersion>, size_bytes: Option<u64>) -> Vec<(VersionId, bool)> {
    let with_bytes = versions.into_iter().filter_map(|version| {
        let VersionContent::Bytes { size_bytes, tag } = &version.content else {
            return None;
        };
        let content = (*size_bytes, tag.clone());
        Some((version, content))
    });
    let mut found: Vec<_> = with_bytes.collect();
    let is_alone = found.len() == 1;
    let first = found.first().map(|(_, content)| content.clone());
    let is_same = |content: &(u64, Option<String>)| {
        let has_tag = is_alone || content.1.is_some();
        has_tag && first.as_ref() == Some(content)
    };
    let is_sized = |size: u64| size_bytes.is_none_or(|expected| expected == size);
    let is_sure = found
        .iter()
        .all(|(_, content)| is_same(content) && is_sized(content.0));
    // A place lists the newest first, which decides within a second.
    found.sort_by_key(|(version, content)| {
        let is_other_size = !is_sized(content.0);
        (
            is_other_size,
            Reverse(version.is_newest),
            Reverse(version.made),
        )
    });
    let tried = found.into_iter();
    tried
        .map(|(version, _)| (version.version, is_sure))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn version(id: &str, second: u64, size_bytes: u64, tag: Option<&str>) -> FileVersion {
        FileVersion {
            name: FileName::CONFIG,
            version: VersionId::new(id),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            is_newest: false,
            content: VersionContent::Bytes {
                size_bytes,
                tag: tag.map(str::to_owned),
            },
        }
    }

    fn marker(second: u64) -> FileVersion {
        FileVersion {
            is_newest: true,
            content: VersionContent::Marker,
            ..version("marker", second, 0, None)
        }
    }

    fn order(versions: Vec<FileVersion>, size_bytes: u64) -> Vec<(String, bool)> {
        let found = in_order(versions, Some(size_bytes)).into_iter();
        found
            .map(|(version, is_sure)| (version.as_str().to_owned(), is_sure))
            .collect()
    }

    fn tried(expected: &[&str], is_sure: bool) -> Vec<(String, bool)> {
        let ids = expected.iter();
        ids.map(|id| ((*id).to_owned(), is_sure)).collect()
    }

    #[test]
    fn one_version_alone_is_right_where_its_size_is() {
        let alone = |tag| vec![marker(9), version("a", 1, 7, tag)];
        for tag in [None, Some("t")] {
            assert_eq!(order(alone(tag), 7), tried(&["a"], true));
            assert_eq!(order(alone(tag), 8), tried(&["a"], false));
        }
        assert_eq!(order(vec![marker(9)], 7), []);
    }

    #[test]
    fn where_all_have_one_content_the_newest_is_right_and_else_each_is_read() {
        let same = vec![
            version("old", 1, 7, Some("t")),
            version("new", 2, 7, Some("t")),
        ];
        assert_eq!(order(same, 7), tried(&["new", "old"], true));
        let untold = vec![version("old", 1, 7, None), version("new", 2, 7, None)];
        assert_eq!(order(untold, 7), tried(&["new", "old"], false));
        let junk = vec![
            version("longer", 4, 9, Some("x")),
            version("junk", 3, 7, Some("y")),
            marker(2),
            version("right", 1, 7, Some("t")),
        ];
        let expected = tried(&["junk", "right", "longer"], false);
        assert_eq!(order(junk, 7), expected);
    }
}
