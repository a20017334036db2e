//! Refusals: counted at once, told in the log a little later and in groups, so that whoever is
//! refused a thousand times a second neither waits for the log nor fills it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_model::RepositoryPath;

use crate::database::Transaction;
use crate::records::leaves::{self, Act};
use crate::records::repositories;
use crate::rules::refusals::{Reason, Refusal, Refusals, Told};
use crate::vault::Vault;
use crate::{Error, Result};

/// The most leaves at a time; what is left is told the next time.
const MOST_LEAVES: usize = 64;

/// What was refused in this process.
#[derive(Debug, Default)]
pub(super) struct Refused {
    untold: Mutex<Refusals>,
    counts: [AtomicU64; Reason::ALL.len()],
}

impl Vault {
    /// Notes that a request was answered with an error, where that is a refusal. Failed logins are
    /// noted by [`Vault::authenticate`] itself.
    pub fn note_refusal(
        &self,
        error: &Error,
        is_deletion: bool,
        token: Option<&str>,
        repository: Option<&RepositoryPath>,
    ) {
        let reason = match error {
            Error::Forbidden { .. } if is_deletion => Reason::Deletion,
            Error::Forbidden { .. } => Reason::Forbidden,
            Error::BadBytes { .. } => Reason::BadBytes,
            Error::TooLarge { .. } | Error::UploadTooLarge { .. } => Reason::TooLarge,
            Error::Full { .. }
            | Error::DayIsOver { .. }
            | Error::TooManyLives { .. }
            | Error::DayIsUsedUp { .. }
            | Error::Storage(strongroom_store::Error::Full { .. }) => Reason::NoRoom,
            Error::TooManyLocks { .. } => Reason::NoRoom,
            Error::Hidden { .. } => Reason::Hidden,
            Error::ConfigIsThere { .. } => Reason::OtherConfig,
            Error::Refused { .. }
            | Error::NotPermitted(_)
            | Error::OtherTombstones { .. }
            | Error::WallClock { .. }
            | Error::CatchUp { .. }
            | Error::CatchUpUnseen { .. } => Reason::NeedsApproval,
            Error::OtherClient { .. } => Reason::OtherClient,
            Error::Malformed { .. } => Reason::Malformed,
            _ => return,
        };
        self.refuse(reason, token, repository);
    }

    /// Notes that somebody asked without any token.
    pub fn note_no_token(&self, repository: Option<&RepositoryPath>) {
        self.refuse(Reason::UnknownToken, None, repository);
    }

    /// Notes that somebody wanted to administer the vault who may not.
    pub fn note_no_administrator(&self, repository: Option<&RepositoryPath>) {
        self.refuse(Reason::Administrator, None, repository);
    }

    pub(super) fn refuse(
        &self,
        reason: Reason,
        token: Option<&str>,
        repository: Option<&RepositoryPath>,
    ) {
        let refused = &self.shared.refused;
        for (known, count) in Reason::ALL.iter().zip(&refused.counts) {
            if *known == reason {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        refused.untold.lock().note(Refusal {
            token: token.map(str::to_owned),
            reason,
            repository: repository.cloned(),
        });
    }

    /// How often this process has refused something, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = self.shared.refused.counts.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.into_iter().zip(counts)
    }

    /// Writes into the log what was refused; returns how many leaves it is. To be called every few
    /// seconds, and with `is_last` when the process ends, so that nothing stays untold.
    ///
    /// # Errors
    /// Those of the database; it is told the next time.
    pub fn tell_refusals(&self, is_last: bool) -> Result<u64> {
        let boot_ms = self.shared.read_clocks.read().boottime_ms;
        let (now_ms, most) = match is_last {
            true => (i64::MAX, usize::MAX),
            false => (boot_ms, MOST_LEAVES),
        };
        let due = self.shared.refused.untold.lock().due(now_ms, most);
        if due.is_empty() {
            return Ok(0);
        }
        let (now, telling) = (self.now(), due.clone());
        let told = self.shared.commits.commit(move |transaction| {
            for told in &telling {
                let Told {
                    refusal,
                    are_elsewhere,
                    before,
                } = told;
                let repository = known_of(transaction, refusal)?;
                let act = Act::Refusal {
                    token: refusal.token.clone(),
                    reason: refusal.reason.word(),
                    repository,
                    are_elsewhere: *are_elsewhere,
                    before: *before,
                };
                leaves::append(transaction, now, &act)?;
            }
            Ok(telling.len() as u64)
        });
        told.inspect_err(|_| self.shared.refused.untold.lock().give_back(due))
    }
}

/// The repository of a refusal, as the log tells it. A stranger may write any name: only that of a
/// repository that is there is told of him.
fn known_of(
    transaction: &mut dyn Transaction,
    refusal: &Refusal,
) -> Result<Option<RepositoryPath>> {
    let Some(path) = &refusal.repository else {
        return Ok(None);
    };
    let is_told = refusal.token.is_some() || repositories::get(transaction, path)?.is_some();
    Ok(is_told.then(|| path.clone()))
}
