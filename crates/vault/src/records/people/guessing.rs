//! Wrong guesses of passwords, by bucket.

use strongroom_access::OperatorId;
use strongroom_access::throttle::Guesses;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{signed, unsigned};

/// The wrong guesses of a bucket.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, bucket: &[u8; 32]) -> Result<Option<Guesses>> {
    let statement = "SELECT wrong, last_ms FROM guessing WHERE bucket = $1";
    transaction.first(statement, &[Value::Bytes(bucket)], |row| {
        Ok(Guesses {
            wrong: u32::try_from(unsigned(row.int(0)?)?).unwrap_or(u32::MAX),
            last_ms: row.int(1)?,
        })
    })
}

/// Whose browser a bucket belongs to.
///
/// # Errors
/// Those of the database.
pub fn owner(transaction: &mut dyn Transaction, bucket: &[u8; 32]) -> Result<Option<OperatorId>> {
    let statement = "SELECT operator FROM guessing WHERE bucket = $1 AND operator IS NOT NULL";
    transaction.first(statement, &[Value::Bytes(bucket)], |row| {
        Ok(OperatorId(row.int(0)?))
    })
}

/// Notes the guesses of a bucket: that of a browser of `operator`, or one of all others.
///
/// # Errors
/// Those of the database.
pub fn set(
    transaction: &mut dyn Transaction,
    bucket: &[u8; 32],
    operator: Option<OperatorId>,
    guesses: Guesses,
) -> Result<()> {
    let statement = "INSERT INTO guessing (bucket, operator, wrong, last_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (bucket) DO UPDATE SET \
         wrong = excluded.wrong, last_ms = excluded.last_ms, operator = excluded.operator";
    let values = [
        Value::Bytes(bucket),
        operator.map_or(Value::Null, |operator| Value::Int(operator.0)),
        Value::Int(signed(guesses.wrong.into())?),
        Value::Int(guesses.last_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Keeps the browsers of an operator that were used last, `most` of them, and lets the others go.
///
/// # Errors
/// Those of the database.
pub fn keep_newest(
    transaction: &mut dyn Transaction,
    operator: OperatorId,
    most: i64,
) -> Result<()> {
    let statement = "DELETE FROM guessing WHERE operator = $1 AND bucket NOT IN \
        (SELECT bucket FROM guessing WHERE operator = $1 ORDER BY last_ms DESC LIMIT $2)";
    transaction.execute(statement, &[Value::Int(operator.0), Value::Int(most)])?;
    Ok(())
}
