//! Which log this is: a vault that was set back begins another one, which names the one before.
//!
//! Leaves are numbered on from log to log. So entry 0 of a log's files is the leaf `base`, and no
//! two leaves of a vault ever have the same number.

use strongroom_ledger::Verifier;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{damaged, look_back, publication, signed, unsigned};

/// A log of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Counts from 1.
    pub number: u64,
    /// What it is called; the name of its key.
    pub origin: String,
    /// The number of its first leaf.
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

/// The log of the vault, which gets its name here where it has none: that of the key that signs it,
/// or else `origin`.
///
/// # Errors
/// Those of the database.
pub fn get_or_name(transaction: &mut dyn Transaction, origin: &str) -> Result<LogIdentity> {
    if let Some(identity) = get(transaction)? {
        return Ok(identity);
    }
    let key = publication::public_key(transaction)?;
    let key = key.and_then(|key| key.parse::<Verifier>().ok());
    let identity = LogIdentity {
        number: 1,
        origin: key.map_or_else(|| origin.to_owned(), |key| key.name().to_owned()),
        base: 0,
        before: None,
    };
    set(transaction, &identity)?;
    Ok(identity)
}

/// Goes on with a new log, which has no leaves yet and is verified with `key`. Leaves that are not
/// known to be in the old log have to be taken out before.
///
/// # Errors
/// Those of the database.
pub fn begin(transaction: &mut dyn Transaction, identity: &LogIdentity, key: &str) -> Result<()> {
    let base = Value::Int(signed(identity.base)?);
    let statement = "UPDATE log_head SET leaves = $1, published = $1, checkpoint = NULL, \
                     public_key = $2 WHERE one = 1";
    if transaction.execute(statement, &[base, Value::Text(key)])? != 1 {
        return Err(damaged("the log has no head"));
    }
    transaction.execute("DELETE FROM leaf WHERE number < $1", &[base])?;
    for statement in ["DELETE FROM cosigned", "DELETE FROM witness"] {
        transaction.execute(statement, &[])?;
    }
    look_back::forget(transaction)?;
    set(transaction, identity)
}

fn set(transaction: &mut dyn Transaction, identity: &LogIdentity) -> Result<()> {
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
