//! restic's locks: kept in the database itself, outside the log and every promise.

use strongroom_model::{FileEntry, Id};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, unsigned};

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The token that put it.
    pub token: i64,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The lock of a name that was renewed after `since_ms`.
///
/// # Errors
/// Those of the database.
pub fn get(
    transaction: &mut dyn Transaction,
    repository: i64,
    name: Id,
    since_ms: i64,
) -> Result<Option<Lock>> {
    let statement = "SELECT token, content FROM lock \
                     WHERE repository = $1 AND name = $2 AND renewed_ms > $3";
    let values = [
        Value::Int(repository),
        Value::Bytes(name.as_bytes()),
        Value::Int(since_ms),
    ];
    transaction.first(statement, &values, |row| {
        Ok(Lock {
            token: row.int(0)?,
            content: row.bytes(1)?,
        })
    })
}

/// The locks that were renewed after `since_ms`, by name.
///
/// # Errors
/// Those of the database.
pub fn list(
    transaction: &mut dyn Transaction,
    repository: i64,
    since_ms: i64,
) -> Result<Vec<FileEntry>> {
    let statement = "SELECT name, length(content) FROM lock \
                     WHERE repository = $1 AND renewed_ms > $2 ORDER BY name";
    let values = [Value::Int(repository), Value::Int(since_ms)];
    all(transaction, statement, &values, |row| {
        Ok(FileEntry {
            id: name_of(row, 0)?,
            size_bytes: unsigned(row.int(1)?)?,
        })
    })
}

/// How many locks of a token there are that were renewed after `since_ms`.
///
/// # Errors
/// Those of the database.
pub fn count_of(transaction: &mut dyn Transaction, token: i64, since_ms: i64) -> Result<u64> {
    let statement = "SELECT count(*) FROM lock WHERE token = $1 AND renewed_ms > $2";
    let values = [Value::Int(token), Value::Int(since_ms)];
    let count = transaction.first(statement, &values, |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}

/// Puts a lock, or renews it; from then on it is that token's.
///
/// # Errors
/// Those of the database.
pub fn put(
    transaction: &mut dyn Transaction,
    repository: i64,
    name: Id,
    lock: &Lock,
    renewed_ms: i64,
) -> Result<()> {
    let statement = "INSERT INTO lock (repository, name, token, renewed_ms, content) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (repository, name) DO UPDATE SET renewed_ms = excluded.renewed_ms, \
         token = excluded.token";
    let values = [
        Value::Int(repository),
        Value::Bytes(name.as_bytes()),
        Value::Int(lock.token),
        Value::Int(renewed_ms),
        Value::Bytes(&lock.content),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Removes a lock.
///
/// # Errors
/// Those of the database.
pub fn remove(transaction: &mut dyn Transaction, repository: i64, name: Id) -> Result<()> {
    let statement = "DELETE FROM lock WHERE repository = $1 AND name = $2";
    let values = [Value::Int(repository), Value::Bytes(name.as_bytes())];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Removes all locks of a token; returns how many.
///
/// # Errors
/// Those of the database.
pub fn remove_of(transaction: &mut dyn Transaction, token: i64) -> Result<u64> {
    transaction.execute("DELETE FROM lock WHERE token = $1", &[Value::Int(token)])
}

/// Removes the locks that were last renewed before or at `since_ms`.
///
/// # Errors
/// Those of the database.
pub fn drop_old(transaction: &mut dyn Transaction, since_ms: i64) -> Result<u64> {
    transaction.execute(
        "DELETE FROM lock WHERE renewed_ms <= $1",
        &[Value::Int(since_ms)],
    )
}

fn name_of(row: &dyn Row, column: usize) -> Result<Id> {
    let bytes = row.bytes(column)?.try_into();
    bytes
        .map(Id::from_bytes)
        .map_err(|_| damaged("a lock has no name"))
}
