//! What somebody is to be told, and what has become of it at each channel.
//!
//! A notice is written in the transaction of the act that it is about, so that there is one exactly
//! where the act was done. Which channels there are is not known there: whoever delivers gives each
//! new notice its deliveries.
//!
//! What can go wrong: whoever causes notices fills the disk by them. So their texts are bounded, equal
//! ones within a minute are one with a count, and of those that wait the oldest go, what is not
//! critical first.

use strongroom_model::Id;

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::leaves::Moment;
use crate::records::{all, damaged, maybe, signed, unsigned};
use crate::rules::notices::{FOLDED_MS, KEPT_FOR_MS, Kind, Level, MOST_KEPT, Wants, first_ms};

/// The most characters of a subject.
pub const LONGEST_SUBJECT: usize = 200;

/// The most characters of a body.
pub const LONGEST_BODY: usize = 4_000;

/// The most characters of what is kept of an error.
pub const LONGEST_ERROR: usize = 300;

/// How many new notices get their deliveries at once.
const ROUTED_AT_ONCE: i64 = 500;

/// How many that are done with go at once.
const TIDIED_AT_ONCE: u64 = 1_000;

/// What somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub level: Level,
    /// On one line; what is longer than [`LONGEST_SUBJECT`] is cut.
    pub subject: String,
    /// In a few lines; what is longer than [`LONGEST_BODY`] is cut. No secret belongs in it.
    pub body: String,
}

/// A notice as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its number, which no other one ever has.
    pub id: i64,
    /// What it says.
    pub notice: Notice,
    /// When it was told first, by vault time.
    pub made_ms: i64,
    /// The same as recorded.
    pub made_at_ms: i64,
    /// How often the same was told within a minute behind that.
    pub repeated: u64,
    /// When somebody said that he has seen it, by vault time.
    pub acknowledged_ms: Option<i64>,
    /// Which operator did; `None` where it was done on the vault's own host.
    pub acknowledged_by: Option<i64>,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What is to be sent.
    pub row: NoticeRow,
    /// How often sending it has failed since it was sent last.
    pub attempts: u32,
}

/// What came of sending a notice to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'s> {
    /// Which notice.
    pub notice: i64,
    /// To which channel.
    pub channel: &'s str,
    /// When, by vault time.
    pub at_ms: i64,
    /// When it is sent next; `None` where it is not.
    pub next_ms: Option<i64>,
    /// Why it could not be sent; `None` where it was.
    pub error: Option<&'s str>,
}

/// A channel to which sending fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Its name.
    pub channel: String,
    /// Since when, by vault time.
    pub since_ms: i64,
    /// How many notices it lacks.
    pub notices: u64,
    /// Why, the last that was heard.
    pub error: String,
}

const COLUMNS: &str = "n.id, n.kind, n.level, n.subject, n.body, n.made_ms, n.made_at_ms, \
                       n.repeated, n.acknowledged_ms, n.acknowledged_by";

fn read(row: &dyn Row) -> Result<NoticeRow> {
    let kind = Kind::of_word(&row.text(1)?);
    let level = Level::of_number(row.int(2)?);
    Ok(NoticeRow {
        id: row.int(0)?,
        notice: Notice {
            kind: kind.ok_or_else(|| damaged("a notice is of an unknown kind"))?,
            level: level.ok_or_else(|| damaged("a notice is of an unknown level"))?,
            subject: row.text(3)?,
            body: row.text(4)?,
        },
        made_ms: row.int(5)?,
        made_at_ms: row.int(6)?,
        repeated: unsigned(row.int(7)?)?,
        acknowledged_ms: row.maybe_int(8)?,
        acknowledged_by: row.maybe_int(9)?,
    })
}

/// Has somebody told of an act, in whose transaction this is. It is delivered later, and whatever
/// channels do holds nothing up here.
///
/// # Errors
/// Those of the database.
pub fn tell(transaction: &mut dyn Transaction, moment: Moment, notice: &Notice) -> Result<()> {
    let subject = on_one_line(&notice.subject, LONGEST_SUBJECT);
    let body = bounded(&notice.body, LONGEST_BODY);
    let (kind, level) = (notice.kind.word(), notice.level.number());
    let digest = Id::of(format!("{kind}\n{level}\n{subject}\n{body}").as_bytes());
    if is_folded(transaction, moment.vault_ms, &digest)? {
        return Ok(());
    }
    let statement = "INSERT INTO notice (id, kind, level, subject, body, digest, made_ms, \
         made_at_ms, repeated, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)";
    let values = [
        Value::Int(next_id(transaction)?),
        Value::Text(kind),
        Value::Int(level),
        Value::Text(&subject),
        Value::Text(&body),
        Value::Bytes(digest.as_bytes()),
        Value::Int(moment.vault_ms),
        Value::Int(moment.recorded_ms),
    ];
    transaction.execute(statement, &values)?;
    drop_oldest(transaction)
}

/// Counts one that was told within a minute before; tells whether there is one.
fn is_folded(transaction: &mut dyn Transaction, now_ms: i64, digest: &Id) -> Result<bool> {
    let statement = "SELECT id FROM notice WHERE digest = $1 AND made_ms > $2 \
                     AND acknowledged_ms IS NULL ORDER BY made_ms DESC LIMIT 1";
    let values = [
        Value::Bytes(digest.as_bytes()),
        Value::Int(now_ms.saturating_sub(FOLDED_MS)),
    ];
    let Some(id) = transaction.first(statement, &values, |row| row.int(0))? else {
        return Ok(false);
    };
    let statement = "UPDATE notice SET repeated = repeated + 1 WHERE id = $1";
    transaction.execute(statement, &[Value::Int(id)])?;
    Ok(true)
}

fn next_id(transaction: &mut dyn Transaction) -> Result<i64> {
    let statement = "INSERT INTO notice_id (one, last) VALUES (1, 1) \
                     ON CONFLICT (one) DO UPDATE SET last = notice_id.last + 1 RETURNING last";
    let id = transaction.first(statement, &[], |row| row.int(0))?;
    id.ok_or_else(|| damaged("a notice has no number"))
}

/// Lets the oldest go of those that wait, where there are too many.
fn drop_oldest(transaction: &mut dyn Transaction) -> Result<()> {
    let statement = "SELECT COUNT(*) FROM notice WHERE state < 2";
    let waiting = transaction.first(statement, &[], |row| row.int(0))?;
    let over = waiting.unwrap_or_default() - signed(MOST_KEPT)?;
    if over <= 0 {
        return Ok(());
    }
    tracing::warn!(
        over,
        "Too many notices wait to be sent, and the oldest are dropped"
    );
    let statement = "SELECT id FROM notice WHERE state < 2 ORDER BY level, id LIMIT $1";
    let oldest = all(transaction, statement, &[Value::Int(over)], |row| {
        row.int(0)
    })?;
    oldest
        .into_iter()
        .try_for_each(|id| remove(transaction, id))
}

fn remove(transaction: &mut dyn Transaction, id: i64) -> Result<()> {
    for statement in [
        "DELETE FROM delivery WHERE notice = $1",
        "DELETE FROM notice WHERE id = $1",
    ] {
        transaction.execute(statement, &[Value::Int(id)])?;
    }
    Ok(())
}

/// Gives new notices their deliveries, one for each channel that wants them; returns how many
/// notices it was. `channels` are all there are, by their names.
///
/// # Errors
/// Those of the database.
pub fn route(transaction: &mut dyn Transaction, channels: &[(&str, Wants)]) -> Result<u64> {
    let statement = "SELECT id, level, made_ms FROM notice WHERE state = 0 ORDER BY id LIMIT $1";
    let new = all(
        transaction,
        statement,
        &[Value::Int(ROUTED_AT_ONCE)],
        |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)),
    )?;
    let count = new.len() as u64;
    for (id, level, made_ms) in new {
        let level = Level::of_number(level);
        let level = level.ok_or_else(|| damaged("a notice is of an unknown level"))?;
        for (channel, wants) in channels {
            let Some(first_ms) = first_ms(level, *wants, made_ms) else {
                continue;
            };
            let statement = "INSERT INTO delivery (notice, channel, next_ms, attempts, error) \
                             VALUES ($1, $2, $3, 0, '') ON CONFLICT DO NOTHING";
            let values = [Value::Int(id), Value::Text(channel), Value::Int(first_ms)];
            transaction.execute(statement, &values)?;
        }
        let statement = "UPDATE notice SET state = 1 WHERE id = $1";
        transaction.execute(statement, &[Value::Int(id)])?;
        end_if_done(transaction, id)?;
    }
    Ok(count)
}

/// Whether any notice is new.
///
/// # Errors
/// Those of the database.
pub fn is_any_new(transaction: &mut dyn Transaction) -> Result<bool> {
    let statement = "SELECT 1 FROM notice WHERE state = 0 LIMIT 1";
    Ok(transaction.first(statement, &[], |_| Ok(()))?.is_some())
}

/// What is due at a channel, what is critical and then what is oldest first.
///
/// # Errors
/// Those of the database.
pub fn due(
    transaction: &mut dyn Transaction,
    channel: &str,
    now_ms: i64,
    limit: u64,
) -> Result<Vec<Due>> {
    let statement = format!(
        "SELECT {COLUMNS}, d.attempts FROM delivery d JOIN notice n ON n.id = d.notice \
         WHERE d.channel = $1 AND d.next_ms <= $2 ORDER BY n.level DESC, n.id LIMIT $3"
    );
    let values = [
        Value::Text(channel),
        Value::Int(now_ms),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, |row| {
        let attempts = u32::try_from(row.int(10)?);
        Ok(Due {
            row: read(row)?,
            attempts: attempts.map_err(|_| damaged("a notice was never tried so often"))?,
        })
    })
}

/// Writes down what came of sending a notice. Where somebody has acknowledged it meanwhile, it is not
/// sent again, whatever `sent` says.
///
/// # Errors
/// Those of the database.
pub fn note_sent(transaction: &mut dyn Transaction, sent: &Sent<'_>) -> Result<()> {
    let statement = "SELECT acknowledged_ms FROM notice WHERE id = $1";
    let id = Value::Int(sent.notice);
    let found = transaction.first(statement, &[id], |row| row.maybe_int(0))?;
    // It may have gone, where very many wait.
    let Some(acknowledged_ms) = found else {
        return Ok(());
    };
    let next_ms = sent.next_ms.filter(|_| acknowledged_ms.is_none());
    let at = Value::Int(sent.at_ms);
    let channel = Value::Text(sent.channel);
    match sent.error {
        None => {
            let statement = "UPDATE delivery SET next_ms = $3, attempts = 0, delivered_ms = $4, \
                 failed_ms = NULL, error = '' WHERE notice = $1 AND channel = $2";
            transaction.execute(statement, &[id, channel, maybe(next_ms), at])?;
            hear_again(transaction, sent.channel, sent.at_ms)?;
        }
        Some(error) => {
            let error = on_one_line(error, LONGEST_ERROR);
            let statement = "UPDATE delivery SET next_ms = $3, attempts = attempts + 1, \
                 failed_ms = COALESCE(failed_ms, $4), error = $5 \
                 WHERE notice = $1 AND channel = $2";
            let values = [id, channel, maybe(next_ms), at, Value::Text(&error)];
            transaction.execute(statement, &values)?;
        }
    }
    end_if_done(transaction, sent.notice)
}

/// A channel takes notices again: what waits for a long time behind failures is tried at once, and
/// what was given up says no longer that it fails.
fn hear_again(transaction: &mut dyn Transaction, channel: &str, now_ms: i64) -> Result<()> {
    let channel = Value::Text(channel);
    let statement = "UPDATE delivery SET failed_ms = NULL WHERE channel = $1 \
                     AND failed_ms IS NOT NULL AND next_ms IS NULL";
    transaction.execute(statement, &[channel])?;
    let statement = "UPDATE delivery SET next_ms = $2 WHERE channel = $1 \
                     AND failed_ms IS NOT NULL AND next_ms > $2";
    transaction.execute(statement, &[channel, Value::Int(now_ms)])?;
    Ok(())
}

/// A notice of which no delivery is still to be made is done with.
fn end_if_done(transaction: &mut dyn Transaction, id: i64) -> Result<()> {
    let statement = "UPDATE notice SET state = 2 WHERE id = $1 AND state = 1 AND NOT EXISTS \
         (SELECT 1 FROM delivery d WHERE d.notice = $1 AND d.next_ms IS NOT NULL)";
    transaction.execute(statement, &[Value::Int(id)])?;
    Ok(())
}

/// Notes that somebody has seen a notice, by vault time, and has it sent no more; tells whether nobody
/// had said so before, and `None` where there is no such notice. `operator` is `None` on the vault's
/// own host.
///
/// # Errors
/// Those of the database.
pub fn acknowledge(
    transaction: &mut dyn Transaction,
    id: i64,
    now_ms: i64,
    operator: Option<i64>,
) -> Result<Option<bool>> {
    let statement = "SELECT acknowledged_ms FROM notice WHERE id = $1";
    let found = transaction.first(statement, &[Value::Int(id)], |row| row.maybe_int(0))?;
    match found {
        None => return Ok(None),
        Some(Some(_)) => return Ok(Some(false)),
        Some(None) => {}
    }
    let statement = "UPDATE notice SET acknowledged_ms = $2, acknowledged_by = $3, state = 2 \
                     WHERE id = $1";
    let values = [Value::Int(id), Value::Int(now_ms), maybe(operator)];
    transaction.execute(statement, &values)?;
    let statement = "UPDATE delivery SET next_ms = NULL, failed_ms = NULL WHERE notice = $1";
    transaction.execute(statement, &[Value::Int(id)])?;
    Ok(Some(true))
}

/// A notice, by its number.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction, id: i64) -> Result<Option<NoticeRow>> {
    let statement = format!("SELECT {COLUMNS} FROM notice n WHERE n.id = $1");
    transaction.first(&statement, &[Value::Int(id)], read)
}

/// Some notices, the newest first: those before `before` where it is given.
///
/// # Errors
/// Those of the database.
pub fn page(
    transaction: &mut dyn Transaction,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<NoticeRow>> {
    let statement =
        format!("SELECT {COLUMNS} FROM notice n WHERE n.id < $1 ORDER BY n.id DESC LIMIT $2");
    let values = [
        Value::Int(before.unwrap_or(i64::MAX)),
        Value::Int(signed(limit)?),
    ];
    all(transaction, &statement, &values, read)
}

/// The critical notices that nobody has acknowledged, by their numbers.
///
/// # Errors
/// Those of the database.
pub fn unseen(transaction: &mut dyn Transaction) -> Result<Vec<i64>> {
    let statement = "SELECT id FROM notice WHERE state < 2 AND level = 1 \
                     AND acknowledged_ms IS NULL ORDER BY id";
    all(transaction, statement, &[], |row| row.int(0))
}

/// How many critical notices nobody has acknowledged.
///
/// # Errors
/// Those of the database.
pub fn count_unseen(transaction: &mut dyn Transaction) -> Result<u64> {
    let statement = "SELECT COUNT(*) FROM notice WHERE state < 2 AND level = 1 \
                     AND acknowledged_ms IS NULL";
    let count = transaction.first(statement, &[], |row| row.int(0))?;
    unsigned(count.unwrap_or_default())
}

/// The channels to which sending fails, by name.
///
/// # Errors
/// Those of the database.
pub fn failing(transaction: &mut dyn Transaction) -> Result<Vec<Failing>> {
    let statement = "SELECT channel, MIN(failed_ms), COUNT(*), MAX(error) FROM delivery \
                     WHERE failed_ms IS NOT NULL GROUP BY channel ORDER BY channel";
    all(transaction, statement, &[], |row| {
        Ok(Failing {
            channel: row.text(0)?,
            since_ms: row.int(1)?,
            notices: unsigned(row.int(2)?)?,
            error: row.text(3)?,
        })
    })
}

/// Lets go of deliveries to channels that there are no more, and of notices that are old and done
/// with.
///
/// # Errors
/// Those of the database.
pub fn tidy(transaction: &mut dyn Transaction, channels: &[&str], now_ms: i64) -> Result<()> {
    for condition in ["next_ms IS NOT NULL", "failed_ms IS NOT NULL"] {
        // From one name to the next, so that not every delivery is read.
        let statement = format!(
            "SELECT channel FROM delivery WHERE channel > $1 AND {condition} \
             ORDER BY channel LIMIT 1"
        );
        let mut after = String::new();
        let next = |transaction: &mut dyn Transaction, after: &str| {
            transaction.first(&statement, &[Value::Text(after)], |row| row.text(0))
        };
        while let Some(channel) = next(transaction, &after)? {
            if !channels.contains(&channel.as_str()) {
                forget_channel(transaction, &channel)?;
            }
            after = channel;
        }
    }
    let statement = "SELECT id FROM notice WHERE state = 2 AND made_ms < $1 \
                     ORDER BY made_ms LIMIT $2";
    let limit = Value::Int(signed(TIDIED_AT_ONCE)?);
    let values = [Value::Int(now_ms.saturating_sub(KEPT_FOR_MS)), limit];
    let mut old = all(transaction, statement, &values, |row| row.int(0))?;
    let statement = "SELECT COUNT(*) FROM notice WHERE state = 2";
    let done = transaction.first(statement, &[], |row| row.int(0))?;
    let over = done.unwrap_or_default() - signed(MOST_KEPT)?;
    if over > 0 {
        let statement = "SELECT id FROM notice WHERE state = 2 ORDER BY made_ms, id LIMIT $1";
        let over = over.min(signed(TIDIED_AT_ONCE)?);
        old.extend(all(transaction, statement, &[Value::Int(over)], |row| {
            row.int(0)
        })?);
    }
    old.into_iter().try_for_each(|id| remove(transaction, id))
}

fn forget_channel(transaction: &mut dyn Transaction, channel: &str) -> Result<()> {
    let channel = [Value::Text(channel)];
    let statement = "SELECT notice FROM delivery WHERE channel = $1 AND next_ms IS NOT NULL";
    let notices = all(transaction, statement, &channel, |row| row.int(0))?;
    transaction.execute("DELETE FROM delivery WHERE channel = $1", &channel)?;
    notices
        .into_iter()
        .try_for_each(|id| end_if_done(transaction, id))
}

/// A text without what would be more than one line, cut to so many characters.
pub fn on_one_line(text: &str, most: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    cut(plain, most)
}

/// A text without control characters but ends of lines, cut to so many characters.
fn bounded(text: &str, most: usize) -> String {
    let is_told = |c: &char| *c == '\n' || !c.is_control();
    cut(text.chars().filter(is_told), most)
}

fn cut(text: impl Iterator<Item = char>, most: usize) -> String {
    let mut cut: String = text.take(most.saturating_add(1)).collect();
    if cut.chars().count() > most {
        cut = cut.chars().take(most.saturating_sub(1)).collect();
        cut.push('…');
    }
    cut
}
