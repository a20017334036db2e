//! A folder that is being saved, from the moment it is found until its tree is stored.
//!
//! ```text
//! found ──▶ listed: one slot for each entry ──▶ each slot is filled, by whichever thread
//!                                                          │ the last one
//!                                 slot of the folder above ◀── tree stored
//! ```
//! A slot is filled exactly once, with a node or with nothing where the entry could not be read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::Node;

use crate::filesystem::FolderPath;

/// A folder that is being saved.
#[derive(Debug)]
pub(crate) struct FolderState {
    /// Where its own node goes; `None` for the root.
    pub(crate) above: Option<Slot>,
    /// Where it is, for errors and patterns.
    pub(crate) path: FolderPath,
    /// Its own node without its tree, once it is open; `None` for the root.
    node: Mutex<Option<Node>>,
    /// Its node in the parent snapshot.
    old: Option<Node>,
    /// Its tree in the parent snapshot.
    pub(crate) old_tree: Option<Id>,
    entries: Mutex<Entries>,
    /// Slots that are not filled yet, and one more while it is being listed.
    open: AtomicUsize,
}

/// A place for the node of one entry.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) folder: Arc<FolderState>,
    pub(crate) number: usize,
}

/// What a folder turned out to hold.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// A node for each entry that could be read, by name.
    pub(crate) nodes: Vec<Option<Node>>,
    /// Whether all of them are as in the parent snapshot, and no other was there.
    pub(crate) changed: bool,
}

impl FolderState {
    /// A folder that was just found, with its node in the parent snapshot.
    pub(crate) fn new(above: Option<Slot>, path: FolderPath, old: Option<Node>) -> Self {
        Self {
            above,
            path,
            node: Mutex::default(),
            old_tree: old.as_ref().and_then(|old| old.subtree),
            old,
            entries: Mutex::default(),
            open: AtomicUsize::new(1),
        }
    }

    /// The root of a snapshot, with the parent's.
    pub(crate) fn root(old_tree: Option<Id>) -> Self {
        let mut root = Self::new(None, FolderPath::new(Path::new("/")), None);
        root.old_tree = old_tree;
        root
    }

    /// Says what the folder itself is.
    pub(crate) fn set_node(&self, node: Node) {
        *self.node.lock() = Some(node);
    }

    /// Takes the folder's own node, with its tree, and tells whether the parent's is the same.
    pub(crate) fn finish_node(&self, tree: Id) -> (Option<Node>, bool) {
        let mut node = self.node.lock().take();
        if let Some(node) = &mut node {
            node.subtree = Some(tree);
        }
        let is_old = node.is_some() && node == self.old;
        (node, is_old)
    }

    /// Says what it holds: a node where it is known already, else a slot to fill later.
    ///
    /// `changed` tells that it is already known to differ from the parent snapshot.
    /// Afterwards the lister still holds one claim on it, to be given back by [`Self::release`].
    pub(crate) fn list(&self, nodes: Vec<Option<Node>>, later: usize, changed: bool) {
        *self.entries.lock() = Entries { nodes, changed };
        self.open.fetch_add(later, Ordering::AcqRel);
    }

    /// Gives back one claim; returns whether it was the last, so that the caller stores the tree.
    pub(crate) fn release(&self) -> bool {
        self.open.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Takes what it holds, once the last claim was given back.
    pub(crate) fn take(&self) -> Entries {
        std::mem::take(&mut *self.entries.lock())
    }
}

/// Folders that are given up are let go of one by one: their depth must not become that of the
/// stack.
impl Drop for FolderState {
    fn drop(&mut self) {
        let mut next = self.above.take();
        while let Some(mut folder) = next.and_then(|slot| Arc::into_inner(slot.folder)) {
            next = folder.above.take();
        }
    }
}

impl Slot {
    /// Fills the slot; returns whether its folder is complete now, so that the caller stores it.
    pub(crate) fn fill(&self, node: Option<Node>, changed: bool) -> bool {
        {
            let mut entries = self.folder.entries.lock();
            entries.changed |= changed || node.is_none();
            if let Some(slot) = entries.nodes.get_mut(self.number) {
                *slot = node;
            }
        }
        self.folder.release()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repo::node::NodeKind;

    #[test]
    fn the_last_slot_completes_a_folder() {
        let folder = Arc::new(FolderState::root(None));
        let node = |name: &str| Some(Node::new(name.as_bytes(), NodeKind::File));
        folder.list(vec![node("a"), None, None], 2, false);
        let slot = |number| Slot {
            folder: Arc::clone(&folder),
            number,
        };
        assert!(!folder.release());
        assert!(!slot(2).fill(node("c"), true));
        assert!(slot(1).fill(None, false));
        let entries = folder.take();
        assert_eq!(entries.nodes.iter().flatten().count(), 2);
        assert!(entries.changed);
    }
}
