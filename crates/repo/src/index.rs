//! Which blobs are stored, and where.
//!
//! On disk an index is JSON, encrypted, and names packs with their blobs. In memory it is a table
//! of at most 64 bytes per blob: 48 for the entry, the rest for the hash table's slots. Many
//! threads ask it at once, and exactly one of those that bring a new blob is told to store it.
//!
//! The table is a claim until somebody has looked: which packs really lie there is told by a
//! listing, and the caller leaves out those that do not.

mod file;
mod table;

pub use file::{IndexFile, IndexedPack, MAX_BLOBS_PER_INDEX_FILE};
pub use table::{Claim, Index, PackNumber};
