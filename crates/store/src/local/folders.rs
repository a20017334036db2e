//! Folders that stay open from one body to the next, so that a small body costs few system calls.
//!
//! What can go wrong: a folder that is kept open may be removed behind our back. Nothing can be
//! made in it then; whoever meets that forgets it, and the next one opens it anew.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::local::folder::{self, Modes};

/// How many folders are kept open: a repository has 262.
///
/// Opening one again costs microseconds, where a body costs a sync of the disk.
const KEPT: usize = 512;

/// The folders below a root.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    open: Mutex<HashMap<String, Arc<OwnedFd>>>,
}

impl Folders {
    /// The folders below `root`, none of them open.
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            open: Mutex::default(),
        }
    }

    /// The root itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder that is there.
    pub(super) fn open(&self, relative: &str) -> rustix::io::Result<Arc<OwnedFd>> {
        self.kept(relative, || folder::open(&self.root, relative))
    }

    /// A folder, made where it is missing.
    pub(super) fn open_or_make(&self, relative: &str) -> rustix::io::Result<Arc<OwnedFd>> {
        self.kept(relative, || {
            folder::open_or_make(&self.root, relative, Modes::PRIVATE.folder)
        })
    }

    /// Closes a folder, which may not be what its name stands for any more.
    pub(super) fn forget(&self, relative: &str) {
        self.open.lock().remove(relative);
    }

    fn kept(
        &self,
        relative: &str,
        open: impl FnOnce() -> rustix::io::Result<OwnedFd>,
    ) -> rustix::io::Result<Arc<OwnedFd>> {
        if let Some(folder) = self.open.lock().get(relative) {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(open()?);
        let mut kept = self.open.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(relative.to_owned(), Arc::clone(&folder));
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_folders_are_kept_open_than_the_limit() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_owned());
        for number in 0..KEPT + 3 {
            folders.open_or_make(&number.to_string()).unwrap();
        }
        assert_eq!(folders.open.lock().len(), 3);
        folders.open("0").unwrap();
    }
}
