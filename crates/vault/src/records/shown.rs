//! What pages show of a repository, a page at a time, the newest first.
//!
//! Each list goes on by the leaf of its last row, so that a page reads no more than it shows, however
//! much there is.

use strongroom_model::{FileName, FileType, Id};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{all, damaged, objects, signed, unsigned};
use crate::rules::life::State;

/// A snapshot, by its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub id: Id,
    /// Its size: that of the file of the snapshot, and not of what it names.
    pub bytes: u64,
    /// What holds of it.
    pub state: State,
    /// The leaf of its arrival.
    pub leaf: u64,
    /// When it came, as recorded.
    pub came_at_ms: Option<i64>,
    /// The name of the token that brought it.
    pub token: String,
}

/// Something that was asked to be deleted, and is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Which file.
    pub name: FileName,
    /// Its size.
    pub bytes: u64,
    /// The leaf of its deletion.
    pub leaf: u64,
    /// When it was deleted, by vault time.
    pub tombstoned_ms: i64,
    /// When it had come, by vault time.
    pub arrived_ms: i64,
    /// Whether its token was hidden, so that no undelete shows it.
    pub is_out_of_sight: bool,
    /// The name of the token that asked for it.
    pub token: String,
}

/// Snapshots of a repository that came before a leaf.
///
/// # Errors
/// Those of the database.
pub fn snapshots(
    transaction: &mut dyn Transaction,
    repository: i64,
    below: u64,
    most: u64,
) -> Result<Vec<Snapshot>> {
    // The number of the type stands in the text, so that the index of snapshots is used.
    let statement = "SELECT o.name, o.bytes, o.state, o.put, \
         (SELECT m.recorded_ms FROM moment m WHERE m.first_leaf <= o.put \
             ORDER BY m.first_leaf DESC LIMIT 1), COALESCE(t.name, '') \
         FROM (SELECT name, bytes, state, put, token FROM object \
             WHERE repository = $1 AND kind = 4 AND put < $2 ORDER BY put DESC LIMIT $3) o \
         LEFT JOIN token t ON t.id = o.token ORDER BY o.put DESC";
    all(
        transaction,
        statement,
        &key(repository, below, most)?,
        |row| {
            let name = objects::name_of(FileType::Snapshots, row, 0)?;
            let state = State::of_number(row.int(2)?);
            Ok(Snapshot {
                id: name.id().unwrap_or_default(),
                bytes: unsigned(row.int(1)?)?,
                state: state.ok_or_else(|| damaged("an object has an unknown state"))?,
                leaf: unsigned(row.int(3)?)?,
                came_at_ms: row.maybe_int(4)?,
                token: row.text(5)?,
            })
        },
    )
}

/// What of a repository was asked to be deleted before a leaf, and is kept.
///
/// # Errors
/// Those of the database.
pub fn tombstones(
    transaction: &mut dyn Transaction,
    repository: i64,
    below: u64,
    most: u64,
) -> Result<Vec<Tombstone>> {
    let statement = "SELECT o.kind, o.name, o.bytes, o.leaf, COALESCE(o.tombstoned_ms, 0), \
         o.arrived_ms, o.out_of_sight, COALESCE(t.name, '') \
         FROM (SELECT kind, name, bytes, COALESCE(tombstone, ended) AS leaf, tombstoned_ms, \
                 arrived_ms, out_of_sight, ended_by FROM object \
             WHERE repository = $1 AND state = 1 AND COALESCE(tombstone, ended) < $2 \
             ORDER BY COALESCE(tombstone, ended) DESC LIMIT $3) o \
         LEFT JOIN token t ON t.id = o.ended_by ORDER BY o.leaf DESC";
    all(
        transaction,
        statement,
        &key(repository, below, most)?,
        |row| {
            Ok(Tombstone {
                name: objects::name_in(row, 0, 1)?,
                bytes: unsigned(row.int(2)?)?,
                leaf: unsigned(row.int(3)?)?,
                tombstoned_ms: row.int(4)?,
                arrived_ms: row.int(5)?,
                is_out_of_sight: row.int(6)? > 0,
                token: row.text(7)?,
            })
        },
    )
}

fn key(repository: i64, below: u64, most: u64) -> Result<[Value<'static>; 3]> {
    let below = below.min(i64::MAX.unsigned_abs());
    Ok([
        Value::Int(repository),
        Value::Int(signed(below)?),
        Value::Int(signed(most)?),
    ])
}
