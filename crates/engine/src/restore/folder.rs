//! A folder that is being restored: open until everything in it is done.
//!
//! Whatever is still to be done in a folder holds it, and so does each folder in it. Who lets go
//! last gives the folder its metadata, since making a file in it would change its times.
//!
//! What can go wrong: names that wait for the first name of their file hold folders without end, of
//! which the system lets a process open so many. Such a folder is closed, and opened anew for each
//! who does something in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::node::NodeKind;

use crate::filesystem::{FolderPath, FsError, TargetFolder};
use crate::restore::Restore;
use crate::restore::report::Tally;
use crate::restore::selection::Choice;
use crate::session::chain;

/// A folder of the target.
#[derive(Debug)]
pub(super) struct OpenFolder {
    above: Option<Arc<OpenFolder>>,
    node: Node,
    /// Below the target, without a slash before or after it.
    pub(super) path: FolderPath,
    pub(super) choice: Choice,
    target: Mutex<Made>,
    /// Whether it does not stay open, since somewhere in it a name waits.
    is_closed: AtomicBool,
}

/// Whether a folder is there.
#[derive(Debug)]
enum Made {
    /// It is made when it is first needed, so that a selection makes no empty folders.
    NotYet,
    /// It is there and open.
    Open(TargetFolder),
    /// It is there.
    Closed,
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
            target: Mutex::new(Made::Open(target)),
            is_closed: AtomicBool::new(false),
        })
    }

    /// A folder in this one; nothing is made yet.
    pub(super) fn inner(above: &Arc<Self>, node: Node, choice: Choice) -> Arc<Self> {
        Arc::new(Self {
            path: above.path.below(&node.name),
            above: Some(Arc::clone(above)),
            node,
            choice,
            target: Mutex::new(Made::NotYet),
            is_closed: AtomicBool::new(false),
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

    /// Closes the folder and those above it for good: a name in it waits, however long.
    pub(super) fn close(&self) {
        let mut next = Some(self);
        while let Some(folder) = next {
            // The target itself is where the others are found again.
            if folder.above.is_none() || folder.is_closed.swap(true, Ordering::AcqRel) {
                return;
            }
            let mut made = folder.target.lock();
            if matches!(*made, Made::Open(_)) {
                *made = Made::Closed;
            }
            drop(made);
            next = folder.above.as_deref();
        }
    }

    /// Lets go of a folder; who is last gives it its metadata, and lets go of the one above.
    ///
    /// To drop one instead leaves a folder without its metadata, as an interrupted restore does.
    pub(super) fn release(folder: Arc<Self>, shared: &Restore<'_>) {
        let mut next = Some(folder);
        while let Some(mut folder) = next.and_then(Arc::into_inner) {
            if folder.above.is_some() && !shared.is_verify {
                folder.finish(shared);
            }
            next = folder.above;
        }
    }

    fn finish(&mut self, shared: &Restore<'_>) {
        let target = match std::mem::replace(self.target.get_mut(), Made::NotYet) {
            Made::NotYet => return,
            Made::Open(target) => target,
            Made::Closed => match shared.root.descend(&self.path.whole()) {
                Ok(target) => target,
                Err(error) => {
                    shared.tally.error(&self.path.whole(), chain(&error));
                    shared.progress.add_error();
                    return;
                }
            },
        };
        let mut problems = Vec::new();
        target.finish(&self.node, &mut problems);
        Tally::add(&shared.tally.folders, 1);
        for problem in problems {
            shared.tally.problem(&self.path.whole(), &problem);
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
            if let Some(target) = at.found()? {
                break target;
            }
            missing.push(at);
            at = at.above.as_deref().ok_or_else(nowhere)?;
        };
        for folder in missing.into_iter().rev() {
            target = folder.open_in(&target, open)?;
        }
        Ok(target)
    }

    /// The folder, if it is there.
    fn found(&self) -> Result<Option<TargetFolder>, FsError> {
        match &*self.target.lock() {
            Made::NotYet => return Ok(None),
            Made::Open(target) => return Ok(Some(target.clone())),
            Made::Closed => {}
        }
        let mut top = self;
        while let Some(above) = &top.above {
            top = above;
        }
        match &*top.target.lock() {
            Made::Open(root) => root.descend(&self.path.whole()).map(Some),
            // The root has its target from the start.
            _ => Err(nowhere()),
        }
    }

    /// The folder in the one above it, unless somebody else was faster.
    fn open_in(
        &self,
        above: &TargetFolder,
        open: fn(&TargetFolder, &[u8]) -> Result<TargetFolder, FsError>,
    ) -> Result<TargetFolder, FsError> {
        let mut made = self.target.lock();
        if let Made::Open(target) = &*made {
            return Ok(target.clone());
        }
        let target = open(above, &self.node.name)?;
        *made = match self.is_closed.load(Ordering::Acquire) {
            true => Made::Closed,
            false => Made::Open(target.clone()),
        };
        Ok(target)
    }
}

fn nowhere() -> FsError {
    FsError::io("open", Path::new(""), rustix::io::Errno::NOENT)
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
