//! Where a source begins: its paths, and the folders above them.
//!
//! As in restic, a snapshot of `/srv/git` has a tree for `/` that holds `srv` alone, and one for
//! `/srv` that holds `git` alone, so that a restore puts everything where it was. The folders above
//! a path are opened through symbolic links, and so is the path itself: who writes a link into the
//! configuration means what it points to. Each is opened once, in the one above it, and what was
//! opened is what is saved: nothing is looked at by its path first.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use strongroom_model::Id;
use strongroom_repo::node::NodeKind;
use strongroom_repo::{Node, Tree};

use crate::backup::archive::Archive;
use crate::backup::files::{FileBatch, FileTask};
use crate::backup::folder::{FolderState, Slot};
use crate::backup::walk::{FolderJob, FolderPlace};
use crate::filesystem::{Folder, FsError};
use crate::{Error, Result};

/// A path of a source, or a folder on the way to one.
#[derive(Debug, Default)]
struct Root {
    is_wanted: bool,
    below: BTreeMap<Vec<u8>, Root>,
}

/// What the paths of a source add to the pool.
#[derive(Default)]
struct Found {
    folders: Vec<FolderJob>,
    files: Vec<FileBatch>,
}

/// Looks whether the paths of a source are there, before anything is written.
///
/// # Errors
/// [`Error::Source`], naming the path.
pub(crate) fn check(source_name: &str, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        std::fs::metadata(path).map_err(|error| Error::Source {
            source_name: source_name.to_owned(),
            reason: format!("{}: {error}", path.display()),
        })?;
    }
    Ok(())
}

/// Adds the paths of a source to the pool of its archive.
///
/// # Errors
/// Where a folder above a path cannot be opened.
pub(crate) fn add(archive: &Archive<'_>, paths: &[PathBuf], old_tree: Option<Id>) -> Result<()> {
    let mut top = Root::default();
    for path in paths {
        top.insert(path);
    }
    let mut found = Found::default();
    let state = Arc::new(FolderState::root(old_tree));
    let folder = Folder::open(Path::new("/")).map_err(as_error)?;
    if top.is_wanted {
        let device = device_of(archive, &folder).map_err(as_error)?;
        found.folders.push(FolderJob {
            place: FolderPlace::Open(folder),
            state,
            device,
            is_mount_point: false,
        });
    } else {
        descend(archive, top, folder, state, &mut found).map_err(as_error)?;
    }
    archive
        .pool
        .add(found.folders.into_iter(), found.files.into_iter());
    Ok(())
}

/// The paths of a source but for those that lie in another one.
pub(crate) fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut top = Root::default();
    for path in paths {
        top.insert(path);
    }
    let mut found = Vec::new();
    top.collect_wanted(Path::new("/"), &mut found);
    found
}

impl Root {
    fn collect_wanted(&self, at: &Path, found: &mut Vec<PathBuf>) {
        if self.is_wanted {
            return found.push(at.to_owned());
        }
        for (name, below) in &self.below {
            below.collect_wanted(&at.join(OsStr::from_bytes(name)), found);
        }
    }

    fn insert(&mut self, path: &Path) {
        let mut at = self;
        for component in path.components() {
            if let Component::Normal(name) = component {
                at = at.below.entry(name.as_bytes().to_vec()).or_default();
            }
        }
        at.is_wanted = true;
    }
}

/// Gives a folder above the paths one slot for each that leads on.
fn descend(
    archive: &Archive<'_>,
    root: Root,
    folder: Folder,
    state: Arc<FolderState>,
    found: &mut Found,
) -> std::result::Result<(), FsError> {
    let old = archive.old_tree(state.old_tree);
    let is_blind = old.is_none() && state.old_tree.is_some();
    let mut old = old.unwrap_or_default();
    let folder = Arc::new(folder);
    // A slot for each path; that others of the parent's are gone is seen by their number.
    let changed = is_blind || old.nodes.len() != root.below.len();
    state.list(vec![None; root.below.len()], root.below.len(), changed);
    for (number, (name, below)) in root.below.into_iter().enumerate() {
        let slot = Slot {
            folder: Arc::clone(&state),
            number,
        };
        let old = take(&mut old, &name);
        add_one(archive, &folder, slot, &name, below, old, found)?;
    }
    // The slots keep the folder open until they are filled.
    state.release();
    Ok(())
}

fn add_one(
    archive: &Archive<'_>,
    above: &Arc<Folder>,
    slot: Slot,
    name: &[u8],
    root: Root,
    old: Option<Node>,
    found: &mut Found,
) -> std::result::Result<(), FsError> {
    let file_name = CString::new(name).unwrap_or_default();
    let folder = match above.follow(&file_name) {
        Ok(folder) => folder,
        Err(error) if error.is_no_folder() => {
            let stat = above.stat_of(&file_name)?;
            found.files.push(FileBatch {
                folder: Arc::clone(above),
                files: vec![FileTask {
                    slot,
                    name: file_name,
                    stat,
                    old,
                }],
            });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut problems = Vec::new();
    let node = folder.own_node(name, archive.names, &mut problems)?;
    for problem in &problems {
        archive.fs_error(problem);
    }
    let old = old.filter(|old| old.kind == NodeKind::Dir);
    let node = match &old {
        // What else happens in a folder above the source must not make a new tree each time.
        Some(old) if !root.is_wanted && differ_in_times_only(old, &node) => old.clone(),
        _ => node,
    };
    let state = Arc::new(FolderState::new(Some(slot), folder.path().clone(), old));
    state.set_node(node);
    if root.is_wanted {
        let device = device_of(archive, &folder)?;
        found.folders.push(FolderJob {
            place: FolderPlace::Open(folder),
            state,
            device,
            is_mount_point: false,
        });
        return Ok(());
    }
    descend(archive, root, folder, state, found)
}

/// Whether the nodes of a folder are the same but for times, and links, which count its folders.
fn differ_in_times_only(old: &Node, new: &Node) -> bool {
    let mut old = old.clone();
    (old.mtime, old.atime, old.ctime) = (new.mtime, new.atime, new.ctime);
    (old.links, old.subtree) = (new.links, new.subtree);
    old == *new
}

fn device_of(archive: &Archive<'_>, folder: &Folder) -> std::result::Result<Option<u64>, FsError> {
    match archive.filter.one_file_system {
        true => Ok(Some(folder.stat()?.device_id)),
        false => Ok(None),
    }
}

fn take(tree: &mut Tree, name: &[u8]) -> Option<Node> {
    let position = tree.nodes.iter().position(|node| *node.name == *name)?;
    Some(tree.nodes.swap_remove(position))
}

fn as_error(error: FsError) -> Error {
    Error::Source {
        source_name: error.path().display().to_string(),
        reason: crate::session::chain(&error),
    }
}
