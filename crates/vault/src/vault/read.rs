//! Reading: what is seen, now or as of a moment.

use std::fmt;
use std::io::{Cursor, Read};
use std::ops::Range;

use strongroom_model::{FileEntry, FileName, FileType, RepositoryPath};

use crate::records::objects::{self, Key, View};
use crate::records::repositories::{self, Repository};
use crate::records::{leaves, locks};
use crate::rules::right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;
use crate::{Error, Result};

/// An opened file.
pub struct Body {
    /// The size of the whole file.
    pub size_bytes: u64,
    /// The bytes that were asked for.
    pub stream: Box<dyn Read + Send>,
}

/// Takes the lines of a listing.
pub type Lists<'l> = dyn FnMut(FileEntry) -> Result<()> + 'l;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body of {} bytes", self.size_bytes)
    }
}

impl Vault {
    /// The view as of a recorded time.
    ///
    /// # Errors
    /// Those of the database.
    pub fn as_of(&self, recorded_ms: i64) -> Result<View> {
        self.read(|transaction| Ok(View::AsOf(leaves::count_until(transaction, recorded_ms)?)))
    }

    /// The size of a file.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; those of the database.
    pub fn size(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        view: View,
        name: FileName,
    ) -> Result<u64> {
        let repository = self.readable(principal, path, name)?;
        if name.kind() == FileType::Locks {
            return Ok(self.lock(&repository, view, name)?.len() as u64);
        }
        let key = Key::new(repository.id, name);
        let object = self.read(|transaction| objects::seen(transaction, &key, view))?;
        object
            .map(|object| object.bytes)
            .ok_or_else(|| not_found(path, name))
    }

    /// Opens a file, or a range of its bytes, which is cut at its end.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; those of database and storage.
    pub fn open_file(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        view: View,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Body> {
        let repository = self.readable(principal, path, name)?;
        if name.kind() == FileType::Locks {
            return Ok(in_memory(self.lock(&repository, view, name)?, range));
        }
        let key = Key::new(repository.id, name);
        let object = self.read(|transaction| objects::seen(transaction, &key, view))?;
        let object = object.ok_or_else(|| not_found(path, name))?;
        if name.kind() == FileType::Config {
            let content =
                self.read(|transaction| repositories::config_bytes(transaction, repository.id))?;
            let content = content.ok_or_else(|| not_found(path, name))?;
            return Ok(in_memory(content, range));
        }
        let body = self.body_key(path, name, object.generation);
        match self.shared.bodies.open(&body, range) {
            Ok((size_bytes, stream)) => Ok(Body { size_bytes, stream }),
            Err(strongroom_store::Error::NotFound { .. }) => Err(not_found(path, name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands over all files of a type.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`]; those of the database and of `each`.
    pub fn list(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        view: View,
        kind: FileType,
        each: &mut Lists<'_>,
    ) -> Result<()> {
        principal.authorise(right::Act::Read, path)?;
        let repository = self.repository(path)?;
        if kind != FileType::Locks {
            return self
                .read(|transaction| objects::list(transaction, repository.id, kind, view, each));
        }
        let since_ms = self.locks_since_ms();
        match view {
            View::Now => {
                self.read(|transaction| locks::list(transaction, repository.id, since_ms, each))
            }
            View::AsOf(_) => Ok(()),
        }
    }

    fn readable(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        name: FileName,
    ) -> Result<Repository> {
        principal.authorise(right::Act::Read, path)?;
        let found = self.read(|transaction| repositories::get(transaction, path))?;
        found.ok_or_else(|| not_found(path, name))
    }

    /// Locks are never shown as of a moment.
    fn lock(&self, repository: &Repository, view: View, name: FileName) -> Result<Vec<u8>> {
        let id = name.id().unwrap_or_default();
        let since_ms = self.locks_since_ms();
        let lock = match view {
            View::AsOf(_) => None,
            View::Now => {
                self.read(|transaction| locks::get(transaction, repository.id, id, since_ms))?
            }
        };
        lock.map(|lock| lock.content)
            .ok_or_else(|| not_found(&repository.path, name))
    }
}

fn in_memory(content: Vec<u8>, range: Option<Range<u64>>) -> Body {
    let size_bytes = content.len() as u64;
    let wanted = match range {
        None => content,
        Some(range) => {
            let place = |at: u64| usize::try_from(at.min(size_bytes)).unwrap_or_default();
            let part = content.get(place(range.start)..place(range.end.max(range.start)));
            part.unwrap_or_default().to_vec()
        }
    };
    Body {
        size_bytes,
        stream: Box::new(Cursor::new(wanted)),
    }
}

fn not_found(path: &RepositoryPath, name: FileName) -> Error {
    Error::NotFound {
        repository: path.clone(),
        name,
    }
}
