//! The append-only Merkle log of what a vault did.
//!
//! Entries are leaves of a Merkle tree (RFC 6962). The log signs its size and root, a
//! *checkpoint*; whoever keeps one can later be shown, by a few hashes, that the log still begins
//! with the very same leaves. So a log can be added to, and not changed, without being seen.
//!
//! Everything is in formats of others, so that others can check it: C2SP tlog-tiles, signed-note,
//! tlog-checkpoint, tlog-cosignature, tlog-witness. The page docs/log.md tells them.
//!
//! - To write a log: [`Edge`], [`SignedCheckpoint::sign`].
//! - To prove: [`inclusion_proof`] and [`consistency_proof`], from any [`TileSource`].
//! - To check what is said of one: [`verify_inclusion`], [`verify_consistency`], [`Remembered`].
//! - To check all of one: [`audit()`].
//! - To check what an operator signed who agreed to something: [`Approval`]; and who agreed to all that
//!   took it, by the leaves of a log: [`Approvals`].
//!
//! **Architecture invariant:** this crate links nothing else of ours, so that an auditor builds
//! and reads it alone. It knows no clock and no network; it reads files in [`Folder`] and
//! [`SignedCheckpoint::kept`] only and writes none.

pub mod approval;
pub mod approvals;
pub mod audit;
mod base64;
pub mod bundle;
pub mod checkpoint;
pub mod edge;
mod error;
pub mod folder;
mod hash;
pub mod key;
pub mod note;
pub mod proof;
pub mod remembered;
pub mod tile;
pub mod tree;
pub mod witness;

pub use approval::{Approval, Page};
pub use approvals::{Approvals, Approved};
pub use audit::{audit, audit_entries};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use edge::{Edge, LogFile};
pub use error::{Error, Result};
pub use folder::Folder;
pub use hash::{HASH_BYTES, Hash};
pub use key::{KeyKind, Signer, Verifier};
pub use note::{Note, NoteSignature};
pub use proof::{verify_consistency, verify_inclusion};
pub use remembered::{Remembered, Verdict};
pub use tile::{Level, Tile};
pub use tree::{TileSource, consistency_proof, inclusion_proof};
