//! Logs of others that are cosigned here, and the last checkpoint of each.
//!
//! What is written here is what keeps a log from being shown in two versions: it must be durable
//! before the cosignature leaves the house.

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, damaged, maybe, signed, unsigned};

/// The last checkpoint of a log that was cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// What the log is called.
    pub origin: String,
    /// How many leaves it had.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
    /// When it was cosigned, as recorded.
    pub cosigned_at_ms: i64,
    /// When it was last told that the log does not go on from there, by vault time.
    pub alarm_ms: Option<i64>,
}

const COLUMNS: &str = "origin, size, root, cosigned_at_ms, alarm_ms";

fn read(row: &dyn Row) -> Result<Witnessed> {
    let root = row.bytes(2)?.try_into();
    Ok(Witnessed {
        origin: row.text(0)?,
        size: unsigned(row.int(1)?)?,
        root: root.map_err(|_| damaged("a root is no hash"))?,
        cosigned_at_ms: row.int(3)?,
        alarm_ms: row.maybe_int(4)?,
    })
}

/// The last checkpoint of a log; `None` where none was ever cosigned.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, origin: &str) -> Result<Option<Witnessed>> {
    let statement = format!("SELECT {COLUMNS} FROM witnessed WHERE origin = $1");
    transaction.first(&statement, &[Value::Text(origin)], read)
}

/// The last checkpoints of all logs.
///
/// # Errors
/// Those of the database.
pub fn list(transaction: &mut dyn Transaction) -> Result<Vec<Witnessed>> {
    let statement = format!("SELECT {COLUMNS} FROM witnessed ORDER BY origin");
    all(transaction, &statement, &[], read)
}

/// Notes the last checkpoint of a log.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, witnessed: &Witnessed) -> Result<()> {
    let statement = "INSERT INTO witnessed (origin, size, root, cosigned_at_ms, alarm_ms) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (origin) DO UPDATE SET size = excluded.size, \
         root = excluded.root, cosigned_at_ms = excluded.cosigned_at_ms, \
         alarm_ms = excluded.alarm_ms";
    let values = [
        Value::Text(&witnessed.origin),
        Value::Int(signed(witnessed.size)?),
        Value::Bytes(&witnessed.root),
        Value::Int(witnessed.cosigned_at_ms),
        maybe(witnessed.alarm_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}
