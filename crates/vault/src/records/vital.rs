//! Keys, index files and snapshots: few of many objects, and of a few bytes, but nothing opens
//! without them. So they are counted for themselves, each type alone.
//!
//! What can go wrong: whoever picks what is vital deletes next to nothing of a repository, and all
//! of it. Everything that moves objects from state to state tells it here too, in the same
//! transaction.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::hours::DAY;
use crate::records::{all, signed, unsigned};
use crate::rules::life::State;

/// The numbers of the types that are vital: keys, index files, snapshots.
const KINDS: [i64; 3] = [1, 3, 4];

/// How many objects of a vital type are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vital {
    /// The key of the repository.
    pub repository: i64,
    /// The number of the type.
    pub kind: i64,
    /// How many.
    pub objects: u64,
}

/// Notes that objects of a type went from one state to another; of what is not vital it is not
/// noted.
pub(super) fn shift(
    transaction: &mut dyn Transaction,
    repository: i64,
    kind: i64,
    (from, to): (Option<State>, Option<State>),
    objects: u64,
) -> Result<()> {
    let is_live = |state| state == Some(State::Live);
    if !KINDS.contains(&kind) || is_live(from) == is_live(to) {
        return Ok(());
    }
    let objects = match is_live(to) {
        true => signed(objects)?,
        false => -signed(objects)?,
    };
    let statement = "INSERT INTO vital (repository, kind, objects) VALUES ($1, $2, $3) \
         ON CONFLICT (repository, kind) DO UPDATE SET objects = vital.objects + excluded.objects";
    let values = [repository, kind, objects].map(Value::Int);
    transaction.execute(statement, &values)?;
    Ok(())
}

/// How many objects of a vital type are live in a repository.
///
/// # Errors
/// Those of the database.
pub fn live(transaction: &mut dyn Transaction, repository: i64, kind: i64) -> Result<u64> {
    let statement = "SELECT objects FROM vital WHERE repository = $1 AND kind = $2";
    let values = [repository, kind].map(Value::Int);
    let found = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    Ok(found.unwrap_or_default())
}

/// What is counted of all repositories, by repository and type.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<Vital>> {
    let statement = "SELECT repository, kind, objects FROM vital WHERE objects <> 0 \
                     ORDER BY repository, kind";
    all(transaction, statement, &[], read)
}

/// What should be counted, by counting everything.
///
/// # Errors
/// Those of the database.
pub fn recount(transaction: &mut dyn Transaction) -> Result<Vec<Vital>> {
    let statement = "SELECT repository, kind, COUNT(*) FROM object \
         WHERE state = 0 AND kind IN (1, 3, 4) GROUP BY repository, kind \
         ORDER BY repository, kind";
    all(transaction, statement, &[], read)
}

fn read(row: &dyn crate::database::Row) -> Result<Vital> {
    Ok(Vital {
        repository: row.int(0)?,
        kind: row.int(1)?,
        objects: unsigned(row.int(2)?)?,
    })
}

/// Notes what is live in a repository, where the hour has no such note.
///
/// # Errors
/// Those of the database.
pub(super) fn note(transaction: &mut dyn Transaction, repository: i64, hour: i64) -> Result<()> {
    let statement = "INSERT INTO vital_hour (repository, hour, kind, objects, tombstones) \
         SELECT repository, $2, kind, objects, 0 FROM vital WHERE repository = $1 \
         ON CONFLICT (repository, hour, kind) DO UPDATE SET objects = excluded.objects \
         WHERE vital_hour.objects IS NULL";
    transaction.execute(statement, &[repository, hour].map(Value::Int))?;
    Ok(())
}

/// Lets go of what was noted before an hour.
///
/// # Errors
/// Those of the database.
pub(super) fn forget_before(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
) -> Result<()> {
    let statement = "DELETE FROM vital_hour WHERE repository = $1 AND hour < $2";
    transaction.execute(statement, &[repository, hour].map(Value::Int))?;
    Ok(())
}

/// Counts a tombstone of a type; tells whether that type is vital.
///
/// # Errors
/// Those of the database.
pub fn add_tombstone(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    kind: i64,
) -> Result<bool> {
    if !KINDS.contains(&kind) {
        return Ok(false);
    }
    let statement = "INSERT INTO vital_hour (repository, hour, kind, tombstones) \
         VALUES ($1, $2, $3, 1) ON CONFLICT (repository, hour, kind) DO UPDATE \
         SET tombstones = vital_hour.tombstones + 1";
    transaction.execute(statement, &[repository, hour, kind].map(Value::Int))?;
    Ok(true)
}

/// How many of a type were asked to be deleted within a day that ends with an hour, and how many
/// were live before that day began, where that was noted.
///
/// # Errors
/// Those of the database.
pub fn of_day(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    kind: i64,
) -> Result<(u64, Option<u64>)> {
    let values = [repository, hour - DAY, kind].map(Value::Int);
    let statement = "SELECT CAST(COALESCE(SUM(tombstones), 0) AS BIGINT) FROM vital_hour \
                     WHERE repository = $1 AND hour > $2 AND kind = $3";
    let deleted = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    let statement = "SELECT objects FROM vital_hour \
         WHERE repository = $1 AND hour <= $2 AND kind = $3 AND objects IS NOT NULL \
         ORDER BY hour DESC LIMIT 1";
    let before = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    Ok((deleted.unwrap_or_default(), before))
}
