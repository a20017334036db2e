//! Which version of a file is to be locked: the right one, whatever hides it, in the order of
//! [`right_version`](crate::right_version).
//!
//! Where there is one version alone, or all show the same content, nobody needs to read it: a lock on
//! it is a lock on what is there. Where somebody has put something else, versions are read until one
//! is right, those of the right size before all others.
//!
//! **Security:** whoever may write makes as many versions as he likes. So of each file a few are kept,
//! whatever their number, none that is larger than any sound file is read, and between two steps of a
//! read, and two versions of a listing, it is asked whether the time is over.

use std::time::Instant;

use strongroom_model::{FileName, Id};
use strongroom_store::{
    Error as StoreError, FileVersion, Locks, Result, ShownLock, VersionContent, VersionId,
    Versions, read_limit_bytes,
};

use crate::locking::needed::NeededFile;
use crate::right_version::{self, Candidate, Candidates, Sought, Unread};
use crate::session::Cancel;

/// How many versions of a file are kept, beside the oldest.
const MOST_KEPT: usize = 16;

/// What was found of a file.
#[derive(Debug)]
pub(super) enum Found {
    /// The first of its versions that is right, and its lock.
    Right(VersionId, ShownLock),
    /// So many versions, and none of those that were tried is right.
    Wrong {
        /// How many there are.
        count: u64,
        /// How many were tried, and could be read.
        tried: u64,
    },
    /// The time was over before it was found.
    Late,
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
    pub(super) cancel: &'a Cancel,
    /// When its time is over.
    pub(super) until: Option<Instant>,
}

/// What came of reading a version.
enum Reading {
    Right,
    Wrong,
    /// It may not be read, so that it may be the right one.
    Refused(StoreError),
    Late,
}

/// The versions of a file that are tried, and whether any of them need be read.
#[derive(Debug)]
pub(super) struct Listed {
    file: NeededFile,
    /// How many have bytes.
    count: u64,
    /// The content of one of them, as it is listed, and whether that of all others is the same.
    content: Option<(u64, Option<String>)>,
    are_same: bool,
    candidates: Candidates,
}

impl Finder<'_> {
    /// Finds it among these, which are what the place has; asks the place for them where they are not
    /// given.
    pub(super) fn find(&self, file: &NeededFile, listed: Option<Listed>) -> Result<Found> {
        let Some(versions) = self.versions else {
            return self.find_seen(file);
        };
        let listed = match listed {
            Some(listed) => listed,
            None => match self.list(versions, file) {
                Err(StoreError::Denied { .. }) => return self.find_seen(file),
                Ok(None) => return Ok(Found::Late),
                Ok(Some(listed)) => listed,
                Err(error) => return Err(error),
            },
        };
        let is_sure = listed.are_sure();
        let mut tried = 0;
        let (mut not_locked, mut refused) = (None, None);
        for Candidate { version, .. } in listed.candidates.in_order() {
            let is_right = is_sure
                || match self.read(versions, file.name, version)? {
                    Reading::Right => true,
                    Reading::Wrong => false,
                    Reading::Refused(error) => {
                        refused = Some(error);
                        continue;
                    }
                    Reading::Late => return Ok(Found::Late),
                };
            tried += 1;
            if !is_right {
                continue;
            }
            match self.locks.lock_of(file.name, Some(version)) {
                Ok(lock) => return Ok(Found::Right(version.clone(), lock)),
                // A key encrypts it, or an archive has it: an older one may be as right.
                Err(error @ StoreError::NotLocked { .. }) => not_locked = Some(error),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Where none may be read, nobody knows that none is right.
        let refused = refused.filter(|_| tried == 0);
        match (not_locked.or(refused), listed.count) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(Found::Missing),
            (None, count) => Ok(Found::Wrong { count, tried }),
        }
    }

    /// Finds it where the version that is recorded is another one; `None` where that is right, and where
    /// it cannot be told.
    pub(super) fn find_instead(
        &self,
        file: &NeededFile,
        listed: Option<Listed>,
        recorded: &VersionId,
    ) -> Result<Option<Found>> {
        let Some(versions) = self.versions else {
            return Ok(None);
        };
        let listed = match listed {
            Some(listed) => listed,
            None => match self.list(versions, file) {
                Err(StoreError::Denied { .. }) | Ok(None) => return Ok(None),
                Ok(Some(listed)) => listed,
                Err(error) => return Err(error),
            },
        };
        if listed.count == 0 || listed.are_sure() {
            return Ok(None);
        }
        match self.read(versions, file.name, recorded)? {
            Reading::Right | Reading::Late => Ok(None),
            Reading::Wrong | Reading::Refused(_) => self.find(file, Some(listed)).map(Some),
        }
    }

    /// Lists the versions of a file; `None` where the time is over before all of them were.
    fn list(&self, versions: &dyn Versions, file: &NeededFile) -> Result<Option<Listed>> {
        let mut found = Listed::of(*file);
        let mut is_late = false;
        let listed = versions.each_version_of(file.name, &mut |version| {
            self.check(file.name)?;
            is_late = self.is_late();
            if is_late {
                let location = file.name.to_string();
                return Err(StoreError::Cancelled { location });
            }
            found.take(&version);
            Ok(())
        });
        match listed {
            Err(StoreError::Cancelled { .. }) if is_late => Ok(None),
            listed => listed.map(|()| Some(found)),
        }
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Fails where the user has interrupted.
    fn check(&self, name: FileName) -> Result<()> {
        match self.cancel.is_cancelled() {
            false => Ok(()),
            true => Err(StoreError::Cancelled {
                location: name.to_string(),
            }),
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
            false => Ok(Found::Wrong { count: 1, tried: 1 }),
        }
    }

    /// Reads a version, and holds it against the name of the file.
    fn read(
        &self,
        versions: &dyn Versions,
        name: FileName,
        version: &VersionId,
    ) -> Result<Reading> {
        let mut stream = match versions.open_version(name, version) {
            Ok(stream) => stream,
            Err(error) => return wrong_or(error),
        };
        let expected = name.id().unwrap_or_else(|| Id::of(self.config));
        let limit_bytes = read_limit_bytes(name.kind());
        // Where it is late, that is no error.
        let go_on = |_: &[u8]| -> std::result::Result<(), Option<StoreError>> {
            self.check(name).map_err(Some)?;
            match self.is_late() {
                true => Err(None),
                false => Ok(()),
            }
        };
        match right_version::hash_of(&mut *stream, limit_bytes, go_on) {
            Ok((found, size)) if found == expected && size <= limit_bytes => Ok(Reading::Right),
            Ok(_) => Ok(Reading::Wrong),
            Err(Unread::Taker(None)) => Ok(Reading::Late),
            Err(Unread::Taker(Some(error))) => Err(error),
            Err(Unread::Stream(error)) => wrong_or(StoreError::of_stream("", name, error)),
        }
    }
}

/// What cannot be read is not right, but for where nothing can be read at all, or it may not be.
fn wrong_or(error: StoreError) -> Result<Reading> {
    match error {
        StoreError::Unreachable { .. } | StoreError::Cancelled { .. } => Err(error),
        StoreError::Denied { .. } => Ok(Reading::Refused(error)),
        _ => Ok(Reading::Wrong),
    }
}

impl Listed {
    /// None yet.
    pub(super) fn of(file: NeededFile) -> Self {
        Self {
            file,
            count: 0,
            content: None,
            are_same: true,
            candidates: Candidates::default(),
        }
    }

    /// Takes a version as it is listed.
    pub(super) fn take(&mut self, version: &FileVersion) {
        let VersionContent::Bytes { size_bytes, tag } = &version.content else {
            return;
        };
        self.count += 1;
        match &self.content {
            None => self.content = Some((*size_bytes, tag.clone())),
            Some((size, known)) => {
                self.are_same &= tag.is_some() && known == tag && size == size_bytes;
            }
        }
        let sought = Sought {
            size_bytes: self.file.size_bytes,
            as_of: None,
        };
        if let Ok(Some(candidate)) = Candidate::of(version, &sought) {
            let kind = self.file.name.kind();
            self.candidates.offer(kind, candidate, MOST_KEPT);
        }
    }

    /// How many bytes of memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        let tag = self.content.as_ref().and_then(|(_, tag)| tag.as_ref());
        2 * size_of::<Self>() + tag.map_or(0, String::len) + self.candidates.held_bytes()
    }

    /// Whether there is one content alone, of the right size.
    fn are_sure(&self) -> bool {
        let known = self.file.size_bytes;
        let is_sized = |size_bytes: u64| known.is_none_or(|known| known == size_bytes);
        let content = self.content.as_ref();
        self.are_same && content.is_some_and(|(size_bytes, _)| is_sized(*size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use strongroom_model::FileType;
    use strongroom_testkit::{FakeBucket, Rights};

    use super::*;

    fn name() -> FileName {
        FileName::new(FileType::Data, Id::of(b"pack"))
    }

    fn version(id: &str, second: u64, size_bytes: u64, tag: Option<&str>) -> FileVersion {
        FileVersion {
            name: name(),
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
        let mut listed = Listed::of(NeededFile {
            name: name(),
            size_bytes: Some(size_bytes),
        });
        for version in versions {
            listed.take(&version);
        }
        let is_sure = listed.are_sure();
        let in_order = listed.candidates.in_order();
        in_order
            .map(|one| (one.version.to_string(), is_sure))
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

    #[test]
    fn the_versions_of_a_file_are_listed_no_longer_than_there_is_time() {
        let bucket = FakeBucket::locking("bucket", Duration::from_secs(86_400));
        bucket.put(name(), b"pack");
        let (cancel, now) = (Cancel::default(), Instant::now());
        let finder = Finder {
            locks: &bucket,
            versions: Some(&bucket),
            config: b"",
            cancel: &cancel,
            until: Some(now),
        };
        let file = NeededFile {
            name: name(),
            size_bytes: None,
        };
        assert!(matches!(finder.find(&file, None), Ok(Found::Late)));
        let in_time = Finder {
            until: None,
            ..finder
        };
        assert!(matches!(in_time.find(&file, None), Ok(Found::Right(..))));
    }

    #[test]
    fn where_no_version_may_be_read_that_is_told_and_not_that_none_is_right() {
        let bucket = FakeBucket::locking("bucket", Duration::from_secs(86_400));
        bucket.put(name(), b"junk");
        let cancel = Cancel::default();
        let finder = Finder {
            locks: &bucket,
            versions: Some(&bucket),
            config: b"",
            cancel: &cancel,
            until: None,
        };
        let file = NeededFile {
            name: name(),
            size_bytes: None,
        };
        // Of some that may be read it is known that they are wrong.
        bucket.put_sealed(name(), b"his own key encrypts it");
        let found = finder.find(&file, None);
        assert!(
            matches!(found, Ok(Found::Wrong { count: 2, tried: 1 })),
            "{found:?}"
        );
        bucket.put(name(), b"pack");
        bucket.put(name(), b"more junk");
        let found = finder.find(&file, None);
        assert!(matches!(found, Ok(Found::Right(..))), "{found:?}");

        bucket.allow(Rights {
            read_versions: false,
            ..Rights::default()
        });
        let found = finder.find(&file, None);
        let is_denied = matches!(found, Err(StoreError::Denied { .. }));
        assert!(is_denied, "{found:?}");
        let recorded = VersionId::new("recorded");
        let instead = finder.find_instead(&file, None, &recorded);
        assert!(instead.is_err(), "{instead:?}");
    }

    #[test]
    fn of_however_many_versions_a_few_are_kept_and_the_oldest_is_tried_second() {
        let mut many: Vec<_> = (2..1000)
            .rev()
            .map(|second| version(&format!("junk {second}"), second, 7, Some("x")))
            .collect();
        many.push(version("right", 1, 7, Some("t")));
        many.push(version("large", 0, u64::MAX, Some("x")));
        let tried = order(many, 7);
        assert_eq!(tried.len(), MOST_KEPT + 1);
        assert_eq!(tried[0].0, "junk 999");
        assert_eq!(tried[1].0, "right");
    }
}
