//! A client's signed statement of what a snapshot needs and what happened.
//!
//! A copy alone cannot tell which packs a snapshot needs, nor whether it still has them all; the
//! receipt can, without the password, and its signature keeps whoever holds a copy from saying
//! otherwise. To stay small, a receipt tells only the difference to its parent's; [`Chain`] adds
//! them up and refuses a chain with a link missing or swapped.
//!
//! **Architecture invariant:** nothing can be added to a [`Chain`] whose signature was not checked.

mod chain;
mod needs;

pub use chain::Chain;
pub use needs::{Needs, NeedsChange};

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::name::Name;
use crate::signed::{Claim, Signed, Verified};

pub use crate::signed::{Signature, Version};

/// What one backup of one source did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this format.
    pub version: Version,
    /// The file of the snapshot.
    pub snapshot: Id,
    /// The root tree of the snapshot.
    pub tree: Id,
    /// The source that was backed up.
    pub source: Name,
    /// The host that did it, by the name it gives itself.
    pub host: String,
    /// The SHA-256 of the client's public key, under which the receipt is signed.
    pub client: Id,
    /// The SHA-256 of the body of the receipt before, of the same client and source.
    pub parent: Option<Id>,
    /// The time of the snapshot, by the client's clock.
    pub time: Timestamp,
    /// What the snapshot needs, as the difference to what the parent's needs.
    pub needs: NeedsChange,
    /// What happened on each copy.
    pub copies: BTreeMap<Name, Outcome>,
    /// What was read and stored.
    pub work: Work,
}

/// What came of a snapshot on one copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The copy holds the snapshot and everything that it needs.
    Whole,
    /// The copy lacks files, and therefore the snapshot.
    Behind {
        /// How many files it lacks.
        files: u64,
    },
    /// The copy could not be used.
    Failed {
        /// Why, in one line and without secrets.
        reason: String,
    },
}

/// What a backup read and stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Files in the snapshot.
    pub files: u64,
    /// Bytes in the snapshot.
    pub bytes: u64,
    /// Bytes that were read from the source.
    pub bytes_read: u64,
    /// Bytes that were added to each copy.
    pub bytes_added: u64,
    /// Files that could not be read, vanished, or changed while they were read.
    pub source_errors: u64,
}

/// A receipt as it is kept and sent.
pub type SignedReceipt = Signed<Receipt>;

/// A receipt whose signature holds.
pub type VerifiedReceipt = Verified<Receipt>;

impl Claim for Receipt {
    const CONTEXT: &'static str = "strongroom receipt v1\n";
    const WHAT: &'static str = "receipt";

    fn client(&self) -> Id {
        self.client
    }
}

impl VerifiedReceipt {
    /// What it says.
    pub const fn receipt(&self) -> &Receipt {
        self.claim()
    }
}

#[cfg(test)]
mod tests;
