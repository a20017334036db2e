//! A folder that is being saved, from the moment it is found until its tree is stored.
//!
//! ```text
//! found ──▶ listed: one slot for each entry ──▶ each slot is filled, by whichever thread
//!                                                          │ the last one
//!                                 slot of the folder above ◀── tree stored
//! ```
//! A slot is filled exactly once, with a node or with nothing where the entry could not be read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::Node;

/// A folder that is being saved.
#[derive(Debug)]
pub(crate) struct FolderState {
    /// Where its own node goes; `None` for the root.
    pub(crate) above: Option<Slot>,
    /// Where it is, for errors and patterns.
    pub(crate) path: PathBuf,
    /// Its own node without its tree; `None` for the root.
    pub(crate) node: Mutex<Option<Node>>,
    /// Its tree in the parent snapshot.
    pub(crate) old_tree: Option<Id>,
    /// Whether its own metadata are those of the parent snapshot.
    pub(crate) node_is_old: bool,
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
    /// A folder that was just found.
    pub(crate) fn new(
        above: Option<Slot>,
        path: PathBuf,
        node: Option<Node>,
        old_tree: Option<Id>,
        node_is_old: bool,
    ) -> Self {
        Self {
            above,
            path,
            node: Mutex::new(node),
            old_tree,
            node_is_old,
            entries: Mutex::default(),
            open: AtomicUsize::new(1),
        }
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
        let folder = Arc::new(FolderState::new(None, PathBuf::new(), None, None, false));
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
