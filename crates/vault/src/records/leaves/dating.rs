//! When something is decided of which leaves tell.

use crate::Result;
use crate::database::Transaction;
use crate::records::damaged;
use crate::records::leaves::Moment;

/// The moment at which a transaction decides, as its leaves are dated: the given one, or the latest one
/// that is known here, where that is later. So whoever reads the log counts a delay as the vault does.
///
/// Where several processes share a database, another one may yet write a leaf before this transaction
/// does, so that its own is dated some milliseconds later.
///
/// # Errors
/// Those of the database.
pub fn dated(transaction: &mut dyn Transaction, moment: Moment) -> Result<Moment> {
    let (recorded_ms, vault_ms) = match transaction.kept() {
        Some(head) => {
            let [_, recorded_ms, vault_ms] = head.numbers;
            (recorded_ms, vault_ms)
        }
        None => {
            let statement = "SELECT recorded_ms, vault_ms FROM log_head WHERE one = 1";
            let head = transaction.first(statement, &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
            head.ok_or_else(|| damaged("the log has no head"))?
        }
    };
    Ok(Moment {
        recorded_ms: moment.recorded_ms.max(recorded_ms),
        vault_ms: moment.vault_ms.max(vault_ms),
    })
}
