//! The paths of a snapshot.
//!
//! A folder whose tree no copy can give is named and passed over, so that the rest can be seen.

use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::node::NodeKind;

use crate::read_set::ReadSet;
use crate::session::chain;
use crate::snapshots::FoundSnapshot;
use crate::{Error, Result};

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// The entries of the folder alone.
    Folder,
    /// Everything below it.
    Everything,
}

/// Finds the node of a path; `/` and the empty path are a folder with the root tree.
///
/// # Errors
/// [`Error::NoPath`], and what reading a tree says.
pub fn find(set: &ReadSet<'_>, snapshot: &FoundSnapshot, path: &[u8]) -> Result<Node> {
    let no_path = || Error::NoPath {
        path: String::from_utf8_lossy(path).into_owned(),
        snapshot: snapshot.id,
    };
    let mut node = Node::new(&b"/"[..], NodeKind::Dir);
    node.subtree = Some(snapshot.snapshot.tree);
    for name in components(path) {
        let tree = set.tree(node.subtree.ok_or_else(no_path)?)?;
        node = tree.find(name).ok_or_else(no_path)?.clone();
    }
    Ok(node)
}

/// Calls `visit` with the absolute path and node of everything under `path`, in the order of their
/// names, folders before what they hold; for a path that is no folder with it alone.
///
/// Returns what could not be read, for people to read.
///
/// # Errors
/// [`Error::NoPath`], [`Error::Interrupted`], and what `visit` returns.
pub fn walk(
    set: &ReadSet<'_>,
    snapshot: &FoundSnapshot,
    path: &[u8],
    how_far: Walk,
    visit: &mut dyn FnMut(&[u8], &Node) -> Result<()>,
) -> Result<Vec<String>> {
    let node = find(set, snapshot, path)?;
    let mut start = Vec::new();
    for name in components(path) {
        start.push(b'/');
        start.extend_from_slice(name);
    }
    let mut problems = Vec::new();
    let Some(root) = node.subtree else {
        visit(&start, &node)?;
        return Ok(problems);
    };
    let mut open = vec![entries(set, root, start, &mut problems)?];
    while let Some((folder, nodes)) = open.last_mut() {
        let Some(node) = nodes.next() else {
            open.pop();
            continue;
        };
        let mut path = folder.clone();
        path.push(b'/');
        path.extend_from_slice(&node.name);
        visit(&path, &node)?;
        if let Some(subtree) = node.subtree.filter(|_| how_far == Walk::Everything) {
            let entered = entries(set, subtree, path, &mut problems)?;
            open.push(entered);
        }
    }
    Ok(problems)
}

type Entries = (Vec<u8>, std::vec::IntoIter<Node>);

/// The entries of a folder; none, and a problem, where its tree cannot be had.
fn entries(
    set: &ReadSet<'_>,
    tree: Id,
    path: Vec<u8>,
    problems: &mut Vec<String>,
) -> Result<Entries> {
    let nodes = match set.tree(tree) {
        Ok(tree) => {
            let folder = String::from_utf8_lossy(&path);
            let refused = tree.refused.iter();
            problems.extend(refused.map(|error| format!("{folder}/: {error}")));
            tree.nodes
        }
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => {
            problems.push(format!(
                "{}/: {}",
                String::from_utf8_lossy(&path),
                chain(&error)
            ));
            Vec::new()
        }
    };
    Ok((path, nodes.into_iter()))
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}
