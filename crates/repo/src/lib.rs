//! The restic repository format: keys, packs, index, snapshots, trees.
//!
//! Reads versions 1 and 2, writes version 2. The format's reference is restic's design document;
//! what it leaves open is said where it matters.
//!
//! **Architecture invariant:** this crate knows the format and nothing of copies: which store a
//! file comes from or goes to is the engine's business.

pub mod blob;
pub mod chunker;
pub mod compression;
pub mod config;
pub mod crypto;
pub mod error;
mod gojson;
pub mod index;
mod json;
pub mod key;
pub mod lock;
pub mod node;
pub mod pack;
mod polynomial;
pub mod record;
pub mod repository;
pub mod snapshot;
pub mod tree;
pub mod unpacked;

pub use blob::{BlobId, BlobKind, BlobLocation};
pub use config::RepoConfig;
pub use crypto::Key;
pub use error::{Error, Result};
pub use index::Index;
pub use node::Node;
pub use repository::Repository;
pub use snapshot::Snapshot;
pub use tree::Tree;
