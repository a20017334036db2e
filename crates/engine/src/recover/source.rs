//! The copy that is recovered: its versions read, and held against their names.
//!
//! What can go wrong with one version says nothing of the others: somebody may have put the same
//! bytes again, encrypted by a key of his own, or into an archive. So a version that is refused is
//! passed over, whatever the reason. A place that cannot be reached any more ends the run.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use strongroom_model::FileName;
use strongroom_store::{Error as StoreError, Store, Versions};

use crate::recover::RecoverError;
use crate::right_version::{self, Candidate, Sought, Unread};
use crate::session::{Cancel, CopyStore};
use crate::{Error, Result};

/// After how many reads in a row that did not reach the place it is given up.
const MOST_UNREACHED: u32 = 32;

/// How many bytes what is known of names may take at least: enough for two million packs, 30 TB.
const LEAST_MEMORY_BYTES: u64 = 1 << 30;

/// The versions of a copy.
pub(super) struct Source<'a> {
    pub(super) copy: &'a CopyStore,
    pub(super) store: &'a dyn Store,
    pub(super) versions: &'a dyn Versions,
    /// Only what was made by then counts.
    as_of: Option<SystemTime>,
    /// How many bytes what is known of all its names may take.
    pub(super) memory_bytes: u64,
    pub(super) cancel: &'a Cancel,
    /// How many reads in a row have not reached it.
    unreached: AtomicU32,
    has_read: AtomicBool,
    /// The first refusal.
    refusal: Mutex<Option<StoreError>>,
}

/// What came of reading a version.
#[derive(Debug)]
pub(super) enum Reading {
    /// Its bytes have the name. Of `config` that they were read: it has no hash name.
    Right,
    /// They have not.
    Wrong,
    /// They could not be read, and why.
    Failed(String),
}

impl<'a> Source<'a> {
    /// Names the copy.
    ///
    /// # Errors
    /// [`RecoverError::KeepsNoVersions`].
    pub(super) fn new(
        copy: &'a CopyStore,
        as_of: Option<SystemTime>,
        memory_bytes: u64,
        cancel: &'a Cancel,
    ) -> Result<Self> {
        let store = copy.store.as_ref();
        let Some(versions) = store.versions() else {
            return Err(Error::from(RecoverError::KeepsNoVersions {
                copy: copy.name.clone(),
                location: store.location().to_owned(),
            }));
        };
        Ok(Self {
            copy,
            store,
            versions,
            as_of,
            memory_bytes: memory_bytes.max(LEAST_MEMORY_BYTES),
            cancel,
            unreached: AtomicU32::new(0),
            has_read: AtomicBool::new(false),
            refusal: Mutex::new(None),
        })
    }

    /// What is looked for of each file.
    pub(super) const fn sought(&self) -> Sought {
        Sought {
            size_bytes: None,
            as_of: self.as_of,
        }
    }

    /// Fails where the user interrupts, as the store does.
    pub(super) fn check(&self) -> strongroom_store::Result<()> {
        match self.cancel.is_cancelled() {
            false => Ok(()),
            true => Err(StoreError::Cancelled {
                location: self.store.location().to_owned(),
            }),
        }
    }

    /// What it means that versions could not be listed.
    pub(super) fn not_listed(&self, error: StoreError) -> Error {
        match error {
            StoreError::Denied { ref reason, .. } if reason.contains("AccessDenied") => {
                Error::from(RecoverError::MayNotList {
                    copy: self.copy.name.clone(),
                    source: Box::new(error),
                })
            }
            error => error.into(),
        }
    }

    /// Reads a version and hands it on step by step, until it ends or is longer than it was said to
    /// be.
    ///
    /// # Errors
    /// What `take` fails with; and where the user interrupts, or the place is away for good.
    pub(super) fn read(
        &self,
        name: FileName,
        candidate: &Candidate,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<Reading> {
        let mut stream = match self.versions.open_version(name, &candidate.version) {
            Ok(stream) => stream,
            Err(error) => return self.failed(error),
        };
        let hashed = right_version::hash_of(&mut *stream, candidate.size_bytes, |step| {
            self.cancel.check()?;
            take(step)
        });
        let (id, size_bytes) = match hashed {
            Ok(hashed) => hashed,
            Err(Unread::Taker(error)) => return Err(error),
            Err(Unread::Stream(error)) => {
                let location = self.store.location();
                return self.failed(StoreError::of_stream(location, name, error));
            }
        };
        self.unreached.store(0, Ordering::Relaxed);
        self.has_read.store(true, Ordering::Relaxed);
        let is_right =
            size_bytes == candidate.size_bytes && name.id().is_none_or(|expected| expected == id);
        Ok(match is_right {
            true => Reading::Right,
            false => Reading::Wrong,
        })
    }

    /// As [`Source::read`], with all of its bytes where they are right.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(super) fn read_whole(
        &self,
        name: FileName,
        candidate: &Candidate,
    ) -> Result<(Reading, Vec<u8>)> {
        let mut bytes = Vec::new();
        let reading = self.read(name, candidate, &mut |step| {
            bytes.extend_from_slice(step);
            Ok(())
        })?;
        Ok((reading, bytes))
    }

    /// Why nothing at all could be read, where every version was refused.
    pub(super) fn may_not_read(&self) -> Option<Error> {
        if self.has_read.load(Ordering::Relaxed) {
            return None;
        }
        let source = Box::new(self.refusal.lock().take()?);
        let copy = self.copy.name.clone();
        Some(Error::from(RecoverError::MayNotRead { copy, source }))
    }

    /// What it means that a version could not be read.
    fn failed(&self, error: StoreError) -> Result<Reading> {
        let reason = crate::session::chain(&error);
        match error {
            StoreError::Cancelled { .. } => return Err(Error::Interrupted),
            StoreError::Unreachable { .. } => {
                let before = self.unreached.fetch_add(1, Ordering::Relaxed);
                if before.saturating_add(1) >= MOST_UNREACHED {
                    return Err(error.into());
                }
            }
            StoreError::Denied { .. } => {
                self.refusal.lock().get_or_insert(error);
            }
            _ => {}
        }
        Ok(Reading::Failed(reason))
    }
}
