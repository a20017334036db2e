//! What a token has put, out of sight and back.
//!
//! An object stands as long as somebody stands for it whose part in it was not hidden: the token
//! that brought it, or one that has put it as well. So hiding one thief's part must not leave it
//! to another thief for ever, and must never take it from whoever is honest. Both are done a part at
//! a time.

use std::collections::BTreeMap;

use strongroom_model::FileName;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::under_way::{PART, Part, Place, UnderWay};
use crate::records::{many, needs, signed, tally, unsigned};
use crate::rules::life::State;

/// What both the object and its putters are found by.
const SAME: &str =
    "p.repository = object.repository AND p.kind = object.kind AND p.name = object.name";

/// What a part of an act on a token is about: `$1` is the token, `$2` to `$5` the place behind which
/// the part begins, `$6` to `$9` the last one of it. That the leaf stands there twice is for the
/// index, which knows no more than token and leaf.
const PART_OF_TOKEN: &str = "token = $1 AND put >= $2 AND put <= $6 \
     AND (put, repository, kind, name) > ($2, $3, $4, $5) \
     AND (put, repository, kind, name) <= ($6, $7, $8, $9)";

/// Of what is hidden, the keys that waited for an operator: they were never seen, so that their life
/// ended where it began. A key that was admitted, or is from before there was a `config`, has one.
const HAS_WAITED: &str = "kind = 1 AND ended = began";

/// Takes out of sight what a token alone has put, a part of it. What others have put as well is
/// theirs from now on. Of a tombstone it is noted, so that no undelete brings it back. These, and the
/// objects for which the token stands no more, are the others of the part.
///
/// # Errors
/// Those of the database.
pub fn hide(transaction: &mut dyn Transaction, act: &UnderWay, leaf: u64) -> Result<Part> {
    let ended = end_standing(transaction, act)?;
    if ended == PART {
        return Ok(Part {
            objects: 0,
            others: ended,
            next: Some(act.at.clone()),
        });
    }
    let next = last_of_part(transaction, act)?;
    let until = next.clone().unwrap_or(Place::before(act.before));
    let part = values_of_part(act, &until)?;
    let handed = hand_over(transaction, &part)?;
    // What is left has nobody else.
    let condition = format!("{PART_OF_TOKEN} AND state IN (0, 3)");
    for found in tally::count(transaction, &condition, &part)? {
        tally::shift_all(transaction, &found, State::Hidden)?;
    }
    // What waits was never seen, so that its life is none: it ends where it began.
    let statement = format!(
        "UPDATE object SET state = 2, ended = CASE state WHEN 3 THEN began ELSE $10 END \
         WHERE {condition} RETURNING repository, kind, name"
    );
    let with_leaf = [&part[..], &[Value::Int(signed(leaf)?)]].concat();
    let hidden = Changed::by(transaction, &statement, &with_leaf)?;
    let statement = format!(
        "UPDATE object SET out_of_sight = 1 \
         WHERE {PART_OF_TOKEN} AND state = 1 AND out_of_sight = 0"
    );
    let tombstones = transaction.execute(&statement, &part)?;
    hidden.look_again(transaction)?;
    Ok(Part {
        objects: hidden.objects,
        others: ended + handed + tombstones,
        next,
    })
}

/// Whether anything that a token has put from a leaf on is hidden, or is a tombstone that no undelete
/// brings back. Where nothing of it is seen, the first object that is found is one.
///
/// # Errors
/// Those of the database.
pub fn is_any_hidden(transaction: &mut dyn Transaction, token: i64, since: u64) -> Result<bool> {
    let statement = "SELECT name FROM object WHERE token = $1 AND put >= $2 \
                     AND (state = 2 OR out_of_sight = 1) LIMIT 1";
    let values = [Value::Int(token), Value::Int(signed(since)?)];
    let found = transaction.first(statement, &values, |row| row.bytes(0))?;
    Ok(found.is_some())
}

/// Lets a token stand no more for what others have put, a part of it; returns how many objects.
fn end_standing(transaction: &mut dyn Transaction, act: &UnderWay) -> Result<u64> {
    let statement = "DELETE FROM putter WHERE (repository, kind, name, token) IN ( \
         SELECT p.repository, p.kind, p.name, p.token FROM putter p \
         WHERE p.token = $1 AND p.put >= $2 AND p.put < $3 LIMIT $4)";
    let values = [
        Value::Int(act.token),
        Value::Int(signed(act.since)?),
        Value::Int(signed(act.before)?),
        Value::Int(signed(PART)?),
    ];
    transaction.execute(statement, &values)
}

/// The last object of a part; none where the part is all that is left.
fn last_of_part(transaction: &mut dyn Transaction, act: &UnderWay) -> Result<Option<Place>> {
    let statement = "SELECT put, repository, kind, name FROM object \
         WHERE token = $1 AND put >= $2 AND put < $6 \
         AND (put, repository, kind, name) > ($2, $3, $4, $5) \
         ORDER BY put, repository, kind, name LIMIT 1 OFFSET $7";
    let values = [
        Value::Int(act.token),
        Value::Int(signed(act.at.leaf)?),
        Value::Int(act.at.repository),
        Value::Int(act.at.kind),
        Value::Bytes(&act.at.name),
        Value::Int(signed(act.before)?),
        Value::Int(signed(PART - 1)?),
    ];
    transaction.first(statement, &values, |row| {
        Ok(Place {
            leaf: unsigned(row.int(0)?)?,
            repository: row.int(1)?,
            kind: row.int(2)?,
            name: row.bytes(3)?,
        })
    })
}

fn values_of_part<'v>(act: &'v UnderWay, until: &'v Place) -> Result<[Value<'v>; 9]> {
    Ok([
        Value::Int(act.token),
        Value::Int(signed(act.at.leaf)?),
        Value::Int(act.at.repository),
        Value::Int(act.at.kind),
        Value::Bytes(&act.at.name),
        Value::Int(signed(until.leaf)?),
        Value::Int(until.repository),
        Value::Int(until.kind),
        Value::Bytes(&until.name),
    ])
}

/// Hands a part of what a token has put over to whoever was the first to put it as well; returns how
/// many objects.
fn hand_over(transaction: &mut dyn Transaction, part: &[Value<'_>; 9]) -> Result<u64> {
    let condition = format!(
        "{PART_OF_TOKEN} AND state IN (0, 1, 3) AND EXISTS (SELECT 1 FROM putter p WHERE {SAME})"
    );
    let first = |column: &str| {
        format!("(SELECT p.{column} FROM putter p WHERE {SAME} ORDER BY p.put, p.token LIMIT 1)")
    };
    let statement = format!(
        "UPDATE object SET token = {}, put = {} WHERE {condition} RETURNING repository, kind, name",
        first("token"),
        first("put"),
    );
    let handed = Changed::by(transaction, &statement, part)?;
    // Whose an object is, is not among those who have put it as well.
    for (repository, names) in &handed.names {
        for name in names.iter().filter(|name| name.id().is_none()) {
            let statement = "DELETE FROM putter WHERE repository = $1 AND kind = $2 AND name = $3 \
                 AND token = (SELECT o.token FROM object o WHERE o.repository = $1 \
                     AND o.kind = $2 AND o.name = $3)";
            transaction.execute(statement, &Key::new(*repository, *name).values())?;
        }
        many::by_type(names, &mut |kind, ids| {
            if ids.is_empty() {
                return Ok(());
            }
            let statement = format!(
                "DELETE FROM putter WHERE repository = $1 AND kind = $2 AND name IN ({}) \
                 AND token = (SELECT o.token FROM object o WHERE o.repository = $1 \
                     AND o.kind = $2 AND o.name = putter.name)",
                many::places(3, ids.len(), ("", ""))
            );
            let first = [Value::Int(*repository), Value::Int(kind)];
            transaction.execute(&statement, &many::values(&first, ids))?;
            Ok(())
        })?;
    }
    Ok(handed.objects)
}

/// Notes who stands for an object that a token has just put again, beside that token: for a
/// tombstone whoever stood for it, unless he was hidden; else nobody.
///
/// # Errors
/// Those of the database.
pub(super) fn pass_on(
    transaction: &mut dyn Transaction,
    key: &Key,
    before: Option<State>,
    token: i64,
) -> Result<()> {
    let [repository, kind, name] = key.values();
    let values = [repository, kind, name, Value::Int(token)];
    let place = "repository = $1 AND kind = $2 AND name = $3";
    if before != Some(State::Tombstoned) {
        let statement = format!("DELETE FROM putter WHERE {place}");
        transaction.execute(&statement, &key.values())?;
        return Ok(());
    }
    let statement = format!(
        "INSERT INTO putter (repository, kind, name, token, put) \
         SELECT repository, kind, name, token, put FROM object \
         WHERE {place} AND token <> $4 AND out_of_sight = 0 ON CONFLICT DO NOTHING"
    );
    transaction.execute(&statement, &values)?;
    let statement = format!("DELETE FROM putter WHERE {place} AND token = $4");
    transaction.execute(&statement, &values)?;
    Ok(())
}

/// Shows again what of a token was hidden, a part of it: each object is what it was before, so that
/// a key that waited for an operator waits again, and one that was admitted is live. What was seen
/// of it stays in the views of its time. Tombstones that an undelete brings back from now on are the
/// others of the part.
///
/// # Errors
/// Those of the database.
pub fn unhide(transaction: &mut dyn Transaction, act: &UnderWay, leaf: u64) -> Result<Part> {
    let next = last_of_part(transaction, act)?;
    let until = next.clone().unwrap_or(Place::before(act.before));
    let part = values_of_part(act, &until)?;
    let statement = format!(
        "INSERT INTO past (repository, kind, name, began, ended) \
         SELECT repository, kind, name, began, ended FROM object \
         WHERE {PART_OF_TOKEN} AND state = 2 AND ended > began"
    );
    transaction.execute(&statement, &part)?;
    let statement =
        format!("UPDATE object SET out_of_sight = 0 WHERE {PART_OF_TOKEN} AND out_of_sight = 1");
    let tombstones = transaction.execute(&statement, &part)?;
    for (which, to) in [
        (HAS_WAITED.to_owned(), State::Pending),
        (format!("NOT ({HAS_WAITED})"), State::Live),
    ] {
        let condition = format!("{PART_OF_TOKEN} AND state = 2 AND {which}");
        for found in tally::count(transaction, &condition, &part)? {
            tally::shift_all(transaction, &found, to)?;
        }
    }
    let statement = format!(
        "UPDATE object SET state = CASE WHEN {HAS_WAITED} THEN 3 ELSE 0 END, began = $10, \
         ended = NULL WHERE {PART_OF_TOKEN} AND state = 2 RETURNING repository, kind, name"
    );
    let with_leaf = [&part[..], &[Value::Int(signed(leaf)?)]].concat();
    let shown = Changed::by(transaction, &statement, &with_leaf)?;
    shown.look_again(transaction)?;
    Ok(Part {
        objects: shown.objects,
        others: tombstones,
        next,
    })
}

/// Objects that a statement has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// How many.
    pub(super) objects: u64,
    /// Which, by repository; as many as a part has.
    names: BTreeMap<i64, Vec<FileName>>,
}

impl Changed {
    /// Runs a statement that returns repository, type and name of what it changes.
    pub(super) fn by(
        transaction: &mut dyn Transaction,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Self> {
        let mut changed = Self::default();
        transaction.query(statement, values, &mut |row| {
            let names = changed.names.entry(row.int(0)?).or_default();
            names.push(objects::name_in(row, 1, 2)?);
            changed.objects += 1;
            Ok(())
        })?;
        for names in changed.names.values_mut() {
            names.sort();
        }
        Ok(changed)
    }

    /// Notes anew which of them are here, wherever they are needed.
    pub(super) fn look_again(&self, transaction: &mut dyn Transaction) -> Result<()> {
        let mut all = self.names.iter();
        all.try_for_each(|(repository, names)| {
            needs::look_again_at(transaction, *repository, names)
        })
    }
}
