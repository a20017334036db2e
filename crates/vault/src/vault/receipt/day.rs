//! What a token may send in a day.

use crate::database::Transaction;
use crate::records::client_keys::{self, Sent};
use crate::records::leaves::Moment;
use crate::rules::clock::{DAY_MS, SECOND_MS};
use crate::rules::purge::day_of;
use crate::{Error, Result};

/// The most receipts of a token in a day.
const RECEIPTS_A_DAY: u64 = 5_000;

/// The most files that a token's receipts change in a day; of what has to be looked through for
/// it, eight count as one.
const FILES_A_DAY: u64 = 4_000_000;

/// The most bytes of a token's receipts in a day.
const BYTES_A_DAY: u64 = 1 << 30;

/// The longest time that a client is asked to wait.
const LONGEST_PAUSE_S: u64 = 3_600;

/// What a token has sent today, with some more.
///
/// # Errors
/// [`Error::DayIsOver`] where that is more than it may.
pub(super) fn with(
    transaction: &mut dyn Transaction,
    token: i64,
    now: Moment,
    more: Sent,
) -> Result<Sent> {
    let before = client_keys::sent(transaction, token)?;
    // Of two processes one may be a moment behind: no day begins twice.
    let day = day_of(now.vault_ms).max(before.day);
    let before = match before.day == day {
        true => before,
        false => Sent::default(),
    };
    let after = Sent {
        day,
        receipts: before.receipts.saturating_add(more.receipts),
        files: before.files.saturating_add(more.files),
        bytes: before.bytes.saturating_add(more.bytes),
    };
    let over = [
        ("receipts", after.receipts > RECEIPTS_A_DAY),
        ("files in receipts", after.files > FILES_A_DAY),
        ("bytes in receipts", after.bytes > BYTES_A_DAY),
    ];
    match over.iter().find(|(_, is_over)| *is_over) {
        Some((what, _)) => {
            let left_ms = DAY_MS - now.vault_ms.rem_euclid(DAY_MS);
            let left_s = u64::try_from(left_ms / SECOND_MS).unwrap_or_default() + 1;
            Err(Error::DayIsOver {
                what,
                pause_s: left_s.min(LONGEST_PAUSE_S),
            })
        }
        None => Ok(after),
    }
}
