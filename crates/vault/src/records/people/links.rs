//! Links by which somebody comes who has no factors.

use strongroom_access::OperatorId;

use crate::Result;
use crate::database::{Transaction, Value};

/// Makes a link; the first one is for nobody yet.
///
/// # Errors
/// Those of the database.
pub fn insert(
    transaction: &mut dyn Transaction,
    digest: &[u8; 32],
    operator: Option<OperatorId>,
) -> Result<()> {
    let statement = "INSERT INTO link (digest, operator) VALUES ($1, $2)";
    let operator = operator.map_or(Value::Null, |operator| Value::Int(operator.0));
    transaction.execute(statement, &[Value::Bytes(digest), operator])?;
    Ok(())
}

/// For whom a link is that was not used up; `Some(None)` for the first one.
///
/// # Errors
/// Those of the database.
pub fn get(
    transaction: &mut dyn Transaction,
    digest: &[u8; 32],
) -> Result<Option<Option<OperatorId>>> {
    let statement = "SELECT operator FROM link WHERE digest = $1 AND used_ms IS NULL";
    transaction.first(statement, &[Value::Bytes(digest)], |row| {
        Ok(row.maybe_int(0)?.map(OperatorId))
    })
}

/// Gives the first link to whom it has become one of.
///
/// # Errors
/// Those of the database.
pub fn give(
    transaction: &mut dyn Transaction,
    digest: &[u8; 32],
    operator: OperatorId,
) -> Result<()> {
    let statement = "UPDATE link SET operator = $1 WHERE digest = $2";
    transaction.execute(statement, &[Value::Int(operator.0), Value::Bytes(digest)])?;
    Ok(())
}

/// Ends all links of an operator, or those that are for nobody yet.
///
/// # Errors
/// Those of the database.
pub fn end(
    transaction: &mut dyn Transaction,
    operator: Option<OperatorId>,
    used_ms: i64,
) -> Result<()> {
    let used = Value::Int(used_ms);
    match operator {
        Some(operator) => transaction.execute(
            "UPDATE link SET used_ms = $1 WHERE operator = $2 AND used_ms IS NULL",
            &[used, Value::Int(operator.0)],
        )?,
        None => transaction.execute(
            "UPDATE link SET used_ms = $1 WHERE operator IS NULL AND used_ms IS NULL",
            &[used],
        )?,
    };
    Ok(())
}
