//! Which files the receipts of a lineage need, and which of those are not here.
//!
//! A row is an interval of positions, so that a thousand receipts that need the same pack have one
//! row of it. Whether the file is here is noted in the row and looked at anew by everything in
//! [`objects`](crate::records::objects) that changes an object: **whoever changes what makes an
//! object sound calls [`look_again`] in the same transaction.**
//!
//! **Nobody sees a row before its receipt stands:** a row is needed at a position only from where it
//! begins until before where it ends, and whoever looks for what the last receipt needs looks at its
//! position. So what the next one changes may be written down at the next position a part at a time,
//! and is seen when a receipt has that position, all at once; until then every receipt that stands
//! needs what it needed.
//!
//! What can go wrong: a note that is out of date shows a snapshot as whole that is not. What is
//! held back from a purge does not depend on these notes.

use strongroom_model::{FileName, FileType};

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::{many, signed};
use crate::rules::life::State;
use crate::rules::needs::Difference;
use crate::rules::wholeness::StoredKey;

/// Where the interval of a file ends of which no receipt says yet that it is not needed.
pub const OPEN: i64 = i64::MAX;

/// Whether the object `o` of a statement counts as here: live, or a key that waits for an operator,
/// which is stored, and so not missing; and not known to be rotten. That a snapshot needs one key
/// that is live is looked at besides: see [`stored_keys`].
///
/// What makes an object sound is said here and nowhere else; see [`is_sound_here`].
pub(super) const SOUND: &str = "((o.state = 0 OR (o.state = 3 AND o.kind = 1)) \
     AND NOT EXISTS (SELECT 1 FROM rotten x WHERE x.repository = o.repository \
         AND x.kind = o.kind AND x.name = o.name))";

/// A row of which it is asked whether its file is here.
const OF_NEED: &str =
    "o.repository = need.repository AND o.kind = need.kind AND o.name = need.name";

/// Which lineage, of which repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key of the repository's row.
    pub repository: i64,
    /// The key of the lineage's row.
    pub lineage: i64,
}

impl Place {
    /// The first values of a statement about files of a type: repository, type, lineage; and more.
    fn values<const MORE: usize>(
        self,
        kind: i64,
        more: [Value<'static>; MORE],
    ) -> Vec<Value<'static>> {
        let first = [self.repository, kind, self.lineage].map(Value::Int);
        first.into_iter().chain(more).collect()
    }
}

/// Whether an object is here and nothing is known against it.
///
/// # Errors
/// Those of the database.
pub fn is_sound_here(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    let statement = format!(
        "SELECT 1 FROM object o WHERE o.repository = $1 AND o.kind = $2 AND o.name = $3 AND {SOUND}"
    );
    let found = transaction.first(&statement, &key.values(), |_| Ok(()))?;
    Ok(found.is_some())
}

/// Hands over every file that a lineage ever needed, by name: whether it is needed at the position
/// `parent`, and whether at that of the last receipt.
///
/// # Errors
/// Those of the database and of `each`.
pub fn rows(
    transaction: &mut dyn Transaction,
    lineage: i64,
    (parent, last): (Option<u64>, Option<u64>),
    each: &mut dyn FnMut(FileName, bool, bool) -> Result<()>,
) -> Result<()> {
    let statement = "SELECT kind, name, \
         CAST(MAX(CASE WHEN began <= $2 AND ended > $2 THEN 1 ELSE 0 END) AS BIGINT), \
         CAST(MAX(CASE WHEN began <= $3 AND ended > $3 THEN 1 ELSE 0 END) AS BIGINT) \
         FROM need WHERE lineage = $1 GROUP BY kind, name ORDER BY kind, name";
    let at = |position: Option<u64>| position.map_or(Ok(-1), signed).map(Value::Int);
    let values = [Value::Int(lineage), at(parent)?, at(last)?];
    transaction.query(statement, &values, &mut |row| {
        let name = objects::name_in(row, 0, 1)?;
        each(name, row.int(2)? == 1, row.int(3)? == 1)
    })
}

/// Those of some files that the last receipt of a lineage needs, whose position is `last`, in their
/// order, which must be that of their names.
///
/// # Errors
/// Those of the database.
pub fn open_among(
    transaction: &mut dyn Transaction,
    place: Place,
    last: u64,
    names: &[FileName],
) -> Result<Vec<FileName>> {
    let last = Value::Int(signed(last)?);
    let mut open = Vec::new();
    many::by_type(names, &mut |kind, ids| {
        let statement = format!(
            "SELECT kind, name FROM need WHERE repository = $1 AND kind = $2 AND lineage = $3 \
             AND began <= $4 AND ended > $4 AND name IN ({}) ORDER BY name",
            many::places(5, ids.len(), ("", ""))
        );
        let first = place.values(kind, [last]);
        transaction.query(&statement, &many::values(&first, ids), &mut |row| {
            open.push(objects::name_in(row, 0, 1)?);
            Ok(())
        })
    })?;
    Ok(open)
}

/// The keys that the last receipt of a lineage needs, whose position is `last`.
///
/// # Errors
/// Those of the database.
pub fn open_keys(
    transaction: &mut dyn Transaction,
    lineage: i64,
    last: u64,
) -> Result<Vec<FileName>> {
    let statement = "SELECT kind, name FROM need WHERE lineage = $1 AND kind = 1 \
                     AND began <= $2 AND ended > $2 ORDER BY name";
    let values = [Value::Int(lineage), Value::Int(signed(last)?)];
    super::all(transaction, statement, &values, |row| {
        objects::name_in(row, 0, 1)
    })
}

/// Goes on to what the receipt at `position` needs, which is the next one, or a part of that;
/// nothing may be in `difference` that does not belong to the last one.
///
/// # Errors
/// Those of the database.
pub fn apply(
    transaction: &mut dyn Transaction,
    place: Place,
    position: u64,
    difference: &Difference,
) -> Result<()> {
    let (at, open) = (Value::Int(signed(position)?), Value::Int(OPEN));
    many::by_type(&difference.dropped, &mut |kind, ids| {
        let statement = format!(
            "UPDATE need SET ended = $4 WHERE repository = $1 AND kind = $2 AND lineage = $3 \
             AND ended = $5 AND name IN ({})",
            many::places(6, ids.len(), ("", ""))
        );
        let first = place.values(kind, [at, open]);
        transaction.execute(&statement, &many::values(&first, ids))?;
        Ok(())
    })?;
    // Both databases call the column of a list of values so.
    many::by_type(&difference.added, &mut |kind, ids| {
        let statement = format!(
            "INSERT INTO need (repository, kind, name, lineage, began, ended, lacking) \
             SELECT $1, $2, v.column1, $3, $4, $5, CASE WHEN EXISTS (SELECT 1 FROM object o \
                 WHERE o.repository = $1 AND o.kind = $2 AND o.name = v.column1 AND {SOUND}) \
             THEN 0 ELSE 1 END FROM (VALUES {}) AS v",
            many::places(6, ids.len(), ("(", ")"))
        );
        let first = place.values(kind, [at, open]);
        transaction.execute(&statement, &many::values(&first, ids))?;
        Ok(())
    })
}

/// Notes anew whether a file is here.
///
/// # Errors
/// Those of the database.
pub fn look_again(transaction: &mut dyn Transaction, key: &Key) -> Result<()> {
    if !matches!(
        key.kind(),
        FileType::Keys | FileType::Data | FileType::Index
    ) {
        return Ok(());
    }
    let statement = format!(
        "UPDATE need SET lacking = CASE WHEN EXISTS \
             (SELECT 1 FROM object o WHERE {OF_NEED} AND {SOUND}) THEN 0 ELSE 1 END \
         WHERE repository = $1 AND kind = $2 AND name = $3"
    );
    transaction.execute(&statement, &key.values())?;
    Ok(())
}

/// Notes anew whether files of a repository are here.
///
/// # Errors
/// Those of the database.
pub(super) fn look_again_at(
    transaction: &mut dyn Transaction,
    repository: i64,
    names: &[FileName],
) -> Result<()> {
    many::by_type(names, &mut |kind, ids| {
        // Of other types no receipt tells, and `config` has no id.
        if ids.is_empty() || !(1..=3).contains(&kind) {
            return Ok(());
        }
        let statement = format!(
            "UPDATE need SET lacking = CASE WHEN EXISTS \
                 (SELECT 1 FROM object o WHERE {OF_NEED} AND {SOUND}) THEN 0 ELSE 1 END \
             WHERE repository = $1 AND kind = $2 AND name IN ({})",
            many::places(3, ids.len(), ("", ""))
        );
        let first = [Value::Int(repository), Value::Int(kind)];
        transaction.execute(&statement, &many::values(&first, ids))?;
        Ok(())
    })
}

/// How many files are missing of what the receipt at a position needs. Of each type it is found as
/// by `ends`, so that what others name costs nothing here.
///
/// # Errors
/// Those of the database.
pub fn count_lacking(
    transaction: &mut dyn Transaction,
    lineage: i64,
    position: u64,
) -> Result<u64> {
    let statement = format!(
        "WITH RECURSIVE e (kind, ended) AS \
         (SELECT k.column1, {} FROM (VALUES (1), (2), (3)) AS k \
         UNION ALL SELECT e.kind, {} FROM e WHERE e.ended IS NOT NULL) \
         SELECT CAST(COALESCE(SUM((SELECT COUNT(*) FROM need n WHERE n.lineage = $1 \
             AND n.kind = e.kind AND n.lacking = 1 AND n.ended = e.ended AND n.began <= $2)), 0) \
             AS BIGINT) FROM e",
        next_end("k.column1", 1, "$2"),
        next_end("e.kind", 1, "e.ended")
    );
    let values = [Value::Int(lineage), Value::Int(signed(position)?)];
    let count = transaction.first(&statement, &values, |row| row.int(0))?;
    super::unsigned(count.unwrap_or_default())
}

/// Whether any pack or index file is gone or rotten that the receipt at a position needs: what is only
/// asked to be deleted is not, for the receipt holds it back.
///
/// # Errors
/// Those of the database.
pub fn is_any_gone(transaction: &mut dyn Transaction, lineage: i64, position: u64) -> Result<bool> {
    let statement = format!(
        "{} SELECT 1 FROM e WHERE (SELECT 1 FROM need n WHERE n.lineage = $1 AND n.kind = $2 \
             AND n.lacking = 1 AND n.ended = e.ended AND n.began <= $3 AND NOT EXISTS \
             (SELECT 1 FROM object o WHERE o.repository = n.repository AND o.kind = n.kind \
                 AND o.name = n.name AND o.state = 1 AND NOT EXISTS (SELECT 1 FROM rotten x \
                     WHERE x.repository = o.repository AND x.kind = o.kind AND x.name = o.name)) \
             ORDER BY n.began LIMIT 1) = 1 LIMIT 1",
        ends(1)
    );
    for kind in [FileType::Data, FileType::Index] {
        if is_any(transaction, &statement, (lineage, position), kind)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the receipt at a position needs any file of a type.
///
/// # Errors
/// Those of the database.
pub fn is_any_needed(
    transaction: &mut dyn Transaction,
    lineage: i64,
    position: u64,
    kind: FileType,
) -> Result<bool> {
    for lacking in [0, 1] {
        let statement = format!(
            "{} SELECT 1 FROM e WHERE (SELECT n.began FROM need n WHERE n.lineage = $1 \
                 AND n.kind = $2 AND n.lacking = {lacking} AND n.ended = e.ended \
                 ORDER BY n.began LIMIT 1) <= $3 LIMIT 1",
            ends(lacking)
        );
        if is_any(transaction, &statement, (lineage, position), kind)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The beginning of a statement: all ends `e`, each once, of the files of the lineage `$1` and the type
/// `$2`, lacking or not, that are needed behind the position `$3`.
///
/// There is at most one for each receipt that came since, and one more; each is found by one look, and so
/// is what of it had begun by then. So whoever names millions of files makes no look longer that is not
/// about these.
fn ends(lacking: i64) -> String {
    let next = |behind| next_end("$2", lacking, behind);
    let (first, others) = (next("$3"), next("e.ended"));
    format!(
        "WITH RECURSIVE e (ended) AS \
         (SELECT {first} UNION ALL SELECT {others} FROM e WHERE e.ended IS NOT NULL)"
    )
}

/// The first end behind one, of the files of the lineage `$1` and a type, lacking or not.
fn next_end(kind: &str, lacking: i64, behind: &str) -> String {
    format!(
        "(SELECT n.ended FROM need n WHERE n.lineage = $1 AND n.kind = {kind} \
         AND n.lacking = {lacking} AND n.ended > {behind} ORDER BY n.ended LIMIT 1)"
    )
}

/// Whether such a statement finds anything of a type, in a lineage and at a position.
fn is_any(
    transaction: &mut dyn Transaction,
    statement: &str,
    (lineage, position): (i64, u64),
    kind: FileType,
) -> Result<bool> {
    let values = [
        Value::Int(lineage),
        Value::Int(objects::number_of(kind)),
        Value::Int(signed(position)?),
    ];
    let found = transaction.first(statement, &values, |_| Ok(()))?;
    Ok(found.is_some())
}

/// The keys that receipts of a lineage from position `first` to `last` name and that are stored: live,
/// or waiting for an operator.
///
/// # Errors
/// Those of the database.
pub fn stored_keys(
    transaction: &mut dyn Transaction,
    lineage: i64,
    (first, last): (u64, u64),
) -> Result<Vec<StoredKey>> {
    let statement = "SELECT n.kind, n.name, n.began, n.ended, o.state FROM need n \
         JOIN object o ON o.repository = n.repository AND o.kind = n.kind AND o.name = n.name \
         WHERE n.lineage = $1 AND n.kind = 1 AND n.lacking = 0 AND n.began <= $3 AND n.ended > $2 \
         ORDER BY n.name, n.began";
    let values = [
        Value::Int(lineage),
        Value::Int(signed(first)?),
        Value::Int(signed(last)?),
    ];
    super::all(transaction, statement, &values, |row| {
        Ok(StoredKey {
            name: objects::name_in(row, 0, 1)?,
            began: super::unsigned(row.int(2)?)?,
            ended: super::unsigned(row.int(3)?)?,
            is_live: row.int(4)? == State::Live.number(),
        })
    })
}

/// Hands over the files of a lineage that are missing and that a receipt from position `first` to
/// `last` needs, by name: from which position on each is needed, and until before which.
///
/// # Errors
/// Those of the database.
pub fn lacking(
    transaction: &mut dyn Transaction,
    lineage: i64,
    (first, last): (u64, u64),
    each: &mut dyn FnMut(FileName, u64, u64),
) -> Result<()> {
    let statement = "SELECT kind, name, began, ended FROM need WHERE lineage = $1 \
                     AND lacking = 1 AND began <= $3 AND ended > $2 ORDER BY kind, name";
    let values = [
        Value::Int(lineage),
        Value::Int(signed(first)?),
        Value::Int(signed(last)?),
    ];
    transaction.query(statement, &values, &mut |row| {
        let name = objects::name_in(row, 0, 1)?;
        let (began, ended) = (super::unsigned(row.int(2)?)?, super::unsigned(row.int(3)?)?);
        each(name, began, ended);
        Ok(())
    })
}

/// Whether a receipt holds a file back: one that needs it, and whose snapshot is stored.
///
/// **Security:** what this is true of is not purged. It asks which positions need the file, and
/// whether one of those holds back what it needs. What a client sends ends that only as
/// [`receipts::replace`](super::receipts::replace) does, long after it came.
///
/// # Errors
/// Those of the database.
pub fn is_held(transaction: &mut dyn Transaction, key: &Key) -> Result<bool> {
    let statement = "SELECT 1 FROM need n WHERE n.repository = $1 AND n.kind = $2 \
         AND n.name = $3 AND EXISTS (SELECT 1 FROM receipt r WHERE r.lineage = n.lineage \
             AND r.held = 1 AND r.position >= n.began AND r.position < n.ended)";
    let held = transaction.first(statement, &key.values(), |_| Ok(()))?;
    Ok(held.is_some())
}
