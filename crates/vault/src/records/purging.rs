//! Objects on their way out: whose purge has begun, and of which nothing is left but a number.

use strongroom_model::FileName;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{COLUMNS, Key, move_one, name_in, read};
use crate::records::{all, receipts, rotten, signed, tally};
use crate::rules::life::{Object, State};

/// Begins the purge of a tombstone: nobody sees it any more, in no view.
///
/// # Errors
/// Those of the database.
pub fn begin(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    let statement = "UPDATE object SET state = 4 \
                     WHERE repository = $1 AND kind = $2 AND name = $3 AND state = 1 \
                     RETURNING bytes";
    let moves = (Some(State::Tombstoned), Some(State::Purging));
    if !move_one(transaction, key, statement, &key.values(), moves)? {
        return Ok(false);
    }
    receipts::set_held(transaction, key, false)?;
    Ok(true)
}

/// Objects of a repository whose purge has begun, at most `limit`, those first that were deleted
/// first.
///
/// # Errors
/// Those of the database.
pub fn begun(
    transaction: &mut dyn Transaction,
    repository: i64,
    limit: u64,
) -> Result<Vec<(FileName, Object)>> {
    // Every one of them was a tombstone. Said so that the index of that state is used.
    let statement = format!(
        "SELECT {COLUMNS} FROM object WHERE repository = $1 AND state = 4 \
         AND tombstoned_ms >= $2 ORDER BY tombstoned_ms LIMIT $3"
    );
    let values = [
        Value::Int(repository),
        Value::Int(i64::MIN),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, |row| {
        Ok((name_in(row, 8, 9)?, read(row)?))
    })
}

/// Ends a purge: the bytes are gone, and so is every trace but the generation.
///
/// # Errors
/// Those of the database.
pub fn end(transaction: &mut dyn Transaction, key: &Key, object: &Object) -> Result<bool> {
    let place = "repository = $1 AND kind = $2 AND name = $3";
    let statement = format!("DELETE FROM object WHERE {place} AND state = 4 AND generation = $4");
    let [repository, kind, name] = key.values();
    let generation = Value::Int(i64::from(object.generation));
    if transaction.execute(&statement, &[repository, kind, name, generation])? == 0 {
        return Ok(false);
    }
    let gone = (Some(State::Purging), None);
    tally::shift_one(transaction, key, gone, object.bytes)?;
    rotten::clear(transaction, key)?;
    transaction.execute(&format!("DELETE FROM past WHERE {place}"), &key.values())?;
    transaction.execute(&format!("DELETE FROM putter WHERE {place}"), &key.values())?;
    let statement = "INSERT INTO purged (repository, kind, name, generation) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (repository, kind, name) \
         DO UPDATE SET generation = excluded.generation";
    transaction.execute(statement, &[repository, kind, name, generation])?;
    receipts::drop_envelopes(transaction, key)?;
    Ok(true)
}
