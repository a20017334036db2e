//! Seals, and the codes that close one.

use strongroom_access::Seal;
use strongroom_model::Name;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{all, damaged, signed, unsigned};

/// The seal as it is now.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction) -> Result<Seal> {
    let statement = "SELECT leaf, since_ms, CASE WHEN opened_ms IS NULL THEN 1 ELSE 0 END, \
         COALESCE(opened_ms, 0) FROM seal ORDER BY leaf DESC LIMIT 1";
    let newest = transaction.first(statement, &[], |row| {
        let (leaf, since_ms) = (unsigned(row.int(0)?)?, row.int(1)?);
        Ok(match row.int(2)? > 0 {
            true => Seal::Sealed { since_ms, leaf },
            false => Seal::Open {
                since_ms: row.int(3)?,
            },
        })
    })?;
    // Nothing has waited under one that never was.
    Ok(newest.unwrap_or(Seal::Open { since_ms: 0 }))
}

/// Closes it.
///
/// # Errors
/// Those of the database.
pub fn close(transaction: &mut dyn Transaction, leaf: u64, since_ms: i64) -> Result<()> {
    let statement = "INSERT INTO seal (leaf, since_ms) VALUES ($1, $2)";
    let values = [Value::Int(signed(leaf)?), Value::Int(since_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Opens it.
///
/// # Errors
/// Those of the database.
pub fn open(transaction: &mut dyn Transaction, opened_leaf: u64, opened_ms: i64) -> Result<()> {
    let statement = "UPDATE seal SET opened_leaf = $1, opened_ms = $2 WHERE opened_ms IS NULL";
    let values = [Value::Int(signed(opened_leaf)?), Value::Int(opened_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// The leaves between which it was sealed, the newest first: what arrived between them is marked.
///
/// # Errors
/// Those of the database.
pub fn spans(transaction: &mut dyn Transaction) -> Result<Vec<(u64, Option<u64>)>> {
    let statement = "SELECT leaf, COALESCE(opened_leaf, -1) FROM seal ORDER BY leaf DESC";
    all(transaction, statement, &[], |row| {
        let opened = row.int(1)?;
        Ok((unsigned(row.int(0)?)?, u64::try_from(opened).ok()))
    })
}

/// Gives somebody a code, in place of the one that he had.
///
/// # Errors
/// Those of the database.
pub fn give_code(
    transaction: &mut dyn Transaction,
    holder: &Name,
    digest: &[u8; 32],
    made_ms: i64,
) -> Result<()> {
    let statement = "INSERT INTO seal_code (digest, holder, made_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (holder) DO UPDATE SET digest = excluded.digest, made_ms = excluded.made_ms";
    let values = [
        Value::Bytes(digest),
        Value::Text(holder.as_str()),
        Value::Int(made_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// To whom a code was given. Looking it up changes nothing, so that a wrong one costs nobody else
/// anything.
///
/// # Errors
/// Those of the database.
pub fn holder(transaction: &mut dyn Transaction, digest: &[u8; 32]) -> Result<Option<Name>> {
    let statement = "SELECT holder FROM seal_code WHERE digest = $1";
    transaction.first(statement, &[Value::Bytes(digest)], |row| {
        let holder = row.text(0)?.parse();
        holder.map_err(|_| damaged("a seal code was given to nobody"))
    })
}

/// Uses a code up.
///
/// # Errors
/// Those of the database.
pub fn use_code(transaction: &mut dyn Transaction, digest: &[u8; 32]) -> Result<()> {
    let statement = "DELETE FROM seal_code WHERE digest = $1";
    transaction.execute(statement, &[Value::Bytes(digest)])?;
    Ok(())
}

/// Who has a code, and since when.
///
/// # Errors
/// Those of the database.
pub fn holders(transaction: &mut dyn Transaction) -> Result<Vec<(String, i64)>> {
    let statement = "SELECT holder, made_ms FROM seal_code ORDER BY holder";
    all(transaction, statement, &[], |row| {
        Ok((row.text(0)?, row.int(1)?))
    })
}
