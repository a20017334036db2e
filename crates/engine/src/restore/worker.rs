//! One thread of a restore: looks through folders, makes what is small at once, and hands the
//! rest on.

use std::sync::Arc;

use strongroom_model::Id;
use strongroom_repo::blob::BlobId;
use strongroom_repo::node::NodeKind;
use strongroom_repo::{Node, Tree};

use crate::Result;
use crate::backup::pool::Job;
use crate::filesystem::{MAX_DEPTH, RestoreProblem};
use crate::read_set::{BlobRead, decode_tree};
use crate::restore::Restore;
use crate::restore::files::{Failure, FileJob, Window};
use crate::restore::folder::{FolderBatch, OpenFolder};
use crate::restore::large::Piece;
use crate::restore::links::{Claim, Ending, LinkName, Original, Settled, inode_of};
use crate::restore::report::Tally;
use crate::restore::selection::Choice;
use crate::session::chain;

/// How many folders of one folder are looked through together.
const FOLDERS_PER_BATCH: usize = 16;

/// How many tasks wait for each thread at most. What comes from this machine is written as fast as it is
/// read, and two threads that write the same file wait for each other: so there are enough for those
/// which take the first and the last of them to have different files. What comes by a network is a
/// thousand files at a time.
pub(super) const fn tasks_per_thread(is_local: bool) -> usize {
    match is_local {
        true => 16,
        false => 4,
    }
}

/// Something to write, which any thread may do.
#[derive(Debug)]
pub(super) enum Task {
    /// Files of few blobs.
    Files(Vec<FileJob>),
    /// A part of a large file.
    Piece(Piece),
}

/// A thread.
#[derive(Debug)]
pub(super) struct Worker<'r, 'a> {
    pub(super) shared: &'r Restore<'a>,
    pub(super) window: Window,
    pub(super) problems: Vec<RestoreProblem>,
    /// Names to restore in the place of others that could not be made.
    next_names: Vec<FileJob>,
    /// For what is read back.
    pub(super) buffer: Vec<u8>,
}

impl<'r, 'a> Worker<'r, 'a> {
    pub(super) fn new(shared: &'r Restore<'a>) -> Self {
        Self {
            shared,
            window: Window::default(),
            problems: Vec::new(),
            next_names: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Works until nothing is left for any thread.
    pub(super) fn run(mut self) -> Result<()> {
        let shared = self.shared;
        shared.pool.run_eager(shared.cancel, |job| {
            let mut is_any = true;
            match job {
                Some(Job::Folder(batch)) => self.look_through(batch)?,
                Some(Job::Piece(task)) => self.perform(task)?,
                Some(Job::Files(never)) => match never {},
                None => {
                    let files = self.window.take();
                    is_any = !files.is_empty();
                    self.write_files(files)?;
                }
            }
            self.begin_next_names()?;
            Ok(is_any)
        })
    }

    /// Begins what could not be made under another name; not where that is found out, since each
    /// of many names may fail as the one before.
    fn begin_next_names(&mut self) -> Result<()> {
        while let Some(job) = self.next_names.pop() {
            self.shared.cancel.check()?;
            self.begin(job)?;
        }
        Ok(())
    }

    /// Leaves a task to whichever thread is free, or does one that has waited longest.
    pub(super) fn hand_on(&mut self, task: Task) -> Result<()> {
        self.shared.cancel.check()?;
        match self.shared.pool.add_piece(task) {
            Some(task) => self.perform(task),
            None => Ok(()),
        }
    }

    fn perform(&mut self, task: Task) -> Result<()> {
        match task {
            Task::Files(files) => self.write_files(files),
            Task::Piece(piece) => self.write_piece(piece),
        }
    }

    fn look_through(&mut self, batch: FolderBatch) -> Result<()> {
        let FolderBatch { above, nodes, root } = batch;
        let mut folders = Vec::with_capacity(nodes.len() + 1);
        if let Some(tree) = root {
            folders.push(Some((Arc::clone(&above), tree)));
        }
        for (node, choice) in nodes {
            match node.subtree {
                Some(tree) => {
                    let folder = OpenFolder::inner(&above, node, choice);
                    folders.push(Some((folder, tree)));
                }
                None => self.shared.tally.error(
                    &above.path_of(&node.name),
                    "The snapshot does not say what this folder holds".to_owned(),
                ),
            }
        }
        let trees: Vec<_> = folders
            .iter()
            .flatten()
            .map(|(_, tree)| BlobId::tree(*tree))
            .collect();
        self.shared.set.read_many(&trees, &mut |position, text| {
            let folder = folders.get_mut(position).and_then(Option::take);
            match folder {
                Some((folder, tree)) => self.enter(folder, tree, text),
                None => Ok(()),
            }
        })?;
        OpenFolder::release(above, self.shared);
        Ok(())
    }

    /// Makes a folder and what it holds; what cannot be is named, and the rest is made.
    fn enter(&mut self, folder: Arc<OpenFolder>, id: Id, text: BlobRead<'_>) -> Result<()> {
        let shared = self.shared;
        self.shared.cancel.check()?;
        if folder.choice == Choice::Wanted
            && !shared.is_verify
            && let Err(error) = folder.target()
        {
            shared.tally.error(&folder.path.whole(), chain(&error));
            shared.progress.add_error();
            OpenFolder::release(folder, shared);
            return Ok(());
        }
        let decoded = match text {
            Ok(text) => decode_tree(id, text).map_err(|error| chain(&error)),
            Err(error) => Err(chain(error)),
        };
        match decoded {
            Ok(tree) => self.make_entries(&folder, tree)?,
            Err(reason) => self.note(
                &folder.path.whole(),
                format!("What this folder holds cannot be read: {reason}"),
            ),
        }
        OpenFolder::release(folder, shared);
        Ok(())
    }

    fn make_entries(&mut self, folder: &Arc<OpenFolder>, tree: Tree) -> Result<()> {
        let shared = self.shared;
        for refused in &tree.refused {
            self.note(&folder.path.whole(), refused.to_string());
        }
        let mut folders = Vec::new();
        for node in tree.nodes {
            let is_folder = node.kind == NodeKind::Dir;
            let choice = match shared.selection.is_everything() {
                true => Choice::Wanted,
                false => {
                    let path = folder.path_of(&node.name);
                    shared.selection.choose(folder.choice, &path, is_folder)
                }
            };
            match choice {
                Choice::Not => {}
                _ if is_folder && folder.path.is_deepest() => self.note(
                    &folder.path_of(&node.name),
                    format!("It lies in more than {MAX_DEPTH} folders"),
                ),
                _ if is_folder => folders.push((node, choice)),
                _ => self.make_entry(folder, node)?,
            }
        }
        let mut batches = Vec::with_capacity(folders.len().div_ceil(FOLDERS_PER_BATCH));
        let mut folders = folders.into_iter().peekable();
        while folders.peek().is_some() {
            batches.push(FolderBatch {
                above: Arc::clone(folder),
                nodes: folders.by_ref().take(FOLDERS_PER_BATCH).collect(),
                root: None,
            });
        }
        shared.pool.add(batches.into_iter(), std::iter::empty());
        Ok(())
    }

    /// Makes something that is no folder.
    fn make_entry(&mut self, folder: &Arc<OpenFolder>, node: Node) -> Result<()> {
        let shared = self.shared;
        if shared.is_verify {
            if node.kind == NodeKind::File {
                self.read_back(folder, &node)?;
            }
            return Ok(());
        }
        if let Some(inode) = inode_of(&node) {
            let name = LinkName {
                folder: Arc::clone(folder),
                name: node.name.clone(),
            };
            match shared.links.claim(inode, name) {
                Claim::First => {}
                Claim::Waits => {
                    folder.close();
                    return Ok(());
                }
                Claim::Link(name, original) => {
                    self.make_link(name, &original);
                    return Ok(());
                }
                Claim::Lost(name) => {
                    self.link_lost(name);
                    return Ok(());
                }
            }
        }
        self.begin(FileJob {
            folder: Arc::clone(folder),
            node,
        })
    }

    fn begin(&mut self, job: FileJob) -> Result<()> {
        match job.node.kind {
            NodeKind::File => self.begin_file(job),
            _ => {
                self.make_special(job);
                Ok(())
            }
        }
    }

    fn make_special(&mut self, job: FileJob) {
        match job.folder.target() {
            Ok(target) => {
                let is_made = target.create_special(&job.node, &mut self.problems);
                match is_made {
                    true => {
                        Tally::add(&self.shared.tally.others, 1);
                        self.done(job, Ending::Made);
                    }
                    false => self.done(job, Ending::NoPlace),
                }
            }
            Err(error) => self.failed(job, Failure::of_place(&error)),
        }
    }

    /// Ends a file, link or device: its problems are noted, its other names linked.
    pub(super) fn done(&mut self, job: FileJob, ending: Ending) {
        let shared = self.shared;
        if !self.problems.is_empty() {
            let path = job.path();
            for problem in self.problems.drain(..) {
                shared.tally.problem(&path, &problem);
            }
        }
        let FileJob { folder, mut node } = job;
        if let Some(inode) = inode_of(&node) {
            let original = Original {
                folder: folder.path.clone(),
                name: node.name.clone(),
            };
            match shared.links.settle(inode, original, ending) {
                Settled::Made(original, names) => {
                    for name in names {
                        self.make_link(name, &original);
                    }
                }
                Settled::Next(LinkName { folder, name }) => {
                    // In all but the name their nodes agree.
                    node.name = name;
                    self.next_names.push(FileJob { folder, node });
                }
                Settled::Lost(names) => {
                    for name in names {
                        self.link_lost(name);
                    }
                }
            }
        }
        OpenFolder::release(folder, shared);
    }

    /// Ends a file of which nothing could be made.
    pub(super) fn failed(&mut self, job: FileJob, failure: Failure) {
        self.note(&job.path(), failure.reason);
        self.done(job, failure.ending);
    }

    fn make_link(&self, name: LinkName, original: &Original) {
        let shared = self.shared;
        let here = name.folder.target();
        let made = here.and_then(|here| {
            let there = match original.folder.is(&name.folder.path) {
                true => here.clone(),
                false => shared.root.descend(&original.folder.whole())?,
            };
            here.hard_link(&name.name, &there, &original.name)
        });
        match made {
            Ok(()) => {
                Tally::add(&shared.tally.hard_links, 1);
                shared.progress.add_files(1);
            }
            Err(error) => self.note(&name.folder.path_of(&name.name), chain(&error)),
        }
        OpenFolder::release(name.folder, shared);
    }

    fn link_lost(&self, name: LinkName) {
        let reason = "The file of which this is another name was not restored";
        self.note(&name.folder.path_of(&name.name), reason.to_owned());
        OpenFolder::release(name.folder, self.shared);
    }

    /// Notes what could not be restored.
    pub(super) fn note(&self, path: &[u8], reason: String) {
        self.shared.progress.add_error();
        self.shared.tally.error(path, reason);
    }
}
