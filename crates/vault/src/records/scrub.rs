//! How far the reading of each repository is.

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, maybe, signed, unsigned};
use crate::rules::scrub::{Progress, Work};

/// A round that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// What it has read, since when.
    pub progress: Progress,
    /// When it began, as recorded.
    pub began_at_ms: i64,
    /// The type and the name of the last object that it has looked at.
    pub place: (i64, Vec<u8>),
}

/// A round that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it began, by vault time.
    pub began_ms: i64,
    /// When it began, as recorded.
    pub began_at_ms: i64,
    /// When it ended, as recorded.
    pub ended_at_ms: i64,
    /// What it has read.
    pub read: Work,
}

/// What is known of the reading of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// The round under way.
    pub round: Option<Round>,
    /// The last one that came to its end.
    pub last: Option<Ended>,
    /// How many objects are marked as rotten now.
    pub rotten: u64,
}

const COLUMNS: &str = "began_ms, began_at_ms, kind, name, objects, bytes, last_began_ms, \
                       last_began_at_ms, last_ended_at_ms, last_objects, last_bytes, rotten";

impl Round {
    /// A round that has read nothing yet.
    pub fn begin(began_ms: i64, began_at_ms: i64) -> Self {
        Self {
            progress: Progress {
                began_ms,
                done: Work::default(),
            },
            began_at_ms,
            place: (-1, Vec::new()),
        }
    }
}

impl Scrub {
    fn read(row: &dyn Row, first: usize) -> Result<Self> {
        let work = |objects: usize, bytes: usize| -> Result<Work> {
            Ok(Work {
                objects: unsigned(row.int(first + objects)?)?,
                bytes: unsigned(row.int(first + bytes)?)?,
            })
        };
        let round = match row.maybe_int(first)? {
            Some(began_ms) => Some(Round {
                progress: Progress {
                    began_ms,
                    done: work(4, 5)?,
                },
                began_at_ms: row.maybe_int(first + 1)?.unwrap_or(began_ms),
                place: (row.int(first + 2)?, row.bytes(first + 3)?),
            }),
            None => None,
        };
        let last = match row.maybe_int(first + 6)? {
            Some(began_ms) => Some(Ended {
                began_ms,
                began_at_ms: row.maybe_int(first + 7)?.unwrap_or(began_ms),
                ended_at_ms: row.maybe_int(first + 8)?.unwrap_or(began_ms),
                read: work(9, 10)?,
            }),
            None => None,
        };
        Ok(Self {
            round,
            last,
            rotten: unsigned(row.int(first + 11)?)?,
        })
    }
}

/// What is known of a repository.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, repository: i64) -> Result<Scrub> {
    let statement = format!("SELECT {COLUMNS} FROM scrub WHERE repository = $1");
    let found = transaction.first(&statement, &[Value::Int(repository)], |row| {
        Scrub::read(row, 0)
    })?;
    Ok(found.unwrap_or_default())
}

/// What is known of all repositories, each by its key.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<(i64, Scrub)>> {
    let statement = format!("SELECT repository, {COLUMNS} FROM scrub");
    all(transaction, &statement, &[], |row| {
        Ok((row.int(0)?, Scrub::read(row, 1)?))
    })
}

/// Notes where the rounds of a repository stand; the number of rotten objects stays.
///
/// # Errors
/// Those of the database.
pub fn set(
    transaction: &mut dyn Transaction,
    repository: i64,
    round: Option<&Round>,
    last: Option<&Ended>,
) -> Result<()> {
    let statement = "INSERT INTO scrub (repository, began_ms, began_at_ms, kind, name, objects, \
         bytes, last_began_ms, last_began_at_ms, last_ended_at_ms, last_objects, last_bytes, \
         rotten) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0) \
         ON CONFLICT (repository) DO UPDATE SET began_ms = excluded.began_ms, \
         began_at_ms = excluded.began_at_ms, kind = excluded.kind, name = excluded.name, \
         objects = excluded.objects, bytes = excluded.bytes, \
         last_began_ms = excluded.last_began_ms, last_began_at_ms = excluded.last_began_at_ms, \
         last_ended_at_ms = excluded.last_ended_at_ms, last_objects = excluded.last_objects, \
         last_bytes = excluded.last_bytes";
    let none = (-1, Vec::new());
    let (kind, name) = round.map_or(&none, |round| &round.place);
    let done = round.map_or_else(Work::default, |round| round.progress.done);
    let read = last.map_or_else(Work::default, |last| last.read);
    let values = [
        Value::Int(repository),
        maybe(round.map(|round| round.progress.began_ms)),
        maybe(round.map(|round| round.began_at_ms)),
        Value::Int(*kind),
        Value::Bytes(name),
        Value::Int(signed(done.objects)?),
        Value::Int(signed(done.bytes)?),
        maybe(last.map(|last| last.began_ms)),
        maybe(last.map(|last| last.began_at_ms)),
        maybe(last.map(|last| last.ended_at_ms)),
        Value::Int(signed(read.objects)?),
        Value::Int(signed(read.bytes)?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Counts objects that were marked as rotten, or are so no more.
pub(super) fn count_rotten(
    transaction: &mut dyn Transaction,
    repository: i64,
    more: i64,
) -> Result<()> {
    let statement = "INSERT INTO scrub (repository, kind, name, objects, bytes, last_objects, \
         last_bytes, rotten) VALUES ($1, -1, $2, 0, 0, 0, 0, $3) \
         ON CONFLICT (repository) DO UPDATE SET rotten = scrub.rotten + excluded.rotten";
    let values = [Value::Int(repository), Value::Bytes(&[]), Value::Int(more)];
    transaction.execute(statement, &values)?;
    Ok(())
}
