//! What the hours of vault time have seen of a repository: how much was live when each was noted,
//! and how much was asked to be deleted in it.
//!
//! What can go wrong: whoever wants to delete much puts much before, so that it looks like little.
//! So what a day's deletions are compared with was counted before that day began.
//!
//! The hours of a month are kept, from which pages draw what came and went.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::tally::Tally;
use crate::records::{all, signed, unsigned, vital};

/// How many hours are a day: the one under way and those before it.
pub(super) const DAY: i64 = 24;

/// For how many hours they are kept: 30 days that are over, and the one under way.
pub const KEPT: i64 = 31 * DAY;

/// An hour of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Which one, since 1970.
    pub hour: i64,
    /// What was live when it was noted; none where nobody noted it.
    pub live: Option<Tally>,
    /// What was asked to be deleted in it.
    pub deleted: Tally,
}

/// The repositories of which an hour was noted.
///
/// # Errors
/// Those of the database.
pub fn noted(transaction: &mut dyn Transaction, hour: i64) -> Result<Vec<i64>> {
    let statement = "SELECT repository FROM repository_hour \
                     WHERE hour = $1 AND objects IS NOT NULL";
    all(transaction, statement, &[Value::Int(hour)], |row| {
        row.int(0)
    })
}

/// Notes what is live in a repository, where the hour has no such note, and lets go of old hours.
///
/// # Errors
/// Those of the database.
pub fn note(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    live: Tally,
) -> Result<()> {
    let statement = "INSERT INTO repository_hour \
         (repository, hour, objects, bytes, tombstones, tombstone_bytes) \
         VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT (repository, hour) DO UPDATE \
         SET objects = excluded.objects, bytes = excluded.bytes \
         WHERE repository_hour.objects IS NULL";
    let values = [
        Value::Int(repository),
        Value::Int(hour),
        Value::Int(signed(live.objects)?),
        Value::Int(signed(live.bytes)?),
    ];
    transaction.execute(statement, &values)?;
    vital::note(transaction, repository, hour)?;
    // What comes before the last note that a deletion could be compared with is asked for by pages
    // alone, and for a month.
    let statement = "SELECT MAX(hour) FROM repository_hour \
         WHERE repository = $1 AND hour <= $2 AND objects IS NOT NULL";
    let values = [Value::Int(repository), Value::Int(hour - DAY)];
    let last = transaction.first(statement, &values, |row| row.maybe_int(0))?;
    let Some(last) = last.flatten() else {
        return Ok(());
    };
    let statement = "DELETE FROM repository_hour WHERE repository = $1 AND hour < $2";
    let first = last.min(hour - KEPT);
    transaction.execute(statement, &[Value::Int(repository), Value::Int(first)])?;
    Ok(())
}

/// The hours of a repository that are kept, from one on, the oldest first: as many as [`KEPT`] at
/// most, and one before.
///
/// # Errors
/// Those of the database.
pub fn since(transaction: &mut dyn Transaction, repository: i64, hour: i64) -> Result<Vec<Hour>> {
    let statement = "SELECT hour, objects, bytes, tombstones, tombstone_bytes \
         FROM repository_hour WHERE repository = $1 AND hour >= $2 ORDER BY hour";
    let values = [Value::Int(repository), Value::Int(hour)];
    all(transaction, statement, &values, |row| {
        let live = row.maybe_int(1)?.zip(row.maybe_int(2)?);
        let tally = |objects: i64, bytes: i64| -> Result<Tally> {
            Ok(Tally {
                objects: unsigned(objects)?,
                bytes: unsigned(bytes)?,
            })
        };
        Ok(Hour {
            hour: row.int(0)?,
            live: live
                .map(|(objects, bytes)| tally(objects, bytes))
                .transpose()?,
            deleted: tally(row.int(3)?, row.int(4)?)?,
        })
    })
}

/// Counts a tombstone.
///
/// # Errors
/// Those of the database.
pub fn add_tombstone(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    bytes: u64,
) -> Result<()> {
    let statement = "INSERT INTO repository_hour \
         (repository, hour, tombstones, tombstone_bytes) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (repository, hour) DO UPDATE \
         SET tombstones = repository_hour.tombstones + 1, \
         tombstone_bytes = repository_hour.tombstone_bytes + excluded.tombstone_bytes";
    let values = [
        Value::Int(repository),
        Value::Int(hour),
        Value::Int(signed(bytes)?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// What was asked to be deleted within a day that ends with an hour: of the first hour of 24 all
/// or nothing, so that it is between 23 hours and a day.
///
/// # Errors
/// Those of the database.
pub fn tombstones(transaction: &mut dyn Transaction, repository: i64, hour: i64) -> Result<Tally> {
    let statement = "SELECT CAST(COALESCE(SUM(tombstones), 0) AS BIGINT), \
         CAST(COALESCE(SUM(tombstone_bytes), 0) AS BIGINT) FROM repository_hour \
         WHERE repository = $1 AND hour > $2";
    let values = [Value::Int(repository), Value::Int(hour - DAY)];
    let found = transaction.first(statement, &values, |row| {
        Ok(Tally {
            objects: unsigned(row.int(0)?)?,
            bytes: unsigned(row.int(1)?)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// What was live before the day that ends with an hour began, as it was noted last; `None` where
/// nothing was.
///
/// # Errors
/// Those of the database.
pub fn live_before(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
) -> Result<Option<Tally>> {
    let statement = "SELECT objects, bytes FROM repository_hour \
         WHERE repository = $1 AND hour <= $2 AND objects IS NOT NULL \
         ORDER BY hour DESC LIMIT 1";
    let values = [Value::Int(repository), Value::Int(hour - DAY)];
    transaction.first(statement, &values, |row| {
        Ok(Tally {
            objects: unsigned(row.int(0)?)?,
            bytes: unsigned(row.int(1)?)?,
        })
    })
}
