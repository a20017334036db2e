//! A folder that is being restored: open until everything in it is done.
//!
//! Whatever is still to be done in a folder holds it, and so does each folder in it. Who lets go
//! last gives the folder its metadata, since making a file in it would change its times.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::node::NodeKind;

use crate::filesystem::{FolderPath, FsError, TargetFolder};
use crate::restore::Restore;
use crate::restore::report::Tally;
use crate::restore::selection::Choice;

/// A folder of the target.
#[derive(Debug)]
pub(super) struct OpenFolder {
    above: Option<Arc<OpenFolder>>,
    node: Node,
    /// Below the target, without a slash before or after it.
    pub(super) path: FolderPath,
    pub(super) choice: Choice,
    /// Made when it is first needed, so that a selection makes no empty folders.
    target: Mutex<Option<TargetFolder>>,
}

/// Some folders of one folder, which are looked through together: their trees often lie side by
/// side in a pack.
#[derive(Debug)]
pub(super) struct FolderBatch {
    pub(super) above: Arc<OpenFolder>,
    pub(super) nodes: Vec<(Node, Choice)>,
    /// Of the batch that begins a restore, the tree of the target itself.
    pub(super) root: Option<Id>,
}

impl OpenFolder {
    /// The target itself.
    pub(super) fn root(target: TargetFolder) -> Arc<Self> {
        Arc::new(Self {
            above: None,
            node: Node::new([], NodeKind::Dir),
            path: FolderPath::new(Path::new("")),
            choice: Choice::Within,
            target: Mutex::new(Some(target)),
        })
    }

    /// A folder in this one; nothing is made yet.
    pub(super) fn inner(above: &Arc<Self>, node: Node, choice: Choice) -> Arc<Self> {
        Arc::new(Self {
            path: above.path.below(&node.name),
            above: Some(Arc::clone(above)),
            node,
            choice,
            target: Mutex::default(),
        })
    }

    /// The path of a name in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        self.path.whole_of(name)
    }

    /// The folder in the target; it and those above it are made where they are not yet.
    pub(super) fn target(&self) -> Result<TargetFolder, FsError> {
        self.target_with(|above, name| above.create_folder(name))
    }

    /// The folder in the target, which was made before.
    pub(super) fn existing(&self) -> Result<TargetFolder, FsError> {
        self.target_with(TargetFolder::descend)
    }

    /// Lets go of a folder; who is last gives it its metadata, and lets go of the one above.
    ///
    /// To drop one instead leaves a folder without its metadata, as an interrupted restore does.
    pub(super) fn release(folder: Arc<Self>, shared: &Restore<'_>) {
        let mut problems = Vec::new();
        let mut next = Some(folder);
        while let Some(folder) = next.and_then(Arc::into_inner) {
            if let (Some(target), Some(_)) = (folder.target.into_inner(), &folder.above)
                && !shared.is_verify
            {
                target.finish(&folder.node, &mut problems);
                Tally::add(&shared.tally.folders, 1);
                for problem in problems.drain(..) {
                    shared.tally.problem(&folder.path.whole(), &problem);
                }
            }
            next = folder.above;
        }
    }

    fn target_with(
        &self,
        open: fn(&TargetFolder, &[u8]) -> Result<TargetFolder, FsError>,
    ) -> Result<TargetFolder, FsError> {
        let mut missing = Vec::new();
        let mut at = self;
        // Not by recursion: the depth of a snapshot must not become that of the stack.
        let mut target = loop {
            if let Some(target) = &*at.target.lock() {
                break target.clone();
            }
            missing.push(at);
            // The root has its target from the start.
            let nowhere = || FsError::io("open", Path::new(""), rustix::io::Errno::NOENT);
            at = at.above.as_deref().ok_or_else(nowhere)?;
        };
        for folder in missing.into_iter().rev() {
            let mut slot = folder.target.lock();
            target = match &mut *slot {
                Some(made) => made.clone(),
                none => none.insert(open(&target, &folder.node.name)?).clone(),
            };
        }
        Ok(target)
    }
}

impl FolderBatch {
    /// The target itself.
    pub(super) fn root(root: Arc<OpenFolder>, tree: Id) -> Self {
        Self {
            above: root,
            nodes: Vec::new(),
            root: Some(tree),
        }
    }
}
