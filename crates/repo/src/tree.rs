//! Trees: the content of one folder, as restic's JSON.
//!
//! A tree's id is the SHA-256 of its text, so writing must match restic byte for byte
//! ([`TreeEncoder`]), while reading takes whatever any tool of the format may have written.
//! What a tree claims is not believed: names that would leave a restore's target are refused one
//! by one, so that the rest of the folder can still be restored.

mod decode;
mod encode;
mod error;

use crate::node::{Node, is_safe_name};

pub use encode::TreeEncoder;
pub use error::TreeError;

use decode::Decoder;
use error::shown;

/// The content of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The nodes by rising names, compared as raw bytes; every name is safe and stands once.
    pub nodes: Vec<Node>,
    /// Why other nodes were left out: unsafe and duplicate names. At most [`REFUSED_LIMIT`] are
    /// kept.
    pub refused: Vec<TreeError>,
    /// Fields that we do not know, verbatim, each as `,"key":value`.
    unknown: Box<str>,
}

/// How many refused nodes of one tree are reported.
pub const REFUSED_LIMIT: usize = 100;

impl Tree {
    /// Reads a tree blob.
    ///
    /// Memory is bounded by the blob: at most some 16 times its size, for a hostile one.
    pub fn decode(blob: &[u8]) -> Result<Self, TreeError> {
        let text = str::from_utf8(blob).map_err(|error| TreeError::NotText {
            offset: error.valid_up_to(),
        })?;
        let mut tree = Self::default();
        let mut sorted = true;
        let unknown = Decoder::new(text).run(|node| {
            if is_safe_name(&node.name) {
                sorted &= tree.nodes.last().is_none_or(|last| last.name < node.name);
                tree.nodes.push(node);
            } else {
                refuse(&mut tree.refused, || TreeError::UnsafeName {
                    name: shown(&node.name),
                });
            }
        })?;
        if !sorted {
            tree.sort();
        }
        tree.unknown = unknown.into();
        Ok(tree)
    }

    /// Writes the tree as restic would; its id is the SHA-256 of these bytes.
    ///
    /// A tree of which something was refused is not written, since that would lose nodes.
    pub fn encode(&self) -> Result<Vec<u8>, TreeError> {
        if !self.refused.is_empty() {
            return Err(TreeError::Refused {
                count: self.refused.len(),
            });
        }
        let mut encoder = TreeEncoder::new();
        for node in &self.nodes {
            encoder.push(node)?;
        }
        Ok(encoder.finish_with(&self.unknown))
    }

    /// The node of that name.
    pub fn find(&self, name: &[u8]) -> Option<&Node> {
        let position = self.nodes.binary_search_by(|node| (*node.name).cmp(name));
        position.ok().and_then(|position| self.nodes.get(position))
    }

    /// Puts nodes in order that were not, and refuses all but the first of one name.
    fn sort(&mut self) {
        self.nodes.sort_by(|left, right| left.name.cmp(&right.name));
        let refused = &mut self.refused;
        self.nodes.dedup_by(|later, earlier| {
            let same = later.name == earlier.name;
            if same {
                refuse(refused, || TreeError::DuplicateName {
                    name: shown(&later.name),
                });
            }
            same
        });
    }
}

fn refuse(refused: &mut Vec<TreeError>, error: impl FnOnce() -> TreeError) {
    if refused.len() < REFUSED_LIMIT {
        refused.push(error());
    }
}
