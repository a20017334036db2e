//! Tombstones, taken back many at once; and keys that wait because of one.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::{needs, signed, tally, unsigned};
use crate::rules::life::State;

/// Which tombstones are taken back; never those whose token was hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Only what this token asked to be deleted.
    pub ended_by: Option<i64>,
    /// Only what was asked to be deleted from this leaf on.
    pub since: u64,
    /// Only what was asked to be deleted before this leaf.
    pub before: Option<u64>,
}

impl Chosen {
    const CONDITION: &str = "repository = $1 AND state = 1 \
                             AND tombstone >= $2 AND tombstone < $3 \
                             AND ($4 = 0 OR ended_by = $4) AND out_of_sight = 0";

    /// Keys that wait for an operator and were seen before, until the chosen token ended that: who
    /// asked for their deletion and had them put again has taken them away all the same. Only an
    /// operator who names the token lets them in by it.
    const KEYS: &str = "repository = $1 AND kind = 1 AND state = 3 AND life_ended_by = $4 \
         AND (SELECT MAX(p.ended) FROM past p WHERE p.repository = object.repository \
             AND p.kind = 1 AND p.name = object.name) >= $2 \
         AND (SELECT MAX(p.ended) FROM past p WHERE p.repository = object.repository \
             AND p.kind = 1 AND p.name = object.name) < $3";

    fn values(&self, repository: i64) -> Result<[Value<'static>; 4]> {
        Ok([
            Value::Int(repository),
            Value::Int(signed(self.since)?),
            Value::Int(self.before.map_or(Ok(i64::MAX), signed)?),
            Value::Int(self.ended_by.unwrap_or_default()),
        ])
    }
}

/// How many tombstones, and keys that wait, are chosen.
///
/// # Errors
/// Those of the database.
pub fn count_chosen(
    transaction: &mut dyn Transaction,
    repository: i64,
    chosen: &Chosen,
) -> Result<u64> {
    let values = chosen.values(repository)?;
    let mut sum = 0;
    for condition in [Chosen::CONDITION, Chosen::KEYS] {
        let statement = format!("SELECT COUNT(*) FROM object WHERE {condition}");
        let count = transaction.first(&statement, &values, |row| row.int(0))?;
        sum += unsigned(count.unwrap_or_default())?;
    }
    Ok(sum)
}

/// Begins new lives of all tombstones that are chosen; they keep their arrival. Keys that waited
/// for an operator wait again, unless what ended when they were seen last is chosen as well.
///
/// # Errors
/// Those of the database.
pub fn undelete(
    transaction: &mut dyn Transaction,
    repository: i64,
    chosen: &Chosen,
    leaf: u64,
) -> Result<()> {
    let [repository, since, before, by] = chosen.values(repository)?;
    let values = [repository, since, before, by];
    let condition = Chosen::CONDITION;
    // What was never seen has a life that ends where it began.
    for (lives, to) in [
        ("ended > began", State::Live),
        ("ended = began", State::Pending),
    ] {
        let condition = format!("{condition} AND {lives}");
        for found in tally::count(transaction, &condition, &values)? {
            tally::shift_all(transaction, &found, to)?;
        }
    }
    let statement = format!(
        "INSERT INTO past (repository, kind, name, began, ended) \
         SELECT repository, kind, name, began, ended FROM object \
         WHERE {condition} AND ended > began"
    );
    transaction.execute(&statement, &values)?;
    let statement = format!(
        "UPDATE object SET state = CASE WHEN ended > began THEN 0 ELSE 3 END, began = $5, \
         ended = NULL, tombstone = NULL, tombstoned_ms = NULL, ended_by = NULL WHERE {condition}"
    );
    let leaf = Value::Int(signed(leaf)?);
    transaction.execute(&statement, &[repository, since, before, by, leaf])?;
    let condition = Chosen::KEYS;
    for found in tally::count(transaction, condition, &values)? {
        tally::shift_all(transaction, &found, State::Live)?;
    }
    let statement = format!(
        "UPDATE object SET state = 0, began = $5, life_ended_by = NULL WHERE {condition}"
    );
    transaction.execute(&statement, &[repository, since, before, by, leaf])?;
    needs::look_again_at_lacking(transaction)
}
