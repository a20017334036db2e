//! The work: backup, sync, verify, restore, forget, prune, recover, drills.
//!
//! **Architecture invariant:** a copy that fails or falls behind never stops the others, and no
//! copy ever holds a snapshot that needs a file which it lacks.

pub mod backup;
pub mod blobs;
mod child;
pub mod drill;
pub mod error;
mod fanout;
pub mod filesystem;
pub mod holds;
pub mod init;
pub mod keys;
pub mod known;
pub mod lead;
pub mod listing;
pub mod locking;
mod parallel;
pub mod progress;
pub mod prune;
pub mod read_set;
pub mod receipts;
pub mod recover;
pub mod removals;
pub mod restore;
pub mod retain;
mod right_version;
pub mod session;
pub mod snapshots;
pub mod state;
pub mod status;
pub mod sync;
pub mod unlock;
pub mod verify;

pub use error::{Error, Result};
pub use listing::{Files, Listing};
pub use session::{
    Cancel, Clock, CopyFailure, CopyFailureKind, CopyState, CopyStore, Environment, Session,
};
