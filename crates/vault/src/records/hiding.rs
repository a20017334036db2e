//! What a token has put, out of sight and back.
//!
//! An object stands as long as somebody stands for it whose part in it was not hidden: the token
//! that brought it, or one that has put it as well. So hiding one thief's part must not leave it
//! to another thief for ever, and must never take it from whoever is honest.

use std::collections::BTreeMap;

use strongroom_model::FileName;

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::objects::{self, Key};
use crate::records::{many, needs, signed, tally};
use crate::rules::life::State;

/// What both the object and its putters are found by.
const SAME: &str =
    "p.repository = object.repository AND p.kind = object.kind AND p.name = object.name";

/// Takes out of sight what a token alone has put since a leaf; returns how many objects. What
/// others have put as well is theirs from now on. Of a tombstone it is noted, so that no undelete
/// brings it back.
///
/// # Errors
/// Those of the database.
pub fn hide(transaction: &mut dyn Transaction, token: i64, since: u64, leaf: u64) -> Result<u64> {
    let of_token = [Value::Int(token), Value::Int(signed(since)?)];
    let [by, from] = of_token;
    let statement = "DELETE FROM putter WHERE token = $1 AND put >= $2";
    transaction.execute(statement, &of_token)?;
    hand_over(transaction, &of_token)?;
    // What is left has nobody else.
    let condition = "token = $1 AND put >= $2 AND state IN (0, 3)";
    for found in tally::count(transaction, condition, &of_token)? {
        tally::shift_all(transaction, &found, State::Hidden)?;
    }
    // What waits was never seen, so that its life is none: it ends where it began.
    let statement = format!(
        "UPDATE object SET state = 2, ended = CASE state WHEN 3 THEN began ELSE $3 END \
         WHERE {condition}"
    );
    let hidden = transaction.execute(&statement, &[by, from, Value::Int(signed(leaf)?)])?;
    let statement = "UPDATE object SET out_of_sight = 1 \
                     WHERE token = $1 AND put >= $2 AND state = 1";
    transaction.execute(statement, &of_token)?;
    needs::look_again_at_hidden(transaction, token)?;
    Ok(hidden)
}

/// Hands what a token has put since a leaf over to whoever was the first to put it as well.
fn hand_over(transaction: &mut dyn Transaction, of_token: &[Value<'_>; 2]) -> Result<()> {
    let condition = format!(
        "token = $1 AND put >= $2 AND state IN (0, 1, 3) \
         AND EXISTS (SELECT 1 FROM putter p WHERE {SAME})"
    );
    let mut handed: BTreeMap<i64, Vec<FileName>> = BTreeMap::new();
    let statement = format!(
        "SELECT repository, kind, name FROM object WHERE {condition} \
         ORDER BY repository, kind, name"
    );
    transaction.query(&statement, of_token, &mut |row| {
        let names = handed.entry(row.int(0)?).or_default();
        names.push(objects::name_in(row, 1, 2)?);
        Ok(())
    })?;
    if handed.is_empty() {
        return Ok(());
    }
    let first = |column: &str| {
        format!("(SELECT p.{column} FROM putter p WHERE {SAME} ORDER BY p.put, p.token LIMIT 1)")
    };
    let statement = format!(
        "UPDATE object SET token = {}, put = {} WHERE {condition}",
        first("token"),
        first("put"),
    );
    transaction.execute(&statement, of_token)?;
    // Whose an object is, is not among those who have put it as well.
    for (repository, names) in handed {
        many::by_type(&names, &mut |kind, ids| {
            let statement = format!(
                "DELETE FROM putter WHERE repository = $1 AND kind = $2 AND name IN ({}) \
                 AND token = (SELECT o.token FROM object o WHERE o.repository = $1 \
                     AND o.kind = $2 AND o.name = putter.name)",
                many::places(3, ids.len(), ("", ""))
            );
            let first = [Value::Int(repository), Value::Int(kind)];
            transaction.execute(&statement, &many::values(&first, ids))?;
            Ok(())
        })?;
    }
    Ok(())
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

/// Shows again what of a token was hidden; returns how many objects. Keys wait for an operator
/// then, also those that did not before; what was seen of them stays in the views of its time.
///
/// # Errors
/// Those of the database.
pub fn unhide(transaction: &mut dyn Transaction, token: i64, leaf: u64) -> Result<u64> {
    let statement = "INSERT INTO past (repository, kind, name, began, ended) \
         SELECT repository, kind, name, began, ended FROM object \
         WHERE token = $1 AND state = 2 AND ended > began";
    transaction.execute(statement, &[Value::Int(token)])?;
    let statement = "UPDATE object SET out_of_sight = 0 WHERE token = $1 AND out_of_sight = 1";
    transaction.execute(statement, &[Value::Int(token)])?;
    for (kinds, to) in [("kind = 1", State::Pending), ("kind <> 1", State::Live)] {
        let condition = format!("token = $1 AND state = 2 AND {kinds}");
        for found in tally::count(transaction, &condition, &[Value::Int(token)])? {
            tally::shift_all(transaction, &found, to)?;
        }
    }
    let statement = "UPDATE object SET state = CASE kind WHEN 1 THEN 3 ELSE 0 END, began = $2, \
         ended = NULL WHERE token = $1 AND state = 2";
    let shown = transaction.execute(statement, &[Value::Int(token), Value::Int(signed(leaf)?)])?;
    needs::look_again_at_lacking(transaction)?;
    Ok(shown)
}
