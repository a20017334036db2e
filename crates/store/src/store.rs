//! The trait that every kind of storage implements.
//!
//! It is blocking on purpose: the engine gives each copy a few threads of its own, so that a slow
//! copy stops only itself. A store that is asynchronous inside (S3) waits inside.

use std::fmt;
use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::{Attacks, Error, Growing, Holder, Locks, PatientStore, Result, Versions};

/// Bytes that outlive whoever asks for them to be stored, so that nobody has to wait for a place
/// that hangs while it has them.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The step in which a stored file is handed on. Those of three copies that are compared fit the
/// second-level cache together, beside what they are copied from: with twice as much, copying out of
/// the system's memory took almost three times as long where that cache has 512 KiB.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// One place that holds the files of one repository.
///
/// All methods may be called from several threads at once.
/// Errors name the file and the place and never contain a password or token.
pub trait Store: Send + Sync + fmt::Debug {
    /// The place as people write it, without any secret in it.
    fn location(&self) -> &str;

    /// This store, where it waits for a place that may hang: so that [`together`] can wait for
    /// several such places at once.
    ///
    /// [`together`]: crate::patient::together
    fn patient(&self) -> Option<&PatientStore> {
        None
    }

    /// What locks the files of this place, where that was asked for; a folder and a REST server
    /// have no locks, and neither has a [`PatientStore`], which stands in front of folders. Any
    /// other store in front of one passes this on.
    fn locks(&self) -> Option<&dyn Locks> {
        None
    }

    /// The older versions of the files of this place, where its kind can keep any; as with
    /// [`Store::locks`], that of folders and REST servers cannot.
    fn versions(&self) -> Option<&dyn Versions> {
        None
    }

    /// What attacks this place, where its kind can be attacked. Any store in front of another passes
    /// this on.
    fn attacks(&self) -> Option<&dyn Attacks> {
        None
    }

    /// In whose hand this place is, as far as it tells when it is asked; a folder and a REST server
    /// tell nothing.
    fn holder(&self) -> Holder {
        Holder::default()
    }

    /// What this place has and another that is put in its stead has not, as a new disk under the old
    /// path or a bucket of the same name in another account; `None` where nothing tells them apart, as
    /// with a server or without the right to list versions, or where there is no `config`.
    ///
    /// What was shown of one place does not hold for the next one. It is no proof against whoever
    /// copies a disk bit by bit, or sets a machine's clock.
    ///
    /// # Errors
    /// Fails where the place hangs, or is away.
    fn identity(&self) -> Result<Option<Id>> {
        Ok(None)
    }

    /// What time it is by the clock of this place, as its last answer told: nobody is asked. `None`
    /// where none has told it yet, or the place has no clock of its own, as a folder. Any store in
    /// front of another passes this on.
    fn time(&self) -> Option<SystemTime> {
        None
    }

    /// Makes the empty layout of a repository; what exists already is left as it is.
    ///
    /// # Errors
    /// Fails where the place cannot be reached or written.
    fn create(&self) -> Result<()>;

    /// Lists all files of a type with their sizes, in no particular order.
    ///
    /// A folder that does not exist counts as empty, and so does a whole place that does not:
    /// whether a repository is there at all is told by [`Store::size`] of `config`.
    /// Names that are not ids are passed over, and so is what is not a regular file.
    /// [`FileType::Config`] has at most one entry, with the default id.
    ///
    /// # Errors
    /// Fails as a whole where any part of the listing cannot be read: a short list would look
    /// like loss.
    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>>;

    /// The ids of files of a type: of all, or of as many as a listing may name where there are more,
    /// for whoever removes them until none is left. None only where there is no such file. Any store
    /// in front of another passes this on.
    ///
    /// # Errors
    /// As [`Store::list`], but for files without number.
    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        let listed = self.list(kind)?;
        Ok(listed.into_iter().map(|entry| entry.id).collect())
    }

    /// Returns the stored size of a file in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    fn size(&self, name: FileName) -> Result<u64>;

    /// Opens a file, or a range of its bytes, for reading from front to back.
    ///
    /// Who opens a whole file does so to prove what is stored. So it comes from where it is kept,
    /// and not from what this machine has of it in memory, where the place can tell the two apart; a
    /// range may come from memory, and so may what [`Store::read`] brings.
    ///
    /// A range whose end does not lie behind its start is empty, but must lie inside the file.
    /// A stream that ends before the range does is an [`std::io::ErrorKind::UnexpectedEof`]; what
    /// else a stream fails with, [`Error::of_stream`] makes an error of this crate.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none, and
    /// [`Error::ShortFile`] where the range reaches past its end.
    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::TooLarge`] above
    /// [`read_limit_bytes`].
    fn read(&self, name: FileName) -> Result<Vec<u8>>;

    /// Reads exactly the bytes of `range`.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>>;

    /// The same, where it can be into memory that an earlier read has left: what that held is gone.
    /// Who reads much has less of it faulted in.
    ///
    /// # Errors
    /// As [`Store::read_range`]; the memory is gone then.
    fn read_range_into(
        &self,
        name: FileName,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        drop(memory);
        self.read_range(name, range)
    }

    /// Stores a file; when this returns, the bytes are durable under their name or there is
    /// nothing under it: never a torn file.
    ///
    /// The caller has hashed `bytes`; the store makes sure that all of them were taken.
    /// Saving what is stored already succeeds and changes nothing. Where other bytes lie under the
    /// name (rot, or a foreign `config`), the file is left alone.
    ///
    /// # Errors
    /// [`Error::Exists`] where other bytes lie under the name,
    /// [`Error::Full`] where there is no room.
    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()>;

    /// As [`Store::save`], for large files: nobody has to copy them.
    ///
    /// # Errors
    /// As [`Store::save`].
    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.save(name, (*bytes).as_ref())
    }

    /// Begins a file that is stored while it comes; `None` where the place takes whole files only,
    /// as all but folders do.
    ///
    /// # Errors
    /// As [`Store::save`].
    fn begin(&self, _name: FileName) -> Result<Option<Box<dyn Growing + '_>>> {
        Ok(None)
    }

    /// Stores a file in place of wrong bytes under the same name: healing.
    ///
    /// # Errors
    /// As [`Store::save`], and [`Error::Denied`] where the place does not
    /// let stored files be replaced.
    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()>;

    /// As [`Store::replace`], for large files: nobody has to copy them.
    ///
    /// # Errors
    /// As [`Store::replace`].
    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.replace(name, (*bytes).as_ref())
    }

    /// Ends what was begun here before `older_than`, by the clock of the place, was never ended, and
    /// is in no listing, as parts of a large file which a killed run has sent; returns how many.
    /// A folder has a sweep of its own, a REST server nothing of the kind. Takes 10 s at most: what is
    /// left waits for the next time.
    ///
    /// # Errors
    /// Where it cannot be found out or ended; nobody's bytes depend on it.
    fn end_old_uploads(&self, _older_than: SystemTime) -> Result<u64> {
        Ok(0)
    }

    /// Removes a file; removing what is not there succeeds.
    ///
    /// Removed snapshots and index files stay removed after a power cut, so that nothing can come
    /// back that refers to packs which were removed after it.
    ///
    /// # Errors
    /// [`Error::Denied`] where the place does not let files be removed.
    fn remove(&self, name: FileName) -> Result<()>;
}

/// The most that [`Store::read`] and [`Store::read_range`] take into memory of a file of this type.
///
/// Far above what restic, rustic and this program write; a file beyond it is junk, or an attack on
/// memory. Index files are read eight at a time before anybody knows whose they are; a full one of
/// 50,000 blobs has 9 MB even where it is not compressed.
pub const fn read_limit_bytes(kind: FileType) -> u64 {
    match kind {
        FileType::Config | FileType::Keys | FileType::Locks => 1 << 20,
        FileType::Index | FileType::Snapshots | FileType::Records => 64 << 20,
        FileType::Data => 1 << 30,
    }
}

/// The most files of a type that a listing may name; each takes 40 bytes of memory.
///
/// Ten million packs are 160 TB. Who lists more is junk, or an attack on memory.
pub(crate) const fn list_limit_files(kind: FileType) -> usize {
    match kind {
        FileType::Data => 10_000_000,
        FileType::Index | FileType::Snapshots => 1_000_000,
        FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => 100_000,
    }
}

/// The listing of `config`, of which there is one at most: what its size tells.
pub(crate) fn list_config(size: Result<u64>) -> Result<Vec<FileEntry>> {
    match size {
        Ok(size_bytes) => Ok(vec![FileEntry {
            id: Id::default(),
            size_bytes,
        }]),
        Err(Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A shared store is a store, so that tests can put faults in front of one that is in use.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn location(&self) -> &str {
        (**self).location()
    }

    fn patient(&self) -> Option<&PatientStore> {
        (**self).patient()
    }

    fn locks(&self) -> Option<&dyn Locks> {
        (**self).locks()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        (**self).versions()
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        (**self).attacks()
    }

    fn holder(&self) -> Holder {
        (**self).holder()
    }

    fn identity(&self) -> Result<Option<Id>> {
        (**self).identity()
    }

    fn time(&self) -> Option<SystemTime> {
        (**self).time()
    }

    fn create(&self) -> Result<()> {
        (**self).create()
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        (**self).list(kind)
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        (**self).first_ids(kind)
    }

    fn size(&self, name: FileName) -> Result<u64> {
        (**self).size(name)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        (**self).open(name, range)
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        (**self).read(name)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        (**self).read_range(name, range)
    }

    fn read_range_into(
        &self,
        name: FileName,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        (**self).read_range_into(name, range, memory)
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        (**self).save(name, bytes)
    }

    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        (**self).save_shared(name, bytes)
    }

    fn begin(&self, name: FileName) -> Result<Option<Box<dyn Growing + '_>>> {
        (**self).begin(name)
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        (**self).replace(name, bytes)
    }

    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        (**self).replace_shared(name, bytes)
    }

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        (**self).end_old_uploads(older_than)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        (**self).remove(name)
    }
}
