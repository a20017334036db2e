//! Keys, index files and snapshots: few of many objects, and of a few bytes, but nothing opens
//! without them. So they are counted for themselves, each type alone.
//!
//! What can go wrong: whoever picks what is vital deletes next to nothing of a repository, and all
//! of it. Everything that moves objects from state to state tells it here too, in the same
//! transaction. A process of an older version does not; so a number below nothing is told and
//! taken for nothing, as no count that is wrong may end all deletions, and all are counted anew
//! when a process begins to serve.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::hours::DAY;
use crate::records::{all, signed, unsigned};
use crate::rules::life::State;

/// The numbers of the types that are vital: keys, index files, snapshots.
const KINDS: [i64; 3] = [1, 3, SNAPSHOTS];

/// The number of the type of snapshots.
const SNAPSHOTS: i64 = 4;

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
    let found = transaction.first(statement, &values, |row| row.int(0))?;
    Ok(at_least_none(found.unwrap_or_default()))
}

/// A number of what is live; 0 for one below that, which is told.
fn at_least_none(objects: i64) -> u64 {
    u64::try_from(objects).unwrap_or_else(|_| {
        tracing::warn!(
            objects,
            "A count of keys, index files or snapshots is wrong and taken for 0; the next start \
             counts them anew"
        );
        0
    })
}

/// Counts anew what is live, of every repository and type; returns how many counts were wrong. It
/// reads keys, index files and snapshots and nothing else, and writes what differs.
///
/// # Errors
/// Those of the database.
pub fn mend(transaction: &mut dyn Transaction) -> Result<u64> {
    let statement = "INSERT INTO vital (repository, kind, objects) \
         SELECT r.id, k.kind, 0 FROM repository r, \
             (SELECT 1 AS kind UNION ALL SELECT 3 UNION ALL SELECT 4) k \
         WHERE EXISTS (SELECT 1 FROM object o \
             WHERE o.repository = r.id AND o.kind = k.kind AND o.state = 0) \
         ON CONFLICT (repository, kind) DO NOTHING";
    transaction.execute(statement, &[])?;
    let statement = "UPDATE vital SET objects = (SELECT COUNT(*) FROM object o \
             WHERE o.repository = vital.repository AND o.kind = vital.kind AND o.state = 0) \
         WHERE objects <> (SELECT COUNT(*) FROM object o \
             WHERE o.repository = vital.repository AND o.kind = vital.kind AND o.state = 0)";
    transaction.execute(statement, &[])
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
        objects: at_least_none(row.int(2)?),
    })
}

/// Notes what is live in a repository, where the hour has no such note, and lets go of old hours.
///
/// # Errors
/// Those of the database.
pub(super) fn note(transaction: &mut dyn Transaction, repository: i64, hour: i64) -> Result<()> {
    let statement = "INSERT INTO vital_hour (repository, hour, kind, objects, tombstones) \
         SELECT repository, $2, kind, objects, 0 FROM vital WHERE repository = $1 \
         ON CONFLICT (repository, hour, kind) DO UPDATE SET objects = excluded.objects \
         WHERE vital_hour.objects IS NULL";
    transaction.execute(statement, &[repository, hour].map(Value::Int))?;
    // A day is compared with the one before it; what comes before the last note of what was there
    // before both is never asked for.
    let statement = "SELECT MAX(hour) FROM vital_hour \
                     WHERE repository = $1 AND hour <= $2 AND objects IS NOT NULL";
    let values = [repository, hour - 2 * DAY].map(Value::Int);
    let last = transaction.first(statement, &values, |row| row.maybe_int(0))?;
    let Some(last) = last.flatten() else {
        return Ok(());
    };
    for table in ["vital_hour", "snapshot_hour"] {
        let statement = format!("DELETE FROM {table} WHERE repository = $1 AND hour < $2");
        transaction.execute(&statement, &[repository, last].map(Value::Int))?;
    }
    Ok(())
}

/// Counts a tombstone of a type, of what had arrived in an hour; tells whether that type is vital.
///
/// # Errors
/// Those of the database.
pub fn add_tombstone(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    (kind, arrived): (i64, i64),
) -> Result<bool> {
    if !KINDS.contains(&kind) {
        return Ok(false);
    }
    let statement = "INSERT INTO vital_hour (repository, hour, kind, tombstones) \
         VALUES ($1, $2, $3, 1) ON CONFLICT (repository, hour, kind) DO UPDATE \
         SET tombstones = vital_hour.tombstones + 1";
    transaction.execute(statement, &[repository, hour, kind].map(Value::Int))?;
    if kind == SNAPSHOTS {
        let statement = "INSERT INTO snapshot_hour (repository, hour, arrived, tombstones, usual) \
             VALUES ($1, $2, $3, 1, 1) ON CONFLICT (repository, hour, arrived) DO UPDATE \
             SET tombstones = snapshot_hour.tombstones + 1, usual = snapshot_hour.usual + 1";
        transaction.execute(statement, &[repository, hour, arrived].map(Value::Int))?;
    }
    Ok(true)
}

/// How many snapshots were asked to be deleted within a day that ends with an hour, of those that
/// had arrived before that day began.
///
/// # Errors
/// Those of the database.
pub fn old_snapshots(transaction: &mut dyn Transaction, repository: i64, hour: i64) -> Result<u64> {
    let statement = "SELECT CAST(COALESCE(SUM(tombstones), 0) AS BIGINT) FROM snapshot_hour \
                     WHERE repository = $1 AND hour > $2 AND hour <= $3 AND arrived <= $2";
    let values = [repository, hour - DAY, hour].map(Value::Int);
    let deleted = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    Ok(deleted.unwrap_or_default())
}

/// Notes that deletions of a repository were taken back: those of snapshots so far are no measure of
/// what comes and goes every day.
///
/// # Errors
/// Those of the database.
pub fn take_back(transaction: &mut dyn Transaction, repository: i64) -> Result<()> {
    let statement = "UPDATE snapshot_hour SET usual = 0 WHERE repository = $1 AND usual <> 0";
    transaction.execute(statement, &[Value::Int(repository)])?;
    Ok(())
}

/// How many snapshots the day before the one that ends with an hour has left, of those that were
/// live before it; `None` where there were none, or it was not noted.
///
/// **Security:** the fewer were left, the more may go today without a word. So a deletion counts
/// here only where its snapshot was among those that were noted: it had arrived in an hour before
/// the note, and what arrives anew has a new arrival.
///
/// # Errors
/// Those of the database.
pub fn left_the_day_before(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
) -> Result<Option<u64>> {
    let (began, ended) = (hour - 2 * DAY, hour - DAY);
    let Some((noted, before)) = live_at(transaction, repository, began, SNAPSHOTS)? else {
        return Ok(None);
    };
    let statement = "SELECT CAST(COALESCE(SUM(usual), 0) AS BIGINT) FROM snapshot_hour \
                     WHERE repository = $1 AND hour > $2 AND hour <= $3 AND arrived < $4";
    let values = [repository, began, ended, noted].map(Value::Int);
    let deleted = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    let left = before.saturating_sub(deleted.unwrap_or_default());
    Ok((before > 0).then_some(left))
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
    let before = live_at(transaction, repository, hour - DAY, kind)?;
    Ok((
        deleted.unwrap_or_default(),
        before.map(|(_, objects)| objects),
    ))
}

/// The last note of what was live of a type, in an hour or before it: which hour, and how many.
fn live_at(
    transaction: &mut dyn Transaction,
    repository: i64,
    hour: i64,
    kind: i64,
) -> Result<Option<(i64, u64)>> {
    let statement = "SELECT hour, objects FROM vital_hour \
         WHERE repository = $1 AND hour <= $2 AND kind = $3 AND objects IS NOT NULL \
         ORDER BY hour DESC LIMIT 1";
    let values = [repository, hour, kind].map(Value::Int);
    transaction.first(statement, &values, |row| {
        Ok((row.int(0)?, at_least_none(row.int(1)?)))
    })
}
