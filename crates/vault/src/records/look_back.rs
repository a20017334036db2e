//! How far the look back at the log's files is, and what it has found: by one process at a time,
//! and known to all.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{all, maybe, signed, unsigned};

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookBack {
    /// The next bundle to look at.
    pub next_bundle: u64,
    /// When the round under way began, as recorded.
    pub began_at_ms: Option<i64>,
    /// When the last round began that came to its end, as recorded.
    pub last_began_at_ms: Option<i64>,
    /// **Alarm:** what is not what was written, the first [`MOST_WRONG`] files in the order in which
    /// they were found.
    pub wrong: Vec<Wrong>,
}

/// How many wrong files are kept: one may hide others, and a whole log of them need not be told.
pub const MOST_WRONG: usize = 3;

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
    let statement = "SELECT next_bundle, began_at_ms, last_began_at_ms FROM look_back \
                     WHERE one = 1";
    let found = transaction.first(statement, &[], |row| {
        Ok(LookBack {
            next_bundle: unsigned(row.int(0)?)?,
            began_at_ms: row.maybe_int(1)?,
            last_began_at_ms: row.maybe_int(2)?,
            wrong: Vec::new(),
        })
    })?;
    let statement = "SELECT what, bundle, found_at_ms FROM look_back_wrong ORDER BY place";
    let wrong = all(transaction, statement, &[], |row| {
        Ok(Wrong {
            what: row.text(0)?,
            bundle: row.maybe_int(1)?.map(unsigned).transpose()?,
            found_at_ms: row.int(2)?,
        })
    })?;
    Ok(LookBack {
        wrong,
        ..found.unwrap_or_default()
    })
}

/// Writes it.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, look_back: &LookBack) -> Result<()> {
    let statement = "INSERT INTO look_back (one, next_bundle, began_at_ms, last_began_at_ms) \
         VALUES (1, $1, $2, $3) \
         ON CONFLICT (one) DO UPDATE SET next_bundle = excluded.next_bundle, \
         began_at_ms = excluded.began_at_ms, last_began_at_ms = excluded.last_began_at_ms";
    let values = [
        Value::Int(signed(look_back.next_bundle)?),
        maybe(look_back.began_at_ms),
        maybe(look_back.last_began_at_ms),
    ];
    transaction.execute(statement, &values)?;
    forget_wrong(transaction)?;
    let statement = "INSERT INTO look_back_wrong (place, what, bundle, found_at_ms) \
         VALUES ($1, $2, $3, $4)";
    for (place, wrong) in (0..).zip(look_back.wrong.iter().take(MOST_WRONG)) {
        let values = [
            Value::Int(place),
            Value::Text(&wrong.what),
            maybe(wrong.bundle.map(signed).transpose()?),
            Value::Int(wrong.found_at_ms),
        ];
        transaction.execute(statement, &values)?;
    }
    Ok(())
}

/// Forgets all of it, as for a log that begins.
///
/// # Errors
/// Those of the database.
pub fn forget(transaction: &mut dyn Transaction) -> Result<()> {
    forget_wrong(transaction)?;
    transaction.execute("DELETE FROM look_back", &[]).map(drop)
}

fn forget_wrong(transaction: &mut dyn Transaction) -> Result<()> {
    let statement = "DELETE FROM look_back_wrong";
    transaction.execute(statement, &[]).map(drop)
}
