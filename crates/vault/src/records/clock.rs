//! The one row of the clock.

use crate::Result;
use crate::database::{Transaction, Value};
use crate::rules::clock::{Reading, VaultClock};

/// Reads the clock; `None` in a new database.
///
/// # Errors
/// Those of the database.
pub fn read(transaction: &mut dyn Transaction) -> Result<Option<VaultClock>> {
    let statement = "SELECT vault_ms, recorded_ms, wall_ms, boot, boottime_ms, doubted, \
                     off_ms, leapt_ms, leapt_until_ms FROM clock WHERE one = 1";
    transaction.first(statement, &[], |row| {
        Ok(VaultClock {
            vault_ms: row.int(0)?,
            recorded_ms: row.int(1)?,
            last: Reading {
                wall_ms: row.int(2)?,
                boot: row.text(3)?,
                boottime_ms: row.int(4)?,
            },
            is_doubted: row.int(5)? != 0,
            off_ms: row.int(6)?,
            leapt_ms: row.int(7)?,
            leapt_until_ms: row.int(8)?,
        })
    })
}

/// Writes the clock.
///
/// # Errors
/// Those of the database.
pub fn write(transaction: &mut dyn Transaction, clock: &VaultClock) -> Result<()> {
    let statement = "INSERT INTO clock \
         (one, vault_ms, recorded_ms, wall_ms, boot, boottime_ms, doubted, off_ms, leapt_ms, \
         leapt_until_ms) VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (one) DO UPDATE SET vault_ms = excluded.vault_ms, \
         recorded_ms = excluded.recorded_ms, wall_ms = excluded.wall_ms, boot = excluded.boot, \
         boottime_ms = excluded.boottime_ms, doubted = excluded.doubted, \
         off_ms = excluded.off_ms, leapt_ms = excluded.leapt_ms, \
         leapt_until_ms = excluded.leapt_until_ms";
    transaction.execute(
        statement,
        &[
            Value::Int(clock.vault_ms),
            Value::Int(clock.recorded_ms),
            Value::Int(clock.last.wall_ms),
            Value::Text(&clock.last.boot),
            Value::Int(clock.last.boottime_ms),
            Value::Int(i64::from(clock.is_doubted)),
            Value::Int(clock.off_ms),
            Value::Int(clock.leapt_ms),
            Value::Int(clock.leapt_until_ms),
        ],
    )?;
    Ok(())
}
