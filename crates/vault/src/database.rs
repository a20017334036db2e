//! The database behind a trait, so that SQLite and PostgreSQL do the same.
//!
//! Statements are written once, in the SQL that both understand: `$1` for values, `ON CONFLICT`,
//! `RETURNING`; 64-bit integers, text and bytes. What differs (types in the schema, how a row is
//! locked) is hidden by the two implementations.
//!
//! What can go wrong: a transaction can fail as a whole, and its work is then done again. So work
//! must depend on nothing but the database and what it was given.

use std::fmt;

use crate::Result;

/// A value of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(&'v str),
    /// Bytes.
    Bytes(&'v [u8]),
}

/// A row of an answer; columns count from 0.
///
/// # Errors
/// Each method fails where there is no such column, or it holds another type.
pub trait Row {
    /// A number.
    fn int(&self, column: usize) -> Result<i64>;
    /// A number, or none.
    fn maybe_int(&self, column: usize) -> Result<Option<i64>>;
    /// A text.
    fn text(&self, column: usize) -> Result<String>;
    /// Bytes.
    fn bytes(&self, column: usize) -> Result<Vec<u8>>;
    /// Bytes, or none.
    fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>>;
}

/// A transaction.
pub trait Transaction {
    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64>;

    /// Runs a statement and hands over its rows one by one; all of them are never in memory.
    ///
    /// # Errors
    /// As [`Transaction::execute`], and those of `each`, which end the query.
    fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<()>,
    ) -> Result<()>;
}

/// Work to be done in a transaction; it is done again where the transaction has to be.
pub type Work<'w> = dyn FnMut(&mut dyn Transaction) -> Result<()> + 'w;

/// A database. All methods block, and may be called from several threads at once.
pub trait Database: Send + Sync + fmt::Debug {
    /// Does work in one transaction that writes; durable when this returns. Transactions that
    /// write follow each other: each sees what all before it did.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Database`](crate::Error::Database); nothing was changed.
    fn write(&self, work: &mut Work<'_>) -> Result<()>;

    /// Does work that only reads, on one unchanging state of the database, beside those that
    /// write.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn read(&self, work: &mut Work<'_>) -> Result<()>;
}
