//! Codes that a browser carries from the vault to another host. Each is there once: whoever shows it,
//! rightly or not, removes it.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::people::digest;

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCode {
    /// The host that it is for.
    pub host: String,
    /// Where the browser goes on, on that host.
    pub target: String,
    /// The digest of the session that it was made in.
    pub parent: [u8; 32],
    /// The digest of what the browser has on that host.
    pub browser: [u8; 32],
    /// When, by vault time.
    pub made_ms: i64,
}

/// The most that are open; the oldest goes where another one comes.
const MOST: i64 = 10_000;

/// Keeps a code, by its SHA-256.
///
/// # Errors
/// Those of the database.
pub fn insert(transaction: &mut dyn Transaction, of: &[u8; 32], code: &HostCode) -> Result<()> {
    let count = "SELECT COUNT(*) FROM host_code";
    if transaction.first(count, &[], |row| row.int(0))? >= Some(MOST) {
        let oldest = "DELETE FROM host_code WHERE digest IN \
                      (SELECT digest FROM host_code ORDER BY made_ms LIMIT 1)";
        transaction.execute(oldest, &[])?;
    }
    let statement = "INSERT INTO host_code (digest, host, target, parent, browser, made_ms) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        Value::Bytes(of),
        Value::Text(&code.host),
        Value::Text(&code.target),
        Value::Bytes(&code.parent),
        Value::Bytes(&code.browser),
        Value::Int(code.made_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Takes a code away and returns it: nobody shows it twice.
///
/// # Errors
/// Those of the database.
pub fn take(transaction: &mut dyn Transaction, of: &[u8; 32]) -> Result<Option<HostCode>> {
    let statement = "DELETE FROM host_code WHERE digest = $1 \
                     RETURNING host, target, parent, browser, made_ms";
    transaction.first(statement, &[Value::Bytes(of)], |row| {
        Ok(HostCode {
            host: row.text(0)?,
            target: row.text(1)?,
            parent: digest(row, 2)?,
            browser: digest(row, 3)?,
            made_ms: row.int(4)?,
        })
    })
}

/// Removes those that were made before a moment of vault time.
///
/// # Errors
/// Those of the database.
pub fn sweep(transaction: &mut dyn Transaction, before_ms: i64) -> Result<u64> {
    let statement = "DELETE FROM host_code WHERE made_ms < $1";
    transaction.execute(statement, &[Value::Int(before_ms)])
}
