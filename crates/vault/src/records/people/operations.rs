//! Operations, and who has said yes to them.

use std::collections::BTreeMap;

use strongroom_access::operation::{End, State, subject};
use strongroom_access::{Act, Operation, OperatorId};
use strongroom_model::Id;

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::people::digest;
use crate::records::{all, damaged, maybe, signed, unsigned};

/// An operation, and what is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The number of its row, by which people call it.
    pub number: u64,
    /// What is decided on.
    pub operation: Operation,
    /// The random bytes of its id.
    pub nonce: [u8; 32],
    /// What the asker says of it.
    pub reason: String,
}

const COLUMNS: &str =
    "number, id, act, nonce, asker, reason, asked_ms, state, since_ms, stopped_by";

fn read(row: &dyn Row) -> Result<Kept> {
    let act: Act = serde_json::from_str(&row.text(2)?)
        .map_err(|_| damaged("an operation is of an unknown kind"))?;
    let (since_ms, stopped_by) = (row.maybe_int(8)?, row.maybe_int(9)?.map(OperatorId));
    let state = match (row.text(7)?.as_str(), since_ms, stopped_by) {
        ("asked", ..) => State::Asked,
        ("waiting", Some(since_ms), _) => State::Waiting { since_ms },
        ("done", ..) => State::Done,
        ("lapsed", ..) => State::Ended(End::Lapsed),
        ("withdrawn", ..) => State::Ended(End::Withdrawn),
        ("stopped", _, Some(by)) => State::Ended(End::Stopped(by)),
        _ => return Err(damaged("an operation stands nowhere")),
    };
    Ok(Kept {
        number: unsigned(row.int(0)?)?,
        operation: Operation {
            id: Id::from_bytes(digest(row, 1)?),
            act,
            asker: OperatorId(row.int(4)?),
            asked_ms: row.int(6)?,
            yeses: BTreeMap::new(),
            state,
        },
        nonce: digest(row, 3)?,
        reason: row.text(5)?,
    })
}

/// What the row says of a state: the word, since when it waits, who has stopped it.
const fn told(state: State) -> (&'static str, Option<i64>, Option<i64>) {
    match state {
        State::Asked => ("asked", None, None),
        State::Waiting { since_ms } => ("waiting", Some(since_ms), None),
        State::Done => ("done", None, None),
        State::Ended(End::Lapsed) => ("lapsed", None, None),
        State::Ended(End::Withdrawn) => ("withdrawn", None, None),
        State::Ended(End::Stopped(by)) => ("stopped", None, Some(by.0)),
    }
}

fn with_yeses(transaction: &mut dyn Transaction, mut kept: Kept) -> Result<Kept> {
    let statement = "SELECT operator, said_ms FROM yes WHERE operation = $1";
    let number = Value::Int(signed(kept.number)?);
    let yeses = all(transaction, statement, &[number], |row| {
        Ok((OperatorId(row.int(0)?), row.int(1)?))
    })?;
    kept.operation.yeses = yeses.into_iter().collect();
    Ok(kept)
}

/// An operation by its number.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, number: u64) -> Result<Option<Kept>> {
    let statement = format!("SELECT {COLUMNS} FROM operation WHERE number = $1");
    let kept = transaction.first(&statement, &[Value::Int(signed(number)?)], read)?;
    kept.map(|kept| with_yeses(transaction, kept)).transpose()
}

/// All that are neither done nor ended, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn open(transaction: &mut dyn Transaction) -> Result<Vec<Kept>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM operation WHERE state IN ('asked', 'waiting') ORDER BY number"
    );
    let open = all(transaction, &statement, &[], read)?;
    open.into_iter()
        .map(|kept| with_yeses(transaction, kept))
        .collect()
}

/// A page of all, the newest first: those below a number, `most` at most.
///
/// # Errors
/// Those of the database.
pub fn page(transaction: &mut dyn Transaction, below: u64, most: u64) -> Result<Vec<Kept>> {
    let statement =
        format!("SELECT {COLUMNS} FROM operation WHERE number < $1 ORDER BY number DESC LIMIT $2");
    let below = below.min(i64::MAX.unsigned_abs());
    let values = [Value::Int(signed(below)?), Value::Int(signed(most)?)];
    let page = all(transaction, &statement, &values, read)?;
    page.into_iter()
        .map(|kept| with_yeses(transaction, kept))
        .collect()
}

/// Adds an operation, whose number is given here and returned.
///
/// # Errors
/// Those of the database.
pub fn insert(
    transaction: &mut dyn Transaction,
    operation: &Operation,
    nonce: &[u8; 32],
    reason: &str,
) -> Result<u64> {
    let statement = "INSERT INTO operation (number, id, act, subject, nonce, asker, reason, \
         asked_ms, state, since_ms) \
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM operation \
         RETURNING number";
    let act = serde_json::to_string(&operation.act)
        .map_err(|_| damaged("an operation cannot be written down"))?;
    let (word, since_ms, _) = told(operation.state);
    let subject = subject(&operation.act);
    let values = [
        Value::Bytes(operation.id.as_bytes()),
        Value::Text(&act),
        Value::Bytes(subject.as_bytes()),
        Value::Bytes(nonce),
        Value::Int(operation.asker.0),
        Value::Text(reason),
        Value::Int(operation.asked_ms),
        Value::Text(word),
        maybe(since_ms),
    ];
    let number = transaction.first(statement, &values, |row| row.int(0))?;
    unsigned(number.ok_or_else(|| damaged("an operation has no number"))?)
}

/// Writes down where an operation stands, and who has said yes.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, number: u64, operation: &Operation) -> Result<()> {
    let statement = "UPDATE operation SET asked_ms = $1, state = $2, since_ms = $3, \
                     stopped_by = $4 WHERE number = $5";
    let (word, since_ms, stopped_by) = told(operation.state);
    let row = Value::Int(signed(number)?);
    let values = [
        Value::Int(operation.asked_ms),
        Value::Text(word),
        maybe(since_ms),
        maybe(stopped_by),
        row,
    ];
    transaction.execute(statement, &values)?;
    for (who, said_ms) in &operation.yeses {
        let statement = "INSERT INTO yes (operation, operator, said_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (operation, operator) DO UPDATE SET said_ms = excluded.said_ms";
        transaction.execute(statement, &[row, Value::Int(who.0), Value::Int(*said_ms)])?;
    }
    Ok(())
}

/// Whether somebody has stopped the same before.
///
/// # Errors
/// Those of the database.
pub fn has_stopped(transaction: &mut dyn Transaction, who: OperatorId, act: &Act) -> Result<bool> {
    let statement = "SELECT number FROM operation WHERE subject = $1 AND stopped_by = $2 LIMIT 1";
    let subject = subject(act);
    let values = [Value::Bytes(subject.as_bytes()), Value::Int(who.0)];
    let found = transaction.first(statement, &values, |row| row.int(0))?;
    Ok(found.is_some())
}
