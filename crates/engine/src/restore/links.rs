//! Hard links: an inode is restored under the first of its names, the others are linked to it.
//!
//! Another thread may meet a later name before the first is done; the name then waits with the
//! inode, and whoever finishes the first one makes the links. Where nothing was made of the first
//! name, those that wait fail with it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_repo::Node;

use crate::restore::folder::OpenFolder;

/// An inode at the source: its device and number.
pub(super) type Inode = (u64, u64);

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
    pub(super) folder: Box<[u8]>,
    pub(super) name: Box<[u8]>,
}

/// The inodes with several names that were met.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<Inode, State>>);

#[derive(Debug)]
enum State {
    /// Somebody makes it; these names wait.
    Begun(Vec<LinkName>),
    /// It was made.
    Done(Original),
    /// It could not be made.
    Failed,
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
    /// The first name could not be restored.
    Failed(LinkName),
}

/// The inode of a file with several names.
pub(super) fn inode_of(node: &Node) -> Option<Inode> {
    (node.links > 1 && node.inode != 0).then_some((node.device_id, node.inode))
}

impl Links {
    /// Asks what to do with a name of an inode.
    pub(super) fn claim(&self, inode: Inode, name: LinkName) -> Claim {
        let mut states = self.0.lock();
        match states.get_mut(&inode) {
            None => {
                states.insert(inode, State::Begun(Vec::new()));
                Claim::First
            }
            Some(State::Begun(waiting)) => {
                waiting.push(name);
                Claim::Waits
            }
            Some(State::Done(original)) => Claim::Link(name, original.clone()),
            Some(State::Failed) => Claim::Failed(name),
        }
    }

    /// Says what became of the first name, and returns those that wait.
    pub(super) fn settle(&self, inode: Inode, made: Option<Original>) -> Vec<LinkName> {
        let state = made.map_or(State::Failed, State::Done);
        match self.0.lock().insert(inode, state) {
            Some(State::Begun(waiting)) => waiting,
            _ => Vec::new(),
        }
    }
}
