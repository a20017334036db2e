//! What the tables hold, read and written in words of ours; one file a table.
//!
//! Every function works within somebody's transaction and decides nothing: what may happen is
//! decided in [`rules`](crate::rules), who may ask for it in [`vault`](crate::vault).

pub mod arrivals;
pub mod client_keys;
pub mod clock;
pub mod coming;
pub mod cosigned;
pub mod hiding;
pub mod hours;
pub mod leaves;
pub mod listing;
pub mod lives;
pub mod locks;
pub mod log;
pub mod look_back;
mod many;
pub mod moments;
pub mod needs;
pub mod notices;
pub mod objects;
pub mod outlook;
pub mod people;
pub mod publication;
pub mod purging;
pub mod receipts;
pub mod repositories;
pub mod rotten;
pub mod scrub;
pub mod shown;
pub mod silenced;
pub mod tally;
pub mod tokens;
pub mod tombstones;
pub mod undeleting;
pub mod under_way;
pub mod vital;
pub mod witnessed;

use crate::database::{Row, Transaction, Value};
use crate::{Error, Result};

/// The schema, a text for each step forward.
pub const SCHEMA: &[&str] = &[
    include_str!("database/schema/0001.sql"),
    include_str!("database/schema/0002.sql"),
    include_str!("database/schema/0003.sql"),
    include_str!("database/schema/0004.sql"),
    include_str!("database/schema/0005.sql"),
    include_str!("database/schema/0006.sql"),
    include_str!("database/schema/0007.sql"),
    include_str!("database/schema/0008.sql"),
    include_str!("database/schema/0010.sql"),
    include_str!("database/schema/0011.sql"),
    include_str!("database/schema/0012.sql"),
    include_str!("database/schema/0013.sql"),
    include_str!("database/schema/0014.sql"),
    include_str!("database/schema/0015.sql"),
    include_str!("database/schema/0016.sql"),
    include_str!("database/schema/0017.sql"),
    include_str!("database/schema/0018.sql"),
    include_str!("database/schema/0019.sql"),
    include_str!("database/schema/0020.sql"),
    include_str!("database/schema/0021.sql"),
    include_str!("database/schema/0022.sql"),
    include_str!("database/schema/0023.sql"),
    include_str!("database/schema/0024.sql"),
];

/// All rows of a short answer.
fn all<T>(
    transaction: &mut dyn Transaction,
    statement: &str,
    values: &[Value<'_>],
    read: impl Fn(&dyn Row) -> Result<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    transaction.query(statement, values, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// A number that the database keeps with a sign.
fn signed(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| damaged("a number is too large"))
}

/// A number that is never negative.
fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| damaged("a number is negative"))
}

fn damaged(reason: &str) -> Error {
    Error::Database {
        action: "make sense".to_owned(),
        reason: reason.to_owned(),
    }
}

/// A number or none, for a statement.
fn maybe(number: Option<i64>) -> Value<'static> {
    number.map_or(Value::Null, Value::Int)
}
