//! Hard links: an inode is restored under the first of its names, the others are linked to it.
//!
//! A snapshot is not one moment: while it is made an inode may be freed and given to another file,
//! or be written to between two of its names. So names are linked only where their nodes agree in
//! all that a link makes them share; where they do not, each is a file of its own.
//!
//! Another thread may meet a later name before the first is done; the name then waits with the
//! inode, and whoever finishes the first one makes the links. Where nothing can be made in the
//! place of the first name, the next one is restored instead; where the content is lost, all fail.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::node::{ExtendedAttribute, NodeKind};

use crate::filesystem::FolderPath;
use crate::restore::folder::OpenFolder;

/// A file with several names: what all their nodes must agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    number: u64,
    /// Over everything else that a link makes the names share.
    digest: Id,
}

/// A name that is to be linked.
#[derive(Debug)]
pub(super) struct LinkName {
    pub(super) folder: Arc<OpenFolder>,
    pub(super) name: Box<[u8]>,
}

/// The first name of an inode, where it was restored.
#[derive(Debug, Clone)]
pub(super) struct Original {
    /// The path of its folder.
    pub(super) folder: FolderPath,
    pub(super) name: Box<[u8]>,
}

/// The inodes with several names that were met.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<Inode, State>>);

#[derive(Debug)]
enum State {
    /// Somebody makes it; these names wait.
    Begun(VecDeque<LinkName>),
    /// It was made.
    Done(Original),
    /// What it holds is lost.
    Lost,
}

/// How the restore of a file's first name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is there.
    Made,
    /// Nothing can be made in its place; in that of another name perhaps.
    NoPlace,
    /// What it holds cannot be read, or not be written.
    Lost,
}

/// What is to be done then with its other names.
#[derive(Debug)]
pub(super) enum Settled {
    /// They are linked to it.
    Made(Original, VecDeque<LinkName>),
    /// This one is restored as the first, and the others wait for it.
    Next(LinkName),
    /// They are lost with it.
    Lost(VecDeque<LinkName>),
}

/// What to do with a name.
#[derive(Debug)]
pub(super) enum Claim {
    /// Restore it: it is the first.
    First,
    /// It is taken care of.
    Waits,
    /// Link it to the first name.
    Link(LinkName, Original),
    /// It is lost with the first name.
    Lost(LinkName),
}

/// The inode of a file with several names.
pub(super) fn inode_of(node: &Node) -> Option<Inode> {
    (node.links > 1 && node.inode != 0).then(|| Inode {
        device: node.device_id,
        number: node.inode,
        digest: shared_digest(node),
    })
}

/// A digest of kind, owner, mode, time, size, attributes with ACLs, and content; each of a fixed
/// length, or with its length before it, or the last.
fn shared_digest(node: &Node) -> Id {
    let mut text = Vec::new();
    push_counted(&mut text, node.kind_text().as_bytes());
    text.extend_from_slice(&node.uid.to_le_bytes());
    text.extend_from_slice(&node.gid.to_le_bytes());
    text.extend_from_slice(&node.mode.0.to_le_bytes());
    text.extend_from_slice(&node.mtime.secs.to_le_bytes());
    text.extend_from_slice(&node.mtime.nanos.to_le_bytes());
    text.extend_from_slice(&node.size.to_le_bytes());
    text.extend_from_slice(&node.device().to_le_bytes());
    push_attributes(&mut text, node.extended_attributes());
    match node.kind {
        NodeKind::Symlink => text.extend_from_slice(node.link_target()),
        _ => {
            for id in node.content.as_deref().unwrap_or_default() {
                text.extend_from_slice(id.as_bytes());
            }
        }
    }
    Id::of(&text)
}

/// Adds attributes, whatever the order in which the system listed them.
fn push_attributes(text: &mut Vec<u8>, attributes: &[ExtendedAttribute]) {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    text.extend_from_slice(&(sorted.len() as u64).to_le_bytes());
    for attribute in sorted {
        push_counted(text, &attribute.name);
        text.push(u8::from(attribute.value.is_some()));
        push_counted(text, attribute.value.as_deref().unwrap_or_default());
    }
}

fn push_counted(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    text.extend_from_slice(bytes);
}

impl Links {
    /// Asks what to do with a name of an inode.
    pub(super) fn claim(&self, inode: Inode, name: LinkName) -> Claim {
        let mut states = self.0.lock();
        match states.get_mut(&inode) {
            None => {
                states.insert(inode, State::Begun(VecDeque::new()));
                Claim::First
            }
            Some(State::Begun(waiting)) => {
                waiting.push_back(name);
                Claim::Waits
            }
            Some(State::Done(original)) => Claim::Link(name, original.clone()),
            Some(State::Lost) => Claim::Lost(name),
        }
    }

    /// Says what became of the first name, which is `original` where it was made, and returns what
    /// is to be done with those that wait.
    pub(super) fn settle(&self, inode: Inode, original: Original, ending: Ending) -> Settled {
        let mut states = self.0.lock();
        let mut waiting = match states.remove(&inode) {
            Some(State::Begun(waiting)) => waiting,
            _ => VecDeque::new(),
        };
        match ending {
            Ending::Made => {
                states.insert(inode, State::Done(original.clone()));
                Settled::Made(original, waiting)
            }
            Ending::NoPlace => match waiting.pop_front() {
                Some(next) => {
                    states.insert(inode, State::Begun(waiting));
                    Settled::Next(next)
                }
                // Whoever comes later is the first.
                None => Settled::Lost(waiting),
            },
            Ending::Lost => {
                states.insert(inode, State::Lost);
                Settled::Lost(waiting)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        let mut node = Node::new(name.as_bytes(), NodeKind::File);
        (node.device_id, node.inode, node.links) = (1, 2, 2);
        node.size = 4;
        node.content = Some(Box::new([Id::of(b"AAAA")]));
        node
    }

    #[test]
    fn names_are_of_one_file_only_where_nothing_that_a_link_shares_differs() {
        let first = inode_of(&node("a"));
        assert_eq!(inode_of(&node("b")), first);
        let differ = |edit: fn(&mut Node)| {
            let mut other = node("b");
            edit(&mut other);
            assert_ne!(inode_of(&other), first);
        };
        differ(|node| node.content = Some(Box::new([Id::of(b"BBBB")])));
        differ(|node| node.content = Some(Box::new([Id::of(b"AAAA"), Id::of(b"")])));
        differ(|node| node.size = 5);
        differ(|node| node.mtime.nanos = 1);
        differ(|node| node.uid = 1000);
        differ(|node| node.gid = 1000);
        differ(|node| node.mode.0 = 0o4755);
        differ(|node| node.kind = NodeKind::Fifo);
        differ(|node| node.inode = 3);
        differ(|node| node.device_id = 3);
    }

    #[test]
    fn names_are_of_one_file_only_where_their_attributes_and_acls_agree() {
        type Named<'a> = (&'a [u8], Option<&'a [u8]>);
        let with = |attributes: &[Named<'_>]| {
            let mut node = node("a");
            let attributes = attributes.iter().map(|(name, value)| ExtendedAttribute {
                name: (*name).into(),
                value: value.map(Into::into),
            });
            node.edit_rare(|rare| rare.extended_attributes = attributes.collect());
            inode_of(&node)
        };
        let acl: Named<'_> = (b"system.posix_acl_access", Some(b"\x02\0"));
        let comment: Named<'_> = (b"user.comment", Some(b"text"));
        let first = with(&[acl, comment]);
        assert_eq!(with(&[comment, acl]), first);
        let others: [&[Named<'_>]; 8] = [
            &[],
            &[acl],
            &[comment],
            &[acl, (comment.0, Some(b"other"))],
            &[acl, (comment.0, Some(b""))],
            &[acl, (comment.0, None)],
            &[(acl.0, Some(b"\x02\x01")), comment],
            &[acl, (b"user.commentt", Some(b"ext"))],
        ];
        for other in others {
            assert_ne!(with(other), first, "{other:?}");
        }
        assert_ne!(with(&[(b"user.a", None)]), with(&[(b"user.a", Some(b""))]));
    }

    #[test]
    fn links_are_of_one_inode_only_where_they_lead_to_one_place() {
        let link = |target: &[u8]| {
            let mut node = node("link");
            (node.kind, node.content) = (NodeKind::Symlink, None);
            node.edit_rare(|rare| rare.link_target = target.into());
            inode_of(&node)
        };
        assert_eq!(link(b"a"), link(b"a"));
        assert_ne!(link(b"a"), link(b"b"));
    }
}
