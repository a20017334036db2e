//! Whether everything that a snapshot refers to is there: all its trees, all their blobs.
//!
//! Trees that were found complete are remembered, so that many snapshots of one source cost
//! little more than one.

use std::collections::HashSet;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType, Id};
use strongroom_repo::blob;
use strongroom_repo::{BlobId, BlobLocation, Index, Repository, Tree};
use strongroom_store::Store;

use crate::Result;
use crate::parallel::for_each;
use crate::session::{Cancel, chain};

/// Reads a blob from wherever it lies, decrypted and checked; else says what is wrong.
pub(crate) type ReadBlob<'a> =
    dyn Fn(BlobId, BlobLocation) -> std::result::Result<Vec<u8>, String> + Sync + 'a;

/// Walks trees through one index.
pub(crate) struct Closure<'a> {
    index: &'a Index,
    read_blob: &'a ReadBlob<'a>,
    cancel: &'a Cancel,
    /// Trees below which nothing is missing.
    complete: HashSet<Id>,
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
        }
    }

    /// Says what is missing below a root tree; `None` where nothing is.
    ///
    /// # Errors
    /// Where the user interrupts.
    pub(crate) fn missing(&mut self, root: Id) -> Result<Option<String>> {
        let mut seen = HashSet::new();
        let mut level = vec![root];
        while !level.is_empty() {
            level.retain(|id| !self.complete.contains(id) && seen.insert(*id));
            let below = Mutex::new(Vec::new());
            let missing = Mutex::new(None);
            for_each(&level, READERS, |id| {
                self.cancel.check()?;
                match self.subtrees(*id) {
                    Ok(subtrees) => below.lock().extend(subtrees),
                    Err(reason) => *missing.lock() = Some(reason),
                }
                Ok(())
            })?;
            if let Some(reason) = missing.into_inner() {
                return Ok(Some(reason));
            }
            level = below.into_inner();
        }
        self.complete.extend(seen);
        Ok(None)
    }

    fn subtrees(&self, id: Id) -> std::result::Result<Vec<Id>, String> {
        let wanted = BlobId::tree(id);
        let location = self.index.get(wanted).ok_or_else(|| absent(wanted))?;
        let text = (self.read_blob)(wanted, location)?;
        let tree =
            Tree::decode(&text).map_err(|error| format!("the {wanted}: {}", chain(&error)))?;
        match first_absent(&tree, self.index) {
            Some(blob) => Err(absent(blob)),
            None => Ok(tree.nodes.iter().filter_map(|node| node.subtree).collect()),
        }
    }
}

/// Reads a blob from one store, as [`ReadBlob`] does.
///
/// # Errors
/// A text that says what is wrong.
pub(crate) fn read_blob(
    repository: &Repository,
    store: &dyn Store,
    wanted: BlobId,
    location: BlobLocation,
) -> std::result::Result<Vec<u8>, String> {
    let pack = FileName::new(FileType::Data, location.pack);
    let mut sealed = store
        .read_range(pack, location.range())
        .map_err(|error| format!("the {wanted}: {}", chain(&error)))?;
    let length = location.uncompressed_length;
    blob::decode(repository.key(), wanted, length, &mut sealed).map_err(|error| chain(&error))
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

/// What to say of a blob that no index names.
pub(crate) fn absent(blob: BlobId) -> String {
    format!("the {blob} is missing")
}
