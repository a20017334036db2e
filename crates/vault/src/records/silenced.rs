//! What hidden tokens have said anew of snapshots, and what therefore takes no place of older receipts.
//!
//! A receipt is told by its leaf, as an object is by that of its POST, so that what a token said before
//! it was stolen counts as before. Whatever was silenced still holds back what it names: `hide` never
//! has anything go.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{signed, unsigned};

/// Whether the receipt `r` of a statement was silenced.
pub(super) const SILENCED: &str = "EXISTS (SELECT 1 FROM silenced s \
     WHERE s.token = r.token AND r.put >= s.since AND r.put < s.before)";

/// Silences what a token has said anew between two leaves; returns how many receipts it was that were
/// not silenced before.
///
/// # Errors
/// Those of the database.
pub fn add(
    transaction: &mut dyn Transaction,
    token: i64,
    (since, before): (u64, u64),
) -> Result<u64> {
    let values = [
        Value::Int(token),
        Value::Int(signed(since)?),
        Value::Int(signed(before)?),
    ];
    let statement = format!(
        "SELECT COUNT(*) FROM receipt r WHERE r.token = $1 AND r.replaces IS NOT NULL \
         AND r.put >= $2 AND r.put < $3 AND NOT {SILENCED}"
    );
    let receipts = transaction.first(&statement, &values, |row| row.int(0))?;
    let receipts = unsigned(receipts.unwrap_or_default())?;
    if receipts > 0 {
        let statement = "INSERT INTO silenced (token, since, before) VALUES ($1, $2, $3) \
                         ON CONFLICT DO NOTHING";
        transaction.execute(statement, &values)?;
    }
    Ok(receipts)
}

/// Whether anything is silenced that a token has said from a leaf on.
///
/// # Errors
/// Those of the database.
pub fn is_any(transaction: &mut dyn Transaction, token: i64, since: u64) -> Result<bool> {
    let statement = format!(
        "SELECT 1 FROM receipt r WHERE r.token = $1 AND r.replaces IS NOT NULL AND r.put >= $2 \
         AND {SILENCED} LIMIT 1"
    );
    let values = [Value::Int(token), Value::Int(signed(since)?)];
    let found = transaction.first(&statement, &values, |_| Ok(()))?;
    Ok(found.is_some())
}

/// Lets all count again that a token has said; returns how many receipts it was.
///
/// # Errors
/// Those of the database.
pub fn end(transaction: &mut dyn Transaction, token: i64) -> Result<u64> {
    let token = [Value::Int(token)];
    let statement = format!(
        "SELECT COUNT(*) FROM receipt r WHERE r.token = $1 AND r.replaces IS NOT NULL \
         AND {SILENCED}"
    );
    let receipts = transaction.first(&statement, &token, |row| row.int(0))?;
    transaction.execute("DELETE FROM silenced WHERE token = $1", &token)?;
    unsigned(receipts.unwrap_or_default())
}
