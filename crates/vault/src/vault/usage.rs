//! Room: what uploads may still take of the disk, of a repository's quota, of a token's day.
//!
//! What is on its way counts as taken, so that many uploads at once cannot pass a bound that each
//! of them alone would keep. Quotas and days are counted in the database, for all processes; the
//! room on a disk is looked at by each for itself, and again every few MiB.
//!
//! What can go wrong: a sender who declares a gigabyte and sends nothing takes the room of all
//! others; or many who declare nothing fill the disk between two looks at it. So every byte is
//! counted before it is written, in steps that are as large as what has come, and the disk is
//! looked at for each step, whatever was declared; but where it has just been seen to have plenty,
//! that is good for a moment in which nobody could fill it. In quotas and days of others only what
//! has come counts. Whoever declares more than fits is told so at the door, and keeps nothing of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::records::outlook::Outlook;
use crate::records::repositories::Repository;
use crate::records::tokens::{self, Allowance, Spent};
use crate::rules::clock::{DAY_MS, SECOND_MS};
use crate::rules::purge::day_of;
use crate::rules::quota;
use crate::vault::Vault;
use crate::{Error, Result};

/// How many bytes of an upload are taken of the disk before the first one has come.
const FIRST_STEP_BYTES: u64 = 1 << 20;

/// How many are taken ahead at most, and so after how many the room is looked at again.
const STEP_BYTES: u64 = 8 << 20;

/// For how long a look at a disk holds on which there is plenty: as long as nobody could fill it.
const LOOK_HOLDS: Duration = Duration::from_millis(20);

/// How much more than is needed is plenty.
const PLENTY_BYTES: u64 = 1 << 30;

/// What is on its way in this process.
#[derive(Debug, Default)]
pub(super) struct Usage(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    /// What was taken of the disk and is not on it yet.
    ahead_bytes: u64,
    /// When the disk was looked at, and what was free.
    seen: Option<(Instant, u64)>,
    repositories: HashMap<RepositoryPath, Share>,
    tokens: HashMap<i64, Share>,
}

/// What has come of the uploads of a repository or a token that are under way, and how many these
/// are.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    bytes: u64,
    objects: u64,
}

/// Room that an upload has; given back when dropped, which must be after its commit.
#[derive(Debug)]
pub(super) struct Room {
    taken: Arc<Mutex<Taken>>,
    repository: RepositoryPath,
    token: i64,
    /// What the sender declares, where he does.
    declared_bytes: Option<u64>,
    /// What has come, of which the last piece may not be written yet, or nothing.
    received_bytes: u64,
    written_bytes: u64,
    /// What is taken of the disk: what has come, and a step more.
    taken_bytes: u64,
}

/// What is on its way to one repository and from one token, at one moment, and what this upload
/// has declared. To be looked at before the database is: what arrives between the two is then
/// counted twice, and never missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    of_repository: Share,
    of_token: Share,
}

impl Share {
    fn more(&mut self, bytes: u64, objects: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.objects = self.objects.saturating_add(objects);
    }

    /// Whether nothing is left.
    fn less(&mut self, bytes: u64, objects: u64) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.objects = self.objects.saturating_sub(objects);
        self.objects == 0
    }
}

impl Room {
    fn take(
        usage: &Usage,
        repository: &RepositoryPath,
        token: i64,
        declared_bytes: Option<u64>,
    ) -> Self {
        let taken_bytes = declared_bytes.unwrap_or(u64::MAX).min(FIRST_STEP_BYTES);
        let mut taken = usage.0.lock();
        taken.ahead_bytes = taken.ahead_bytes.saturating_add(taken_bytes);
        let of_repository = taken.repositories.entry(repository.clone()).or_default();
        of_repository.more(0, 1);
        taken.tokens.entry(token).or_default().more(0, 1);
        Self {
            taken: Arc::clone(&usage.0),
            repository: repository.clone(),
            token,
            declared_bytes,
            received_bytes: 0,
            written_bytes: 0,
            taken_bytes,
        }
    }

    /// Notes how many bytes have come, of which the last ones are not written yet, and those before
    /// only where they do not wait in memory; whether it had to take a step more for them, so that
    /// the room has to be looked at before they are.
    #[must_use]
    pub(super) fn grow_to(&mut self, received_bytes: u64, is_in_memory: bool) -> bool {
        let ahead_before = self.ahead();
        let more = received_bytes.saturating_sub(self.received_bytes);
        let is_step = received_bytes > self.taken_bytes;
        if is_step {
            let step = received_bytes.clamp(FIRST_STEP_BYTES, STEP_BYTES);
            let most = self.declared_bytes.unwrap_or(u64::MAX).max(received_bytes);
            self.taken_bytes = received_bytes.saturating_add(step).min(most);
        }
        if !is_in_memory {
            self.written_bytes = self.received_bytes;
        }
        self.received_bytes = received_bytes;
        let ahead = self.ahead();
        let mut taken = self.taken.lock();
        taken.ahead_bytes = taken.ahead_bytes.saturating_sub(ahead_before);
        taken.ahead_bytes = taken.ahead_bytes.saturating_add(ahead);
        if let Some(of_repository) = taken.repositories.get_mut(&self.repository) {
            of_repository.more(more, 0);
        }
        if let Some(of_token) = taken.tokens.get_mut(&self.token) {
            of_token.more(more, 0);
        }
        is_step
    }

    /// What is taken of the disk and is not on it yet.
    const fn ahead(&self) -> u64 {
        self.taken_bytes.saturating_sub(self.written_bytes)
    }

    /// Whether no more has come than was declared, and so was looked at.
    pub(super) fn is_as_declared(&self) -> bool {
        self.received_bytes <= self.declared_bytes.unwrap_or_default()
    }

    /// What is on its way now: what has come of all others, and of this one all that it declares.
    pub(super) fn under_way(&self) -> UnderWay {
        let declared_bytes = self.declared_bytes.unwrap_or_default();
        let rest = declared_bytes.saturating_sub(self.received_bytes);
        let taken = self.taken.lock();
        let of_repository = taken.repositories.get(&self.repository);
        let mut under_way = UnderWay {
            of_repository: of_repository.copied().unwrap_or_default(),
            of_token: taken.tokens.get(&self.token).copied().unwrap_or_default(),
        };
        under_way.of_repository.more(rest, 0);
        under_way.of_token.more(rest, 0);
        under_way
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let ahead = self.ahead();
        let mut taken = self.taken.lock();
        taken.ahead_bytes = taken.ahead_bytes.saturating_sub(ahead);
        if let Some(of_repository) = taken.repositories.get_mut(&self.repository)
            && of_repository.less(self.received_bytes, 1)
        {
            taken.repositories.remove(&self.repository);
        }
        if let Some(of_token) = taken.tokens.get_mut(&self.token)
            && of_token.less(self.received_bytes, 1)
        {
            taken.tokens.remove(&self.token);
        }
    }
}

impl UnderWay {
    /// Fails where a repository's quota has no room for all of it.
    pub(super) fn check_quota(&self, repository: &Repository) -> Result<()> {
        let Share { bytes, objects } = self.of_repository;
        check_quota(repository, objects, bytes)
    }

    /// Fails where a token's day has no room for all of it.
    pub(super) fn check_day(&self, allowance: &Allowance, vault_ms: i64) -> Result<()> {
        let Share { bytes, objects } = self.of_token;
        let after = allowance.after(day_of(vault_ms), bytes, objects);
        let day_is_over = || no_room_in_day(allowance, vault_ms);
        after.map(drop).ok_or_else(day_is_over)
    }
}

impl Vault {
    /// Takes room for an upload that declares so many bytes, or none, of which none are here yet.
    ///
    /// # Errors
    /// [`Error::Full`] where they do not fit on the disk.
    pub(super) fn take_room(
        &self,
        repository: &RepositoryPath,
        token: i64,
        declared_bytes: Option<u64>,
    ) -> Result<Room> {
        let room = Room::take(&self.shared.usage, repository, token, declared_bytes);
        let rest = declared_bytes
            .unwrap_or_default()
            .saturating_sub(room.ahead());
        self.check_disk_for(rest)?;
        Ok(room)
    }

    /// Fails where what is on its way does not fit on the disk beside the reserve.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) fn check_disk(&self) -> Result<()> {
        self.check_disk_for(0)
    }

    /// Fails where so many bytes more than what was taken do not fit on the disk.
    fn check_disk_for(&self, bytes: u64) -> Result<()> {
        let (ahead_bytes, seen) = {
            let taken = self.shared.usage.0.lock();
            (taken.ahead_bytes, taken.seen)
        };
        let needed = ahead_bytes
            .saturating_add(bytes)
            .saturating_add(self.shared.settings.reserve_bytes);
        let plenty = needed.saturating_add(PLENTY_BYTES);
        if seen.is_some_and(|(at, free)| at.elapsed() < LOOK_HOLDS && free >= plenty) {
            return Ok(());
        }
        // What a storage that took its time tells may be as old as the question.
        let at = Instant::now();
        let free = self.shared.bodies.free_bytes()?;
        self.shared.usage.0.lock().seen = free.map(|free| (at, free));
        match free {
            Some(free) if free < needed => Err(Error::Full {
                reason: "the storage of the vault is full but for its reserve".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Outlook {
    /// What the token may put, where it still counts, as in [`allowance`].
    ///
    /// # Errors
    /// [`Error::Unauthorized`].
    pub(super) fn allowance_at(&self, vault_ms: i64) -> Result<Allowance> {
        counting(self.allowance, vault_ms)
    }

    /// What the token has put with so many bytes more.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::Full`] where its day is used up.
    pub(super) fn spent_with(&self, vault_ms: i64, bytes: u64) -> Result<Spent> {
        after(&self.allowance_at(vault_ms)?, vault_ms, bytes)
    }
}

/// Fails where a repository's quota has no room for so many objects and bytes more.
pub(super) fn check_quota(repository: &Repository, objects: u64, bytes: u64) -> Result<()> {
    let objects = repository.objects.saturating_add(objects);
    let bytes = repository.bytes.saturating_add(bytes);
    let counted = quota::counted_bytes(objects, bytes);
    match repository.quota_bytes {
        Some(quota) if counted > quota => Err(Error::Full {
            reason: format!("the quota of {} is used up", repository.path),
        }),
        _ => Ok(()),
    }
}

/// What a token may put, where it still counts: it may have been ended since its request began,
/// and an upload can take hours.
///
/// # Errors
/// [`Error::Unauthorized`]; those of the database.
pub(super) fn allowance(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
) -> Result<Allowance> {
    counting(tokens::allowance(transaction, token)?, vault_ms)
}

fn counting(allowance: Option<Allowance>, vault_ms: i64) -> Result<Allowance> {
    allowance
        .filter(|allowance| allowance.counts_at(vault_ms))
        .ok_or(Error::Unauthorized)
}

/// Counts an object that a token puts; fails where its day is used up, or where it does not count
/// any more.
pub(super) fn spend(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
    bytes: u64,
) -> Result<()> {
    let allowance = allowance(transaction, token, vault_ms)?;
    tokens::set_spent(transaction, token, after(&allowance, vault_ms, bytes)?)
}

/// Counts an object that a token asks to be deleted. Nothing was sent in vain, so that whoever has
/// used up his day may ask again.
///
/// # Errors
/// [`Error::DayIsUsedUp`]; [`Error::Unauthorized`]; those of the database.
pub(super) fn spend_on_deletion(
    transaction: &mut dyn Transaction,
    token: i64,
    vault_ms: i64,
) -> Result<()> {
    let allowance = allowance(transaction, token, vault_ms)?;
    let Some(spent) = allowance.after(day_of(vault_ms), 0, 1) else {
        let left_ms = next_day_ms(&allowance, vault_ms).saturating_sub(vault_ms);
        let left_s = u64::try_from(left_ms / SECOND_MS).unwrap_or_default();
        return Err(Error::DayIsUsedUp {
            until: next_day(&allowance, vault_ms),
            pause: Duration::from_secs(left_s.saturating_add(1)),
        });
    };
    tokens::set_spent(transaction, token, spent)
}

fn after(allowance: &Allowance, vault_ms: i64, bytes: u64) -> Result<Spent> {
    let after = allowance.after(day_of(vault_ms), bytes, 1);
    after.ok_or_else(|| no_room_in_day(allowance, vault_ms))
}

/// When the day of a token is over, in milliseconds of vault time.
fn next_day_ms(allowance: &Allowance, vault_ms: i64) -> i64 {
    // As for what is spent: no day begins twice.
    let day = day_of(vault_ms).max(allowance.spent.day);
    day.saturating_add(1).saturating_mul(DAY_MS)
}

fn next_day(allowance: &Allowance, vault_ms: i64) -> Timestamp {
    let next = Timestamp::from_millisecond(next_day_ms(allowance, vault_ms));
    next.unwrap_or(Timestamp::MAX)
}

/// For what is put: whoever sends it shall not send it again and again until the next day, with all
/// its bytes.
fn no_room_in_day(allowance: &Allowance, vault_ms: i64) -> Error {
    let until = next_day(allowance, vault_ms);
    Error::Full {
        reason: format!(
            "the token has put and deleted as much as it may in a day; it may again at {until}, by \
             the vault's clock"
        ),
    }
}
