//! A repository in a bucket, laid out as restic lays it out, and locked where that is asked for.
//!
//! ```text
//! absent ──PUT with mode, date and MD5──▶ put, version v ──HEAD v──▶ locked until d   (or: NotLocked)
//! locked ──DELETE, overwrite──▶ hidden: v is there, locked, behind a marker or another version
//! hidden ──save of the same bytes──▶ put anew, version w
//! ```
//!
//! What can go wrong: an answer is lost after a file was stored (so: whether it is there is asked
//! first, and again when the whole is tried again), a server that ignores `If-None-Match` (so: it
//! is not used; two that put at once leave two versions of the same bytes), one that stores
//! something else than was sent, or without its lock (so: sums are compared, and the very version
//! is looked at), and a place where removal only hides (so: the files in `locks/`, which come and
//! go, are removed by version; they are never locked).

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;
use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::exact::read_exactly;
use crate::s3::client::Bucket;
use crate::s3::layout::Layout;
use crate::s3::lock::{Saved, away};
use crate::s3::object::Object;
use crate::s3::options::S3Options;
use crate::s3::stream::Source;
use crate::s3::sum::{LARGE_PART_BYTES, Said, Sums, compare};
use crate::s3::upload::{Stored, Upload};
use crate::store::{
    STEP_BYTES, SharedBytes, Store, list_config, list_limit_files, read_limit_bytes,
};
use crate::versions::ShowVersion;
use crate::{
    Attacks, Error, FileVersion, Holder, Locks, Result, VersionContent, VersionId, Versions,
};

/// How what is stored is locked.
#[derive(Clone)]
pub struct S3Lock {
    /// The least time for which every file is to stay locked.
    pub least: Duration,
    /// Our own clock, held against that of the server.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

/// A repository in a bucket.
#[derive(Debug)]
pub struct S3Store {
    bucket: Arc<Bucket>,
    layout: Layout,
    lock: Option<S3Lock>,
    /// What saves have seen of locks.
    saved: Saved,
    /// Whether it was told that the clocks are apart.
    pub(super) has_told_clocks: AtomicBool,
}

impl S3Store {
    /// Finds out how to reach the bucket; the bucket itself is not asked yet.
    ///
    /// # Errors
    /// [`Error::Address`] where the options cannot be used.
    pub fn new(options: S3Options, lock: Option<S3Lock>) -> Result<Self> {
        let bucket = Arc::new(Bucket::connect(options)?);
        Ok(Self {
            layout: Layout::new(bucket.folder()),
            bucket,
            lock,
            saved: Saved::default(),
            has_told_clocks: AtomicBool::new(false),
        })
    }

    pub(super) const fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) const fn lock(&self) -> Option<&S3Lock> {
        self.lock.as_ref()
    }

    pub(super) const fn saved(&self) -> &Saved {
        &self.saved
    }

    /// What is asked of one file.
    pub(super) fn object(&self, name: FileName) -> Object {
        Object {
            bucket: Arc::clone(&self.bucket),
            location: self.bucket.location.clone(),
            name,
            source: Source::newest(self.layout.key(name)),
        }
    }

    /// How the files of a type are locked; those that come and go are not.
    fn lock_for(&self, kind: FileType) -> Option<&S3Lock> {
        self.lock().filter(|_| kind != FileType::Locks)
    }

    /// Opens the bytes of `range`, or all, and tells how many there are.
    fn stream(
        &self,
        object: &Object,
        range: Option<Range<u64>>,
    ) -> Result<(Box<dyn Read + Send>, u64)> {
        let furthest = range.as_ref().map(|range| range.start.max(range.end));
        let short = || Error::ShortFile {
            name: object.name,
            location: self.bucket.location.clone(),
        };
        if furthest.is_some_and(|furthest| i64::try_from(furthest).is_err()) {
            // No file is that large, and servers take such a range for nonsense.
            return Err(short());
        }
        let (size_bytes, stream) = object.open(range.clone())?;
        if furthest.is_some_and(|furthest| furthest > size_bytes) {
            return Err(short());
        }
        let length_bytes = range.map_or(size_bytes, |range| range.end.saturating_sub(range.start));
        let stream = Told {
            inner: stream,
            name: object.name,
            location: self.bucket.location.clone(),
        };
        Ok((Box::new(stream), length_bytes))
    }

    /// Reads all of what [`S3Store::stream`] opens, within the limit.
    fn read_whole(&self, name: FileName, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let (stream, length_bytes) = self.stream(&self.object(name), range)?;
        let limit_bytes = read_limit_bytes(name.kind());
        if length_bytes > limit_bytes {
            return Err(Error::TooLarge {
                name,
                location: self.bucket.location.clone(),
                limit_bytes,
            });
        }
        let location = &self.bucket.location;
        read_exactly(stream, length_bytes).map_err(|error| Error::of_stream(location, name, error))
    }

    /// Stores a file where there is none; what is there already is compared, and locked where it
    /// should be and is not, or put anew where a lock would keep nothing that can be read.
    fn keep(&self, name: FileName, bytes: Bytes) -> Result<()> {
        let (object, sums) = (self.object(name), Sums::of(&bytes));
        let Some(told) = object.look()? else {
            return self.put(&object, bytes, &sums);
        };
        let lock = self.lock_for(name.kind());
        // What is locked is what was compared, whatever somebody puts there in between.
        let seen = object.in_version(lock.and(told.version_id()).map(str::to_owned));
        if !self.is_same(&seen, &told, &bytes, &sums)? {
            return Err(Error::Exists {
                name,
                location: self.bucket.location.clone(),
            });
        }
        match lock {
            Some(lock) if away(&told).is_none() => {
                let until = self.hold(&seen, &told, lock)?;
                self.saved.note(name, told.version_id(), until);
                Ok(())
            }
            Some(_) => self.put(&object, bytes, &sums),
            None => Ok(()),
        }
    }

    /// Whether exactly these bytes lie there, as was told of them.
    fn is_same(
        &self,
        object: &Object,
        told: &HeadObjectOutput,
        bytes: &[u8],
        sums: &Sums,
    ) -> Result<bool> {
        if object.size_in(told)? != bytes.len() as u64 {
            return Ok(false);
        }
        let encryption = told.server_side_encryption();
        if compare(told.e_tag(), encryption, &sums.tag()) == Said::Same {
            return Ok(true);
        }
        // Who sent it in other parts, or what encrypts it, has given it another tag.
        let (stream, length_bytes) = self.stream(object, None)?;
        let stored = read_exactly(stream, length_bytes.min(bytes.len() as u64));
        let location = &self.bucket.location;
        let stored = stored.map_err(|error| Error::of_stream(location, object.name, error))?;
        Ok(length_bytes == bytes.len() as u64 && stored == bytes)
    }

    /// Stores a file, whatever lies under its name.
    fn put(&self, object: &Object, bytes: Bytes, sums: &Sums) -> Result<()> {
        let size_bytes = bytes.len() as u64;
        let lock = self.lock_for(object.name.kind());
        let until = lock.map(|lock| self.next_date(lock)).transpose()?;
        let date = until.map(DateTime::from);
        let stored = match sums {
            Sums::Whole(sum) => object.put(bytes, Some(*sum), date)?,
            Sums::Parts(parts) => {
                let mut upload = Upload::begin(object.clone(), date)?;
                for (number, sum) in parts.iter().enumerate() {
                    let start = number.saturating_mul(LARGE_PART_BYTES);
                    let end = start.saturating_add(LARGE_PART_BYTES).min(bytes.len());
                    upload.send(bytes.slice(start..end), Some(*sum))?;
                }
                let stored = upload.complete()?;
                stored.check(object, &sums.tag())?;
                stored
            }
        };
        match until {
            Some(until) => self.see_stored(object, stored, size_bytes, until),
            None => Ok(()),
        }
    }

    /// Sees to it that the very version that was stored is there and locked.
    fn see_stored(
        &self,
        object: &Object,
        stored: Stored,
        size_bytes: u64,
        until: SystemTime,
    ) -> Result<()> {
        let version = stored.version.filter(|version| version != NO_VERSION);
        if version.is_none() {
            let reason = "it has no version: the bucket does not keep any".to_owned();
            return Err(self.not_locked(object.name, reason));
        }
        let object = object.in_version(version);
        let told = object
            .look()?
            .ok_or_else(|| object.wrong("look at", "it does not know the version that it made"))?;
        if object.size_in(&told)? != size_bytes {
            return Err(object.wrong("look at", "it has another size than what was sent"));
        }
        self.check_at_hand(object.name, &told)?;
        let end = self.see_locked(&object, &told, until)?;
        let version = object.source.version.as_deref();
        self.saved.note(object.name, version, end);
        Ok(())
    }
}

/// The name of the version of a bucket that keeps none.
pub(super) const NO_VERSION: &str = "null";

impl Store for S3Store {
    fn location(&self) -> &str {
        &self.bucket.location
    }

    fn locks(&self) -> Option<&dyn Locks> {
        self.lock().map(|_| self as &dyn Locks)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        Some(self)
    }

    fn holder(&self) -> Holder {
        self.ask_holder()
    }

    /// The first version of `config`, and whose it is: nobody can put one before it.
    fn identity(&self) -> Result<Option<Id>> {
        self.ask_place()
    }

    fn time(&self) -> Option<SystemTime> {
        self.bucket.clock.now()
    }

    /// A bucket has no folders, and is made by whoever rules it: never by this.
    fn create(&self) -> Result<()> {
        Ok(())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        match kind {
            FileType::Config => list_config(self.size(FileName::CONFIG)),
            _ => self.list_files(kind),
        }
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        let entries = match kind {
            FileType::Config => self.list(kind)?,
            _ => self.first_files(kind, list_limit_files(kind))?,
        };
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.object(name).size_bytes()
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let (stream, _) = self.stream(&self.object(name), range)?;
        Ok(Box::new(BufReader::with_capacity(STEP_BYTES, stream)))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.read_whole(name, None)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.read_whole(name, Some(range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.keep(name, Bytes::copy_from_slice(bytes))
    }

    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.keep(name, Bytes::from_owner(Shared(bytes)))
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let sums = Sums::of(bytes);
        self.put(&self.object(name), Bytes::copy_from_slice(bytes), &sums)
    }

    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        let sums = Sums::of((*bytes).as_ref());
        self.put(&self.object(name), Bytes::from_owner(Shared(bytes)), &sums)
    }

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        self.end_uploads(older_than)
    }

    /// A lock goes with all its versions, so that nothing piles up; of anything else the versions
    /// stay, where the bucket keeps any.
    fn remove(&self, name: FileName) -> Result<()> {
        let object = self.object(name);
        let keeps_versions = object.hide()?;
        if !keeps_versions || name.kind() != FileType::Locks {
            return Ok(());
        }
        let Err(error) = object.remove_versions() else {
            return Ok(());
        };
        // Somebody may have locked one of them, which is seen again once its marker is gone.
        if object.look()?.is_some() {
            object.hide()?;
        }
        match error {
            // It is out of everybody's way, and whoever may not do more leaves it there.
            Error::Denied { .. } => {
                tracing::debug!(%error, "The versions of a lock stay");
                Ok(())
            }
            error => Err(error),
        }
    }
}

impl Versions for S3Store {
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()> {
        self.show_versions(kind, None, show)
    }

    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()> {
        self.show_versions(name.kind(), Some(name), show)
    }

    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let version = Some(version.as_str().to_owned());
        let (stream, _) = self.stream(&self.object(name).in_version(version), None)?;
        Ok(Box::new(BufReader::with_capacity(STEP_BYTES, stream)))
    }

    fn remove_marker(&self, marker: &FileVersion) -> Result<()> {
        let object = self.object(marker.name);
        match marker.content {
            VersionContent::Marker => object.remove_version(marker.version.as_str()),
            VersionContent::Bytes { .. } => Err(Error::Denied {
                location: self.bucket.location.clone(),
                action: format!("remove a marker of {}", marker.name),
                reason: "it is none: it has bytes".to_owned(),
            }),
        }
    }

    fn remove_version(&self, version: &FileVersion) -> Result<()> {
        let object = self.object(version.name);
        object.remove_version(version.version.as_str())
    }
}

impl fmt::Debug for S3Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Lock")
            .field("least", &self.least)
            .finish_non_exhaustive()
    }
}

/// Bytes that somebody else has too.
struct Shared(SharedBytes);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// A stream that says of what it was where it breaks off.
struct Told {
    inner: Box<dyn Read + Send>,
    name: FileName,
    location: String,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let (kind, location) = (error.kind(), self.location.clone());
            let error = error.downcast::<Error>().unwrap_or_else(|error| {
                let reason = format!("reading {} broke off: {error}", self.name);
                Error::Unreachable { location, reason }
            });
            io::Error::new(kind, error)
        })
    }
}

#[cfg(test)]
mod tests;
