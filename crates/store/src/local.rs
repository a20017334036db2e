//! A repository in a folder, laid out as restic lays it out.
//!
//! What can go wrong: power cuts (so: temporary file, fsync, rename, fsync of the folder), full
//! and read-only disks, links planted inside the repository (never followed), and a disk that is
//! not mounted, which looks like an empty folder (so: the folder is opened anew for each
//! operation, and only [`Store::create`] makes it). And what the system has in memory may be right
//! while the disk rots below it (so: a whole file that is opened is read from the disk).
//!
//! | at once       | save, same name            | replace              | remove           | read            |
//! |---------------|----------------------------|----------------------|------------------|-----------------|
//! | **save**      | one wins, the other compares | last rename wins   | either order     | old state or all |
//! | **replace**   | last rename wins           | last rename wins     | either order     | old or new, whole |
//! | **remove**    | either order               | either order         | both succeed     | an open file is read to its end |
//!
//! Nothing is locked: a rename is the only moment at which a name changes what it stands for.

mod attacks;
mod bodies;
mod durable;
mod fault;
mod folder;
mod folders;
mod growing;
mod listing;
mod moment;
mod settling;
mod temporary;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use strongroom_model::{FileEntry, FileName, FileType, Id};

pub use crate::local::bodies::LocalBodies;
pub(crate) use crate::local::settling::{Unsettled, settle};

use crate::exact::{Exact, read_exactly_into};
use crate::local::folder::{Modes, Place};
use crate::local::growing::NewFile;
use crate::local::moment::moment_of;
use crate::local::temporary::Temporary;
use crate::pulse::{Beating, Pulse};
use crate::store::{STEP_BYTES, Store, list_config, list_limit_files, read_limit_bytes};
use crate::{Attacks, Error, Growing, Result};

/// The types that have folders of their own.
const FOLDERS: [FileType; 5] = [
    FileType::Data,
    FileType::Index,
    FileType::Keys,
    FileType::Locks,
    FileType::Snapshots,
];

/// How much is written at a time, so that a slow disk is seen to move.
const WRITE_BYTES: usize = 1 << 20;

/// A repository in a local folder.
#[derive(Debug)]
pub struct LocalStore {
    path: PathBuf,
    location: String,
    pulse: Pulse,
}

impl LocalStore {
    /// Names the folder; nothing is touched yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            location: path.display().to_string(),
            path,
            pulse: Pulse::default(),
        }
    }

    /// What counts its steps; what is done to a lock is none, for that is tried again and again
    /// while everything else may hang.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// What counts the steps on a file of this type.
    fn pulse_of(&self, kind: FileType) -> Pulse {
        match kind {
            FileType::Locks => Pulse::default(),
            _ => self.pulse(),
        }
    }

    /// The repository's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the filesystem device that holds the repository.
    ///
    /// # Errors
    /// Fails where the folder does not exist or cannot be reached.
    pub fn device(&self) -> io::Result<u64> {
        Ok(std::fs::metadata(&self.path)?.dev())
    }

    /// The bytes that this user may still write there.
    ///
    /// # Errors
    /// As [`LocalStore::device`].
    pub fn free_bytes(&self) -> io::Result<u64> {
        Ok(folder::free_bytes(&self.path)?)
    }

    /// Removes temporary files that were last written before `older_than`, and counts them.
    ///
    /// They are what a killed process or a power cut leaves behind. No write takes a day, so what
    /// is older than that has no living owner.
    ///
    /// # Errors
    /// As [`Store::list`] and [`Store::remove`].
    pub fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        let action = "remove old temporary files of";
        let mut count = 0;
        let mut sweep = |folder: &OwnedFd, _: &str| {
            self.pulse.beat();
            count += temporary::sweep(folder, older_than)?;
            Ok(())
        };
        let root = self.open_folder("");
        root.and_then(|root| root.map_or(Ok(()), |root| sweep(&root, "")))
            .map_err(|errno| self.fault(format_args!("{action} the repository"), errno))?;
        for kind in FOLDERS.into_iter().chain([FileType::Records]) {
            self.each_folder(action, kind, &mut sweep)?;
        }
        Ok(count)
    }

    /// Shows the folders that hold files of a type, with what their files' names begin with.
    fn each_folder(
        &self,
        action: &str,
        kind: FileType,
        mut show: impl FnMut(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let failed = |errno| self.fault(format_args!("{action} {kind}"), errno);
        let Some(folder) = self.open_folder(kind.folder()).map_err(failed)? else {
            return Ok(());
        };
        if kind != FileType::Data {
            return show(&folder, "").map_err(failed);
        }
        for prefix in listing::subfolders(&folder, listing::is_prefix).map_err(failed)? {
            folder::exists(folder::open_child(&folder, &prefix))
                .and_then(|inner| inner.map_or(Ok(()), |inner| show(&inner, &prefix)))
                .map_err(|errno| self.fault(format_args!("{action} {kind}/{prefix}"), errno))?;
        }
        Ok(())
    }

    /// The files of a type that has a folder, until there are more than `limit`.
    fn first_files(&self, kind: FileType, limit: usize) -> Result<Vec<FileEntry>> {
        let mut entries = Vec::new();
        let mut buffer = listing::Buffer::new();
        self.each_folder("list", kind, |folder, prefix| {
            listing::collect(
                folder,
                prefix,
                &mut buffer,
                &mut entries,
                limit,
                &self.pulse,
            )
        })?;
        Ok(entries)
    }

    /// Opens a folder below the root; `None` where it does not exist.
    fn open_folder(&self, relative: &str) -> rustix::io::Result<Option<OwnedFd>> {
        folder::exists(folder::open(&self.path, relative))
    }

    /// Opens a stored file, which must be a regular one, and tells its size.
    fn open_file(&self, name: FileName) -> Result<(File, u64)> {
        let place = Place::of(name);
        let opened = folder::open(&self.path, &place.folder)
            .and_then(|folder| folder::open_regular(&folder, &place.base));
        opened.map_err(|errno| self.absent_or(name, "open", errno))
    }

    /// Opens the bytes of `range`, or all, and tells how many there are.
    fn open_range(&self, name: FileName, range: Option<Range<u64>>) -> Result<(File, u64)> {
        let (mut file, size_bytes) = self.open_file(name)?;
        let Some(range) = range else {
            return Ok((file, size_bytes));
        };
        if range.start.max(range.end) > size_bytes {
            return Err(Error::ShortFile {
                name,
                location: self.location.clone(),
            });
        }
        file.seek(SeekFrom::Start(range.start))
            .map_err(|error| self.io_fault(format_args!("read {name}"), error))?;
        Ok((file, range.end.saturating_sub(range.start)))
    }

    /// Reads all of what [`LocalStore::open_range`] opens, within the limit.
    fn read_whole(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let (file, length_bytes) = self.open_range(name, range)?;
        let limit_bytes = read_limit_bytes(name.kind());
        if length_bytes > limit_bytes {
            return Err(Error::TooLarge {
                name,
                location: self.location.clone(),
                limit_bytes,
            });
        }
        let stream = Beating::new(file, self.pulse_of(name.kind()));
        read_exactly_into(stream, length_bytes, memory)
            .map_err(|error| self.io_fault(format_args!("read {name}"), error))
    }

    /// Writes `bytes` under a temporary name and lets `publish` give it the final one.
    fn write(
        &self,
        folder: &OwnedFd,
        bytes: &[u8],
        pulse: &Pulse,
        publish: impl FnOnce(Temporary<&OwnedFd>) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let mut file = Temporary::create(folder, Modes::of(&self.path).file)?;
        for step in bytes.chunks(WRITE_BYTES) {
            file.write(step)?;
            pulse.beat();
        }
        publish(file)?;
        folder::sync(folder)
    }

    /// Opens the folder of a file for writing, made where it is missing.
    fn folder_for(&self, name: FileName, place: &Place) -> Result<OwnedFd> {
        folder::open_or_make(&self.path, &place.folder, Modes::of(&self.path).folder)
            .map_err(|errno| self.fault(format_args!("write {name}"), errno))
    }

    fn absent_or(&self, name: FileName, verb: &str, errno: Errno) -> Error {
        fault::absent_or(self.location.clone(), name, verb, errno)
    }

    fn fault(&self, action: impl ToString, errno: Errno) -> Error {
        fault::fault(self.location.clone(), action, errno)
    }

    fn io_fault(&self, action: impl ToString, error: io::Error) -> Error {
        fault::io_fault(self.location.clone(), action, error)
    }

    fn too_many(&self, kind: FileType, limit: usize) -> Error {
        Error::BadAnswer {
            location: self.location.clone(),
            action: format!("list {kind}"),
            reason: format!("there are more than {limit} files"),
        }
    }
}

impl Store for LocalStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        Some(self)
    }

    /// When `config` was written here: it is written once, so that a disk to which a repository was
    /// copied, or synced, has another one.
    fn identity(&self) -> Result<Option<Id>> {
        let config = self.open_file(FileName::CONFIG).ok();
        let told = config.and_then(|(file, _)| file.metadata().ok());
        Ok(told.as_ref().map(moment_of))
    }

    fn create(&self) -> Result<()> {
        let action = "make the folders of a repository";
        folder::make_root(&self.path).map_err(|error| self.io_fault(action, error))?;
        let mode = Modes::of(&self.path).folder;
        FOLDERS
            .into_iter()
            .try_for_each(|kind| folder::make(&self.path, kind.folder(), mode))
            .and_then(|()| {
                (0..=u8::MAX).try_for_each(|prefix| {
                    self.pulse.beat();
                    folder::make(&self.path, &format!("data/{prefix:02x}"), mode)
                })
            })
            .and_then(|()| folder::sync(&folder::open(&self.path, FileType::Data.folder())?))
            .and_then(|()| folder::sync_root(&self.path))
            .map_err(|errno| self.fault(action, errno))
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        if kind == FileType::Config {
            return list_config(self.size(FileName::CONFIG));
        }
        let limit = list_limit_files(kind);
        let entries = self.first_files(kind, limit)?;
        if entries.len() > limit {
            return Err(self.too_many(kind, limit));
        }
        Ok(entries)
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        let entries = match kind {
            FileType::Config => self.list(kind)?,
            _ => self.first_files(kind, list_limit_files(kind))?,
        };
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    fn size(&self, name: FileName) -> Result<u64> {
        let place = Place::of(name);
        let size = folder::open(&self.path, &place.folder)
            .and_then(|folder| folder::regular_size(&folder, &place.base));
        size.map_err(|errno| self.absent_or(name, "look at", errno))
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let is_whole = range.is_none();
        let (file, length_bytes) = self.open_range(name, range)?;
        if is_whole {
            folder::forget_cached(&file);
        }
        let stream = Beating::new(file, self.pulse_of(name.kind()));
        let stream = Exact::new(stream, length_bytes);
        Ok(Box::new(BufReader::with_capacity(STEP_BYTES, stream)))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.read_whole(name, None, Vec::new())
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.read_whole(name, Some(range), Vec::new())
    }

    fn read_range_into(
        &self,
        name: FileName,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.read_whole(name, Some(range), memory)
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let place = Place::of(name);
        let folder = self.folder_for(name, &place)?;
        let pulse = self.pulse_of(name.kind());
        let holds = || folder::holds(&folder, &place.base, bytes, &pulse);
        let mut stored = holds();
        if stored == Ok(None) {
            let written = self.write(&folder, bytes, &pulse, |file| file.publish(&place.base));
            stored = match written {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => holds(),
                Err(errno) => Err(errno),
            };
        }
        match stored {
            Ok(Some(true)) => Ok(()),
            Ok(_) => Err(Error::Exists {
                name,
                location: self.location.clone(),
            }),
            Err(errno) => Err(self.fault(format_args!("write {name}"), errno)),
        }
    }

    fn begin(&self, name: FileName) -> Result<Option<Box<dyn Growing + '_>>> {
        Ok(Some(Box::new(NewFile::begin(self, name)?)))
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let place = Place::of(name);
        let folder = self.folder_for(name, &place)?;
        self.write(&folder, bytes, &self.pulse_of(name.kind()), |file| {
            file.publish_over(&folder, &place.base)
        })
        .map_err(|errno| self.fault(format_args!("replace {name}"), errno))
    }

    fn remove(&self, name: FileName) -> Result<()> {
        let place = Place::of(name);
        let removed = folder::open(&self.path, &place.folder).and_then(|folder| {
            rustix::fs::unlinkat(&folder, place.base.as_str(), AtFlags::empty())?;
            match name.kind() {
                // Nothing refers to what lies here, so it may come back after a power cut.
                FileType::Data | FileType::Locks => Ok(()),
                _ => folder::sync(&folder),
            }
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.fault(format_args!("remove {name}"), errno)),
        }
    }
}
