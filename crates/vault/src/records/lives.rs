//! Earlier lives of objects whose bytes are still there, for the views of their time.
//!
//! What can go wrong: an object that is deleted and put again and again has very many. So a view
//! looks at one of them, and it is bounded how many may end in a day.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::Key;
use crate::records::{signed, unsigned};

/// Whether an earlier life of an object was seen when there were so many leaves.
///
/// # Errors
/// Those of the database.
pub(super) fn was_seen(transaction: &mut dyn Transaction, key: &Key, leaves: u64) -> Result<bool> {
    // Lives do not overlap: no other one than this can have been seen then.
    let statement = "SELECT began FROM past WHERE repository = $1 AND kind = $2 AND name = $3 \
                     AND ended >= $4 ORDER BY ended LIMIT 1";
    let [repository, kind, name] = key.values();
    let values = [repository, kind, name, Value::Int(signed(leaves)?)];
    let began = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    Ok(began.is_some_and(|began| began < leaves))
}

/// How many lives of an object have ended since there were so many leaves, counted up to a limit.
///
/// # Errors
/// Those of the database.
pub fn count(transaction: &mut dyn Transaction, key: &Key, since: u64, limit: u64) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM (SELECT 1 FROM past WHERE repository = $1 \
         AND kind = $2 AND name = $3 AND ended >= $4 LIMIT $5) AS life";
    let [repository, kind, name] = key.values();
    let (since, limit) = (Value::Int(signed(since)?), Value::Int(signed(limit)?));
    let values = [repository, kind, name, since, limit];
    let count = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    Ok(count.unwrap_or_default())
}

/// Keeps the life that has ended among those before.
///
/// # Errors
/// Those of the database.
pub(super) fn end(transaction: &mut dyn Transaction, key: &Key) -> Result<()> {
    let statement = "INSERT INTO past (repository, kind, name, began, ended) \
         SELECT repository, kind, name, began, ended FROM object \
         WHERE repository = $1 AND kind = $2 AND name = $3 AND ended > began";
    transaction.execute(statement, &key.values())?;
    Ok(())
}
