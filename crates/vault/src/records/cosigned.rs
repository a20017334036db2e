//! Checkpoints of this vault's log that witnesses have cosigned, and what came of asking each
//! witness last.
//!
//! What can go wrong: a log grows so fast that no checkpoint is ever cosigned by all while it is
//! the newest. So those of a few minutes are kept, and the one is shown that most have cosigned.

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::{all, maybe, signed, unsigned};

/// A checkpoint that witnesses have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Over how many leaves.
    pub size: u64,
    /// How many witnesses have cosigned it.
    pub cosignatures: u64,
    /// The note, with all signatures.
    pub note: Vec<u8>,
    /// When the first cosignature came, as recorded.
    pub at_ms: i64,
}

/// What came of asking a witness last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WitnessState {
    /// Its key, as text.
    pub vkey: String,
    /// How many leaves it has cosigned last.
    pub size: Option<u64>,
    /// When it did so by its own clock, in seconds since 1970.
    pub time_s: Option<i64>,
    /// What is wrong with it, or with the log as it says.
    pub trouble: Option<String>,
    /// Whether it says that something is wrong with the log.
    pub is_alarm: bool,
    /// When an alarm of it was told last, by vault time.
    pub told_ms: Option<i64>,
}

/// The checkpoint over so many leaves; `None` where none was cosigned.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, size: u64) -> Result<Option<Cosigned>> {
    let statement = "SELECT size, cosignatures, note, at_ms FROM cosigned WHERE size = $1";
    transaction.first(statement, &[Value::Int(signed(size)?)], read)
}

/// The checkpoint that most witnesses have cosigned, the newest of several.
///
/// # Errors
/// Those of the database.
pub fn best(transaction: &mut dyn Transaction) -> Result<Option<Cosigned>> {
    let statement = "SELECT size, cosignatures, note, at_ms FROM cosigned \
                     ORDER BY cosignatures DESC, size DESC LIMIT 1";
    transaction.first(statement, &[], read)
}

fn read(row: &dyn Row) -> Result<Cosigned> {
    Ok(Cosigned {
        size: unsigned(row.int(0)?)?,
        cosignatures: unsigned(row.int(1)?)?,
        note: row.bytes(2)?,
        at_ms: row.int(3)?,
    })
}

/// Writes a checkpoint, and lets go of those that came before `since_ms` or are older than the one
/// that most have cosigned.
///
/// # Errors
/// Those of the database.
pub fn set(transaction: &mut dyn Transaction, cosigned: &Cosigned, since_ms: i64) -> Result<()> {
    let statement = "INSERT INTO cosigned (size, cosignatures, note, at_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (size) DO UPDATE SET \
         cosignatures = excluded.cosignatures, note = excluded.note";
    let size = Value::Int(signed(cosigned.size)?);
    let values = [
        size,
        Value::Int(signed(cosigned.cosignatures)?),
        Value::Bytes(&cosigned.note),
        Value::Int(cosigned.at_ms),
    ];
    transaction.execute(statement, &values)?;
    let statement = "DELETE FROM cosigned WHERE size <> $1 AND at_ms < $2";
    transaction.execute(statement, &[size, Value::Int(since_ms)])?;
    if let Some(best) = best(transaction)? {
        let statement = "DELETE FROM cosigned WHERE size < $1";
        transaction.execute(statement, &[Value::Int(signed(best.size)?)])?;
    }
    Ok(())
}

const COLUMNS: &str = "vkey, size, time_s, COALESCE(trouble, ''), alarm, told_ms";

fn read_witness(row: &dyn Row) -> Result<WitnessState> {
    Ok(WitnessState {
        vkey: row.text(0)?,
        size: row.maybe_int(1)?.map(unsigned).transpose()?,
        time_s: row.maybe_int(2)?,
        trouble: Some(row.text(3)?).filter(|trouble| !trouble.is_empty()),
        is_alarm: row.int(4)? != 0,
        told_ms: row.maybe_int(5)?,
    })
}

/// All witnesses that were asked.
///
/// # Errors
/// Those of the database.
pub fn witnesses(transaction: &mut dyn Transaction) -> Result<Vec<WitnessState>> {
    let statement = format!("SELECT {COLUMNS} FROM witness ORDER BY vkey");
    all(transaction, &statement, &[], read_witness)
}

/// A witness, by its key; as if new where it was never asked.
///
/// # Errors
/// Those of the database.
pub fn witness(transaction: &mut dyn Transaction, vkey: &str) -> Result<WitnessState> {
    let statement = format!("SELECT {COLUMNS} FROM witness WHERE vkey = $1");
    let found = transaction.first(&statement, &[Value::Text(vkey)], read_witness)?;
    Ok(found.unwrap_or_else(|| WitnessState {
        vkey: vkey.to_owned(),
        ..WitnessState::default()
    }))
}

/// Writes what came of asking a witness.
///
/// # Errors
/// Those of the database.
pub fn set_witness(transaction: &mut dyn Transaction, witness: &WitnessState) -> Result<()> {
    let statement = "INSERT INTO witness (vkey, size, time_s, trouble, alarm, told_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (vkey) DO UPDATE SET size = excluded.size, \
         time_s = excluded.time_s, trouble = excluded.trouble, alarm = excluded.alarm, \
         told_ms = excluded.told_ms";
    let trouble = witness.trouble.as_deref();
    let values = [
        Value::Text(&witness.vkey),
        maybe(witness.size.map(signed).transpose()?),
        maybe(witness.time_s),
        trouble.map_or(Value::Null, Value::Text),
        Value::Int(i64::from(witness.is_alarm)),
        maybe(witness.told_ms),
    ];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Lets go of witnesses that are not asked any more.
///
/// # Errors
/// Those of the database.
pub fn keep_witnesses(transaction: &mut dyn Transaction, vkeys: &[String]) -> Result<()> {
    for known in witnesses(transaction)? {
        if !vkeys.contains(&known.vkey) {
            let statement = "DELETE FROM witness WHERE vkey = $1";
            transaction.execute(statement, &[Value::Text(&known.vkey)])?;
        }
    }
    Ok(())
}
