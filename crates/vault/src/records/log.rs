//! Which log this is: a vault that was set back begins another one, which names the one before.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{damaged, signed, unsigned};

/// A log of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Counts from 1.
    pub number: u64,
    /// What it is called; the name of its key.
    pub origin: String,
    /// The number of its first leaf, which is entry 0 of its files. Leaves are numbered on from
    /// log to log.
    pub base: u64,
    /// The last checkpoint of the log before, as it was signed.
    pub before: Option<String>,
}

/// The log of the vault; `None` where it has no name yet.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction) -> Result<Option<LogIdentity>> {
    let statement = "SELECT number, origin, base, COALESCE(before_note, '') \
                     FROM log_identity WHERE one = 1";
    transaction.first(statement, &[], |row| {
        Ok(LogIdentity {
            number: unsigned(row.int(0)?)?,
            origin: row.text(1)?,
            base: unsigned(row.int(2)?)?,
            before: Some(row.text(3)?).filter(|note| !note.is_empty()),
        })
    })
}

/// Says which log it is from now on.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, identity: &LogIdentity) -> Result<()> {
    let statement = "INSERT INTO log_identity (one, number, origin, base, before_note) \
         VALUES (1, $1, $2, $3, $4) ON CONFLICT (one) DO UPDATE SET number = excluded.number, \
         origin = excluded.origin, base = excluded.base, before_note = excluded.before_note";
    let before = identity.before.as_deref();
    let values = [
        Value::Int(signed(identity.number)?),
        Value::Text(&identity.origin),
        Value::Int(signed(identity.base)?),
        before.map_or(Value::Null, Value::Text),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// The log of the vault, which gets its name here where it has none: `origin`.
///
/// # Errors
/// Those of the database.
pub fn get_or_name(transaction: &mut dyn Transaction, origin: &str) -> Result<LogIdentity> {
    if let Some(identity) = get(transaction)? {
        return Ok(identity);
    }
    let identity = LogIdentity {
        number: 1,
        origin: origin.to_owned(),
        base: 0,
        before: None,
    };
    set(transaction, &identity)?;
    get(transaction)?.ok_or_else(|| damaged("the log has no name"))
}
