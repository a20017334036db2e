//! Reading blobs from whichever copy still has them whole.
//!
//! The best copy is read first. The index of another one is loaded only when a blob of the best
//! one fails, since over a network that costs minutes which a healthy restore need not spend.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob::BlobId;
use strongroom_repo::{Index, Repository, Tree};

use crate::blobs::BlobReader;
use crate::lead::Lead;
use crate::session::{Cancel, CopyStore, ReadyCopy, Session, chain};
use crate::{Error, Result};

/// Several copies of one repository, read as one.
#[derive(Debug)]
pub struct ReadSet<'a> {
    repository: &'a Repository,
    members: Vec<Member<'a>>,
    cancel: &'a Cancel,
    faults: Mutex<BTreeSet<ReadFault>>,
}

/// Something that one copy could not give, though another may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadFault {
    /// The copy.
    pub copy: String,
    /// The file that is wrong, where it is known.
    pub file: Option<String>,
    /// What is wrong.
    pub reason: String,
}

#[derive(Debug)]
struct Member<'a> {
    copy: &'a CopyStore,
    ready: &'a ReadyCopy,
    /// Filled when the copy is first asked.
    index: OnceLock<Index>,
}

impl<'a> ReadSet<'a> {
    /// Orders the copies of a session, the one with the most packs first and among equals a local
    /// one, and loads the index of the first.
    ///
    /// # Errors
    /// Where no copy can be used, or the user interrupts.
    pub fn load(session: &'a Session, cancel: &'a Cancel) -> Result<Self> {
        let mut copies: Vec<_> = session.ready().collect();
        copies.sort_by_key(|(copy, ready)| (usize::MAX - ready.listing.data.len(), !copy.is_local));
        let members: Vec<_> = copies
            .into_iter()
            .map(|(copy, ready)| Member {
                copy,
                ready,
                index: OnceLock::new(),
            })
            .collect();
        let set = Self {
            repository: &session.repository,
            members,
            cancel,
            faults: Mutex::default(),
        };
        let first = set.members.first().ok_or_else(|| session.no_copy())?;
        set.index_of(first)?;
        Ok(set)
    }

    /// Reads a blob from the first copy that can give it.
    ///
    /// # Errors
    /// What the best copy said, where none can; [`Error::Interrupted`].
    pub fn read(&self, blob: BlobId) -> Result<Vec<u8>> {
        self.first(blob, |reader| reader.read(blob))
    }

    /// Reads and decodes a tree from the first copy that can give it.
    ///
    /// # Errors
    /// As [`ReadSet::read`].
    pub fn tree(&self, id: Id) -> Result<Tree> {
        self.first(BlobId::tree(id), |reader| reader.tree(id))
    }

    /// What copies could not give so far; each is worth a `strongroom verify`.
    pub fn faults(&self) -> Vec<ReadFault> {
        self.faults.lock().iter().cloned().collect()
    }

    fn first<T>(&self, blob: BlobId, read: impl Fn(BlobReader<'_>) -> Result<T>) -> Result<T> {
        let mut first_error = None;
        for member in &self.members {
            self.cancel.check()?;
            let index = self.index_of(member)?;
            let reader = BlobReader {
                repository: self.repository,
                index,
                store: &member.copy.store,
            };
            match read(reader) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let location = index.get(blob);
                    let fault = ReadFault {
                        copy: member.copy.name.clone(),
                        file: location.map(|at| FileName::new(FileType::Data, at.pack).to_string()),
                        reason: chain(&error),
                    };
                    tracing::debug!(copy = fault.copy, reason = fault.reason, "A blob failed");
                    self.faults.lock().insert(fault);
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(Error::Interrupted))
    }

    fn index_of<'s>(&'s self, member: &'s Member<'a>) -> Result<&'s Index> {
        if let Some(index) = member.index.get() {
            return Ok(index);
        }
        let lead = Lead::load_from(self.repository, member.copy, member.ready, self.cancel)?;
        // Two threads may load it at once; both find the same.
        Ok(member.index.get_or_init(|| lead.index))
    }
}
