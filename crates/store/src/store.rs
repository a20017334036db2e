//! The trait that every kind of storage implements.
//!
//! It is blocking on purpose: the engine gives each copy a few threads of its own, so that a slow
//! copy stops only itself. A store that is asynchronous inside (S3) waits inside.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use strongroom_model::{FileEntry, FileName, FileType};

use crate::Result;

/// One place that holds the files of one repository.
///
/// All methods may be called from several threads at once.
/// Errors name the file and the place and never contain a password or token.
pub trait Store: Send + Sync + fmt::Debug {
    /// The place as people write it, without any secret in it.
    fn location(&self) -> &str;

    /// Makes the empty layout of a repository; what exists already is left as it is.
    ///
    /// # Errors
    /// Fails where the place cannot be reached or written.
    fn create(&self) -> Result<()>;

    /// Lists all files of a type with their sizes, in no particular order.
    ///
    /// A folder that does not exist counts as empty. Names that are not ids are passed over.
    /// [`FileType::Config`] has at most one entry, with the default id.
    ///
    /// # Errors
    /// Fails as a whole where any part of the listing cannot be read: a short list would look
    /// like loss.
    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>>;

    /// Returns the stored size of a file in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none.
    fn size(&self, name: FileName) -> Result<u64>;

    /// Opens a file, or a range of its bytes, for reading from front to back.
    ///
    /// A stream that ends before the range does is an [`std::io::ErrorKind::UnexpectedEof`].
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none, and
    /// [`Error::ShortFile`](crate::Error::ShortFile) where the range reaches past its end.
    fn open(&self, name: FileName, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send + '_>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Store::open`].
    fn read(&self, name: FileName) -> Result<Vec<u8>>;

    /// Reads exactly the bytes of `range`.
    ///
    /// # Errors
    /// As [`Store::open`].
    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>>;

    /// Stores a file; when this returns, the bytes are durable under their name or there is
    /// nothing under it: never a torn file.
    ///
    /// The caller has hashed `bytes`; the store checks that what it wrote is what it was given.
    /// Saving what is stored already succeeds and changes nothing. Where other bytes lie under the
    /// name (rot, or a foreign `config`), the file is left alone.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) where other bytes lie under the name,
    /// [`Error::Full`](crate::Error::Full) where there is no room.
    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()>;

    /// Stores a file in place of wrong bytes under the same name: healing.
    ///
    /// # Errors
    /// As [`Store::save`], and [`Error::Denied`](crate::Error::Denied) where the place does not
    /// let stored files be replaced.
    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()>;

    /// Removes a file; removing what is not there succeeds.
    ///
    /// # Errors
    /// [`Error::Denied`](crate::Error::Denied) where the place does not let files be removed.
    fn remove(&self, name: FileName) -> Result<()>;
}
