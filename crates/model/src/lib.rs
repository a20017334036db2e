//! The nouns and rules of Strongroom: what a copy, a plan and a scorecard are.
//!
//! **Architecture invariant:** this crate does no I/O and knows no clock; time, environment and
//! randomness come in as parameters, so that every rule can be tested in microseconds.

pub mod file;
pub mod id;

pub use file::{FileEntry, FileName, FileType};
pub use id::Id;
