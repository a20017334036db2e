//! Files: read once, cut, and handed on.
//!
//! A file that ends before its first cut, which most do, is stored by the thread that reads it.
//! The pieces of a larger one go to whichever thread is free; whoever stores the last piece closes
//! the file. An inode with several names is read once: the other names wait for its pieces. Names
//! belong together only where all that the system says of them is the same ([`Stat`]): an inode
//! that was freed and given to another file, or written to, between two of its names is read again.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::blob::BlobKind;
use strongroom_repo::chunker::Chunker;

use crate::Result;
use crate::backup::archive::Piece;
use crate::backup::folder::Slot;
use crate::backup::report::SourceErrorKind;
use crate::backup::walk::Compared;
use crate::backup::worker::Worker;
use crate::filesystem::{Folder, Stat};

/// How much is read at a time: it stays in the cache until it is scanned.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// The expected size of what has none: the output of a command.
pub(crate) const STREAM: u64 = u64::MAX;

/// How long a stream may be silent before somebody looks whether the user wants to stop.
const SILENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How many buffers of a large file are kept for its next pieces.
const SPARE_BUFFERS: usize = 4;

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

/// What a name of an inode does about its content.
enum Joined {
    /// It reads it, and others may wait for it.
    Reads(Slot, Node),
    /// It has it, or gets it.
    Waits,
}

/// A file with more than one piece.
#[derive(Debug)]
pub(crate) struct LargeFile {
    state: Mutex<LargeState>,
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct LargeState {
    /// The id of each piece, as they come in.
    pieces: Vec<Option<Id>>,
    /// Set when the last byte was read.
    done: Option<DoneFile>,
    open: usize,
}

/// A file all of whose pieces are stored.
#[derive(Debug)]
pub(crate) struct DoneFile {
    slot: Slot,
    node: Node,
    inode: Option<Stat>,
}

impl LargeFile {
    fn new() -> Self {
        Self {
            state: Mutex::new(LargeState {
                pieces: Vec::new(),
                done: None,
                open: 0,
            }),
            spare: Mutex::default(),
        }
    }

    fn next_piece(&self) -> usize {
        let mut state = self.state.lock();
        state.pieces.push(None);
        state.open += 1;
        state.pieces.len() - 1
    }

    /// Notes the id of a piece; returns the file where it was the last.
    pub(crate) fn put(&self, number: usize, id: Id) -> Option<DoneFile> {
        let mut state = self.state.lock();
        if let Some(piece) = state.pieces.get_mut(number) {
            *piece = Some(id);
        }
        state.open -= 1;
        state.take_if_done()
    }

    /// Says that all was read; returns the file where every piece is stored already.
    fn end(&self, done: DoneFile) -> Option<DoneFile> {
        let mut state = self.state.lock();
        state.done = Some(done);
        state.take_if_done()
    }

    /// Keeps a buffer for a later piece.
    pub(crate) fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }

    fn buffer(&self) -> Vec<u8> {
        self.spare.lock().pop().unwrap_or_default()
    }
}

impl LargeState {
    fn take_if_done(&mut self) -> Option<DoneFile> {
        if self.open > 0 {
            return None;
        }
        let mut done = self.done.take()?;
        done.node.content = Some(self.pieces.iter().flatten().copied().collect());
        Some(done)
    }
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
                Joined::Reads(slot, node) => (slot, node),
                Joined::Waits => return Ok(()),
            },
        };
        self.stats.files_read += 1;
        let path = path_of(&slot, name.to_bytes());
        let read = self.save_content(&file.file, stat.size, slot.clone(), node, inode)?;
        if let Err(error) = read {
            let message = error.to_string();
            self.archive
                .note(&path, SourceErrorKind::Unreadable, message);
            return self.give_up(slot, inode);
        }
        if file.has_changed().unwrap_or(true) {
            let message = "its size or time is not what it was when it was opened".to_owned();
            self.archive
                .note(&path, SourceErrorKind::ChangedWhileRead, message);
        }
        Ok(())
    }

    /// Lets one name of an inode read it; the others wait.
    fn join_inode(&mut self, stat: Stat, slot: Slot, mut node: Node) -> Result<Joined> {
        let mut inodes = self.archive.inodes.lock();
        let Some(inode) = inodes.get_mut(&stat) else {
            let inode = Inode {
                names_left: stat.links.saturating_sub(1),
                state: InodeState::Reading(Vec::new()),
            };
            inodes.insert(stat, inode);
            return Ok(Joined::Reads(slot, node));
        };
        inode.names_left = inode.names_left.saturating_sub(1);
        let known = match &mut inode.state {
            InodeState::Reading(waiting) => {
                waiting.push((slot, node));
                return Ok(Joined::Waits);
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
        Ok(Joined::Waits)
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
    pub(crate) fn finish_file(&mut self, done: DoneFile) -> Result<()> {
        let DoneFile { slot, node, inode } = done;
        let content = node.content.clone().unwrap_or_default();
        let waiting = self.settle_inode(inode, InodeState::Done(content.clone(), node.size));
        for (slot, mut other) in waiting {
            self.count_file(node.size);
            other.size = node.size;
            other.content = Some(content.clone());
            self.fill(&slot, Some(other), true)?;
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

    /// Reads a stream to its end and stores it as the content of a file.
    ///
    /// The outer error ends the backup; the inner one is that the stream could not be read.
    ///
    /// # Errors
    /// As [`Worker::save_blob`].
    pub(crate) fn save_content(
        &mut self,
        input: impl AsFd,
        expected_bytes: u64,
        slot: Slot,
        node: Node,
        inode: Option<Stat>,
    ) -> Result<io::Result<()>> {
        let mut block = std::mem::take(&mut self.block);
        let read = self.read_content(input, &mut block, expected_bytes, slot, node, inode);
        self.block = block;
        read
    }

    fn read_content(
        &mut self,
        input: impl AsFd,
        block: &mut [u8],
        expected_bytes: u64,
        slot: Slot,
        mut node: Node,
        inode: Option<Stat>,
    ) -> Result<io::Result<()>> {
        let mut chunker = Chunker::new(self.archive.gear);
        let mut large: Option<Arc<LargeFile>> = None;
        let mut chunk = Vec::new();
        let mut size_bytes = 0_u64;
        let content = loop {
            self.archive.cancel.check()?;
            if expected_bytes == STREAM && !is_readable(&input) {
                continue;
            }
            let mut bytes = match rustix::io::read(&input, &mut *block) {
                Ok(read) => block.get(..read).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Ok(Err(error.into())),
            };
            let read = bytes.len() as u64;
            size_bytes += read;
            self.stats.bytes_read += read;
            self.archive.progress.add_bytes(read);
            // A regular file that has its expected size and less than was asked for ends here.
            let at_end = size_bytes == expected_bytes && bytes.len() < READ_BYTES;
            if chunk.is_empty() && large.is_none() && at_end {
                break self.save_small(bytes)?;
            }
            while let Some(cut) = chunker.feed(bytes) {
                let file = large.get_or_insert_with(|| Arc::new(LargeFile::new()));
                let (head, tail) = bytes.split_at(cut);
                chunk.extend_from_slice(head);
                let full = std::mem::replace(&mut chunk, file.buffer());
                self.hand_on(file, full)?;
                bytes = tail;
            }
            chunk.extend_from_slice(bytes);
            if read == 0 || at_end {
                match &large {
                    None => break self.save_small(&chunk)?,
                    Some(_) if chunk.is_empty() => {}
                    Some(file) => self.hand_on(file, std::mem::take(&mut chunk))?,
                }
                break Box::default();
            }
        };
        node.size = size_bytes;
        node.content = Some(content);
        let done = DoneFile { slot, node, inode };
        let done = match &large {
            Some(file) => file.end(done),
            None => Some(done),
        };
        if let Some(done) = done {
            self.finish_file(done)?;
        }
        Ok(Ok(()))
    }

    /// Stores a file that is one blob, or none where it is empty.
    fn save_small(&mut self, bytes: &[u8]) -> Result<Box<[Id]>> {
        if bytes.is_empty() {
            return Ok(Box::default());
        }
        Ok(Box::new([self.save_blob(BlobKind::Data, bytes)?]))
    }

    /// Hands a piece to whoever is free, or does a waiting one where too many wait.
    fn hand_on(&mut self, file: &Arc<LargeFile>, bytes: Vec<u8>) -> Result<()> {
        let piece = Piece {
            bytes,
            number: file.next_piece(),
            file: Arc::clone(file),
        };
        match self.archive.pool.add_piece(piece) {
            Some(piece) => self.save_piece(piece),
            None => Ok(()),
        }
    }
}

/// Waits for a stream to have bytes or to end, but not for long.
fn is_readable(input: &impl AsFd) -> bool {
    let mut wanted = [PollFd::new(input, PollFlags::IN)];
    // An error here is one that the read will tell.
    poll(&mut wanted, Some(&SILENCE)) != Ok(0)
}

/// The path of an entry, for messages.
pub(crate) fn path_of(slot: &Slot, name: &[u8]) -> PathBuf {
    slot.folder.path.told_of(name)
}
