//! How far the look back at the log's files is, and what it has found: by one process at a time,
//! and known to all.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{maybe, signed, unsigned};

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookBack {
    /// The next bundle to look at.
    pub next_bundle: u64,
    /// When the round under way began, as recorded.
    pub began_at_ms: Option<i64>,
    /// When the last round began that came to its end, as recorded.
    pub last_began_at_ms: Option<i64>,
    /// **Alarm:** what is not what was written.
    pub wrong: Option<Wrong>,
}

/// A file of the log that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Which and why, in words.
    pub what: String,
    /// Of which bundle it is; `None` for the edge and the checkpoint.
    pub bundle: Option<u64>,
    /// When it was found, as recorded.
    pub found_at_ms: i64,
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction) -> Result<LookBack> {
    let statement = "SELECT next_bundle, began_at_ms, last_began_at_ms, COALESCE(wrong, ''), \
                     wrong_bundle, wrong_at_ms FROM look_back WHERE one = 1";
    let found = transaction.first(statement, &[], |row| {
        let bundle = row.maybe_int(4)?.map(unsigned).transpose()?;
        let found_at_ms = row.maybe_int(5)?;
        let what = row.text(3)?;
        Ok(LookBack {
            next_bundle: unsigned(row.int(0)?)?,
            began_at_ms: row.maybe_int(1)?,
            last_began_at_ms: row.maybe_int(2)?,
            wrong: found_at_ms.map(|found_at_ms| Wrong {
                what,
                bundle,
                found_at_ms,
            }),
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Writes it.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, look_back: &LookBack) -> Result<()> {
    let statement = "INSERT INTO look_back (one, next_bundle, began_at_ms, last_began_at_ms, \
         wrong, wrong_bundle, wrong_at_ms) VALUES (1, $1, $2, $3, $4, $5, $6) \
         ON CONFLICT (one) DO UPDATE SET next_bundle = excluded.next_bundle, \
         began_at_ms = excluded.began_at_ms, last_began_at_ms = excluded.last_began_at_ms, \
         wrong = excluded.wrong, wrong_bundle = excluded.wrong_bundle, \
         wrong_at_ms = excluded.wrong_at_ms";
    let wrong = look_back.wrong.as_ref();
    let bundle = wrong
        .and_then(|wrong| wrong.bundle)
        .map(signed)
        .transpose()?;
    let values = [
        Value::Int(signed(look_back.next_bundle)?),
        maybe(look_back.began_at_ms),
        maybe(look_back.last_began_at_ms),
        wrong.map_or(Value::Null, |wrong| Value::Text(&wrong.what)),
        maybe(bundle),
        maybe(wrong.map(|wrong| wrong.found_at_ms)),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}
