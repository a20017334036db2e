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
    let before = today(transaction, token, now)?;
    let after = Sent {
        day: before.day,
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
        Some((what, _)) => Err(is_over(what, now)),
        None => Ok(after),
    }
}

/// How many files more a token's receipts may change today.
///
/// # Errors
/// Those of the database.
pub(super) fn files_left(
    transaction: &mut dyn Transaction,
    token: i64,
    now: Moment,
) -> Result<u64> {
    Ok(FILES_A_DAY.saturating_sub(today(transaction, token, now)?.files))
}

/// Counts files that were looked through already, though that be more than a day has.
///
/// # Errors
/// Those of the database.
pub(super) fn charge_files(
    transaction: &mut dyn Transaction,
    token: i64,
    now: Moment,
    files: u64,
) -> Result<()> {
    let before = today(transaction, token, now)?;
    let sent = Sent {
        files: before.files.saturating_add(files).min(FILES_A_DAY),
        ..before
    };
    client_keys::set_sent(transaction, token, sent)
}

/// Gives back files that were counted at a moment, where that day is not over.
///
/// # Errors
/// Those of the database.
pub(super) fn give_back(
    transaction: &mut dyn Transaction,
    token: i64,
    counted: Moment,
    files: u64,
) -> Result<()> {
    let before = client_keys::sent(transaction, token)?;
    if files == 0 || before.day != day_of(counted.vault_ms) {
        return Ok(());
    }
    let sent = Sent {
        files: before.files.saturating_sub(files),
        ..before
    };
    client_keys::set_sent(transaction, token, sent)
}

/// That a token has sent as much of something as it may in a day.
pub(super) fn is_over(what: &'static str, now: Moment) -> Error {
    let left_ms = DAY_MS - now.vault_ms.rem_euclid(DAY_MS);
    let left_s = u64::try_from(left_ms / SECOND_MS).unwrap_or_default() + 1;
    Error::DayIsOver {
        what,
        pause_s: left_s.min(LONGEST_PAUSE_S),
    }
}

/// What a token has sent today.
fn today(transaction: &mut dyn Transaction, token: i64, now: Moment) -> Result<Sent> {
    let before = client_keys::sent(transaction, token)?;
    // Of two processes one may be a moment behind: no day begins twice.
    let day = day_of(now.vault_ms).max(before.day);
    match before.day == day {
        true => Ok(before),
        false => Ok(Sent {
            day,
            ..Sent::default()
        }),
    }
}
