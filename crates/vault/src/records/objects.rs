//! Objects and their earlier lives.

use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::tally;
use crate::records::{all, damaged, hiding, lives, maybe, needs, receipts, signed, unsigned};
use crate::rules::life::{self, Object, State};

/// The row of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    repository: i64,
    kind: FileType,
    /// Of `config`, which has none, the default.
    id: Id,
}

/// What is seen of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What is live.
    Now,
    /// What was seen when there were so many leaves.
    AsOf(u64),
}

pub(super) const COLUMNS: &str =
    "generation, bytes, state, token, began, ended, arrived_ms, tombstoned_ms, kind, name";

/// Those of them that make an [`Object`].
pub(super) const LIFE: &str =
    "generation, bytes, state, token, began, ended, arrived_ms, tombstoned_ms";

/// How many these are.
pub(super) const WIDTH: usize = 8;

impl Key {
    /// The row of a file of a repository.
    pub fn new(repository: i64, name: FileName) -> Self {
        Self {
            repository,
            kind: name.kind(),
            id: name.id().unwrap_or_default(),
        }
    }

    /// The key of its repository.
    pub(super) const fn repository(&self) -> i64 {
        self.repository
    }

    /// Its type.
    pub fn kind(&self) -> FileType {
        self.kind
    }

    pub(super) fn values(&self) -> [Value<'_>; 3] {
        [
            Value::Int(self.repository),
            Value::Int(number_of(self.kind)),
            Value::Bytes(self.id.as_bytes()),
        ]
    }
}

/// The number by which the database knows a type.
pub(crate) const fn number_of(kind: FileType) -> i64 {
    match kind {
        FileType::Config => 0,
        FileType::Keys => 1,
        FileType::Data => 2,
        FileType::Index => 3,
        FileType::Snapshots => 4,
        FileType::Locks => 5,
        FileType::Records => 6,
    }
}

/// The place of a file among the rows of its repository, for [`behind`].
pub(crate) fn place_of(name: FileName) -> (i64, Vec<u8>) {
    let id = name.id().unwrap_or_default();
    (number_of(name.kind()), id.as_bytes().to_vec())
}

pub(super) fn type_of(number: i64) -> Result<FileType> {
    [
        FileType::Config,
        FileType::Keys,
        FileType::Data,
        FileType::Index,
        FileType::Snapshots,
        FileType::Records,
    ]
    .into_iter()
    .find(|kind| number_of(*kind) == number)
    .ok_or_else(|| damaged("an object has an unknown type"))
}

/// The file whose type and id stand in two columns.
pub(super) fn name_in(row: &dyn Row, kind: usize, name: usize) -> Result<FileName> {
    name_of(type_of(row.int(kind)?)?, row, name)
}

pub(super) fn name_of(kind: FileType, row: &dyn Row, column: usize) -> Result<FileName> {
    let bytes = row.bytes(column)?.try_into();
    bytes
        .map(|id| FileName::new(kind, Id::from_bytes(id)))
        .map_err(|_| damaged("an object has no name"))
}

pub(super) fn read(row: &dyn Row) -> Result<Object> {
    read_from(row, 0)
}

/// Reads an object whose columns begin at `first`.
pub(super) fn read_from(row: &dyn Row, first: usize) -> Result<Object> {
    let state = State::of_number(row.int(first + 2)?);
    let generation = u32::try_from(row.int(first)?);
    Ok(Object {
        generation: generation.map_err(|_| damaged("a generation is too large"))?,
        bytes: unsigned(row.int(first + 1)?)?,
        state: state.ok_or_else(|| damaged("an object has an unknown state"))?,
        token: row.int(first + 3)?,
        began: unsigned(row.int(first + 4)?)?,
        ended: row.maybe_int(first + 5)?.map(unsigned).transpose()?,
        arrived_ms: row.int(first + 6)?,
        tombstoned_ms: row.maybe_int(first + 7)?,
    })
}

/// What the database holds of an object.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, key: &Key) -> Result<Option<Object>> {
    let statement =
        format!("SELECT {COLUMNS} FROM object WHERE repository = $1 AND kind = $2 AND name = $3");
    transaction.first(&statement, &key.values(), read)
}

/// The object, where it is seen.
///
/// # Errors
/// Those of the database.
pub fn seen(transaction: &mut dyn Transaction, key: &Key, view: View) -> Result<Option<Object>> {
    let Some(object) = get(transaction, key)? else {
        return Ok(None);
    };
    let is_seen = match view {
        View::Now => object.state == State::Live,
        View::AsOf(_) if object.state == State::Purging => false,
        View::AsOf(leaves) => {
            object.is_seen_as_of(leaves) || lives::was_seen(transaction, key, leaves)?
        }
    };
    Ok(is_seen.then_some(object))
}

/// The keys that wait for an operator.
///
/// # Errors
/// Those of the database.
pub fn pending(transaction: &mut dyn Transaction, repository: i64) -> Result<Vec<FileName>> {
    let statement = "SELECT name FROM object WHERE repository = $1 AND kind = 1 AND state = 3";
    all(transaction, statement, &[Value::Int(repository)], |row| {
        name_of(FileType::Keys, row, 0)
    })
}

/// The generation of a body that comes after what was purged.
pub(super) fn generation_after(purged: Option<i64>) -> Result<u32> {
    u32::try_from(purged.unwrap_or_default() + 1).map_err(|_| damaged("a generation is too large"))
}

/// Adds an object.
///
/// # Errors
/// Those of the database; also where it is there already.
pub fn insert(transaction: &mut dyn Transaction, key: &Key, object: &Object) -> Result<()> {
    insert_unneeded(transaction, key, object)?;
    needs::look_again(transaction, key)
}

/// Adds an object that no receipt names.
///
/// # Errors
/// As [`insert`].
pub fn insert_unneeded(
    transaction: &mut dyn Transaction,
    key: &Key,
    object: &Object,
) -> Result<()> {
    let statement = "INSERT INTO object (repository, kind, name, generation, bytes, state, \
         token, put, began, ended, arrived_ms, tombstoned_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)";
    let [repository, kind, name] = key.values();
    let values = [
        repository,
        kind,
        name,
        Value::Int(i64::from(object.generation)),
        Value::Int(signed(object.bytes)?),
        Value::Int(object.state.number()),
        Value::Int(object.token),
        Value::Int(signed(object.began)?),
        maybe(object.ended.map(signed).transpose()?),
        Value::Int(object.arrived_ms),
        maybe(object.tombstoned_ms),
    ];
    transaction.execute(statement, &values)?;
    let arrives = (None, Some(object.state));
    tally::shift_one(transaction, key, arrives, object.bytes)?;
    receipts::set_held(transaction, key, true)
}

/// Notes that a token has put what another had put before.
///
/// # Errors
/// Those of the database.
pub fn add_putter(transaction: &mut dyn Transaction, key: &Key, token: i64) -> Result<()> {
    let statement = "INSERT INTO putter (repository, kind, name, token, put) \
                     SELECT $1, $2, $3, $4, leaves FROM log_head WHERE one = 1 \
                     ON CONFLICT DO NOTHING";
    let [repository, kind, name] = key.values();
    transaction.execute(statement, &[repository, kind, name, Value::Int(token)])?;
    Ok(())
}

/// Runs a statement that moves one object from state to state, and returns its bytes; tells
/// whether it did.
pub(super) fn move_one(
    transaction: &mut dyn Transaction,
    key: &Key,
    statement: &str,
    values: &[Value<'_>],
    moves: (Option<State>, Option<State>),
) -> Result<bool> {
    let bytes = transaction.first(statement, values, |row| unsigned(row.int(0)?))?;
    let Some(bytes) = bytes else {
        return Ok(false);
    };
    tally::shift_one(transaction, key, moves, bytes)?;
    Ok(true)
}

/// Notes that an object goes from its state, whatever that is, to another.
fn tally_to(transaction: &mut dyn Transaction, key: &Key, to: State) -> Result<Option<Object>> {
    let found = get(transaction, key)?;
    if let Some(object) = &found {
        let moves = (Some(object.state), Some(to));
        tally::shift_one(transaction, key, moves, object.bytes)?;
    }
    Ok(found)
}

/// Begins a new life of an object whose bytes are there, put by somebody; it is then in the state
/// that [`life::revived`] says.
///
/// Whoever stood for a tombstone stands for it still: to have something deleted and to put it again
/// makes it nobody's own. Who put what was hidden has no part in its new life.
///
/// # Errors
/// Those of the database.
pub fn revive(
    transaction: &mut dyn Transaction,
    key: &Key,
    leaf: u64,
    arrived_ms: i64,
    token: i64,
) -> Result<()> {
    let state = life::revived(key.kind, has_config(transaction, key)?);
    let before = tally_to(transaction, key, state)?;
    lives::end(transaction, key)?;
    hiding::pass_on(transaction, key, before.map(|object| object.state), token)?;
    // What waits remembers who ended its last life that was seen, so that an operator can take that
    // back; what was put by a hidden token does not.
    let statement = "UPDATE object SET state = $7, began = $4, put = $4, ended = NULL, \
         arrived_ms = $5, tombstone = NULL, tombstoned_ms = NULL, ended_by = NULL, token = $6, \
         out_of_sight = 0, life_ended_by = CASE WHEN $7 <> 3 OR out_of_sight = 1 THEN NULL \
             WHEN state = 1 AND ended > began THEN ended_by ELSE life_ended_by END \
         WHERE repository = $1 AND kind = $2 AND name = $3";
    let [repository, kind, name] = key.values();
    let values = [
        repository,
        kind,
        name,
        Value::Int(signed(leaf)?),
        Value::Int(arrived_ms),
        Value::Int(token),
        Value::Int(state.number()),
    ];
    transaction.execute(statement, &values)?;
    needs::look_again(transaction, key)
}

/// Whether a key's repository has its `config`; of what is no key it is not asked.
fn has_config(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    if key.kind != FileType::Keys {
        return Ok(false);
    }
    let statement = "SELECT 1 FROM repository WHERE id = $1 AND config IS NOT NULL";
    let found = transaction.first(statement, &[Value::Int(key.repository)], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Takes back the deletion of an object: it has its arrival, and whoever put it, as before. A key
/// that waited for an operator waits again.
///
/// # Errors
/// Those of the database.
pub fn restore(transaction: &mut dyn Transaction, key: &Key, leaf: u64) -> Result<()> {
    let was_seen = "SELECT 1 FROM object WHERE repository = $1 AND kind = $2 AND name = $3 \
                    AND ended > began";
    let was_seen = transaction.first(was_seen, &key.values(), |_| Ok(()))?;
    let state = match was_seen {
        Some(()) => State::Live,
        None => State::Pending,
    };
    tally_to(transaction, key, state)?;
    lives::end(transaction, key)?;
    let statement = "UPDATE object SET state = $5, began = $4, ended = NULL, \
         tombstone = NULL, tombstoned_ms = NULL, ended_by = NULL \
         WHERE repository = $1 AND kind = $2 AND name = $3";
    let [repository, kind, name] = key.values();
    let (leaf, state) = (Value::Int(signed(leaf)?), Value::Int(state.number()));
    transaction.execute(statement, &[repository, kind, name, leaf, state])?;
    needs::look_again(transaction, key)
}

/// Whether an object is a tombstone whose token was hidden.
///
/// # Errors
/// Those of the database.
pub fn is_out_of_sight(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    let statement = "SELECT 1 FROM object WHERE repository = $1 AND kind = $2 AND name = $3 \
                     AND out_of_sight = 1";
    let found = transaction.first(statement, &key.values(), |_| Ok(()))?;
    Ok(found.is_some())
}

/// Lets a key in that waits; tells whether it did.
///
/// # Errors
/// Those of the database.
pub fn admit(transaction: &mut dyn Transaction, key: &Key, leaf: u64) -> Result<bool> {
    let statement = "UPDATE object SET state = 0, began = $4, life_ended_by = NULL \
                     WHERE repository = $1 AND kind = $2 AND name = $3 AND state = 3 \
                     RETURNING bytes";
    let [repository, kind, name] = key.values();
    let values = [repository, kind, name, Value::Int(signed(leaf)?)];
    let moves = (Some(State::Pending), Some(State::Live));
    let is_admitted = move_one(transaction, key, statement, &values, moves)?;
    needs::look_again(transaction, key)?;
    Ok(is_admitted)
}

/// Some objects of a repository whose bytes must be there, by type and name, from behind a place
/// on.
///
/// # Errors
/// Those of the database.
pub fn behind(
    transaction: &mut dyn Transaction,
    repository: i64,
    (kind, name): (i64, &[u8]),
    limit: u64,
) -> Result<Vec<(FileName, Object)>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM object WHERE repository = $1 AND (kind, name) > ($2, $3) \
         AND state < 4 ORDER BY kind, name LIMIT $4"
    );
    let values = [
        Value::Int(repository),
        Value::Int(kind),
        Value::Bytes(name),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, |row| {
        let kind = type_of(row.int(8)?)?;
        Ok((name_of(kind, row, 9)?, read(row)?))
    })
}
