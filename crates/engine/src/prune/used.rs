//! What snapshots need: every tree that can be reached from one, and all blobs that trees name.
//!
//! A mark in the index says that a blob is needed, and that a tree was seen, so that each is read
//! once, however many snapshots share it, and nothing grows with their number but the trees of one
//! level that are yet to be read.
//!
//! What can go wrong: a tree of which we would restore only a part, since some of its names are not
//! safe. What these name is needed all the same: another tool may restore it.

use parking_lot::Mutex;
use serde::Deserialize;
use strongroom_model::Id;
use strongroom_repo::Tree;
use strongroom_repo::blob::BlobId;

use crate::Result;
use crate::lead::READERS;
use crate::parallel::{cores, for_each};
use crate::progress::Progress;
use crate::prune::obstacles::Obstacles;
use crate::prune::packs::Packs;
use crate::prune::reading::{Blobs, Read};
use crate::session::{Cancel, Session};

/// Marks everything below these root trees; what is missing or cannot be read is an obstacle.
///
/// # Errors
/// Where the user interrupts.
pub(super) fn mark(
    session: &Session,
    packs: &Packs,
    roots: impl Iterator<Item = Id>,
    obstacles: &Obstacles,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<()> {
    progress.begin("finding what is needed", None, None);
    let marking = Marking {
        session,
        packs,
        blobs: Blobs::of(session),
        obstacles,
    };
    let mut level: Vec<Id> = roots.filter(|root| marking.mark_tree(*root)).collect();
    while !level.is_empty() {
        let below = Mutex::new(Vec::new());
        for_each(&level, READERS.max(cores()), |tree| {
            cancel.check()?;
            let mut subtrees = marking.mark_named_by(*tree)?;
            below.lock().append(&mut subtrees);
            progress.add_files(1);
            Ok(())
        })?;
        level = below.into_inner();
    }
    Ok(())
}

struct Marking<'a> {
    session: &'a Session,
    packs: &'a Packs,
    blobs: Blobs<'a>,
    obstacles: &'a Obstacles,
}

impl Marking<'_> {
    /// Marks a tree; tells whether it is to be read, which it is once.
    fn mark_tree(&self, tree: Id) -> bool {
        self.mark(BlobId::tree(tree))
    }

    fn mark(&self, blob: BlobId) -> bool {
        let marked = self.packs.index.mark(blob);
        if marked.is_none() {
            let reason = self.packs.why_missing(self.session, blob);
            self.obstacles.note(reason);
        }
        marked == Some(true)
    }

    /// Marks what a tree names; returns the trees below that nobody has marked before.
    fn mark_named_by(&self, tree: Id) -> Result<Vec<Id>> {
        let text = match self.read(tree)? {
            Ok(text) => text,
            Err(reason) => {
                self.obstacles.note(reason);
                return Ok(Vec::new());
            }
        };
        match named(&text) {
            Ok(Named { content, subtrees }) => {
                for blob in content {
                    self.mark(BlobId::data(blob));
                }
                let below = subtrees.into_iter();
                Ok(below.filter(|subtree| self.mark_tree(*subtree)).collect())
            }
            Err(reason) => {
                let blob = BlobId::tree(tree);
                self.obstacles
                    .note(format!("the {blob} cannot be used: {reason}"));
                Ok(Vec::new())
            }
        }
    }

    fn read(&self, tree: Id) -> Result<Read<Vec<u8>>> {
        let blob = BlobId::tree(tree);
        let (index, all) = (&self.packs.index, &self.packs.all);
        let pack = index.pack_of(blob).and_then(|number| all.get(&number));
        match (index.get(blob), pack) {
            (Some(at), Some(pack)) => self.blobs.read(blob, &at, pack.size_bytes),
            _ => Ok(Err(self.packs.why_missing(self.session, blob))),
        }
    }
}

/// What a tree names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    content: Vec<Id>,
    subtrees: Vec<Id>,
}

/// Reads what a tree names, of nodes with unsafe names too.
fn named(text: &[u8]) -> Read<Named> {
    let tree = Tree::decode(text).map_err(|error| error.to_string())?;
    if !tree.refused.is_empty() {
        return named_by_all(text);
    }
    let mut named = Named::default();
    for node in &tree.nodes {
        let content = node.content.iter().flatten();
        named.content.extend(content.copied());
        named.subtrees.extend(node.subtree);
    }
    Ok(named)
}

fn named_by_all(text: &[u8]) -> Read<Named> {
    #[derive(Deserialize)]
    struct AnyTree {
        nodes: Option<Vec<AnyNode>>,
    }
    #[derive(Deserialize)]
    struct AnyNode {
        content: Option<Vec<Id>>,
        subtree: Option<Id>,
    }
    let tree: AnyTree = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut named = Named::default();
    for node in tree.nodes.into_iter().flatten() {
        named.content.extend(node.content.into_iter().flatten());
        named.subtrees.extend(node.subtree);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: [&str; 2]) -> String {
        let id = |text: &str| Id::of(text.as_bytes());
        let [one, two] = names;
        format!(
            r#"{{"nodes":[{{"name":"{one}","type":"file","mode":420,"content":["{}","{}"]}},{{"name":"{two}","type":"dir","mode":2147484141,"subtree":"{}"}}]}}"#,
            id("a"),
            id("b"),
            id("c"),
        )
    }

    #[test]
    fn what_a_node_names_is_needed_also_where_its_own_name_is_not_safe() {
        let expected = Named {
            content: vec![Id::of(b"a"), Id::of(b"b")],
            subtrees: vec![Id::of(b"c")],
        };
        for names in [["file", "folder"], ["../file", ".."], ["same", "same"]] {
            let text = tree(names);
            let found = named(text.as_bytes()).unwrap();
            assert_eq!(found, expected, "{text}");
        }
        assert!(named(b"{\"nodes\":[7]}").is_err());
        assert_eq!(named(b"{\"nodes\":null}").ok(), Some(Named::default()));
    }
}
