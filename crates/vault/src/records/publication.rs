//! What was published of the log: the newest checkpoint, and whose keys sign.
//!
//! What can go wrong: a process that was asleep tells of an older state, or of a log that another
//! one took the place of. So the newest checkpoint is a row that only ever moves forward within one
//! log, and not a file that the last writer wins.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{signed, unsigned};

/// What the database knows of the published log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Which log it is; counts from 1.
    pub log: u64,
    /// How many leaves it has.
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
    let statement = "SELECT COALESCE(number, 1), leaves - COALESCE(base, 0), \
                     published - COALESCE(base, 0), checkpoint FROM log_head \
                     LEFT JOIN log_identity ON log_identity.one = log_head.one \
                     WHERE log_head.one = 1";
    let state = transaction.first(statement, &[], |row| {
        Ok(State {
            log: unsigned(row.int(0)?)?,
            leaves: unsigned(row.int(1)?)?,
            published: unsigned(row.int(2)?)?,
            checkpoint: row.maybe_bytes(3)?,
        })
    })?;
    state.ok_or_else(|| super::damaged("the log has no head"))
}

/// What is published of a log.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// Which log; counts from 1.
    pub log: u64,
    /// How many leaves of the vault are in files: those of earlier logs too.
    pub published: u64,
    /// Leaves of the vault before this one are in full bundles.
    pub bundled: u64,
    /// The signed note.
    pub checkpoint: &'a [u8],
}

/// Notes what is published, and lets go of the leaves that are in full bundles; false where as many
/// were published before, or it is another log by now, and nothing is changed by it.
///
/// # Errors
/// Those of the database.
pub fn mark(transaction: &mut dyn Transaction, mark: Mark<'_>) -> Result<bool> {
    let statement = "UPDATE log_head SET published = $1, checkpoint = $2 WHERE one = 1 \
                     AND (published < $1 OR (published = $1 AND checkpoint IS NULL)) \
                     AND EXISTS (SELECT 1 FROM log_identity WHERE one = 1 AND number = $3)";
    let values = [
        Value::Int(signed(mark.published)?),
        Value::Bytes(mark.checkpoint),
        Value::Int(signed(mark.log)?),
    ];
    let is_news = transaction.execute(statement, &values)? == 1;
    if is_news {
        let statement = "DELETE FROM leaf WHERE number < $1";
        transaction.execute(statement, &[Value::Int(signed(mark.bundled)?)])?;
    }
    Ok(is_news)
}

/// Puts a note with more signatures in place of the newest checkpoint, which the caller has read in
/// this transaction.
///
/// # Errors
/// Those of the database.
pub fn set_checkpoint(transaction: &mut dyn Transaction, note: &[u8]) -> Result<()> {
    let statement = "UPDATE log_head SET checkpoint = $1 WHERE one = 1";
    transaction.execute(statement, &[Value::Bytes(note)])?;
    Ok(())
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

/// The key that verifies what this vault cosigns, as text; `None` where it has none.
///
/// # Errors
/// Those of the database.
pub fn witness_key(transaction: &mut dyn Transaction) -> Result<Option<String>> {
    let statement = "SELECT vkey FROM witness_key WHERE one = 1";
    transaction.first(statement, &[], |row| row.text(0))
}

/// Notes the key that verifies what this vault cosigns, where none is known yet; returns the one
/// that is known then.
///
/// # Errors
/// Those of the database.
pub fn settle_witness_key(transaction: &mut dyn Transaction, key: &str) -> Result<Option<String>> {
    let statement =
        "INSERT INTO witness_key (one, vkey) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
    transaction.execute(statement, &[Value::Text(key)])?;
    witness_key(transaction)
}
