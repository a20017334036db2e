//! The copy that is recovered: its versions read, and held against their names.
//!
//! What can go wrong with one version says nothing of the others: somebody may have put the same
//! bytes again, encrypted by a key of his own, or into an archive. So a version that is refused is
//! passed over, whatever the reason. A place that cannot be reached any more ends the run.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use strongroom_model::{FileName, Id};
use strongroom_store::{Error as StoreError, Store, Versions};

use crate::recover::RecoverError;
use crate::recover::files::Candidate;
use crate::session::{Cancel, CopyStore};
use crate::{Error, Result};

/// After how many reads in a row that did not reach the place it is given up.
const MOST_UNREACHED: u32 = 32;

/// The versions of a copy.
pub(super) struct Source<'a> {
    pub(super) copy: &'a CopyStore,
    pub(super) store: &'a dyn Store,
    pub(super) versions: &'a dyn Versions,
    /// Only what was made by then counts.
    pub(super) as_of: Option<SystemTime>,
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
            cancel,
            unreached: AtomicU32::new(0),
            has_read: AtomicBool::new(false),
            refusal: Mutex::new(None),
        })
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
        let (mut hasher, mut size_bytes) = (Sha256::new(), 0_u64);
        loop {
            self.cancel.check()?;
            let step = match stream.fill_buf() {
                Ok(step) => step,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let location = self.store.location();
                    return self.failed(StoreError::of_stream(location, name, error));
                }
            };
            let count = step.len();
            size_bytes = size_bytes.saturating_add(count as u64);
            if count == 0 || size_bytes > candidate.size_bytes {
                break;
            }
            hasher.update(step);
            take(step)?;
            stream.consume(count);
        }
        self.unreached.store(0, Ordering::Relaxed);
        self.has_read.store(true, Ordering::Relaxed);
        let id = Id::from_bytes(hasher.finalize().into());
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
