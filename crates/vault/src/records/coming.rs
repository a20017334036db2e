//! Receipts on their way in: of those that change very much, a part of it at a time is written down
//! at the position that the receipt will have, where nobody sees it (see
//! [`needs`](crate::records::needs)).
//!
//! A row says that of one lineage; while it is there no other receipt gets that position. It is of no
//! act that anybody could go on with who has its row, as those in
//! [`under_way`](crate::records::under_way) are: what a receipt changes is known to who was sent it
//! and to nobody else. So what a process has left that died is taken back, a part at a time as well,
//! and the client sends its receipt again.
//!
//! What can go wrong: somebody whose attempt was taken for left goes on with it while it is taken
//! back, or when another attempt is under way. Each attempt has a name that no other one ever has,
//! and each part asks for it in its own transaction.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::needs::OPEN;
use crate::records::under_way::{ABANDONED_MS, PART};
use crate::records::{all, signed, unsigned};

/// The attempt of what is taken back.
const NONE: &str = "";

/// Before all files of a lineage, and behind them: a type and a name.
const FIRST: (i64, &[u8]) = (-1, &[]);
const LAST: (i64, &[u8]) = (i64::MAX, &[]);

/// The files of the lineage `$1` from behind `$2` and `$3` until `$4` and `$5`.
const BETWEEN: &str = "lineage = $1 AND (kind, name) > ($2, $3) AND (kind, name) <= ($4, $5)";

/// A receipt on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    /// The position that it will have.
    pub position: u64,
    /// Whether nobody goes on with it, so that it is to be taken back.
    pub is_left: bool,
    /// Behind which file taking back goes on.
    at: (i64, Vec<u8>),
}

/// The receipt on its way into a lineage; none where there is none.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, lineage: i64) -> Result<Option<Coming>> {
    let now_ms = transaction.lease_ms()?;
    let statement = "SELECT position, attempt, at_kind, at_name, at_ms FROM coming \
                     WHERE lineage = $1";
    transaction.first(statement, &[Value::Int(lineage)], |row| {
        let attempt = row.text(1)?;
        // The clock of leases may have been set back since.
        let is_recent = now_ms.saturating_sub(row.int(4)?).saturating_abs() <= ABANDONED_MS;
        Ok(Coming {
            position: unsigned(row.int(0)?)?,
            is_left: attempt == NONE || !is_recent,
            at: (row.int(2)?, row.bytes(3)?),
        })
    })
}

/// The lineages of the receipts with which nobody goes on.
///
/// # Errors
/// Those of the database.
pub fn left(transaction: &mut dyn Transaction) -> Result<Vec<i64>> {
    let now_ms = transaction.lease_ms()?;
    let statement = "SELECT lineage FROM coming \
                     WHERE attempt = $1 OR at_ms < $2 OR at_ms > $3 ORDER BY lineage";
    let values = [
        Value::Text(NONE),
        Value::Int(now_ms.saturating_sub(ABANDONED_MS)),
        Value::Int(now_ms.saturating_add(ABANDONED_MS)),
    ];
    all(transaction, statement, &values, |row| row.int(0))
}

/// Notes that a receipt is on its way to a position.
///
/// # Errors
/// Those of the database; also where another one is on its way into the lineage.
pub fn begin(
    transaction: &mut dyn Transaction,
    lineage: i64,
    position: u64,
    attempt: &str,
) -> Result<()> {
    let at_ms = transaction.lease_ms()?;
    let statement = "INSERT INTO coming (lineage, position, attempt, at_kind, at_name, at_ms) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
    let (kind, name) = FIRST;
    let values = [
        Value::Int(lineage),
        Value::Int(signed(position)?),
        Value::Text(attempt),
        Value::Int(kind),
        Value::Bytes(name),
        Value::Int(at_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that an attempt goes on; false where it was taken back, and must not.
///
/// # Errors
/// Those of the database.
pub fn goes_on(transaction: &mut dyn Transaction, lineage: i64, attempt: &str) -> Result<bool> {
    let at_ms = transaction.lease_ms()?;
    let statement = "UPDATE coming SET at_ms = $1 WHERE lineage = $2 AND attempt = $3";
    let values = [Value::Int(at_ms), Value::Int(lineage), Value::Text(attempt)];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Ends an attempt, whose receipt stands from now on; false where it was taken back, and must not.
///
/// # Errors
/// Those of the database.
pub fn end(transaction: &mut dyn Transaction, lineage: i64, attempt: &str) -> Result<bool> {
    let statement = "DELETE FROM coming WHERE lineage = $1 AND attempt = $2";
    let values = [Value::Int(lineage), Value::Text(attempt)];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Leaves an attempt, so that what it has written is taken back; false where it was taken back already.
///
/// # Errors
/// Those of the database.
pub fn leave(transaction: &mut dyn Transaction, lineage: i64, attempt: &str) -> Result<bool> {
    let statement = "UPDATE coming SET attempt = $1 WHERE lineage = $2 AND attempt = $3";
    let values = [Value::Text(NONE), Value::Int(lineage), Value::Text(attempt)];
    Ok(transaction.execute(statement, &values)? > 0)
}

/// Leaves all attempts; only for who knows that no process lives that could go on with one.
///
/// # Errors
/// Those of the database.
pub fn leave_all(transaction: &mut dyn Transaction) -> Result<()> {
    let statement = "UPDATE coming SET attempt = $1 WHERE attempt <> $1";
    transaction.execute(statement, &[Value::Text(NONE)])?;
    Ok(())
}

/// Takes back a part of what was written of a receipt that was left, at most 5,000 rows of its
/// lineage; tells whether there is more of it. One with which somebody goes on stays as it is.
///
/// # Errors
/// Those of the database.
pub fn take_back(transaction: &mut dyn Transaction, lineage: i64) -> Result<bool> {
    let Some(coming) = get(transaction, lineage)?.filter(|coming| coming.is_left) else {
        return Ok(false);
    };
    let lineage = Value::Int(lineage);
    let (kind, name) = (Value::Int(coming.at.0), Value::Bytes(&coming.at.1));
    let statement = "SELECT kind, name FROM need WHERE lineage = $1 AND (kind, name) > ($2, $3) \
                     ORDER BY kind, name LIMIT 1 OFFSET $4";
    let values = [lineage, kind, name, Value::Int(signed(PART - 1)?)];
    let next = transaction.first(statement, &values, |row| Ok((row.int(0)?, row.bytes(1)?)))?;
    let (last_kind, last_name) = match &next {
        Some((kind, name)) => (*kind, name.as_slice()),
        None => LAST,
    };
    let position = Value::Int(signed(coming.position)?);
    let part = [
        lineage,
        kind,
        name,
        Value::Int(last_kind),
        Value::Bytes(last_name),
        position,
    ];
    let statement = format!("DELETE FROM need WHERE {BETWEEN} AND began = $6");
    transaction.execute(&statement, &part)?;
    // What it would have needed no more.
    let statement = format!("UPDATE need SET ended = $7 WHERE {BETWEEN} AND ended = $6");
    let with_end = [&part[..], &[Value::Int(OPEN)]].concat();
    transaction.execute(&statement, &with_end)?;
    if next.is_none() {
        transaction.execute("DELETE FROM coming WHERE lineage = $1", &[lineage])?;
        // One that was made for it alone.
        let statement = "DELETE FROM lineage WHERE id = $1 AND receipts = 0";
        transaction.execute(statement, &[lineage])?;
        return Ok(false);
    }
    let at_ms = transaction.lease_ms()?;
    let statement = "UPDATE coming SET attempt = $1, at_kind = $2, at_name = $3, at_ms = $4 \
                     WHERE lineage = $5";
    let values = [
        Value::Text(NONE),
        Value::Int(last_kind),
        Value::Bytes(last_name),
        Value::Int(at_ms),
        lineage,
    ];
    transaction.execute(statement, &values)?;
    Ok(true)
}
