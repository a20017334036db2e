//! Folders: listed, compared with the parent snapshot, and turned into files to read.
//!
//! The parent's tree is read beside the folder, both in order of names. What is unchanged is taken
//! over as the parent has it, if all its blobs are still stored; else it is read again.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use strongroom_repo::blob::BlobId;
use strongroom_repo::node::NodeKind;
use strongroom_repo::{Node, Tree};

use crate::Result;
use crate::backup::files::{FileBatch, FileTask};
use crate::backup::filter::{CACHE_TAG_NAME, Filter};
use crate::backup::folder::{FolderState, Slot};
use crate::backup::report::SourceErrorKind;
use crate::backup::worker::Worker;
use crate::filesystem::{Entry, Folder, FsError, Listing, Stat, is_unchanged};

/// How many files a thread takes at once, and how many bytes.
const BATCH_FILES: usize = 32;
const BATCH_BYTES: u64 = 1 << 20;

/// A folder to look through.
#[derive(Debug)]
pub(crate) struct FolderJob {
    /// Where it is.
    pub(crate) place: FolderPlace,
    /// What is known of it.
    pub(crate) state: Arc<FolderState>,
    /// The device of the path of the source that it is below, where the source stays on it.
    pub(crate) device: Option<u64>,
    /// Whether something else is mounted here and stays out: the folder is saved empty, so that a
    /// restore has a place to mount it.
    pub(crate) is_mount_point: bool,
}

/// How to open a folder.
#[derive(Debug)]
pub(crate) enum FolderPlace {
    /// By its name in one that is open.
    In(Arc<Folder>, CString),
    /// It is open already.
    Open(Folder),
}

/// What comparing an entry with the parent's node brought.
pub(crate) enum Compared {
    /// Nothing has changed, and all content is still stored: the parent's node serves again.
    Same(Node),
    /// It must be saved again; with the parent's node, if there was one.
    Different(Option<Node>),
}

/// A folder's entries on their way to being saved.
struct Sorted {
    nodes: Vec<Option<Node>>,
    folders: Vec<FolderJob>,
    files: Vec<FileTask>,
    changed: bool,
}

impl Worker<'_, '_> {
    /// Lists a folder and adds what must be done to the pool.
    ///
    /// # Errors
    /// As [`Worker::save_blob`]. That it cannot be read is noted and no error.
    pub(crate) fn save_folder(&mut self, job: FolderJob) -> Result<()> {
        let FolderJob {
            place,
            state,
            device,
            is_mount_point,
        } = job;
        let opened = match place {
            FolderPlace::Open(folder) => Ok(folder),
            FolderPlace::In(above, name) => self.open_folder(&above, &name, &state),
        };
        let listed = opened.and_then(|folder| {
            let listing = match is_mount_point {
                true => Listing::default(),
                false => folder.list()?,
            };
            Ok((Arc::new(folder), listing))
        });
        let (folder, listing) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.archive.fs_error(&error);
                return self.give_up_folder(&state);
            }
        };
        for problem in &listing.problems {
            self.archive.fs_error(problem);
        }
        let entries = wanted(&self.archive.filter, &folder, listing.entries, device);
        let sorted = self.sort_entries(&folder, &state, entries, device);
        let batches = batches(&folder, sorted.files);
        let later =
            sorted.folders.len() + batches.iter().map(|batch| batch.files.len()).sum::<usize>();
        let changed = sorted.changed || !listing.problems.is_empty();
        state.list(sorted.nodes, later, changed);
        self.archive
            .pool
            .add(sorted.folders.into_iter(), batches.into_iter());
        self.release(state)
    }

    /// Opens a folder and completes its own node.
    fn open_folder(
        &mut self,
        above: &Folder,
        name: &CString,
        state: &FolderState,
    ) -> std::result::Result<Folder, FsError> {
        let folder = above.open_folder(name)?;
        let mut problems = Vec::new();
        let node = folder.own_node(name.to_bytes(), self.archive.names, &mut problems)?;
        for problem in &problems {
            self.archive.fs_error(problem);
        }
        state.set_node(node);
        Ok(folder)
    }

    /// A folder that cannot be read leaves its own node out, as restic does.
    fn give_up_folder(&mut self, state: &Arc<FolderState>) -> Result<()> {
        match &state.above {
            Some(slot) => self.fill(&slot.clone(), None, true),
            None => {
                state.list(Vec::new(), 0, true);
                self.release(Arc::clone(state))
            }
        }
    }

    fn sort_entries(
        &mut self,
        folder: &Arc<Folder>,
        state: &Arc<FolderState>,
        entries: Vec<Entry>,
        device: Option<u64>,
    ) -> Sorted {
        let old = self.archive.old_tree(state.old_tree);
        // A tree that was there and cannot be read says nothing about what has changed.
        let is_blind = old.is_none() && state.old_tree.is_some();
        let old = old.unwrap_or_default();
        let mut sorted = Sorted {
            nodes: Vec::with_capacity(entries.len()),
            folders: Vec::new(),
            files: Vec::new(),
            changed: is_blind || !old.refused.is_empty(),
        };
        let mut old_count = old.nodes.len();
        let mut old_nodes = OldNodes::new(old);
        for entry in entries {
            let old_node = old_nodes.take(entry.name.to_bytes());
            old_count = old_count.saturating_sub(usize::from(old_node.is_some()));
            self.sort_entry(&mut sorted, folder, state, entry, old_node, device);
        }
        // Something of the parent's is not there any more.
        sorted.changed |= old_count > 0;
        sorted
    }

    fn sort_entry(
        &mut self,
        sorted: &mut Sorted,
        folder: &Arc<Folder>,
        state: &Arc<FolderState>,
        entry: Entry,
        old: Option<Node>,
        device: Option<u64>,
    ) {
        let slot = Slot {
            folder: Arc::clone(state),
            number: sorted.nodes.len(),
        };
        let Entry { name, stat } = entry;
        match stat.kind() {
            NodeKind::Dir => {
                if let Some(copy) = self.archive.own_copies.at(&stat) {
                    let message = format!("it is copy {copy} itself; leave it out with exclude");
                    let path = state.path.told_of(name.to_bytes());
                    self.archive
                        .note(path, SourceErrorKind::Unreadable, message);
                    sorted.changed = true;
                    return;
                }
                self.stats.subfolders += 1;
                let below = FolderState::new(
                    Some(slot),
                    state.path.below(name.to_bytes()),
                    old.filter(|old| old.kind == NodeKind::Dir),
                );
                sorted.folders.push(FolderJob {
                    place: FolderPlace::In(Arc::clone(folder), name),
                    state: Arc::new(below),
                    device,
                    is_mount_point: is_elsewhere(&stat, device),
                });
                sorted.nodes.push(None);
            }
            NodeKind::File => match self.take_over(old, &stat) {
                Compared::Same(old) => sorted.nodes.push(Some(old)),
                Compared::Different(old) => {
                    sorted.files.push(FileTask {
                        slot,
                        name,
                        stat,
                        old,
                    });
                    sorted.nodes.push(None);
                }
            },
            _ => {
                if let Compared::Same(old) = self.take_over(old, &stat) {
                    self.stats.others += 1;
                    sorted.nodes.push(Some(old));
                    return;
                }
                sorted.changed = true;
                let mut problems = Vec::new();
                let node = folder.node(&name, &stat, self.archive.names, &mut problems);
                for problem in &problems {
                    self.archive.fs_error(problem);
                }
                match node {
                    Ok(node) => {
                        self.stats.others += 1;
                        sorted.nodes.push(Some(node));
                    }
                    Err(error) => self.archive.fs_error(&error),
                }
            }
        }
    }

    /// Takes over the parent's node where nothing has changed and all its content is still stored;
    /// else gives it back.
    pub(crate) fn take_over(&mut self, old: Option<Node>, stat: &Stat) -> Compared {
        let Some(node) = &old else {
            return Compared::Different(None);
        };
        if !is_unchanged(stat, node) {
            return Compared::Different(old);
        }
        let content = node.content.as_deref().unwrap_or_default();
        if self.archive.own_key.is_some_and(|key| content == [key]) {
            return Compared::Different(old);
        }
        for id in content {
            match self.archive.index.pack_of(BlobId::data(*id)) {
                Some(pack) => self.needs.insert(pack),
                None => return Compared::Different(old),
            }
        }
        if node.kind == NodeKind::File {
            self.stats.files_unmodified += 1;
            self.count_file(node.size);
            self.archive.progress.add_bytes(node.size);
        }
        old.map_or(Compared::Different(None), Compared::Same)
    }
}

/// The entries of a folder that are saved; `device` is the one that the source stays on, if it does.
pub(crate) fn wanted(
    filter: &Filter,
    folder: &Folder,
    mut entries: Vec<Entry>,
    device: Option<u64>,
) -> Vec<Entry> {
    if filter.exclude_caches && is_cache(folder, &entries) {
        entries.retain(|entry| entry.name.to_bytes() == CACHE_TAG_NAME);
    }
    // The path is made once, and only where somebody asks for it.
    let path = filter.has_patterns().then(|| folder.path().whole());
    let path = path
        .as_deref()
        .map(|path| Path::new(OsStr::from_bytes(path)));
    entries.retain(|entry| is_wanted(filter, path, entry, device));
    entries
}

fn is_wanted(filter: &Filter, folder: Option<&Path>, entry: &Entry, device: Option<u64>) -> bool {
    let is_folder = match entry.stat.kind() {
        // restic keeps no sockets either: they mean nothing without the process behind them.
        NodeKind::Socket => return false,
        NodeKind::File if filter.is_too_large(entry.stat.size) => return false,
        kind => kind == NodeKind::Dir,
    };
    // Something that is mounted on a file stays out; a folder is kept as a mount point.
    if !is_folder && is_elsewhere(&entry.stat, device) {
        return false;
    }
    let is_excluded = |folder| filter.excludes(folder, entry.name.to_bytes(), is_folder);
    !folder.is_some_and(is_excluded)
}

/// Whether an entry lies on another device than the one that the source stays on, if it does.
pub(crate) fn is_elsewhere(stat: &Stat, device: Option<u64>) -> bool {
    device.is_some_and(|device| stat.device_id != device)
}

/// The nodes of an old tree, taken out in order of names.
struct OldNodes {
    nodes: std::iter::Peekable<std::vec::IntoIter<Node>>,
}

impl OldNodes {
    fn new(tree: Tree) -> Self {
        Self {
            nodes: tree.nodes.into_iter().peekable(),
        }
    }

    /// The node of that name; names are asked for in rising order.
    fn take(&mut self, name: &[u8]) -> Option<Node> {
        while self.nodes.next_if(|node| *node.name < *name).is_some() {}
        self.nodes.next_if(|node| *node.name == *name)
    }
}

fn is_cache(folder: &Folder, entries: &[Entry]) -> bool {
    let tag = entries
        .iter()
        .find(|entry| entry.name.to_bytes() == CACHE_TAG_NAME);
    let Some(tag) = tag.filter(|tag| tag.stat.kind() == NodeKind::File) else {
        return false;
    };
    let mut beginning = Vec::with_capacity(64);
    let read = folder
        .open_file(&tag.name, &tag.stat)
        .map(|open| rustix::io::read(&open.file, rustix::buffer::spare_capacity(&mut beginning)));
    matches!(read, Ok(Ok(_))) && Filter::is_cache_tag(&beginning)
}

fn batches(folder: &Arc<Folder>, files: Vec<FileTask>) -> Vec<FileBatch> {
    let mut batches: Vec<FileBatch> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.stat.size;
        match batches.last_mut() {
            Some(batch) if batch.files.len() < BATCH_FILES && bytes < BATCH_BYTES => {
                batch.files.push(file);
            }
            _ => {
                bytes = file.stat.size;
                batches.push(FileBatch {
                    folder: Arc::clone(folder),
                    files: vec![file],
                });
            }
        }
    }
    batches
}
