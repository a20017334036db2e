//! Leaves: what is told of every act, numbered in the transaction of the act itself.
//!
//! A leaf is one JSON object; its bytes are what the log hashes. So nothing may be encoded anew,
//! and a field that is added must not be missed in older leaves.

mod dating;
mod people;

use std::time::Duration;

pub use dating::dated;
pub use people::{By, People};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_ledger::bundle::ENTRY_LIMIT_BYTES;
use strongroom_model::{Id, RepositoryPath};

use crate::Result;
use crate::database::{Kept, Transaction, Value};
use crate::records::{damaged, signed, unsigned};

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall time that is recorded.
    pub recorded_ms: i64,
    /// Vault time.
    pub vault_ms: i64,
}

impl Moment {
    /// The moment of what has waited since this one; waiting of less than a second is none.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        let waited_ms = i64::try_from(waited.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        Self {
            recorded_ms: self.recorded_ms.saturating_add(waited_ms),
            vault_ms: self.vault_ms.saturating_add(waited_ms),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// The vault was made.
    Made {
        /// What its log is called.
        origin: String,
    },
    /// A vault process began to serve.
    Start {
        /// Its version.
        version: &'static str,
        /// What it was told, as far as promises rest on it.
        #[serde(flatten)]
        configured: Option<Configured>,
    },
    /// The wall clock or the time off was not believed.
    ClockJump {
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// An operator has looked at the clock.
    ClockConfirmed {
        /// By which operation, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// An operator has had vault time catch up what the vault was off.
    ClockCaughtUp {
        /// By how many milliseconds.
        by_ms: i64,
        /// By which operation, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// A repository was made.
    Repository {
        /// Its path.
        repository: RepositoryPath,
        /// By which token.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// How long it keeps what arrives, in seconds.
        retention_s: i64,
        /// How long it keeps what is asked to be deleted, in seconds.
        grace_s: i64,
    },
    /// An object came, or came again after its deletion was asked for.
    Arrival(File),
    /// A key came that waits for an operator.
    Pending(File),
    /// An operator let a key in.
    Admitted(File),
    /// Rotten bytes were replaced by sound ones.
    Healed(File),
    /// The deletion of an object was asked for.
    Tombstone(File),
    /// Deletions were taken back.
    Undelete {
        /// Of which repository.
        repository: RepositoryPath,
        /// Which ones, in words.
        what: String,
        /// How many there were.
        objects: u64,
    },
    /// What a token put was taken out of sight.
    Hide {
        /// Of which token.
        of_token: String,
        /// From which leaf on.
        since: u64,
        /// How many objects it was.
        objects: u64,
    },
    /// What was hidden is seen again.
    Unhide {
        /// Of which token.
        of_token: String,
        /// How many objects it was.
        objects: u64,
    },
    /// The bytes of an object are about to be removed.
    Purge(File),
    /// So much was tombstoned in a day that purging waits for an operator.
    PurgeHeld {
        /// Of which repository.
        repository: RepositoryPath,
        /// How many tombstones there were.
        tombstones: u64,
    },
    /// An operator has agreed to the tombstones.
    PurgeAgreed {
        /// Of which repository.
        repository: RepositoryPath,
        /// How many tombstones there were.
        tombstones: u64,
        /// The leaf of the newest one.
        #[serde(skip_serializing_if = "Option::is_none")]
        newest_tombstone: Option<u64>,
        /// By which operation, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Something was refused; more of the same within a minute is only counted.
    Refusal {
        /// The token that asked; none where it is not known.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// Why, in one word.
        reason: &'static str,
        /// Of which repository.
        #[serde(skip_serializing_if = "Option::is_none")]
        repository: Option<RepositoryPath>,
        /// Whether some of those that it tells were of other repositories.
        #[serde(rename = "elsewhere", skip_serializing_if = "std::ops::Not::not")]
        are_elsewhere: bool,
        /// How many refusals went before, of the same token and reason, that no leaf tells.
        before: u64,
    },
    /// A token was made.
    TokenMade {
        /// Its name.
        token: String,
        /// Its right.
        right: &'static str,
        /// For what.
        prefix: RepositoryPath,
        /// Until when, by vault time.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
        /// The most bytes that it may put in a day; none where there is no bound, and in older
        /// leaves.
        #[serde(skip_serializing_if = "Option::is_none")]
        daily_bytes: Option<u64>,
        /// The most objects that it may put and ask to be deleted in a day.
        #[serde(skip_serializing_if = "Option::is_none")]
        daily_objects: Option<u64>,
        /// By which operation, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Somebody has seen a notice.
    NoticeAcknowledged {
        /// Its number.
        notice: i64,
        /// Which operator; none on the vault's own host.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<i64>,
    },
    /// A token was used for the first time.
    TokenUsed {
        /// Its name.
        token: String,
    },
    /// A token does not count any more.
    TokenRevoked {
        /// Its name.
        token: String,
    },
    /// What a token may do in a day was set.
    TokenDay {
        /// Its name.
        token: String,
        /// The most bytes that it may put, from now on; none where there is no bound.
        #[serde(skip_serializing_if = "Option::is_none")]
        daily_bytes: Option<u64>,
        /// The most objects that it may put and ask to be deleted.
        #[serde(skip_serializing_if = "Option::is_none")]
        daily_objects: Option<u64>,
    },
    /// A client's receipt was accepted: a claim, and no more.
    Receipt {
        /// Of which repository.
        repository: RepositoryPath,
        /// Of which snapshot.
        snapshot: Id,
        /// The SHA-256 of what was signed.
        receipt: Id,
        /// The SHA-256 of the key that signed it.
        client: Id,
        /// Which token brought it.
        token: String,
    },
    /// A receipt holds things back in the stead of older ones of its snapshot from now on.
    ReceiptReplaces {
        /// Of which repository.
        repository: RepositoryPath,
        /// Of which snapshot.
        snapshot: Id,
        /// The receipt that counts from now on.
        receipt: Id,
        /// How many others held things back until now.
        replaced: u64,
    },
    /// A client's statement of a drill was taken: a claim, and no more.
    Drill {
        /// Of which repository.
        repository: RepositoryPath,
        /// The SHA-256 of what was signed.
        drill: Id,
        /// The SHA-256 of the key that signed it.
        client: Id,
        /// Which token brought it.
        token: String,
        /// How many copies were attacked.
        copies: u64,
        /// How many of them were proven to withstand it, as the client says.
        proven: u64,
    },
    /// A token is bound to the key that a client signs with, from its first receipt on.
    ClientKey {
        /// The token.
        token: String,
        /// The SHA-256 of the key.
        client: Id,
    },
    /// A token is bound to no key any more.
    ClientKeyForgotten {
        /// The token.
        token: String,
        /// The SHA-256 of the key.
        client: Id,
    },
    /// How long a repository keeps things was raised, or lowered by an operation.
    Retention {
        /// Of which repository.
        repository: RepositoryPath,
        /// In seconds.
        retention_s: i64,
        /// In seconds.
        grace_s: i64,
        /// By which operation, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// The bytes that a repository may hold were bounded.
    Quota {
        /// Of which repository.
        repository: RepositoryPath,
        /// The bound; none where there is none.
        bytes: Option<u64>,
    },
    /// The bytes of an object were read and are not what they were.
    Rotten {
        /// The object.
        #[serde(flatten)]
        file: File,
        /// Why, in one word.
        why: &'static str,
    },
    /// All objects of a repository were read.
    Scrubbed {
        /// Which repository.
        repository: RepositoryPath,
        /// How many objects.
        objects: u64,
        /// How many bytes these have.
        bytes: u64,
        /// How many objects are rotten or missing now.
        rotten: u64,
    },
    /// The files of the log are not what was written, or a witness says that the log is not what it
    /// was.
    LogWrong {
        /// What is wrong.
        what: String,
    },
    /// A new log begins, because the one before cannot be gone on with. It is the first leaf.
    NewLog {
        /// Which log of the vault it is.
        log: u64,
        /// What it is called.
        origin: String,
        /// What the one before was called.
        origin_before: String,
        /// The last checkpoint of the one before, as it was signed, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Whether its signature was verified.
        #[serde(rename = "verified")]
        is_verified: bool,
        /// What the operator said.
        because: String,
    },
    /// A leaf from before the new log that is not known to be in the old one's files.
    Carried {
        /// The leaf as it was.
        entry: String,
    },
    /// A log of others, which is cosigned here, does not go on from what was cosigned.
    WitnessAlarm {
        /// Which log.
        log: String,
        /// How many leaves it had.
        old_size: u64,
        /// How many leaves it says that it has.
        size: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Of people.
    #[serde(untagged)]
    People(People),
}

/// What a process that serves was told: what weakens a promise is seen by whoever compares two of
/// them. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Configured {
    /// How long a new repository keeps what arrives, in seconds.
    pub retention_s: i64,
    /// How long it keeps what is asked to be deleted, in seconds.
    pub grace_s: i64,
    /// Within which time all is read, in seconds.
    pub verify_every_s: i64,
    /// The room that uploads leave free.
    pub reserve_bytes: u64,
    /// The address that browsers use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Whose account it is declared to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_in: Option<String>,
    /// The kind of its storage.
    pub storage: &'static str,
    /// The kind of its database.
    pub database: &'static str,
    /// The SHA-256 of the configuration, without comments and without the database's address.
    pub config: Id,
}

/// An object in a leaf.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// The repository.
    pub repository: RepositoryPath,
    /// The file, as `data/3f…`.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// The token that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[derive(Serialize)]
struct Leaf<'a> {
    n: u64,
    at: Timestamp,
    vault: Timestamp,
    #[serde(flatten)]
    act: &'a Act,
}

/// Where the log's head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves there are.
    pub leaves: u64,
    /// How many of them are in the log's files.
    pub published: u64,
}

/// A leaf that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Its number.
    pub number: u64,
    /// When it was.
    pub moment: Moment,
}

/// Appends a leaf; returns its number.
///
/// # Errors
/// Those of the database.
pub fn append(transaction: &mut dyn Transaction, moment: Moment, act: &Act) -> Result<u64> {
    Ok(append_dated(transaction, moment, act)?.number)
}

/// Appends a leaf at a moment, or at the latest one that is known here, where that is later: what
/// a process did that was asleep is dated when it is committed, not when it began.
///
/// # Errors
/// Those of the database. A leaf that the log cannot hold leaves nothing behind, no time either.
pub fn append_dated(transaction: &mut dyn Transaction, moment: Moment, act: &Act) -> Result<Dated> {
    let (head, is_later) = match transaction.kept() {
        // Nothing is said of it before the leaf is there.
        Some(head) => one_more(head, moment),
        None => {
            // Before the head is touched, with the longest number: what cannot be told takes none.
            encode(u64::MAX, moment, act)?;
            take_head(transaction, moment)?
        }
    };
    let [leaves, recorded_ms, vault_ms] = head.numbers;
    let dated = Dated {
        number: unsigned(leaves - 1)?,
        moment: Moment {
            recorded_ms,
            vault_ms,
        },
    };
    let entry = encode(dated.number, dated.moment, act)?;
    let statement = "INSERT INTO leaf (number, entry) VALUES ($1, $2)";
    let key = Value::Int(signed(dated.number)?);
    transaction.execute(statement, &[key, Value::Bytes(&entry)])?;
    if is_later {
        note_moment(transaction, dated.number, dated.moment.recorded_ms)?;
    }
    transaction.keep(head);
    Ok(dated)
}

/// A leaf, as the log hashes it.
fn encode(number: u64, moment: Moment, act: &Act) -> Result<Vec<u8>> {
    let leaf = Leaf {
        n: number,
        at: timestamp(moment.recorded_ms)?,
        vault: timestamp(moment.vault_ms)?,
        act,
    };
    let entry = serde_json::to_vec(&leaf).map_err(|_| damaged("a leaf cannot be encoded"))?;
    // Nothing may be done that the log could not tell of.
    if entry.len() > ENTRY_LIMIT_BYTES {
        return Err(damaged("a leaf is too long for the log"));
    }
    Ok(entry)
}

/// Writes the head as a transaction leaves it. Its times are those of the last leaf, of which
/// `moment` tells.
const WRITE_HEAD: &str = "UPDATE log_head SET leaves = $1, recorded_ms = $2, vault_ms = $3, \
                          moment_ms = $2 WHERE one = 1 AND leaves < $1";

/// The head behind a further leaf of a transaction, and whether that is later than all before.
fn one_more(head: Kept, moment: Moment) -> (Kept, bool) {
    let [leaves, recorded_ms, vault_ms] = head.numbers;
    let numbers = [
        leaves.saturating_add(1),
        recorded_ms.max(moment.recorded_ms),
        vault_ms.max(moment.vault_ms),
    ];
    let head = Kept {
        numbers,
        is_written: false,
        ..head
    };
    (head, moment.recorded_ms > recorded_ms)
}

/// The same for the first leaf, which locks the head until the end of the transaction: whoever
/// writes meanwhile gets no number.
fn take_head(transaction: &mut dyn Transaction, moment: Moment) -> Result<(Kept, bool)> {
    let statement = "UPDATE log_head SET leaves = leaves + 1, \
         recorded_ms = CASE WHEN recorded_ms > $1 THEN recorded_ms ELSE $1 END, \
         vault_ms = CASE WHEN vault_ms > $2 THEN vault_ms ELSE $2 END, \
         moment_before_ms = moment_ms, \
         moment_ms = CASE WHEN recorded_ms > $1 THEN recorded_ms ELSE $1 END \
         WHERE one = 1 RETURNING leaves, recorded_ms, vault_ms, moment_before_ms";
    let values = [Value::Int(moment.recorded_ms), Value::Int(moment.vault_ms)];
    let taken = transaction.first(statement, &values, |row| {
        let numbers = [row.int(0)?, row.int(1)?, row.int(2)?];
        let [_, recorded_ms, _] = numbers;
        let head = Kept {
            table: "log_head",
            statement: WRITE_HEAD,
            numbers,
            is_written: true,
        };
        Ok((head, recorded_ms > row.int(3)?))
    })?;
    taken.ok_or_else(|| damaged("the log has no head"))
}

/// Notes what time it is, so that no leaf from now on is dated before it.
///
/// # Errors
/// Those of the database.
pub fn note_time(transaction: &mut dyn Transaction, moment: Moment) -> Result<()> {
    let statement = "UPDATE log_head SET \
         recorded_ms = CASE WHEN recorded_ms > $1 THEN recorded_ms ELSE $1 END, \
         vault_ms = CASE WHEN vault_ms > $2 THEN vault_ms ELSE $2 END WHERE one = 1";
    let values = [Value::Int(moment.recorded_ms), Value::Int(moment.vault_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// Notes from which leaf on a time holds, which is later than all before.
fn note_moment(transaction: &mut dyn Transaction, number: u64, recorded_ms: i64) -> Result<()> {
    let statement = "INSERT INTO moment (first_leaf, recorded_ms) VALUES ($1, $2)";
    let values = [Value::Int(signed(number)?), Value::Int(recorded_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}

/// How many leaves had been recorded until a time, that time included.
///
/// # Errors
/// Those of the database.
pub fn count_until(transaction: &mut dyn Transaction, recorded_ms: i64) -> Result<u64> {
    // Both ascend together, so the first row behind the time in its index is the one: the least
    // leaf of all these rows would be looked for in all of them.
    let statement = "SELECT first_leaf FROM moment WHERE recorded_ms > $1 \
                     ORDER BY recorded_ms LIMIT 1";
    let values = [Value::Int(recorded_ms)];
    match transaction.first(statement, &values, |row| row.int(0))? {
        Some(first_leaf) => unsigned(first_leaf),
        None => Ok(head(transaction)?.leaves),
    }
}

/// Where the head stands.
///
/// # Errors
/// Those of the database.
pub fn head(transaction: &mut dyn Transaction) -> Result<Head> {
    let statement = "SELECT leaves, published FROM log_head WHERE one = 1";
    let head = transaction.first(statement, &[], |row| {
        Ok(Head {
            leaves: unsigned(row.int(0)?)?,
            published: unsigned(row.int(1)?)?,
        })
    })?;
    head.ok_or_else(|| damaged("the log has no head"))
}

/// Hands over the entries from `first` on, at most `count`, in order.
///
/// # Errors
/// Those of the database and of `each`.
pub fn entries(
    transaction: &mut dyn Transaction,
    first: u64,
    count: u64,
    each: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let end = signed(first.saturating_add(count))?;
    let statement = "SELECT number, entry FROM leaf WHERE number >= $1 AND number < $2 \
                     ORDER BY number";
    let values = [Value::Int(signed(first)?), Value::Int(end)];
    transaction.query(statement, &values, &mut |row| {
        each(unsigned(row.int(0)?)?, row.bytes(1)?)
    })
}

/// A time of ours as the world writes it.
pub fn timestamp(ms: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(ms).map_err(|_| damaged("a time is out of range"))
}
