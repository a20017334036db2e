//! Marks of objects whose bytes are not what they were.
//!
//! A mark stays until sound bytes are there again. Whether a snapshot is whole asks for it.

use strongroom_model::FileName;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{Key, name_of, type_of};
use crate::records::{all, damaged, needs, scrub, signed};
use crate::rules::scrub::Why;

/// Why the bytes of an object are no good; `None` where nothing is known against them.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, key: &Key) -> Result<Option<Why>> {
    let statement = "SELECT why FROM rotten WHERE repository = $1 AND kind = $2 AND name = $3";
    let number = transaction.first(statement, &key.values(), |row| row.int(0))?;
    number.map(why).transpose()
}

/// Marks an object; tells whether it was not marked before.
///
/// # Errors
/// Those of the database.
pub fn mark(transaction: &mut dyn Transaction, key: &Key, why: Why, found_ms: i64) -> Result<bool> {
    let statement = "INSERT INTO rotten (repository, kind, name, why, found_ms) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let [repository, kind, name] = key.values();
    let values = [
        repository,
        kind,
        name,
        Value::Int(why.number()),
        Value::Int(found_ms),
    ];
    if transaction.execute(statement, &values)? == 0 {
        return Ok(false);
    }
    scrub::count_rotten(transaction, key.repository(), 1)?;
    needs::look_again(transaction, key)?;
    Ok(true)
}

/// Takes the mark off; tells whether there was one.
///
/// # Errors
/// Those of the database.
pub fn clear(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    let statement = "DELETE FROM rotten WHERE repository = $1 AND kind = $2 AND name = $3";
    if transaction.execute(statement, &key.values())? == 0 {
        return Ok(false);
    }
    scrub::count_rotten(transaction, key.repository(), -1)?;
    needs::look_again(transaction, key)?;
    Ok(true)
}

/// Some marked objects of a repository, by type and name, those behind `after` alone.
///
/// # Errors
/// Those of the database.
pub fn list(
    transaction: &mut dyn Transaction,
    repository: i64,
    after: Option<FileName>,
    limit: u64,
) -> Result<Vec<(FileName, Why)>> {
    let statement = "SELECT kind, name, why FROM rotten WHERE repository = $1 \
                     AND (kind, name) > ($2, $3) ORDER BY kind, name LIMIT $4";
    let after = after.map(|name| Key::new(repository, name));
    let (kind, name) = match after.as_ref().map(Key::values) {
        Some([_, kind, name]) => (kind, name),
        None => (Value::Int(-1), Value::Bytes(&[])),
    };
    let values = [
        Value::Int(repository),
        kind,
        name,
        Value::Int(signed(limit)?),
    ];
    all(transaction, statement, &values, |row| {
        let kind = type_of(row.int(0)?)?;
        Ok((name_of(kind, row, 1)?, why(row.int(2)?)?))
    })
}

fn why(number: i64) -> Result<Why> {
    Why::of_number(number).ok_or_else(|| damaged("an object is rotten for an unknown reason"))
}
