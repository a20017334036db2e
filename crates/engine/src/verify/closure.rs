//! Whether everything that a snapshot refers to is there: all its trees, all their blobs.
//!
//! Trees that were found complete are remembered, so that many snapshots of one source cost
//! little more than one; so are those that were found wrong, which may have cost many requests.
//!
//! What can go wrong: a tree is gone, which is told of each snapshot that needs it; or its place
//! cannot be asked, which says nothing of any snapshot and ends the walk.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob;
use strongroom_repo::{BlobId, BlobLocation, Index, Repository, Tree};
use strongroom_store::{Error, Store};

use crate::Result;
use crate::parallel::for_each;
use crate::session::{Cancel, chain};

/// Reads a blob from wherever it lies, decrypted and checked.
pub(crate) type ReadBlob<'a> =
    dyn Fn(BlobId, BlobLocation) -> std::result::Result<Vec<u8>, Unread> + Sync + 'a;

/// Why a blob was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is not there, or not what it should be; says so.
    Wrong(String),
    /// Its store failed.
    Failed(Error),
}

/// Walks trees through one index.
pub(crate) struct Closure<'a> {
    index: &'a Index,
    read_blob: &'a ReadBlob<'a>,
    cancel: &'a Cancel,
    /// Trees below which nothing is missing.
    complete: HashSet<Id>,
    /// Trees with something wrong, and what that is.
    wrong: HashMap<Id, String>,
}

/// How many trees are read at a time.
const READERS: usize = 8;

impl<'a> Closure<'a> {
    /// Knows nothing yet.
    pub(crate) fn new(index: &'a Index, read_blob: &'a ReadBlob<'a>, cancel: &'a Cancel) -> Self {
        Self {
            index,
            read_blob,
            cancel,
            complete: HashSet::new(),
            wrong: HashMap::new(),
        }
    }

    /// Says what is missing below a root tree; `None` where nothing is.
    ///
    /// # Errors
    /// Where the user interrupts; [`crate::Error::Store`] where a tree cannot be asked for.
    pub(crate) fn missing(&mut self, root: Id) -> Result<Option<String>> {
        let mut seen = HashSet::new();
        let mut level = vec![root];
        while !level.is_empty() {
            level.retain(|id| !self.complete.contains(id) && seen.insert(*id));
            if let Some(reason) = level.iter().find_map(|id| self.wrong.get(id)) {
                return Ok(Some(reason.clone()));
            }
            let below = Mutex::new(Vec::new());
            let wrong = Mutex::new(Vec::new());
            for_each(&level, READERS, |id| {
                self.cancel.check()?;
                match self.subtrees(*id) {
                    Ok(subtrees) => below.lock().extend(subtrees),
                    Err(Unread::Wrong(reason)) => wrong.lock().push((*id, reason)),
                    Err(Unread::Failed(error)) => return Err(error.into()),
                }
                Ok(())
            })?;
            let wrong = wrong.into_inner();
            if let Some((_, reason)) = wrong.last() {
                let reason = reason.clone();
                self.wrong.extend(wrong);
                return Ok(Some(reason));
            }
            level = below.into_inner();
        }
        self.complete.extend(seen);
        Ok(None)
    }

    fn subtrees(&self, id: Id) -> std::result::Result<Vec<Id>, Unread> {
        let wanted = BlobId::tree(id);
        let is_absent = || Unread::Wrong(absent(wanted));
        let location = self.index.get(wanted).ok_or_else(is_absent)?;
        let text = (self.read_blob)(wanted, location)?;
        let tree =
            Tree::decode(&text).map_err(|error| Unread::Wrong(unreadable(wanted, &error)))?;
        match first_absent(&tree, self.index) {
            Some(blob) => Err(Unread::Wrong(absent(blob))),
            None => Ok(tree.nodes.iter().filter_map(|node| node.subtree).collect()),
        }
    }
}

/// Reads a blob from one store, as [`ReadBlob`] does.
///
/// # Errors
/// [`Unread::Failed`] with whatever the store says: whoever calls knows what that tells of the blob
/// and what of the place.
pub(crate) fn read_blob(
    repository: &Repository,
    store: &dyn Store,
    wanted: BlobId,
    location: BlobLocation,
) -> std::result::Result<Vec<u8>, Unread> {
    let pack = FileName::new(FileType::Data, location.pack);
    let read = store.read_range(pack, location.range());
    let mut sealed = read.map_err(Unread::Failed)?;
    let length = location.uncompressed_length;
    blob::decode(repository.key(), wanted, length, &mut sealed)
        .map_err(|error| Unread::Wrong(chain(&error)))
}

/// The first blob that a tree names and the index does not.
pub(crate) fn first_absent(tree: &Tree, index: &Index) -> Option<BlobId> {
    let trees = |node: &strongroom_repo::Node| node.subtree.map(BlobId::tree);
    tree.nodes.iter().find_map(|node| {
        let content = node.content.iter().flatten().copied().map(BlobId::data);
        trees(node)
            .into_iter()
            .chain(content)
            .find(|blob| index.pack_of(*blob).is_none())
    })
}

/// What to say of a blob that could not be read.
pub(crate) fn unreadable(blob: BlobId, error: &dyn std::error::Error) -> String {
    format!("the {blob}: {}", chain(error))
}

/// What to say of a blob that no index names.
pub(crate) fn absent(blob: BlobId) -> String {
    format!("the {blob} is missing")
}
