//! Older versions of files, where a place keeps them.
//!
//! On such a place a removal only hides, and so does an overwrite: what lay there is kept under the
//! name of its version. A folder and a REST server keep none.

use std::fmt;
use std::io::BufRead;
use std::time::SystemTime;

use strongroom_model::{FileName, FileType};

use crate::Result;

/// Who is shown one version after the other.
pub type ShowVersion<'a> = dyn FnMut(FileVersion) -> Result<()> + 'a;

/// What a store offers beside [`Store`](crate::Store) that keeps versions.
///
/// All methods may be called from several threads at once, and wait as those of the store do.
pub trait Versions: Send + Sync {
    /// Shows all versions and markers of the files of a type as their listing comes, in no
    /// particular order; nothing of it is kept here.
    ///
    /// Names that no file of the type has are passed over. An error of `show` ends it, and is
    /// returned.
    ///
    /// # Errors
    /// Fails where any part of the listing cannot be read, or where it is longer than any sound one:
    /// a short list would look like loss, so what was shown until then is worth nothing.
    /// [`Error::Denied`](crate::Error::Denied) where the right to list versions is missing, which is
    /// another one than that to list files.
    fn each_version(&self, kind: FileType, show: &mut ShowVersion<'_>) -> Result<()>;

    /// As [`Versions::each_version`], for a single file.
    ///
    /// # Errors
    /// As [`Versions::each_version`]; a file of which there is nothing has no versions, and no error.
    fn each_version_of(&self, name: FileName, show: &mut ShowVersion<'_>) -> Result<()>;

    /// All that [`Versions::each_version`] shows, in memory: some 200 bytes each, and whoever may
    /// write makes as many as he likes.
    ///
    /// # Errors
    /// As [`Versions::each_version`].
    fn list_versions(&self, kind: FileType) -> Result<Vec<FileVersion>> {
        let mut found = Vec::new();
        self.each_version(kind, &mut |version| {
            found.push(version);
            Ok(())
        })?;
        Ok(found)
    }

    /// As [`Versions::list_versions`], of one file alone.
    ///
    /// # Errors
    /// As [`Versions::list_versions`].
    fn versions_of(&self, name: FileName) -> Result<Vec<FileVersion>> {
        let mut found = Vec::new();
        self.each_version_of(name, &mut |version| {
            found.push(version);
            Ok(())
        })?;
        Ok(found)
    }

    /// Opens the bytes of a version, whatever hides it, for reading from front to back.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is no such version. A stream fails as
    /// that of [`Store::open`](crate::Store::open) does.
    fn open_version(
        &self,
        name: FileName,
        version: &VersionId,
    ) -> Result<Box<dyn BufRead + Send + '_>>;

    /// Removes a marker, so that what it hides is seen again; removing one that is gone succeeds.
    ///
    /// # Errors
    /// [`Error::Denied`](crate::Error::Denied) where the right to remove versions is missing, and
    /// where it is no marker: bytes are never removed by this.
    fn remove_marker(&self, marker: &FileVersion) -> Result<()>;

    /// Removes a version, be it bytes or a marker, for good; removing one that is gone succeeds.
    ///
    /// Nothing asks for this but who finishes a removal that a record names.
    ///
    /// # Errors
    /// [`Error::Denied`](crate::Error::Denied) where the version is locked, and where the right to
    /// remove versions is missing.
    fn remove_version(&self, version: &FileVersion) -> Result<()>;
}

/// What a place calls one version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(String);

impl VersionId {
    /// The version that a place calls so.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the place calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One version of a file, or a marker that hides those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// The file.
    pub name: FileName,
    /// What the place calls the version.
    pub version: VersionId,
    /// When it came, by the clock of the place.
    pub made: SystemTime,
    /// Whether it is what is seen under the name now; of a marker, that nothing is.
    pub is_newest: bool,
    /// What it is.
    pub content: VersionContent,
}

/// What a version is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionContent {
    /// Bytes.
    Bytes {
        /// How many.
        size_bytes: u64,
        /// What the place shows of their content; two of the same bytes may have different ones.
        tag: Option<String>,
    },
    /// A sign that the file was removed.
    Marker,
}
