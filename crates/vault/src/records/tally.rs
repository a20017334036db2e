//! How many objects are in which state, kept beside them so that nobody counts a million of them.
//!
//! Live ones are not counted here: they are what is left of all objects of a repository, so that
//! an arrival costs nothing more. Every function of [`objects`](crate::records::objects) that
//! moves objects from state to state tells it here, in the same transaction.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{Key, number_of};
use crate::records::repositories::Repository;
use crate::records::{all, damaged, receipts, signed, unsigned, vital};
use crate::rules::life::State;

/// A number of objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there are.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl Tally {
    /// One object.
    pub const fn one(bytes: u64) -> Self {
        Self { objects: 1, bytes }
    }

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_add(other.objects),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// Objects of one repository that are in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InState {
    /// The key of the repository.
    pub repository: i64,
    /// The state.
    pub state: State,
    /// How many.
    pub tally: Tally,
}

/// Objects of one repository and type that are in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfType {
    found: InState,
    /// The number of the type.
    kind: i64,
}

impl OfType {
    /// How many.
    pub(super) const fn objects(&self) -> u64 {
        self.found.tally.objects
    }
}

/// All objects that are not live, by repository and state.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<InState>> {
    let statement = "SELECT repository, state, objects, bytes FROM tally WHERE objects <> 0";
    all(transaction, statement, &[], read)
}

/// The objects of one repository that are not live, by state.
///
/// # Errors
/// Those of the database.
pub fn of(transaction: &mut dyn Transaction, repository: i64) -> Result<Vec<InState>> {
    let statement = "SELECT repository, state, objects, bytes FROM tally \
                     WHERE repository = $1 AND objects <> 0";
    all(transaction, statement, &[Value::Int(repository)], read)
}

/// What is live in a repository: what is in no other state, and no receipt.
///
/// # Errors
/// Those of the database.
pub fn live(transaction: &mut dyn Transaction, repository: &Repository) -> Result<Tally> {
    let statement = "SELECT CAST(COALESCE(SUM(objects), 0) AS BIGINT), \
         CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM tally WHERE repository = $1";
    let others = transaction.first(statement, &[Value::Int(repository.id)], |row| {
        Ok((unsigned(row.int(0)?)?, unsigned(row.int(1)?)?))
    })?;
    let (objects, bytes) = others.unwrap_or_default();
    let bytes = bytes.saturating_add(receipts::room(transaction, repository.id)?);
    Ok(Tally {
        objects: repository.objects.saturating_sub(objects),
        bytes: repository.bytes.saturating_sub(bytes),
    })
}

/// Counts objects anew that meet a condition, by repository, state and type.
pub(super) fn count(
    transaction: &mut dyn Transaction,
    condition: &str,
    values: &[Value<'_>],
) -> Result<Vec<OfType>> {
    let statement = format!(
        "SELECT repository, state, COUNT(*), CAST(SUM(bytes) AS BIGINT), kind FROM object \
         WHERE {condition} GROUP BY repository, state, kind"
    );
    all(transaction, &statement, values, |row| {
        Ok(OfType {
            found: read(row)?,
            kind: row.int(4)?,
        })
    })
}

/// What the tallies should say, by counting everything: minutes for a large vault.
///
/// # Errors
/// Those of the database.
pub fn recount(transaction: &mut dyn Transaction) -> Result<Vec<InState>> {
    let statement = "SELECT repository, state, COUNT(*), CAST(SUM(bytes) AS BIGINT) FROM object \
                     WHERE state > 0 GROUP BY repository, state";
    all(transaction, statement, &[], read)
}

/// Notes that one object went from one state to another; `None` is where there is none.
pub(super) fn shift_one(
    transaction: &mut dyn Transaction,
    key: &Key,
    moves: (Option<State>, Option<State>),
    bytes: u64,
) -> Result<()> {
    shift(transaction, key.repository(), moves, Tally::one(bytes))?;
    vital::shift(
        transaction,
        key.repository(),
        number_of(key.kind()),
        moves,
        1,
    )
}

/// Notes that objects went from the state in which they were counted to another.
pub(super) fn shift_all(
    transaction: &mut dyn Transaction,
    counted: &OfType,
    to: State,
) -> Result<()> {
    let InState {
        repository,
        state,
        tally,
    } = counted.found;
    let moves = (Some(state), Some(to));
    shift(transaction, repository, moves, tally)?;
    vital::shift(transaction, repository, counted.kind, moves, tally.objects)
}

fn shift(
    transaction: &mut dyn Transaction,
    repository: i64,
    (from, to): (Option<State>, Option<State>),
    tally: Tally,
) -> Result<()> {
    let (objects, bytes) = (signed(tally.objects)?, signed(tally.bytes)?);
    if let Some(from) = from {
        add(transaction, repository, from, -objects, -bytes)?;
    }
    match to {
        Some(to) => add(transaction, repository, to, objects, bytes),
        None => Ok(()),
    }
}

fn add(
    transaction: &mut dyn Transaction,
    repository: i64,
    state: State,
    objects: i64,
    bytes: i64,
) -> Result<()> {
    if state == State::Live {
        return Ok(());
    }
    let statement = "INSERT INTO tally (repository, state, objects, bytes) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (repository, state) DO UPDATE \
         SET objects = tally.objects + excluded.objects, bytes = tally.bytes + excluded.bytes";
    let values = [
        Value::Int(repository),
        Value::Int(state.number()),
        Value::Int(objects),
        Value::Int(bytes),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

fn read(row: &dyn crate::database::Row) -> Result<InState> {
    let state = State::of_number(row.int(1)?);
    Ok(InState {
        repository: row.int(0)?,
        state: state.ok_or_else(|| damaged("an object has an unknown state"))?,
        tally: Tally {
            objects: unsigned(row.int(2)?)?,
            bytes: unsigned(row.int(3)?)?,
        },
    })
}
