//! Where copies live: whole objects by type and id.
//!
//! **Architecture invariant:** everything goes to storage through [`Store`], so that a test can
//! put faults and counters between the engine and any copy. A store knows nothing of passwords,
//! blobs or snapshots.

pub mod error;
mod store;

pub use error::{Error, Result};
pub use store::Store;
