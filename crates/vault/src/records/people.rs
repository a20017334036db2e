//! Operators, what they show, what they agree to, and the seal; docs/people.md.

pub mod challenges;
pub mod factors;
pub mod guessing;
pub mod host_codes;
pub mod links;
pub mod operations;
pub mod operators;
pub mod regime;
pub mod seals;
pub mod sessions;

use crate::Result;
use crate::database::Row;
use crate::records::damaged;

/// A SHA-256 of a row.
fn digest(row: &dyn Row, column: usize) -> Result<[u8; 32]> {
    let digest = row.bytes(column)?.try_into();
    digest.map_err(|_| damaged("a digest has another length"))
}
