//! The signed statement of a drill: what was tried on each copy, and what was seen.
//!
//! It is [signed](crate::signed) by the client's key, as receipts are, kept in the state folder, and
//! sent to the vaults among the copies, whose logs then tell that there was such a statement at that
//! time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attack::{PlaceKind, Tried, Verdict};
use crate::id::Id;
use crate::signed::{Claim, Signed, Version};

/// A drill of all copies, or of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The version of this format.
    pub version: Version,
    /// The SHA-256 of the client's public key, under which it is signed.
    pub client: Id,
    /// The host that did it, by the name it gives itself.
    pub host: String,
    /// When it began, by the client's clock.
    pub at: Timestamp,
    /// Each copy that was attacked.
    pub copies: Vec<DrilledCopy>,
}

/// What came of one copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrilledCopy {
    /// Its name.
    pub copy: String,
    /// Its address, without secrets.
    pub store: String,
    /// What kind of place it is.
    pub place: PlaceKind,
    /// Whose credential it was, as far as that could be told.
    pub principal: Option<String>,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Whether everything that the answer rests on was found out.
    pub certain: bool,
    /// Every attempt.
    pub tried: Vec<Tried>,
}

/// A statement as it is kept and sent.
pub type SignedDrill = Signed<Statement>;

impl Claim for Statement {
    const CONTEXT: &'static str = "strongroom drill v1\n";
    const WHAT: &'static str = "drill";

    fn client(&self) -> Id {
        self.client
    }
}
