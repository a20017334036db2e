//! The keys that clients sign their receipts with, each bound to a token; and how many receipts a
//! token has sent in a day.

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{damaged, signed, unsigned};

/// The public half of a key: Ed25519.
pub type PublicKey = [u8; 32];

/// What a token has sent on one day of vault time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The day.
    pub day: i64,
    /// How many receipts.
    pub receipts: u64,
    /// How many files they were about.
    pub files: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

/// The key that is bound to a token.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, token: i64) -> Result<Option<PublicKey>> {
    let statement = "SELECT public_key FROM client_key WHERE token = $1";
    transaction.first(statement, &[Value::Int(token)], |row| read(row, 0))
}

/// Binds a key to a token that has none.
///
/// # Errors
/// Those of the database; also where it has one.
pub fn bind(
    transaction: &mut dyn Transaction,
    token: i64,
    key: &PublicKey,
    bound_ms: i64,
) -> Result<()> {
    let statement = "INSERT INTO client_key (token, public_key, bound_ms) VALUES ($1, $2, $3)";
    let values = [Value::Int(token), Value::Bytes(key), Value::Int(bound_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Lets the key of a token go.
///
/// # Errors
/// Those of the database.
pub fn forget(transaction: &mut dyn Transaction, token: i64) -> Result<()> {
    let statement = "DELETE FROM client_key WHERE token = $1";
    transaction.execute(statement, &[Value::Int(token)])?;
    Ok(())
}

/// All keys that are bound, by token.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<(i64, PublicKey)>> {
    let statement = "SELECT token, public_key FROM client_key ORDER BY token";
    super::all(transaction, statement, &[], |row| {
        Ok((row.int(0)?, read(row, 1)?))
    })
}

/// What a token has sent on its last day.
///
/// # Errors
/// Those of the database.
pub fn sent(transaction: &mut dyn Transaction, token: i64) -> Result<Sent> {
    let statement = "SELECT day, receipts, files, bytes FROM receipt_day WHERE token = $1";
    let sent = transaction.first(statement, &[Value::Int(token)], |row| {
        Ok(Sent {
            day: row.int(0)?,
            receipts: unsigned(row.int(1)?)?,
            files: unsigned(row.int(2)?)?,
            bytes: unsigned(row.int(3)?)?,
        })
    })?;
    Ok(sent.unwrap_or_default())
}

/// Notes what a token has sent.
///
/// # Errors
/// Those of the database.
pub fn set_sent(transaction: &mut dyn Transaction, token: i64, sent: Sent) -> Result<()> {
    let statement = "INSERT INTO receipt_day (token, day, receipts, files, bytes) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (token) DO UPDATE SET day = excluded.day, \
         receipts = excluded.receipts, files = excluded.files, bytes = excluded.bytes";
    let values = [
        Value::Int(token),
        Value::Int(sent.day),
        Value::Int(signed(sent.receipts)?),
        Value::Int(signed(sent.files)?),
        Value::Int(signed(sent.bytes)?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

fn read(row: &dyn Row, column: usize) -> Result<PublicKey> {
    let bytes = row.bytes(column)?.try_into();
    bytes.map_err(|_| damaged("a client's key has another length"))
}
