//! Folders that stay open from one body to the next, so that a small body costs few system calls.
//!
//! What can go wrong: a folder that is kept open may be removed behind our back. Nothing can be
//! made in it then; whoever meets that forgets it, and the next one opens it anew.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::local::folder::{self, Modes};
use crate::local::settling;

/// How many folders are kept open: a repository has 262.
///
/// Opening one again costs microseconds, where a body costs a sync of the disk.
const KEPT: usize = 512;

/// The folders below a root.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    open: Mutex<HashMap<String, Kept>>,
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    opened: OwnedFd,
    /// What was found out about its file system, once somebody has asked.
    synced_device: OnceLock<Option<u64>>,
}

/// A folder that is kept open.
#[derive(Clone, Debug)]
struct Kept {
    folder: Arc<Folder>,
    /// Whether it outlasts a power cut: one that was only found may have been made a moment ago.
    is_durable: bool,
}

impl Folder {
    /// The device of its file system, which all files have that are made in it, where
    /// [`settling`](crate::local::settling) may synchronise that as a whole.
    pub(super) fn synced_device(&self) -> Option<u64> {
        *self
            .synced_device
            .get_or_init(|| settling::synced_device(&self.opened))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened.as_fd()
    }
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
    pub(super) fn open(&self, relative: &str) -> rustix::io::Result<Arc<Folder>> {
        self.kept(relative, false, || folder::open(&self.root, relative))
    }

    /// A folder, made where it is missing, that outlasts a power cut.
    pub(super) fn open_or_make(&self, relative: &str) -> rustix::io::Result<Arc<Folder>> {
        let mode = Modes::PRIVATE.folder;
        self.kept(relative, true, || match relative.rsplit_once('/') {
            // What leads to it is synchronised once for all that lies in it.
            Some((parent, part)) => {
                folder::open_or_make_in(&*self.open_or_make(parent)?, part, mode)
            }
            None => folder::open_or_make_in(&folder::open(&self.root, "")?, relative, mode),
        })
    }

    /// Closes a folder, which may not be what its name stands for any more, with what leads to it
    /// and what lies in it.
    pub(super) fn forget(&self, relative: &str) {
        let mut kept = self.open.lock();
        let mut path = relative;
        kept.retain(|other, _| {
            let below = other.strip_prefix(relative);
            !below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        while let Some((parent, _)) = path.rsplit_once('/') {
            kept.remove(parent);
            path = parent;
        }
    }

    fn kept(
        &self,
        relative: &str,
        is_durable: bool,
        open: impl FnOnce() -> rustix::io::Result<OwnedFd>,
    ) -> rustix::io::Result<Arc<Folder>> {
        let known = self.open.lock().get(relative).cloned();
        if let Some(known) = known.filter(|known| known.is_durable || !is_durable) {
            return Ok(known.folder);
        }
        let folder = Arc::new(Folder {
            opened: open()?,
            synced_device: OnceLock::new(),
        });
        let mut kept = self.open.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        let new = Kept {
            folder: Arc::clone(&folder),
            is_durable,
        };
        kept.insert(relative.to_owned(), new);
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

    #[test]
    fn what_was_removed_behind_our_back_is_made_anew_with_all_that_leads_to_it() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_owned());
        folders.open_or_make("acme/repos/data").unwrap();
        std::fs::remove_dir_all(root.path().join("acme")).unwrap();
        folders.forget("acme/repos/data");
        folders.open_or_make("acme/repos/data").unwrap();
        assert!(root.path().join("acme/repos/data").is_dir());
    }

    #[test]
    fn a_folder_that_was_only_found_is_made_durable_before_anything_is_put_into_it() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_owned());
        std::fs::create_dir(root.path().join("keys")).unwrap();
        let is_durable = || folders.open.lock()["keys"].is_durable;
        folders.open("keys").unwrap();
        assert!(!is_durable());
        folders.open_or_make("keys").unwrap();
        assert!(is_durable());
        // And it is not forgotten that it is.
        folders.open("keys").unwrap();
        assert!(is_durable());
    }
}
