//! A receipt that changes very many files, written down a part at a time.
//!
//! A million files are a million rows in three indexes. In one transaction that is a time, tens of
//! seconds on a slow disk, in which nobody else writes. So each part is
//! a transaction of its own, with other people's commits between. Nothing of it is seen before the
//! last one, which is small: it has the receipt stand, writes its leaf, and is what is answered.
//! Until then every receipt that stands holds back what it held back.
//!
//! What can go wrong: the process dies or is told to stop between two parts, or the last one is
//! refused. What was written is then taken back, by whoever sends the next receipt of the source or by
//! a job that looks every minute; nobody but who has the receipt could go on with it. Until that is
//! done no other receipt gets the position; one that stops says so, and nobody waits until it counts as
//! dead. What was counted for the day of the token stays counted, unless it was the process that
//! stopped: then the files are given back, or a few restarts would end the day of an honest client.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::database::Transaction;
use crate::database::lease::Holder;
use crate::records::client_keys::{self, Sent};
use crate::records::coming;
use crate::records::leaves::Moment;
use crate::records::needs::{self, Place};
use crate::records::under_way;
use crate::rules::needs::Difference;
use crate::vault::receipt::day;
use crate::vault::receipt::taking::{Outcome, Taking, current};
use crate::vault::{Vault, usage};
use crate::{Error, Result};

/// How many files a part writes, as many as an act under way looks at; what is no more than that is
/// written at once.
pub(super) const PART: u64 = under_way::PART;

/// The lineages in which somebody who waits takes back what was left.
#[derive(Debug, Default)]
pub(in crate::vault) struct TakenBack(Mutex<BTreeSet<i64>>);

/// That nobody else of this process who waits takes back the same, until this is dropped.
struct TakingBack<'t> {
    all: &'t TakenBack,
    lineage: i64,
}

impl TakenBack {
    /// Begins, where nobody else is at it.
    fn begin(&self, lineage: i64) -> Option<TakingBack<'_>> {
        let is_first = self.0.lock().insert(lineage);
        match is_first {
            true => Some(TakingBack { all: self, lineage }),
            false => None,
        }
    }
}

impl Drop for TakingBack<'_> {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.lineage);
    }
}

impl Taking {
    /// Writes the receipt down behind so many others, a part at a time.
    pub(super) fn commit_in_parts(
        &self,
        behind: u64,
        difference: &Arc<Difference>,
        cost: Sent,
    ) -> Result<Outcome> {
        // What would be left at its first part costs nothing.
        if self.vault.is_ending() {
            return Err(Error::ReceiptLeft);
        }
        let attempt: Arc<str> = Holder::random()?.to_string().into();
        let began = self.vault.now();
        let place = match self.begin_parts(behind, &attempt, (began, cost))? {
            ControlFlow::Continue(place) => place,
            ControlFlow::Break(outcome) => return Ok(outcome),
        };
        let done = self.write_parts(place, behind, &attempt, difference);
        if let Err(error) = &done {
            let files = match error {
                Error::ReceiptLeft => cost.files,
                _ => 0,
            };
            // Where not even this can be done, it is a minute later.
            let _ = self.leave(place.lineage, &attempt, (began, files));
        }
        done
    }

    /// Takes the position behind so many others, so that nobody else writes there. What the receipt
    /// costs is counted before anything is made of it.
    fn begin_parts(
        &self,
        behind: u64,
        attempt: &Arc<str>,
        (now, cost): (Moment, Sent),
    ) -> Result<ControlFlow<Outcome, Place>> {
        let (work, attempt) = (self.work(), Arc::clone(attempt));
        self.vault.shared.commits.commit(move |transaction| {
            let (repository, place) = match work.look_again(transaction, now, behind)? {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(outcome) => return Ok(ControlFlow::Break(outcome)),
            };
            // It is bound when the receipt stands.
            let bound = client_keys::get(transaction, work.principal.token)?;
            work.check_key(bound)?;
            work.spend(transaction, &repository, now, cost)?;
            coming::begin(transaction, place.lineage, behind, &attempt)?;
            Ok(ControlFlow::Continue(place))
        })
    }

    /// Writes all that the receipt changes, and has it stand; where it was taken back meanwhile, it
    /// is looked at anew.
    fn write_parts(
        &self,
        place: Place,
        behind: u64,
        attempt: &Arc<str>,
        difference: &Arc<Difference>,
    ) -> Result<Outcome> {
        let most = usize::try_from(PART).unwrap_or(usize::MAX);
        let all = difference.added.len() + difference.dropped.len();
        for from in (0..all).step_by(most) {
            if self.vault.is_ending() {
                return Err(Error::ReceiptLeft);
            }
            let (attempt, part) = (Arc::clone(attempt), difference.part(from, most));
            let is_written = self.vault.shared.commits.commit(move |transaction| {
                if !coming::goes_on(transaction, place.lineage, &attempt)? {
                    return Ok(false);
                }
                needs::apply(transaction, place, behind, &part)?;
                Ok(true)
            })?;
            if !is_written {
                return Ok(Outcome::Outdated);
            }
        }
        self.end_parts(place, behind, attempt)
    }

    /// Has a receipt stand whose parts are all written. Whether its token counts, its key is the one
    /// that is bound and there is room for it is asked once more: it may have taken a while.
    fn end_parts(&self, place: Place, behind: u64, attempt: &Arc<str>) -> Result<Outcome> {
        let now = self.vault.now();
        let (work, attempt) = (self.work(), Arc::clone(attempt));
        self.vault.shared.commits.commit(move |transaction| {
            let repository = current(transaction, &work.repository)?;
            usage::allowance(transaction, work.principal.token, now.vault_ms)?;
            usage::check_quota(&repository, 0, work.envelope.len() as u64)?;
            if !coming::end(transaction, place.lineage, &attempt)? {
                return Ok(Outcome::Outdated);
            }
            work.bind_in(transaction, now)?;
            work.stand(transaction, now, (repository, place.lineage), behind)
        })
    }

    /// Leaves an attempt that failed, gives back to the day of its token so many files that were
    /// counted when it began, and takes back what it has written, until the process stops.
    fn leave(
        &self,
        lineage: i64,
        attempt: &Arc<str>,
        (began, files): (Moment, u64),
    ) -> Result<bool> {
        let (token, attempt) = (self.principal.token, Arc::clone(attempt));
        self.vault.shared.commits.commit(move |transaction| {
            match coming::leave(transaction, lineage, &attempt)? {
                true => day::give_back(transaction, token, began, files),
                false => Ok(()),
            }
        })?;
        self.vault.take_back_receipt(lineage)
    }
}

impl Vault {
    /// Looks whether no receipt is on its way into a lineage any more; takes back one that was left.
    /// One of those who wait does that, and the others go on waiting.
    ///
    /// # Errors
    /// [`Error::Contended`] where one is still, and it is `until`; [`Error::ReceiptLeft`] where the
    /// process stops before it has taken that back; those of the database.
    pub(super) fn is_lineage_free(&self, lineage: i64, until: Instant) -> Result<bool> {
        let Some(coming) = self.read(|transaction| coming::get(transaction, lineage))? else {
            return Ok(true);
        };
        let taking = match coming.is_left {
            true => self.shared.taken_back.begin(lineage),
            false => None,
        };
        match taking {
            Some(_taking) => match self.take_back_receipt(lineage)? {
                true => Ok(true),
                false => Err(Error::ReceiptLeft),
            },
            None if Instant::now() >= until => Err(contended()),
            None => Ok(false),
        }
    }

    /// Takes back what was written of receipts that were left before they stood; returns how many it
    /// were. To be called once a minute.
    ///
    /// # Errors
    /// The first one of the database, after all others were taken back; the rest is the next time.
    pub fn take_back_receipts(&self) -> Result<u64> {
        let (mut receipts, mut first_error) = (0, None);
        // Most often there is none: to see that nothing needs to be written.
        for lineage in self.read(coming::left)? {
            if self.is_ending() {
                break;
            }
            match self.take_back_receipt(lineage) {
                Ok(true) => receipts += 1,
                Ok(false) => break,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(receipts), Err)
    }

    /// Takes back what was written of a receipt that was left, a part at a time, until the process
    /// stops; tells whether nothing is left of it.
    fn take_back_receipt(&self, lineage: i64) -> Result<bool> {
        let take_back =
            move |transaction: &mut dyn Transaction| coming::take_back(transaction, lineage);
        while self.shared.commits.commit(take_back)? {
            if self.is_ending() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Another receipt of the source is in the way all the time.
pub(super) fn contended() -> Error {
    Error::Contended {
        what: "the receipts of this source",
    }
}
