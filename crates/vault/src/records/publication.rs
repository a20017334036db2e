//! What was published of the log: the newest checkpoint, and whose key signs.
//!
//! What can go wrong: a process that was asleep tells of an older state. So the newest checkpoint
//! is a row that only ever moves forward, and not a file that the last writer wins.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{signed, unsigned};

/// What the database knows of the published log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How many leaves there are.
    pub leaves: u64,
    /// How many of them are in the log's files.
    pub published: u64,
    /// The signed note over those; `None` where this version has not published yet.
    pub checkpoint: Option<Vec<u8>>,
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub fn state(transaction: &mut dyn Transaction) -> Result<State> {
    let statement = "SELECT leaves, published, checkpoint FROM log_head WHERE one = 1";
    let state = transaction.first(statement, &[], |row| {
        Ok(State {
            leaves: unsigned(row.int(0)?)?,
            published: unsigned(row.int(1)?)?,
            checkpoint: row.maybe_bytes(2)?,
        })
    })?;
    state.ok_or_else(|| super::damaged("the log has no head"))
}

/// Notes that the first `published` leaves are in the log's files and that `checkpoint` is over
/// them, and lets go of the leaves before `bundled`, which are in full bundles; false where as many
/// were published before, and nothing is changed by it.
///
/// # Errors
/// Those of the database.
pub fn mark(
    transaction: &mut dyn Transaction,
    published: u64,
    bundled: u64,
    checkpoint: &[u8],
) -> Result<bool> {
    let statement = "UPDATE log_head SET published = $1, checkpoint = $2 WHERE one = 1 \
                     AND (published < $1 OR (published = $1 AND checkpoint IS NULL))";
    let values = [Value::Int(signed(published)?), Value::Bytes(checkpoint)];
    let is_news = transaction.execute(statement, &values)? == 1;
    let statement = "DELETE FROM leaf WHERE number < $1";
    transaction.execute(statement, &[Value::Int(signed(bundled)?)])?;
    Ok(is_news)
}

/// The key that verifies the log, as text; `None` before anybody has signed.
///
/// # Errors
/// Those of the database.
pub fn public_key(transaction: &mut dyn Transaction) -> Result<Option<String>> {
    let statement = "SELECT public_key FROM log_head WHERE one = 1 AND public_key IS NOT NULL";
    transaction.first(statement, &[], |row| row.text(0))
}

/// Notes the key that verifies the log, where none is known yet; returns the one that is known
/// then.
///
/// # Errors
/// Those of the database.
pub fn settle_public_key(transaction: &mut dyn Transaction, key: &str) -> Result<Option<String>> {
    let statement = "UPDATE log_head SET public_key = $1 WHERE one = 1 AND public_key IS NULL";
    transaction.execute(statement, &[Value::Text(key)])?;
    public_key(transaction)
}
