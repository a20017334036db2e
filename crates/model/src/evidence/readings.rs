//! What verifies have read of a copy: shares, which add up to everything or do not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::CopyEvidence;

/// One verify of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// When it began: bytes that rotted later may have been read before.
    pub at: Timestamp,
    /// Who read the bytes.
    pub by: Verifier,
    /// How much of the copy was read.
    pub share: Share,
    /// Whether index entries, trees and blobs were decoded as well.
    #[serde(default)]
    pub decoded: bool,
}

/// Who read the bytes of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verifier {
    /// This program, over the network where there is one.
    Us,
    /// The vault that holds the copy, on its own disk.
    Vault,
}

/// How much of a copy a verify read, or of a snapshot a drill restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Every stored byte.
    #[default]
    All,
    /// The `number`-th of `of` parts, counted from 1; the parts together are everything.
    Slice {
        /// Which part.
        number: u32,
        /// How many parts there are.
        of: u32,
    },
    /// A random choice of so many percent, which adds up to nothing certain.
    Percent(u8),
}

/// When each of several parts was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rotation {
    of: u32,
    read: BTreeMap<u32, Timestamp>,
}

impl CopyEvidence {
    /// Remembers that one of several parts was read.
    pub(super) fn record_slice(&mut self, number: u32, of: u32, at: Timestamp) {
        if !(1..=of).contains(&number) {
            return;
        }
        let rotation = match self.rotation.take() {
            Some(rotation) if rotation.of == of => self.rotation.insert(rotation),
            other => {
                // Parts of another division prove nothing together with these.
                let complete = other.as_ref().and_then(Rotation::complete_since);
                self.all_read = self.all_read.max(complete);
                let read = BTreeMap::new();
                self.rotation.insert(Rotation { of, read })
            }
        };
        let read = rotation.read.entry(number).or_insert(at);
        *read = at.max(*read);
    }
}

impl Rotation {
    /// The time since which all parts were read, where they were.
    pub(super) fn complete_since(&self) -> Option<Timestamp> {
        let complete = u32::try_from(self.read.len()) == Ok(self.of)
            && self
                .read
                .keys()
                .all(|number| (1..=self.of).contains(number));
        self.read.values().min().copied().filter(|_| complete)
    }
}
