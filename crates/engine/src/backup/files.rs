//! Files: opened, compared, read once.
//!
//! A file that ends before its first cut, which most do, is stored by the thread that reads it.
//! The pieces of a larger one go to whichever thread is free; whoever stores the last piece closes
//! the file. An inode with several names is read once: the other names wait for its pieces. Names
//! belong together only where all that the system says of them is the same ([`Stat`]): an inode
//! that was freed and given to another file, or written to, between two of its names is read again.

use std::ffi::{CStr, CString};
use std::io::Read;
use std::sync::Arc;

use strongroom_model::Id;
use strongroom_repo::Node;

use crate::Result;
use crate::backup::content::FileNode;
use crate::backup::folder::Slot;
use crate::backup::report::SourceErrorKind;
use crate::backup::walk::Compared;
use crate::backup::worker::Worker;
use crate::filesystem::{Folder, Stat};
use crate::state::Seed;

/// Files of one folder, to be read one after the other.
#[derive(Debug)]
pub(crate) struct FileBatch {
    /// The folder.
    pub(crate) folder: Arc<Folder>,
    /// The files.
    pub(crate) files: Vec<FileTask>,
}

/// A file to read.
#[derive(Debug)]
pub(crate) struct FileTask {
    /// Where its node goes.
    pub(crate) slot: Slot,
    /// Its name.
    pub(crate) name: CString,
    /// What it was when its folder was listed.
    pub(crate) stat: Stat,
    /// What the parent snapshot has there.
    pub(crate) old: Option<Node>,
}

/// An inode that has several names, from the first of them until the last.
#[derive(Debug)]
pub(crate) struct Inode {
    /// How many of its names were not seen yet.
    names_left: u64,
    state: InodeState,
}

/// What became of an inode.
#[derive(Debug)]
enum InodeState {
    /// Somebody reads it; these wait, each with its node.
    Reading(Vec<(Slot, Node)>),
    /// It was read.
    Done(Box<[Id]>, u64),
    /// It could not be read.
    Failed,
}

impl Worker<'_, '_> {
    /// Reads and stores files of one folder.
    ///
    /// # Errors
    /// Where no copy takes what is stored. That a file cannot be read is noted and no error.
    pub(crate) fn save_files(&mut self, batch: FileBatch) -> Result<()> {
        for task in batch.files {
            self.save_file(&batch.folder, task)?;
        }
        Ok(())
    }

    fn save_file(&mut self, folder: &Folder, task: FileTask) -> Result<()> {
        let FileTask {
            slot,
            name,
            stat,
            old,
        } = task;
        if self.is_own_key(folder, &name, &stat) {
            tracing::info!("The key of this machine is left out");
            return self.fill(&slot, None, true);
        }
        // One whose folder was listed was compared already: this is for paths of the source.
        let old = match self.take_over(old, &stat) {
            Compared::Same(old) => return self.fill(&slot, Some(old), false),
            Compared::Different(old) => old,
        };
        if old.is_some() {
            self.stats.files_changed += 1;
        } else {
            self.stats.files_new += 1;
        }
        let file = match folder.open_file(&name, &stat) {
            Ok(file) => file,
            Err(error) => {
                self.archive.fs_error(&error);
                return self.fill(&slot, None, true);
            }
        };
        let mut problems = Vec::new();
        let node = file.node(folder, &name, self.archive.names, &mut problems);
        for problem in &problems {
            self.archive.fs_error(problem);
        }
        let inode = (file.stat.links > 1).then_some(file.stat);
        let (slot, node) = match inode {
            None => (slot, node),
            Some(inode) => match self.join_inode(inode, slot, node)? {
                Some(reader) => reader,
                None => return Ok(()),
            },
        };
        self.stats.files_read += 1;
        let content = FileNode {
            slot: slot.clone(),
            node,
            inode,
        };
        let path = || slot.folder.path.told_of(name.to_bytes());
        match self.save_content(&file.file, file.stat.size, content)? {
            Err(error) => {
                let message = error.to_string();
                self.archive
                    .note(path(), SourceErrorKind::Unreadable, message);
                return self.give_up(slot, inode);
            }
            Ok(has_more) if has_more || file.has_changed().unwrap_or(true) => {
                let message = "its size or time is not what it was when it was opened".to_owned();
                self.archive
                    .note(path(), SourceErrorKind::ChangedWhileRead, message);
            }
            Ok(_) => {}
        }
        Ok(())
    }

    /// Whether a file holds the key that signs for this machine, under whatever name, and in whatever
    /// copy or image of its filesystem.
    ///
    /// **Security:** whoever has the repository's password reads every snapshot, and with that key he
    /// would be this machine to those that trust it. So it is in none.
    fn is_own_key(&self, folder: &Folder, name: &CStr, stat: &Stat) -> bool {
        let mut bytes = Seed::default();
        let is_as_long = stat.size == bytes.len() as u64;
        let Some(key) = self.archive.own_key.filter(|_| is_as_long) else {
            return false;
        };
        let opened = folder.open_file(name, stat);
        let read = opened.map(|mut opened| opened.file.read_exact(bytes.as_mut_slice()));
        matches!(read, Ok(Ok(()))) && Id::of(bytes.as_slice()) == key
    }

    /// Lets one name of an inode read it, and returns it; the others get what it reads.
    fn join_inode(
        &mut self,
        stat: Stat,
        slot: Slot,
        mut node: Node,
    ) -> Result<Option<(Slot, Node)>> {
        let mut inodes = self.archive.inodes.lock();
        let Some(inode) = inodes.get_mut(&stat) else {
            let inode = Inode {
                names_left: stat.links.saturating_sub(1),
                state: InodeState::Reading(Vec::new()),
            };
            inodes.insert(stat, inode);
            return Ok(Some((slot, node)));
        };
        inode.names_left = inode.names_left.saturating_sub(1);
        let known = match &mut inode.state {
            InodeState::Reading(waiting) => {
                waiting.push((slot, node));
                return Ok(None);
            }
            InodeState::Failed => None,
            InodeState::Done(content, size_bytes) => Some((content.clone(), *size_bytes)),
        };
        if inode.names_left == 0 {
            inodes.remove(&stat);
        }
        drop(inodes);
        match known {
            None => self.fill(&slot, None, true)?,
            Some((content, size_bytes)) => {
                self.count_file(size_bytes);
                node.size = size_bytes;
                node.content = Some(content);
                self.fill(&slot, Some(node), true)?;
            }
        }
        Ok(None)
    }

    /// Gives up a file, and with it all names of its inode.
    fn give_up(&mut self, slot: Slot, inode: Option<Stat>) -> Result<()> {
        for (slot, _) in self.settle_inode(inode, InodeState::Failed) {
            self.fill(&slot, None, true)?;
        }
        self.fill(&slot, None, true)
    }

    /// Fills the slot of a file, and of all names of its inode.
    ///
    /// # Errors
    /// As [`Worker::save_blob`].
    pub(crate) fn finish_file(&mut self, done: FileNode) -> Result<()> {
        let FileNode { slot, node, inode } = done;
        if inode.is_some() {
            let content = node.content.clone().unwrap_or_default();
            let waiting = self.settle_inode(inode, InodeState::Done(content.clone(), node.size));
            for (slot, mut other) in waiting {
                self.count_file(node.size);
                other.size = node.size;
                other.content = Some(content.clone());
                self.fill(&slot, Some(other), true)?;
            }
        }
        self.count_file(node.size);
        self.fill(&slot, Some(node), true)
    }

    /// Says what became of an inode, and returns the names that waited for it.
    fn settle_inode(&self, stat: Option<Stat>, outcome: InodeState) -> Vec<(Slot, Node)> {
        let mut inodes = self.archive.inodes.lock();
        let Some((stat, inode)) = stat.and_then(|stat| Some((stat, inodes.get_mut(&stat)?))) else {
            return Vec::new();
        };
        let before = std::mem::replace(&mut inode.state, outcome);
        if inode.names_left == 0 {
            inodes.remove(&stat);
        }
        match before {
            InodeState::Reading(waiting) => waiting,
            InodeState::Done(..) | InodeState::Failed => Vec::new(),
        }
    }

    /// Counts a file that is saved, read or not.
    pub(crate) fn count_file(&mut self, size_bytes: u64) {
        self.stats.files_processed += 1;
        self.stats.bytes_processed += size_bytes;
        self.archive.progress.add_files(1);
    }
}
