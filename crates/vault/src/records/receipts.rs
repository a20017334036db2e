//! Receipts, and the lineages in which they stand.
//!
//! Of each it is noted (`held`) whether its snapshot is not stored (0), it holds back what it names
//! (1), or a later one of the same snapshot does so in its stead (2).

use jiff::Timestamp;
use strongroom_model::{FileName, FileType, Id, Name};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::silenced::SILENCED;
use crate::records::{all, damaged, needs, repositories, signed, unsigned};
use crate::rules::life::State;

/// The receipts of one client and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The key of its row.
    pub id: i64,
    /// The client: the SHA-256 of its public key.
    pub client: Id,
    /// The source, as the client calls it.
    pub source: Name,
    /// How many receipts there are; the last one's position is one less.
    pub receipts: u64,
}

/// Where a receipt stands, and what is needed to answer for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its id.
    pub id: Id,
    /// The key of the lineage's row.
    pub lineage: i64,
    /// Its position there.
    pub position: u64,
    /// The snapshot.
    pub snapshot: Id,
    /// The host, as the client says.
    pub host: String,
    /// The time of the snapshot, as the client says.
    pub time: Timestamp,
    /// The SHA-256 of the `config` that it needs.
    pub config: Id,
    /// The key of the row of the token that brought it.
    pub token: i64,
    /// When it came, by vault time.
    pub arrived_ms: i64,
}

/// A new receipt, and what is kept of it beside.
#[derive(Clone, Debug)]
pub struct NewReceipt<'r> {
    /// Where it stands.
    pub receipt: &'r Receipt,
    /// The receipt before, as the client says.
    pub parent: Option<Id>,
    /// The number of its leaf.
    pub put: u64,
    /// The receipt as it was sent.
    pub envelope: &'r [u8],
}

/// How far a list has come: a lineage, and a position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The key of the lineage's row.
    pub lineage: i64,
    /// The position from which it goes on.
    pub position: u64,
}

const COLUMNS: &str = "r.id, r.lineage, r.position, r.snapshot, r.host, r.time, r.config, \
                       r.token, r.arrived_ms";

fn read(row: &dyn Row) -> Result<Receipt> {
    let time = row.text(5)?.parse();
    Ok(Receipt {
        id: id_in(row, 0)?,
        lineage: row.int(1)?,
        position: unsigned(row.int(2)?)?,
        snapshot: id_in(row, 3)?,
        host: row.text(4)?,
        time: time.map_err(|_| damaged("a receipt has an impossible time"))?,
        config: id_in(row, 6)?,
        token: row.int(7)?,
        arrived_ms: row.int(8)?,
    })
}

fn read_lineage(row: &dyn Row) -> Result<Lineage> {
    let source = row.text(2)?.parse();
    Ok(Lineage {
        id: row.int(0)?,
        client: id_in(row, 1)?,
        source: source.map_err(|_| damaged("a source has an impossible name"))?,
        receipts: unsigned(row.int(3)?)?,
    })
}

fn id_in(row: &dyn Row, column: usize) -> Result<Id> {
    let bytes = row.bytes(column)?.try_into();
    bytes
        .map(Id::from_bytes)
        .map_err(|_| damaged("an id has another length"))
}

/// The receipt of an id.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, repository: i64, id: Id) -> Result<Option<Receipt>> {
    let statement =
        format!("SELECT {COLUMNS} FROM receipt r WHERE r.repository = $1 AND r.id = $2");
    let values = [Value::Int(repository), Value::Bytes(id.as_bytes())];
    transaction.first(&statement, &values, read)
}

/// The lineage of a client and source.
///
/// # Errors
/// Those of the database.
pub fn lineage_of(
    transaction: &mut dyn Transaction,
    repository: i64,
    client: Id,
    source: &Name,
) -> Result<Option<Lineage>> {
    let statement = "SELECT id, client, source, receipts FROM lineage \
                     WHERE repository = $1 AND client = $2 AND source = $3";
    let values = [
        Value::Int(repository),
        Value::Bytes(client.as_bytes()),
        Value::Text(source.as_str()),
    ];
    transaction.first(statement, &values, read_lineage)
}

/// All lineages of a repository from a key on, in the order of their keys; at most `limit`.
///
/// # Errors
/// Those of the database.
pub fn lineages(
    transaction: &mut dyn Transaction,
    repository: i64,
    from: i64,
    limit: u64,
) -> Result<Vec<Lineage>> {
    let statement = "SELECT id, client, source, receipts FROM lineage \
                     WHERE repository = $1 AND id >= $2 ORDER BY id LIMIT $3";
    let values = [
        Value::Int(repository),
        Value::Int(from),
        Value::Int(signed(limit)?),
    ];
    all(transaction, statement, &values, read_lineage)
}

/// How many sources a client has in a repository.
///
/// # Errors
/// Those of the database.
pub fn count_sources(
    transaction: &mut dyn Transaction,
    repository: i64,
    client: Id,
) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM lineage WHERE repository = $1 AND client = $2";
    let values = [Value::Int(repository), Value::Bytes(client.as_bytes())];
    let count = transaction.first(statement, &values, |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}

/// Makes a lineage that has no receipt yet.
///
/// # Errors
/// Those of the database.
pub fn insert_lineage(
    transaction: &mut dyn Transaction,
    repository: i64,
    client: Id,
    source: &Name,
) -> Result<()> {
    let statement = "INSERT INTO lineage (id, repository, client, source, receipts) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, 0 FROM lineage";
    let values = [
        Value::Int(repository),
        Value::Bytes(client.as_bytes()),
        Value::Text(source.as_str()),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Adds a receipt at the end of its lineage.
///
/// # Errors
/// Those of the database; also where the position is taken.
pub fn insert(
    transaction: &mut dyn Transaction,
    repository: i64,
    new: &NewReceipt<'_>,
) -> Result<()> {
    let receipt = new.receipt;
    let snapshot = FileName::new(FileType::Snapshots, receipt.snapshot);
    let stored = objects::get(transaction, &Key::new(repository, snapshot))?;
    let is_held = stored.is_some_and(|object| object.state != State::Purging);
    let statement = "INSERT INTO receipt (repository, id, lineage, position, snapshot, parent, \
         host, time, config, token, arrived_ms, held, bytes, envelope, put, replaces) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
         MAX(b.position) FROM receipt b WHERE b.lineage = $3 AND b.snapshot = $5";
    let time = receipt.time.to_string();
    let bytes = signed(new.envelope.len() as u64)?;
    let values = [
        Value::Int(repository),
        Value::Bytes(receipt.id.as_bytes()),
        Value::Int(receipt.lineage),
        Value::Int(signed(receipt.position)?),
        Value::Bytes(receipt.snapshot.as_bytes()),
        new.parent
            .as_ref()
            .map_or(Value::Null, |id| Value::Bytes(id.as_bytes())),
        Value::Text(&receipt.host),
        Value::Text(&time),
        Value::Bytes(receipt.config.as_bytes()),
        Value::Int(receipt.token),
        Value::Int(receipt.arrived_ms),
        Value::Int(i64::from(is_held)),
        Value::Int(bytes),
        Value::Bytes(new.envelope),
        Value::Int(signed(new.put)?),
    ];
    transaction.execute(statement, &values)?;
    let statement = "UPDATE lineage SET receipts = receipts + 1 WHERE id = $1";
    transaction.execute(statement, &[Value::Int(receipt.lineage)])?;
    let statement = "INSERT INTO receipt_room (repository, bytes) VALUES ($1, $2) \
         ON CONFLICT (repository) DO UPDATE SET bytes = receipt_room.bytes + excluded.bytes";
    transaction.execute(statement, &[Value::Int(repository), Value::Int(bytes)])?;
    // It counts as what the repository holds, beside its objects.
    repositories::add(transaction, repository, 0, bytes)
}

/// The envelope of a receipt, as long as its snapshot is stored.
///
/// # Errors
/// Those of the database.
pub fn envelope(
    transaction: &mut dyn Transaction,
    repository: i64,
    id: Id,
) -> Result<Option<Vec<u8>>> {
    let statement = "SELECT envelope FROM receipt WHERE repository = $1 AND id = $2";
    let values = [Value::Int(repository), Value::Bytes(id.as_bytes())];
    let found = transaction.first(statement, &values, |row| row.maybe_bytes(0))?;
    Ok(found.flatten())
}

/// How many bytes the envelopes of each repository have; those that have none are left out.
///
/// # Errors
/// Those of the database.
pub fn rooms(transaction: &mut dyn Transaction) -> Result<Vec<(i64, u64)>> {
    let statement = "SELECT repository, bytes FROM receipt_room";
    all(transaction, statement, &[], |row| {
        Ok((row.int(0)?, unsigned(row.int(1)?)?))
    })
}

/// How many bytes the envelopes of a repository have.
///
/// # Errors
/// Those of the database.
pub fn room(transaction: &mut dyn Transaction, repository: i64) -> Result<u64> {
    let statement = "SELECT bytes FROM receipt_room WHERE repository = $1";
    let bytes = transaction.first(statement, &[Value::Int(repository)], |row| row.int(0))?;
    unsigned(bytes.unwrap_or_default())
}

/// The newest receipt of the snapshot that came to a lineage last, and when the first one of that
/// snapshot came, by vault time.
///
/// What is said anew of an older snapshot, as after a prune, makes that no newer: else nobody would
/// hear that backups have ended.
///
/// # Errors
/// Those of the database.
pub fn newest(transaction: &mut dyn Transaction, lineage: i64) -> Result<Option<(Receipt, i64)>> {
    let statement = "SELECT snapshot, arrived_ms FROM receipt \
                     WHERE lineage = $1 AND replaces IS NULL ORDER BY position DESC LIMIT 1";
    let first = transaction.first(statement, &[Value::Int(lineage)], |row| {
        Ok((id_in(row, 0)?, row.int(1)?))
    })?;
    let Some((snapshot, came_ms)) = first else {
        return Ok(None);
    };
    let statement = format!(
        "SELECT {COLUMNS} FROM receipt r WHERE r.lineage = $1 AND r.snapshot = $2 \
         ORDER BY r.position DESC LIMIT 1"
    );
    let values = [Value::Int(lineage), Value::Bytes(snapshot.as_bytes())];
    let newest = transaction.first(&statement, &values, read)?;
    Ok(newest.map(|newest| (newest, came_ms)))
}

/// The receipts from a cursor on whose snapshots are live, the newest of each snapshot, in the order
/// of their positions, at most `limit`; and whether nothing is known against each snapshot.
///
/// # Errors
/// Those of the database.
pub fn live(
    transaction: &mut dyn Transaction,
    repository: i64,
    from: Cursor,
    limit: u64,
) -> Result<Vec<(Receipt, bool)>> {
    let sound = needs::SOUND;
    let statement = format!(
        "SELECT {COLUMNS}, CAST(CASE WHEN {sound} THEN 1 ELSE 0 END AS BIGINT) \
         FROM receipt r JOIN object o ON o.repository = $1 AND o.kind = 4 AND o.name = r.snapshot \
         WHERE r.lineage = $2 AND r.held = 1 AND r.position >= $3 AND o.state = 0 \
         AND NOT EXISTS (SELECT 1 FROM receipt n WHERE n.lineage = r.lineage \
             AND n.snapshot = r.snapshot AND n.position > r.position) \
         ORDER BY r.position LIMIT $4"
    );
    let values = [
        Value::Int(repository),
        Value::Int(from.lineage),
        Value::Int(signed(from.position)?),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, |row| {
        Ok((read(row)?, row.int(9)? == 1))
    })
}

/// Whether a snapshot was here and was purged.
///
/// # Errors
/// Those of the database.
pub fn was_purged(
    transaction: &mut dyn Transaction,
    repository: i64,
    snapshot: Id,
) -> Result<bool> {
    let statement = "SELECT 1 FROM purged WHERE repository = $1 AND kind = 4 AND name = $2 \
         AND NOT EXISTS (SELECT 1 FROM object WHERE repository = $1 AND kind = 4 AND name = $2)";
    let values = [Value::Int(repository), Value::Bytes(snapshot.as_bytes())];
    Ok(transaction.first(statement, &values, |_| Ok(()))?.is_some())
}

/// Notes that a snapshot is stored from now on, or that its purge begins: its receipts hold
/// things back, all of them, or no more.
///
/// # Errors
/// Those of the database.
pub fn set_held(transaction: &mut dyn Transaction, key: &Key, is_held: bool) -> Result<()> {
    if key.kind() != FileType::Snapshots {
        return Ok(());
    }
    let statement = "UPDATE receipt SET held = $3 WHERE repository = $1 AND snapshot = $2";
    let [repository, _, name] = key.values();
    let values = [repository, name, Value::Int(i64::from(is_held))];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// The receipts that came until `arrived_ms` and say anew what the snapshot of an older one needs that
/// still holds things back, the newest first, those behind a receipt alone where there is one, at most
/// `limit`; none that was [silenced](crate::records::silenced).
///
/// # Errors
/// Those of the database.
pub fn replacing(
    transaction: &mut dyn Transaction,
    repository: i64,
    arrived_ms: i64,
    behind: Option<&Receipt>,
    limit: u64,
) -> Result<Vec<Receipt>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM receipt r WHERE r.repository = $1 AND r.replaces IS NOT NULL \
         AND r.held = 1 AND r.arrived_ms <= $2 AND EXISTS (SELECT 1 FROM receipt b \
             WHERE b.lineage = r.lineage AND b.position = r.replaces AND b.held = 1) \
         AND NOT {SILENCED} \
         AND (r.arrived_ms < $2 OR r.lineage < $3 OR (r.lineage = $3 AND r.position < $4)) \
         ORDER BY r.arrived_ms DESC, r.lineage DESC, r.position DESC LIMIT $5"
    );
    let behind = behind.filter(|it| it.arrived_ms <= arrived_ms);
    let (arrived_ms, lineage, position) = match behind {
        Some(it) => (it.arrived_ms, it.lineage, signed(it.position)?),
        None => (arrived_ms, i64::MAX, 0),
    };
    let values = [
        Value::Int(repository),
        Value::Int(arrived_ms),
        Value::Int(lineage),
        Value::Int(position),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, read)
}

/// Has a receipt hold things back in the stead of all older ones of its snapshot and lineage; returns
/// how many of these held any. One that was [silenced](crate::records::silenced) meanwhile takes no
/// place.
///
/// # Errors
/// Those of the database.
pub fn replace(transaction: &mut dyn Transaction, newer: &Receipt) -> Result<u64> {
    let statement = format!(
        "UPDATE receipt SET held = 2 \
         WHERE lineage = $1 AND snapshot = $2 AND position < $3 AND held = 1 \
         AND NOT EXISTS (SELECT 1 FROM receipt r \
             WHERE r.lineage = $1 AND r.position = $3 AND {SILENCED})"
    );
    let values = [
        Value::Int(newer.lineage),
        Value::Bytes(newer.snapshot.as_bytes()),
        Value::Int(signed(newer.position)?),
    ];
    transaction.execute(&statement, &values)
}

/// Lets go of the envelopes of a snapshot that is purged; what its receipts said stays.
///
/// # Errors
/// Those of the database.
pub fn drop_envelopes(transaction: &mut dyn Transaction, key: &Key) -> Result<()> {
    if key.kind() != FileType::Snapshots {
        return Ok(());
    }
    let [repository, _, name] = key.values();
    let condition = "repository = $1 AND snapshot = $2 AND envelope IS NOT NULL";
    let statement =
        format!("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM receipt WHERE {condition}");
    let bytes = transaction.first(&statement, &[repository, name], |row| row.int(0))?;
    let statement = format!("UPDATE receipt SET envelope = NULL WHERE {condition}");
    transaction.execute(&statement, &[repository, name])?;
    let statement = "UPDATE receipt_room SET bytes = bytes - $2 WHERE repository = $1";
    let bytes = bytes.unwrap_or_default();
    transaction.execute(statement, &[repository, Value::Int(bytes)])?;
    repositories::add(transaction, key.repository(), 0, -bytes)
}

/// How many receipts hold things back whose snapshot is not stored, or hold nothing back whose
/// snapshot is: none, or something is wrong with this program.
///
/// # Errors
/// Those of the database.
pub fn count_wrongly_held(transaction: &mut dyn Transaction) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM receipt r \
         WHERE CASE WHEN r.held = 0 THEN 0 ELSE 1 END <> CASE WHEN EXISTS \
         (SELECT 1 FROM object o WHERE o.repository = r.repository AND o.kind = 4 \
          AND o.name = r.snapshot AND o.state <> 4) THEN 1 ELSE 0 END";
    let count = transaction.first(statement, &[], |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}
