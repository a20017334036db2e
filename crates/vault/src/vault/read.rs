//! Reading: what is seen, now or as of a moment.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use strongroom_model::{FileEntry, FileName, FileType, Id, RepositoryPath};
use strongroom_store::{Bodies, BodyKey};

use crate::database::Transaction;
use crate::records::listing::{self, List};
use crate::records::objects::{self, Key, View};
use crate::records::repositories::{self, Repository};
use crate::records::{leaves, locks};
use crate::rules::right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;
use crate::{Error, Result};

/// How many objects of a list are read at a time, seen or not: 320 KiB of memory, and some
/// milliseconds.
const PAGE: u64 = 8_192;

/// A file that was found.
#[derive(Debug)]
pub struct File {
    size_bytes: u64,
    place: Place,
}

/// Where its bytes are.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Storage(Arc<dyn Bodies>, BodyKey),
    /// In a storage that may be another than that of the vault.
    Doubted,
}

impl File {
    /// Its whole size.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Opens it, or a range of its bytes, which is cut at its end.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is gone by now; [`Error::StorageInDoubt`]; those of the storage.
    pub fn open(self, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        match self.place {
            Place::Memory(content) => Ok(part_of(content, range)),
            Place::Doubted => Err(Error::StorageInDoubt),
            Place::Storage(bodies, body) => match bodies.open(&body, range) {
                Ok((_, stream)) => Ok(stream),
                Err(strongroom_store::Error::NotFound { .. }) => {
                    Err(not_found(&body.repository, body.name))
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// Takes the lines of a listing.
pub type Lists<'l> = dyn FnMut(FileEntry) -> Result<()> + 'l;

impl Vault {
    /// The view as of a recorded time.
    ///
    /// # Errors
    /// Those of the database.
    pub fn as_of(&self, recorded_ms: i64) -> Result<View> {
        self.read(|transaction| Ok(View::AsOf(leaves::count_until(transaction, recorded_ms)?)))
    }

    /// Finds a file.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; those of the database.
    pub fn find(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        view: View,
        name: FileName,
    ) -> Result<File> {
        principal.authorise(right::Act::Read, path)?;
        let found = self.read(|transaction| {
            let Some(repository) = repositories::get(transaction, path)? else {
                return Ok(None);
            };
            if let (FileType::Locks, Some(id)) = (name.kind(), name.id()) {
                return self.lock(transaction, &repository, view, id);
            }
            let key = Key::new(repository.id, name);
            let Some(object) = objects::seen(transaction, &key, view)? else {
                return Ok(None);
            };
            if name.kind() == FileType::Config {
                let content = repositories::config_bytes(transaction, repository.id)?;
                return Ok(content.map(in_memory));
            }
            let bodies = Arc::clone(&self.shared.bodies);
            let body = self.body_key(path, name, object.generation);
            Ok(Some(File {
                size_bytes: object.bytes,
                place: match self.is_storage_doubted() {
                    true => Place::Doubted,
                    false => Place::Storage(bodies, body),
                },
            }))
        })?;
        found.ok_or_else(|| not_found(path, name))
    }

    /// Fails where a list cannot be asked for; reads none of it.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Unknown`]; those of the database.
    pub fn check_list(&self, principal: &Principal, path: &RepositoryPath) -> Result<()> {
        principal.authorise(right::Act::Read, path)?;
        self.repository(path).map(drop)
    }

    /// Hands over all files of a type, as they are seen when the list begins, by name. While
    /// `each` takes them nothing of the database is held, so it may take as long as a client does.
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
        let Repository {
            id: repository,
            began,
            ..
        } = self.repository(path)?;
        if kind == FileType::Locks {
            return match view {
                View::Now => self.list_locks(repository, each),
                View::AsOf(_) => Ok(()),
            };
        }
        if matches!(view, View::AsOf(leaves) if leaves <= began) {
            return Ok(());
        }
        let mut behind = None;
        let mut fixed = view;
        loop {
            let (leaves, page) = self.read_list(|transaction| {
                let leaves = match fixed {
                    View::Now => leaves::head(transaction)?.leaves,
                    View::AsOf(leaves) => leaves,
                };
                let list = List {
                    repository,
                    kind,
                    leaves,
                };
                let page = listing::page(transaction, list, behind, PAGE)?;
                Ok((leaves, page))
            })?;
            fixed = View::AsOf(leaves);
            page.entries.into_iter().try_for_each(&mut *each)?;
            behind = page.next;
            if behind.is_none() {
                return Ok(());
            }
        }
    }

    /// They are few, as each token may hold few.
    fn list_locks(&self, repository: i64, each: &mut Lists<'_>) -> Result<()> {
        let since_ms = self.locks_since_ms();
        let locks = self.read_list(|transaction| locks::list(transaction, repository, since_ms))?;
        locks.into_iter().try_for_each(each)
    }

    /// Locks are never shown as of a moment.
    fn lock(
        &self,
        transaction: &mut dyn Transaction,
        repository: &Repository,
        view: View,
        id: Id,
    ) -> Result<Option<File>> {
        if view != View::Now {
            return Ok(None);
        }
        let lock = locks::get(transaction, repository.id, id, self.locks_since_ms())?;
        Ok(lock.map(|lock| in_memory(lock.content)))
    }
}

fn in_memory(content: Vec<u8>) -> File {
    File {
        size_bytes: content.len() as u64,
        place: Place::Memory(content),
    }
}

fn part_of(content: Vec<u8>, range: Option<Range<u64>>) -> Box<dyn Read + Send> {
    let Some(range) = range else {
        return Box::new(Cursor::new(content));
    };
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
    let part = content.get(place(range.start)..place(range.end.max(range.start)));
    Box::new(Cursor::new(part.unwrap_or_default().to_vec()))
}

fn not_found(path: &RepositoryPath, name: FileName) -> Error {
    Error::NotFound {
        repository: path.clone(),
        name,
    }
}
