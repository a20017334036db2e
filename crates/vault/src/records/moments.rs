//! The moments that turn a time into a number of leaves, and the leaves of which objects speak.
//!
//! What can go wrong: a leaf of which an object speaks is not handed over, and the moment goes that
//! tells it from others. Each row that has one has it from the transaction that wrote the leaf, or
//! from another row of the same object: so all rows of an object are read in one transaction. **Who
//! adds a column with the number of a leaf that is compared with a time hands it over here.** Or few
//! objects have very many lives, and to read them takes longer than the lease of whoever reads: so the
//! rows of all tables are counted, and not the objects alone.

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, many, signed, unsigned};

/// Of which leaves a repository speaks: nothing is seen there as of an earlier one.
const OF_REPOSITORIES: &str = "SELECT began FROM repository";

/// The rows of a table about objects from behind `$1` to `$3` until `$4` to `$6`.
const BETWEEN: &str =
    "(repository, kind, name) > ($1, $2, $3) AND (repository, kind, name) <= ($4, $5, $6)";

/// The tables about objects, the columns in which they speak of leaves, and how many these are.
const TABLES: [(&str, &str, usize); 3] = [
    ("object", "put, began, ended, tombstone", 4),
    ("past", "began, ended", 2),
    ("putter", "put", 1),
];

/// Behind all objects.
const LAST: [Value<'static>; 3] = [Value::Int(i64::MAX), Value::Int(0), Value::Bytes(&[])];

/// An object in the order in which all are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    repository: i64,
    kind: i64,
    name: Vec<u8>,
}

impl Spot {
    /// Before all objects.
    pub const FIRST: Self = Self {
        repository: i64::MIN,
        kind: 0,
        name: Vec::new(),
    };

    fn values(&self) -> [Value<'_>; 3] {
        [
            Value::Int(self.repository),
            Value::Int(self.kind),
            Value::Bytes(&self.name),
        ]
    }
}

/// Hands over all leaves of which repositories speak.
///
/// # Errors
/// Those of the database.
pub fn of_repositories(transaction: &mut dyn Transaction, each: &mut dyn FnMut(u64)) -> Result<()> {
    transaction.query(OF_REPOSITORIES, &[], &mut |row| hand_over(row, 0..1, each))
}

/// Hands over all leaves of which the next objects behind `behind` speak: where their lives began and
/// ended, where they were put and by whom besides, and where they were asked to be deleted. Of each
/// table these are at most `limit` rows, and beyond that those of the last object alone. Returns behind
/// which object the next ones begin.
///
/// # Errors
/// Those of the database.
pub fn of_objects(
    transaction: &mut dyn Transaction,
    behind: &Spot,
    limit: u64,
    each: &mut dyn FnMut(u64),
) -> Result<Option<Spot>> {
    let mut next: Option<Spot> = None;
    for (table, _, _) in TABLES {
        let found = last_of_page(transaction, table, (behind, next.as_ref()), limit)?;
        next = found.or(next);
    }
    let values = between(behind, next.as_ref());
    for (table, columns, count) in TABLES {
        let statement = format!("SELECT {columns} FROM {table} WHERE {BETWEEN}");
        transaction.query(&statement, &values, &mut |row| {
            hand_over(row, 0..count, each)
        })?;
    }
    Ok(next)
}

/// The object of the row with which a page of a table ends, within a range; none where the table has
/// fewer rows there.
fn last_of_page(
    transaction: &mut dyn Transaction,
    table: &str,
    (behind, until): (&Spot, Option<&Spot>),
    limit: u64,
) -> Result<Option<Spot>> {
    let statement = format!(
        "SELECT repository, kind, name FROM {table} WHERE {BETWEEN} \
         ORDER BY repository, kind, name LIMIT 1 OFFSET $7"
    );
    let before = Value::Int(signed(limit.saturating_sub(1))?);
    let range = between(behind, until);
    let values = [&range[..], &[before]].concat();
    transaction.first(&statement, &values, |row| {
        Ok(Spot {
            repository: row.int(0)?,
            kind: row.int(1)?,
            name: row.bytes(2)?,
        })
    })
}

/// The values of a range behind an object, until another one or until the last of all.
fn between<'s>(behind: &'s Spot, until: Option<&'s Spot>) -> [Value<'s>; 6] {
    let [repository, kind, name] = behind.values();
    let [last_repository, last_kind, last_name] = until.map_or(LAST, Spot::values);
    [
        repository,
        kind,
        name,
        last_repository,
        last_kind,
        last_name,
    ]
}

fn hand_over(
    row: &dyn Row,
    columns: std::ops::Range<usize>,
    each: &mut dyn FnMut(u64),
) -> Result<()> {
    for column in columns {
        if let Some(leaf) = row.maybe_int(column)? {
            each(unsigned(leaf)?);
        }
    }
    Ok(())
}

/// The first leaves of moments from a leaf on, in order, at most `limit` of them.
///
/// # Errors
/// Those of the database.
pub fn page(transaction: &mut dyn Transaction, from: u64, limit: u64) -> Result<Vec<u64>> {
    let statement =
        "SELECT first_leaf FROM moment WHERE first_leaf >= $1 ORDER BY first_leaf LIMIT $2";
    let values = [Value::Int(signed(from)?), Value::Int(signed(limit)?)];
    all(transaction, statement, &values, |row| unsigned(row.int(0)?))
}

/// Lets moments go of which nobody needs any; returns how many there were.
///
/// # Errors
/// Those of the database.
pub fn remove(transaction: &mut dyn Transaction, first_leaves: &[u64]) -> Result<u64> {
    let mut removed: u64 = 0;
    for piece in many::pieces(first_leaves) {
        let places = many::places(1, piece.len(), ("", ""));
        let statement = format!("DELETE FROM moment WHERE first_leaf IN ({places})");
        let numbers = piece.iter().map(|leaf| signed(*leaf).map(Value::Int));
        let values = numbers.collect::<Result<Vec<_>>>()?;
        removed = removed.saturating_add(transaction.execute(&statement, &values)?);
    }
    Ok(removed)
}
