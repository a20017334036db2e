//! Tombstones: how they are made, in which order their time comes, and how many objects are in
//! which state.

use strongroom_model::FileName;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::{all, needs, signed, unsigned};
use crate::rules::life::{Delete, Object, State};
use crate::rules::purge::Tombstones;

/// A tombstone in the order in which they are looked at; the default is before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// When it was made, by vault time.
    pub tombstoned_ms: i64,
    /// Of which file.
    pub name: Option<FileName>,
}

impl Default for Tombstone {
    fn default() -> Self {
        Self {
            tombstoned_ms: i64::MIN,
            name: None,
        }
    }
}

/// Some tombstones of a repository that are due, the oldest first: deleted from `from` on until one
/// time, and arrived until another.
///
/// # Errors
/// Those of the database.
pub fn due(
    transaction: &mut dyn Transaction,
    repository: i64,
    from: &Tombstone,
    tombstoned_until_ms: i64,
    arrived_until_ms: i64,
    limit: u64,
) -> Result<Vec<(FileName, Object)>> {
    let columns = objects::COLUMNS;
    let statement = format!(
        "SELECT {columns} FROM object WHERE repository = $1 AND state = 1 \
         AND tombstoned_ms <= $2 AND arrived_ms <= $3 \
         AND (tombstoned_ms, kind, name) > ($4, $5, $6) \
         ORDER BY tombstoned_ms, kind, name LIMIT $7"
    );
    let key = from.name.map(|name| Key::new(repository, name));
    let (kind, name) = match key.as_ref().map(Key::values) {
        Some([_, kind, name]) => (kind, name),
        None => (Value::Int(-1), Value::Bytes(&[])),
    };
    let values = [
        Value::Int(repository),
        Value::Int(tombstoned_until_ms),
        Value::Int(arrived_until_ms),
        Value::Int(from.tombstoned_ms),
        kind,
        name,
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, |row| {
        Ok((objects::name_in(row, 8, 9)?, objects::read(row)?))
    })
}

/// How many tombstones of a repository are due, counted up to a limit.
///
/// # Errors
/// Those of the database.
pub fn count_due(
    transaction: &mut dyn Transaction,
    repository: i64,
    tombstoned_until_ms: i64,
    arrived_until_ms: i64,
    limit: u64,
) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM (SELECT 1 FROM object WHERE repository = $1 \
         AND state = 1 AND tombstoned_ms <= $2 AND arrived_ms <= $3 LIMIT $4) AS due";
    let values = [
        Value::Int(repository),
        Value::Int(tombstoned_until_ms),
        Value::Int(arrived_until_ms),
        Value::Int(signed(limit)?),
    ];
    let count = transaction.first(statement, &values, |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}

/// Makes a tombstone of an object whose deletion was asked for. The life of what was live ends now;
/// that of a key that waited is none, and ends where it began, as it was never seen; that of what
/// was hidden ended then, and no undelete brings it back before its token is shown again.
///
/// # Errors
/// Those of the database.
pub fn make(
    transaction: &mut dyn Transaction,
    key: &Key,
    delete: Delete,
    leaf: u64,
    vault_ms: i64,
    token: i64,
) -> Result<()> {
    let (from, life) = match delete {
        Delete::Ends => (State::Live, "ended = $4"),
        Delete::Rejects => (State::Pending, "ended = began"),
        Delete::Buries => (State::Hidden, "out_of_sight = 1"),
        Delete::IsGone => return Ok(()),
    };
    let number = from.number();
    let statement = format!(
        "UPDATE object SET state = 1, {life}, tombstone = $4, tombstoned_ms = $5, ended_by = $6 \
         WHERE repository = $1 AND kind = $2 AND name = $3 AND state = {number} \
         RETURNING bytes"
    );
    let [repository, kind, name] = key.values();
    let values = [
        repository,
        kind,
        name,
        Value::Int(signed(leaf)?),
        Value::Int(vault_ms),
        Value::Int(token),
    ];
    let moves = (Some(from), Some(State::Tombstoned));
    objects::move_one(transaction, key, &statement, &values, moves)?;
    needs::look_again(transaction, key)
}

/// The tombstones of a repository, as they are looked at.
///
/// # Errors
/// Those of the database.
pub fn look(transaction: &mut dyn Transaction, repository: i64) -> Result<Tombstones> {
    let statement = "SELECT COUNT(*), MAX(COALESCE(tombstone, ended)) FROM object \
                     WHERE repository = $1 AND state = 1";
    let found = transaction.first(statement, &[Value::Int(repository)], |row| {
        Ok(Tombstones {
            count: unsigned(row.int(0)?)?,
            newest: row.maybe_int(1)?.map(unsigned).transpose()?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// How many objects of a repository are in a state.
///
/// # Errors
/// Those of the database.
pub fn count(transaction: &mut dyn Transaction, repository: i64, state: State) -> Result<u64> {
    // The number stands in the text, so that the index of that state is used.
    let number = state.number();
    let statement =
        format!("SELECT COUNT(*) FROM object WHERE repository = $1 AND state = {number}");
    let count = transaction.first(&statement, &[Value::Int(repository)], |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}
