//! Repositories.

use strongroom_model::{Id, RepositoryPath};

use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, maybe, signed, unsigned};
use crate::rules::purge::Keeping;
use crate::{Error, Result};

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The key of its rows.
    pub id: i64,
    /// Its path.
    pub path: RepositoryPath,
    /// The SHA-256 of `config`, once it is there.
    pub config: Option<Id>,
    /// How long it keeps things.
    pub keeping: Keeping,
    /// The most bytes that it may hold.
    pub quota_bytes: Option<u64>,
    /// How many objects it holds, seen or not.
    pub objects: u64,
    /// How many bytes these have, and the receipts that it keeps.
    pub bytes: u64,
    /// The last day of vault time that has seen a tombstone, and how many.
    pub tombstones: (i64, u64),
    /// How many leaves there were when that day saw its first one.
    pub tombstone_day_began: u64,
    /// Since when purging is held, by vault time.
    pub purge_held_ms: Option<i64>,
    /// When the last object arrived, as recorded.
    pub arrived_at_ms: Option<i64>,
    /// How many leaves there were when it was made: as of so many, or fewer, nothing of it is seen.
    pub began: u64,
}

pub(super) const COLUMNS: &str = "id, path, config, retention_ms, grace_ms, quota_bytes, objects, bytes, \
                       tombstone_day, tombstones, purge_held_ms, arrived_at_ms, began, tombstone_day_began";

/// How many columns that is.
pub(super) const WIDTH: usize = 14;

pub(super) fn read(row: &dyn Row) -> Result<Repository> {
    let path = RepositoryPath::of_record(&row.text(1)?);
    let config = row.maybe_bytes(2)?.map(<[u8; 32]>::try_from).transpose();
    Ok(Repository {
        id: row.int(0)?,
        path: path.map_err(|_| damaged("a repository has an impossible path"))?,
        config: config
            .map_err(|_| damaged("a repository's config has no digest"))?
            .map(Id::from_bytes),
        keeping: Keeping {
            retention_ms: row.int(3)?,
            grace_ms: row.int(4)?,
        },
        quota_bytes: row.maybe_int(5)?.map(unsigned).transpose()?,
        objects: unsigned(row.int(6)?)?,
        bytes: unsigned(row.int(7)?)?,
        tombstones: (row.int(8)?, unsigned(row.int(9)?)?),
        purge_held_ms: row.maybe_int(10)?,
        arrived_at_ms: row.maybe_int(11)?,
        began: unsigned(row.int(12)?)?,
        tombstone_day_began: unsigned(row.int(13)?)?,
    })
}

/// The repository of a path.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, path: &RepositoryPath) -> Result<Option<Repository>> {
    let statement = format!("SELECT {COLUMNS} FROM repository WHERE path = $1");
    transaction.first(&statement, &[Value::Text(path.as_str())], read)
}

/// The repository of a path, which must be there.
///
/// # Errors
/// [`Error::Unknown`]; those of the database.
pub fn must(transaction: &mut dyn Transaction, path: &RepositoryPath) -> Result<Repository> {
    get(transaction, path)?.ok_or_else(|| unknown(path))
}

/// That there is no such repository.
pub fn unknown(path: &RepositoryPath) -> Error {
    Error::Unknown {
        what: "repository",
        name: path.to_string(),
    }
}

/// All repositories, by path.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<Repository>> {
    let statement = format!("SELECT {COLUMNS} FROM repository ORDER BY path");
    all(transaction, &statement, &[], read)
}

/// Some of them, by path, behind one: `most` at most.
///
/// # Errors
/// Those of the database.
pub fn after(
    transaction: &mut dyn Transaction,
    path: &str,
    most: usize,
) -> Result<Vec<Repository>> {
    let statement =
        format!("SELECT {COLUMNS} FROM repository WHERE path > $1 ORDER BY path LIMIT $2");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    all(
        transaction,
        &statement,
        &[Value::Text(path), Value::Int(most)],
        read,
    )
}

/// Makes a repository.
///
/// # Errors
/// Those of the database; also where it is there already.
pub fn insert(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
    keeping: Keeping,
) -> Result<()> {
    let statement = "INSERT INTO repository \
         (id, path, retention_ms, grace_ms, agreed_retention_ms, agreed_grace_ms, compliant, \
          objects, bytes, tombstone_day, tombstones, began) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $2, $3, 0, 0, 0, 0, 0, \
             COALESCE((SELECT leaves FROM log_head WHERE one = 1), 0) FROM repository";
    let values = [
        Value::Text(path.as_str()),
        Value::Int(keeping.retention_ms),
        Value::Int(keeping.grace_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// For how long several agreed last that a repository keeps things, or what it was made with; and
/// whether that is never lowered.
///
/// # Errors
/// Those of the database.
pub fn agreed(transaction: &mut dyn Transaction, repository: i64) -> Result<(Keeping, bool)> {
    let statement = "SELECT agreed_retention_ms, agreed_grace_ms, compliant FROM repository \
                     WHERE id = $1";
    let agreed = transaction.first(statement, &[Value::Int(repository)], |row| {
        let keeping = Keeping {
            retention_ms: row.int(0)?,
            grace_ms: row.int(1)?,
        };
        Ok((keeping, row.int(2)? > 0))
    })?;
    agreed.ok_or_else(|| damaged("a repository has vanished"))
}

/// Notes what several have agreed to.
///
/// # Errors
/// Those of the database.
pub fn set_agreed(
    transaction: &mut dyn Transaction,
    repository: i64,
    agreed: Keeping,
    is_compliant: bool,
) -> Result<()> {
    let statement = "UPDATE repository SET agreed_retention_ms = $1, agreed_grace_ms = $2, \
                     compliant = $3 WHERE id = $4";
    let values = [
        Value::Int(agreed.retention_ms),
        Value::Int(agreed.grace_ms),
        Value::Int(is_compliant.into()),
        Value::Int(repository),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Keeps the bytes of `config`, which are written once.
///
/// # Errors
/// Those of the database.
pub fn set_config(transaction: &mut dyn Transaction, repository: i64, bytes: &[u8]) -> Result<()> {
    let statement = "UPDATE repository SET config = $1, config_bytes = $2 \
                     WHERE id = $3 AND config IS NULL";
    let digest = Id::of(bytes);
    let values = [
        Value::Bytes(digest.as_bytes()),
        Value::Bytes(bytes),
        Value::Int(repository),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// The bytes of `config`.
///
/// # Errors
/// Those of the database.
pub fn config_bytes(transaction: &mut dyn Transaction, repository: i64) -> Result<Option<Vec<u8>>> {
    let statement = "SELECT config_bytes FROM repository WHERE id = $1";
    let found = transaction.first(statement, &[Value::Int(repository)], |row| {
        row.maybe_bytes(0)
    })?;
    Ok(found.flatten())
}

/// Adds to what a repository holds.
///
/// # Errors
/// Those of the database.
pub fn add(
    transaction: &mut dyn Transaction,
    repository: i64,
    objects: i64,
    bytes: i64,
) -> Result<()> {
    let statement =
        "UPDATE repository SET objects = objects + $1, bytes = bytes + $2 WHERE id = $3";
    let values = [
        Value::Int(objects),
        Value::Int(bytes),
        Value::Int(repository),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes that something arrived, and when, as recorded. `is_new`: it adds to what there is.
///
/// # Errors
/// Those of the database.
pub fn arrive(
    transaction: &mut dyn Transaction,
    repository: i64,
    bytes: u64,
    recorded_ms: i64,
    is_new: bool,
) -> Result<()> {
    let statement = "UPDATE repository SET objects = objects + $1, bytes = bytes + $2, \
                     arrived_at_ms = $3 WHERE id = $4";
    let (objects, bytes) = match is_new {
        true => (1, signed(bytes)?),
        false => (0, 0),
    };
    let values = [
        Value::Int(objects),
        Value::Int(bytes),
        Value::Int(recorded_ms),
        Value::Int(repository),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes how many tombstones a day has seen, the first of them at the leaf `began`, and since when
/// purging is held.
///
/// # Errors
/// Those of the database.
pub fn set_tombstones(
    transaction: &mut dyn Transaction,
    repository: i64,
    tombstones: (i64, u64),
    began: u64,
    purge_held_ms: Option<i64>,
) -> Result<()> {
    let statement = "UPDATE repository SET tombstone_day = $1, tombstones = $2, \
                     purge_held_ms = $3, tombstone_day_began = $5 WHERE id = $4";
    let values = [
        Value::Int(tombstones.0),
        Value::Int(signed(tombstones.1)?),
        maybe(purge_held_ms),
        Value::Int(repository),
        Value::Int(signed(began)?),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Lets purging go on.
///
/// # Errors
/// Those of the database.
pub fn end_hold(transaction: &mut dyn Transaction, repository: i64) -> Result<()> {
    let statement = "UPDATE repository SET purge_held_ms = NULL WHERE id = $1";
    transaction.execute(statement, &[Value::Int(repository)])?;
    Ok(())
}

/// Sets how long a repository keeps things, and its quota.
///
/// # Errors
/// Those of the database.
pub fn set_keeping(
    transaction: &mut dyn Transaction,
    repository: i64,
    keeping: Keeping,
    quota_bytes: Option<u64>,
) -> Result<()> {
    let statement = "UPDATE repository SET retention_ms = $1, grace_ms = $2, quota_bytes = $3 \
                     WHERE id = $4";
    let values = [
        Value::Int(keeping.retention_ms),
        Value::Int(keeping.grace_ms),
        maybe(quota_bytes.map(signed).transpose()?),
        Value::Int(repository),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}
