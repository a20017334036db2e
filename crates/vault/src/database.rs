//! The database behind a trait, so that SQLite and PostgreSQL do the same.
//!
//! Statements are written once, in the SQL that both understand: `$1` for values, `ON CONFLICT`,
//! `RETURNING`; 64-bit integers, text and bytes. What differs (types in the schema, how a row is
//! locked) is hidden by the two implementations. A sum is a decimal number in PostgreSQL: say
//! `CAST(SUM(x) AS BIGINT)`. Text is ordered by its bytes.
//!
//! What can go wrong: a transaction can fail as a whole, and its work is then done again. So work
//! must depend on nothing but the database and what it was given.

mod dialect;
mod guarded;
mod kept;
mod pool;

pub mod commits;
pub mod lease;
pub mod migrations;
pub mod postgres;
pub mod sqlite;

pub use commits::Commits;
pub use kept::Kept;
pub use migrations::migrate;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

use std::fmt;

use crate::{Error, Result};

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
///
/// A statement that fails spoils it, whatever the work makes of the error: all that can be done
/// then is to give up, or to return from [`Transaction::nested`].
pub trait Transaction {
    /// Runs a statement that inserts, updates or deletes; returns how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Database`]. A text with a NUL is refused, as PostgreSQL cannot hold one.
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

    /// Runs all statements of a text of the schema, in the dialect of [`migrations`].
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    fn define(&mut self, statements: &str) -> Result<()>;

    /// What time it is for leases, in milliseconds: by one clock for all processes that share the
    /// database, which goes on whoever of them dies. It tells nothing but how much time passed.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    fn lease_ms(&mut self) -> Result<i64>;

    /// Lets the statements that follow take as long as they need: for steps of the schema alone,
    /// since whoever else writes waits for them.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    fn take_time(&mut self) -> Result<()> {
        Ok(())
    }

    /// The row that it keeps, where it keeps one. Who wraps a transaction passes on both this and
    /// [`Transaction::keep`], or neither.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// Keeps a row from now on, in place of what it kept; it is written in time. A transaction
    /// that keeps none asks the database for the row each time.
    fn keep(&mut self, _row: Kept) {}

    /// Does work of which nothing stays where it fails, while the transaction goes on.
    ///
    /// # Errors
    /// Those of the work.
    fn nested(&mut self, work: &mut Work<'_>) -> Result<()>;
}

impl dyn Transaction + '_ {
    /// Runs a statement and reads its first row, where there is one.
    ///
    /// # Errors
    /// As [`Transaction::query`].
    pub fn first<T>(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut first = None;
        self.query(statement, values, &mut |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(first)
    }
}

/// Work to be done in a transaction; it is done again where the transaction has to be.
pub type Work<'w> = dyn FnMut(&mut dyn Transaction) -> Result<()> + 'w;

/// A database. All methods block, so never call them where an async runtime runs its tasks; they
/// may be called from several threads at once. Work must not begin another transaction.
pub trait Database: Send + Sync + fmt::Debug {
    /// Does work in one transaction that writes; durable when this returns. Transactions that
    /// write follow each other: each sees what all before it did.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Database`]; nothing was changed. Only where the disk or the
    /// server failed while it was committing, and stays away, is that not known.
    fn write(&self, work: &mut Work<'_>) -> Result<()>;

    /// Does work that only reads, on one unchanging state of the database, beside those that
    /// write.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn read(&self, work: &mut Work<'_>) -> Result<()>;

    /// The same for work of one statement, which needs no transaction to see one state.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn read_one(&self, work: &mut Work<'_>) -> Result<()> {
        self.read(work)
    }

    /// The same for lists, of which each page may take long. They have connections of their own, so
    /// that nothing else ever waits for a list.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn read_list(&self, work: &mut Work<'_>) -> Result<()> {
        self.read(work)
    }
}

impl dyn Database + '_ {
    /// Reads one unchanging state of the database, and returns what `work` makes of it.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn look<T>(&self, work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        made_by(work, |work| self.read(work))
    }

    /// The same by one statement.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn look_once<T>(&self, work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        made_by(work, |work| self.read_one(work))
    }
}

/// What work makes of what it reads.
fn made_by<T>(
    mut work: impl FnMut(&mut dyn Transaction) -> Result<T>,
    read: impl FnOnce(&mut Work<'_>) -> Result<()>,
) -> Result<T> {
    let mut seen = None;
    read(&mut |transaction| {
        seen = Some(work(transaction)?);
        Ok(())
    })?;
    seen.ok_or_else(no_answer)
}

/// The error of a database that says that it did the work, and did not.
pub(crate) fn no_answer() -> Error {
    failed("answer", "the work was not done")
}

/// The error of a database that failed to do something, as "commit".
fn failed(action: &str, reason: impl fmt::Display) -> Error {
    Error::Database {
        action: action.to_owned(),
        reason: reason.to_string(),
    }
}
