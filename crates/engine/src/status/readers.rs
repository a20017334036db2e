//! Reading from whichever copy can: local ones first, and none again that could not be reached.

use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_model::{FileName, Id};

use crate::session::CopyStore;
use crate::status::look::{Look, ReadyLook, Seen};
use crate::{Error, Listing, Result};

/// The copies that can be read.
#[derive(Debug)]
pub(super) struct Readers<'a>(Vec<Reader<'a>>);

#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) name: &'a str,
    pub(super) copy: &'a CopyStore,
    pub(super) listing: &'a Listing,
    gone: AtomicBool,
}

impl<'a> Readers<'a> {
    pub(super) fn of(looks: &'a [Look<'a>]) -> Self {
        let mut readers: Vec<_> = looks.iter().filter_map(Reader::of).collect();
        readers.sort_by_key(|reader| !reader.copy.is_local);
        Self(readers)
    }

    /// One copy alone.
    pub(super) fn only(look: &'a Look<'a>) -> Self {
        Self(Reader::of(look).into_iter().collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reader<'a>> {
        self.0.iter()
    }

    /// Reads a file, or a part of it, from the first copy that lists it and gives it right.
    ///
    /// Each failure is told to `failed`.
    ///
    /// # Errors
    /// What the last copy said, or that no copy has it.
    pub(super) fn read<T>(
        &self,
        name: FileName,
        read: impl Fn(&Reader<'a>) -> Result<T>,
        failed: impl Fn(&Reader<'a>, &Error),
    ) -> Result<T> {
        let has = |reader: &&Reader<'a>| {
            let files = reader.listing.of(name.kind());
            files.is_some_and(|files| name.id().is_some_and(|id| files.contains(id)))
        };
        let mut last = Error::Store(strongroom_store::Error::NotFound {
            name,
            location: "any copy".to_owned(),
        });
        for reader in self.0.iter().filter(has) {
            if reader.gone.load(Ordering::Relaxed) {
                continue;
            }
            match read(reader) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    if let Some(strongroom_store::Error::Unreachable { .. }) = of_store(&error) {
                        reader.gone.store(true, Ordering::Relaxed);
                    }
                    failed(reader, &error);
                    last = error;
                }
            }
        }
        Err(last)
    }
}

impl<'a> Reader<'a> {
    fn of(look: &'a Look<'a>) -> Option<Self> {
        let Seen::Ready(ReadyLook { listing, .. }) = &look.seen else {
            return None;
        };
        Some(Self {
            name: &look.name,
            copy: look.store?,
            listing,
            gone: AtomicBool::new(false),
        })
    }

    /// Reads a whole file and checks that it is the one that its name says.
    pub(super) fn file(&self, name: FileName) -> Result<Vec<u8>> {
        let bytes = self.copy.store.read(name)?;
        if name.id() != Some(Id::of(&bytes)) {
            return Err(self.damaged(name, "its content does not have its name"));
        }
        Ok(bytes)
    }

    pub(super) fn damaged(&self, name: FileName, reason: impl ToString) -> Error {
        let location = self.copy.store.location();
        strongroom_repo::Error::damaged_file(name, location, reason).into()
    }
}

/// What a store said, where it is a store that failed.
pub(super) fn of_store(error: &Error) -> Option<&strongroom_store::Error> {
    match error {
        Error::Store(error) | Error::Repo(strongroom_repo::Error::Store(error)) => Some(error),
        _ => None,
    }
}
