//! Tombstones, taken back many at once; and keys that wait because of one.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::records::hiding::Changed;
use crate::records::under_way::{PART, Part, Place, UnderWay};
use crate::records::{signed, tally, unsigned, vital};
use crate::rules::life::State;

/// The tombstones that are chosen; never those whose token was hidden. One of a time when its leaf
/// was not noted has the end of its life.
const CHOSEN: &str = "repository = $1 AND state = 1 AND COALESCE(tombstone, ended) >= $2 \
     AND COALESCE(tombstone, ended) < $3 AND ($4 = 0 OR ended_by = $4) AND out_of_sight = 0";

/// Keys that wait for an operator and were seen before, until the chosen token ended that: who asked
/// for their deletion and had them put again has taken them away all the same. Only an operator who
/// names the token lets them in by it.
const KEYS: &str = "repository = $1 AND kind = 1 AND state = 3 AND life_ended_by = $4 \
     AND (SELECT MAX(p.ended) FROM past p WHERE p.repository = object.repository \
         AND p.kind = 1 AND p.name = object.name) >= $2 \
     AND (SELECT MAX(p.ended) FROM past p WHERE p.repository = object.repository \
         AND p.kind = 1 AND p.name = object.name) < $3";

/// Begins new lives of tombstones that are chosen, a part of them in the order of their deletions;
/// they keep their arrival. Keys that waited for an operator wait again, unless what ended when they
/// were seen last is chosen as well.
///
/// # Errors
/// Those of the database.
pub fn undelete(transaction: &mut dyn Transaction, act: &UnderWay, leaf: u64) -> Result<Part> {
    let next = end_of_part(transaction, act)?;
    let values = |since: u64, before: u64| -> Result<[Value<'static>; 4]> {
        Ok([
            Value::Int(act.repository),
            Value::Int(signed(since)?),
            Value::Int(signed(before)?),
            Value::Int(act.token),
        ])
    };
    let part = values(act.at.leaf, next.unwrap_or(act.before))?;
    let all = values(act.since, act.before)?;
    let leaf = [Value::Int(signed(leaf)?)];
    // Those that wait already; others will, when their tombstones have gone.
    let mut keys = 0;
    for found in tally::count(transaction, KEYS, &all)? {
        keys += found.objects();
    }
    // What was never seen has a life that ends where it began.
    for (lives, to) in [
        ("ended > began", State::Live),
        ("ended = began", State::Pending),
    ] {
        let condition = format!("{CHOSEN} AND {lives}");
        for found in tally::count(transaction, &condition, &part)? {
            tally::shift_all(transaction, &found, to)?;
        }
    }
    let statement = format!(
        "INSERT INTO past (repository, kind, name, began, ended) \
         SELECT repository, kind, name, began, ended FROM object \
         WHERE {CHOSEN} AND ended > began"
    );
    transaction.execute(&statement, &part)?;
    let statement = format!(
        "UPDATE object SET state = CASE WHEN ended > began THEN 0 ELSE 3 END, began = $5, \
         ended = NULL, tombstone = NULL, tombstoned_ms = NULL, ended_by = NULL WHERE {CHOSEN} \
         RETURNING repository, kind, name"
    );
    let undeleted = Changed::by(transaction, &statement, &[&part[..], &leaf].concat())?;
    for found in tally::count(transaction, KEYS, &all)? {
        tally::shift_all(transaction, &found, State::Live)?;
    }
    let statement =
        format!("UPDATE object SET state = 0, began = $5, life_ended_by = NULL WHERE {KEYS}");
    transaction.execute(&statement, &[&all[..], &leaf].concat())?;
    undeleted.look_again(transaction)?;
    if undeleted.objects > 0 {
        vital::take_back(transaction, act.repository)?;
    }
    Ok(Part {
        objects: undeleted.objects + keys,
        others: 0,
        next: next.map(Place::before),
    })
}

/// The leaf before which a part ends; none where the part is all that is left.
fn end_of_part(transaction: &mut dyn Transaction, act: &UnderWay) -> Result<Option<u64>> {
    let statement = "SELECT COALESCE(tombstone, ended) FROM object \
         WHERE repository = $1 AND state = 1 AND COALESCE(tombstone, ended) >= $2 \
         AND COALESCE(tombstone, ended) < $3 ORDER BY COALESCE(tombstone, ended) \
         LIMIT 1 OFFSET $4";
    let values = [
        Value::Int(act.repository),
        Value::Int(signed(act.at.leaf)?),
        Value::Int(signed(act.before)?),
        Value::Int(signed(PART)?),
    ];
    let end = transaction.first(statement, &values, |row| unsigned(row.int(0)?))?;
    // Every deletion has a leaf of its own, unless it is from a time when that was not noted.
    Ok(end.map(|end| end.max(act.at.leaf.saturating_add(1))))
}
