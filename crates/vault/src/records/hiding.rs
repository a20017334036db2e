//! What a token has put, out of sight and back.
//!
//! An object stands as long as somebody stands for it whose part in it was not hidden: the token
//! that brought it, or one that has put it as well. So hiding one thief's part must not leave it
//! to another thief for ever, and must never take it from whoever is honest.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::tally;
use crate::records::{needs, signed};
use crate::rules::life::State;

/// What both the object and its putters are found by.
const SAME: &str =
    "p.repository = object.repository AND p.kind = object.kind AND p.name = object.name";

/// Takes out of sight what a token alone has put since a leaf; returns how many objects. What
/// others have put as well is theirs from now on.
///
/// # Errors
/// Those of the database.
pub fn hide(transaction: &mut dyn Transaction, token: i64, since: u64, leaf: u64) -> Result<u64> {
    let of_token = [Value::Int(token), Value::Int(signed(since)?)];
    let [by, from] = of_token;
    let statement = "DELETE FROM putter WHERE token = $1 AND put >= $2";
    transaction.execute(statement, &of_token)?;
    let condition = format!(
        "token = $1 AND put >= $2 AND state IN (0, 3) \
         AND NOT EXISTS (SELECT 1 FROM putter p WHERE {SAME})"
    );
    for found in tally::count(transaction, &condition, &of_token)? {
        let moves = (Some(found.state), Some(State::Hidden));
        tally::shift(transaction, found.repository, moves, found.tally)?;
    }
    // What waits was never seen, so that its life is none: it ends where it began.
    let statement = format!(
        "UPDATE object SET state = 2, ended = CASE state WHEN 3 THEN began ELSE $3 END \
         WHERE {condition}"
    );
    let hidden = transaction.execute(&statement, &[by, from, Value::Int(signed(leaf)?)])?;
    let first = |column: &str| {
        format!("(SELECT p.{column} FROM putter p WHERE {SAME} ORDER BY p.put, p.token LIMIT 1)")
    };
    let statement = format!(
        "UPDATE object SET token = {}, put = {} \
         WHERE token = $1 AND put >= $2 AND state IN (0, 3)",
        first("token"),
        first("put"),
    );
    transaction.execute(&statement, &of_token)?;
    let statement = format!(
        "DELETE FROM putter AS p WHERE EXISTS (SELECT 1 FROM object \
         WHERE {SAME} AND object.token = p.token)"
    );
    transaction.execute(&statement, &[])?;
    needs::look_again_at_hidden(transaction, token)?;
    Ok(hidden)
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
    for (kinds, to) in [("kind = 1", State::Pending), ("kind <> 1", State::Live)] {
        let condition = format!("token = $1 AND state = 2 AND {kinds}");
        for found in tally::count(transaction, &condition, &[Value::Int(token)])? {
            let moves = (Some(found.state), Some(to));
            tally::shift(transaction, found.repository, moves, found.tally)?;
        }
    }
    let statement = "UPDATE object SET state = CASE kind WHEN 1 THEN 3 ELSE 0 END, began = $2, \
         ended = NULL WHERE token = $1 AND state = 2";
    let shown = transaction.execute(statement, &[Value::Int(token), Value::Int(signed(leaf)?)])?;
    needs::look_again_at_lacking(transaction)?;
    Ok(shown)
}
