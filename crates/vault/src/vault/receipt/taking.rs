//! A receipt whose signature holds is put behind those that came before.
//!
//! What can go wrong: two that come at once for one source. Each is compared with the one that was
//! last when it was looked; who finds another one there when he writes looks again. And while a very
//! large one is written down in parts, all others of its source wait.

use std::ops::ControlFlow;
use std::sync::Arc;

use strongroom_access::Refusal;
use strongroom_model::receipt::VerifiedReceipt;
use strongroom_model::{FileName, Id, RepositoryPath};

use crate::database::Transaction;
use crate::records::client_keys::{self, PublicKey, Sent};
use crate::records::coming;
use crate::records::leaves::{self, Act, Moment};
use crate::records::needs::{self, Place};
use crate::records::people::seals;
use crate::records::receipts::{self, Lineage, NewReceipt, Receipt};
use crate::records::repositories::{self, Repository};
use crate::rules::needs::{Difference, Merge, names};
use crate::vault::authentication::Principal;
use crate::vault::receipt::parts::{PART, contended};
use crate::vault::receipt::{Accepted, day};
use crate::vault::{Vault, no_answer, unknown_repository, usage, wholeness};
use crate::{Error, Result};

/// The most sources of one client in a repository.
const MOST_SOURCES: u64 = 256;

/// How many files can be looked through for the cost of changing one.
const LOOKED_THROUGH: u64 = 8;

/// Of how many files it is asked at once whether the last receipt needs them.
const ASKED_AT_ONCE: usize = 1_000;

/// How often it is tried to stand behind the last receipt, while others do the same.
const ATTEMPTS: usize = 16;

/// A receipt whose signature holds.
pub(super) struct Taking {
    pub(super) vault: Vault,
    pub(super) principal: Principal,
    pub(super) repository: RepositoryPath,
    pub(super) key: PublicKey,
    pub(super) verified: Arc<VerifiedReceipt>,
    pub(super) envelope: Arc<Vec<u8>>,
}

/// What came of writing a receipt down.
pub(super) enum Outcome {
    /// It stands, or stood before.
    Stands(Receipt),
    /// Others have come before it, so that it is compared anew.
    Outdated,
    /// Another one is on its way into this lineage.
    Waits(i64),
}

/// What is to be done with a receipt.
enum Plan {
    /// Nothing: it was sent before.
    Known(Receipt),
    /// It waits for another one that is on its way into this lineage.
    Waits(i64),
    /// It stands behind so many others, and changes this.
    Stands {
        behind: u64,
        difference: Arc<Difference>,
        cost: Sent,
    },
}

/// How many files are looked through.
struct Through<'t> {
    rows: &'t mut u64,
    most: u64,
    now: Moment,
}

impl Through<'_> {
    /// Counts one; fails where the day has no room for it.
    fn one_more(&mut self) -> Result<()> {
        *self.rows += 1;
        match *self.rows > self.most {
            true => Err(day::is_over("files in receipts", self.now)),
            false => Ok(()),
        }
    }
}

impl Taking {
    /// What the lineage needs is looked at outside of the transaction that changes it, which must
    /// not wait for it: so it may be out of date by then, and is looked at again. Where another one is
    /// on its way into the lineage, that one is returned, for which it has to wait.
    pub(super) fn take(self) -> Result<ControlFlow<Accepted, i64>> {
        for _ in 0..ATTEMPTS {
            let outcome = match self.plan()? {
                Plan::Known(receipt) => {
                    self.bind()?;
                    Outcome::Stands(receipt)
                }
                Plan::Waits(lineage) => Outcome::Waits(lineage),
                Plan::Stands {
                    behind,
                    difference,
                    cost,
                } => match difference.files() > PART {
                    true => self.commit_in_parts(behind, &difference, cost)?,
                    false => self.commit(behind, difference, cost)?,
                },
            };
            match outcome {
                Outcome::Stands(receipt) => return self.answer(&receipt).map(ControlFlow::Break),
                Outcome::Outdated => {}
                Outcome::Waits(lineage) => return Ok(ControlFlow::Continue(lineage)),
            }
        }
        Err(contended())
    }

    /// What is looked through for it is counted before anything comes of it, be it a refusal.
    fn plan(&self) -> Result<Plan> {
        let now = self.vault.now();
        let mut looked_through = 0;
        let plan = self.look(now, &mut looked_through);
        let files = looked_through / LOOKED_THROUGH;
        if files > 0 {
            let token = self.principal.token;
            self.vault
                .shared
                .commits
                .commit(move |transaction| day::charge_files(transaction, token, now, files))?;
        }
        plan
    }

    fn look(&self, now: Moment, looked_through: &mut u64) -> Result<Plan> {
        let (id, claim) = (self.verified.id(), self.verified.receipt());
        let token = self.principal.token;
        self.vault.read(|transaction| {
            *looked_through = 0;
            let repository = current(transaction, &self.repository)?;
            let bound = client_keys::get(transaction, token)?;
            self.check_key(bound)?;
            if let Some(known) = receipts::get(transaction, repository.id, id)? {
                return Ok(Plan::Known(known));
            }
            let lineage =
                receipts::lineage_of(transaction, repository.id, claim.client, &claim.source)?;
            let parent = match claim.parent {
                None => None,
                Some(parent) => {
                    let found = receipts::get(transaction, repository.id, parent)?;
                    Some(found.ok_or(Error::UnknownParent {
                        receipt: id,
                        parent,
                    })?)
                }
            };
            let is_other = |parent: &Receipt| {
                lineage
                    .as_ref()
                    .is_none_or(|lineage| lineage.id != parent.lineage)
            };
            if parent.as_ref().is_some_and(is_other) {
                return Err(broken("its parent is of another client or source"));
            }
            if let Some(lineage) = &lineage
                && coming::get(transaction, lineage.id)?.is_some()
            {
                return Ok(Plan::Waits(lineage.id));
            }
            let parent = parent.map(|parent| parent.position);
            let place = |lineage: &Lineage| Place {
                repository: repository.id,
                lineage: lineage.id,
            };
            let place = lineage.as_ref().map(place);
            let behind = lineage.map_or(0, |lineage| lineage.receipts);
            let mut through = Through {
                rows: &mut *looked_through,
                most: day::files_left(transaction, token, now)?.saturating_mul(LOOKED_THROUGH),
                now,
            };
            let difference = self.compare(transaction, place, (parent, behind), &mut through)?;
            // That it was sent, how large it is and what was looked through for it is counted.
            let cost = Sent {
                files: difference.files(),
                ..Sent::default()
            };
            Ok(Plan::Stands {
                behind,
                difference: Arc::new(difference),
                cost,
            })
        })
    }

    /// What changes behind the last receipt of so many, where the receipt has a parent or none; and
    /// how many files had to be looked through, no more of them than its token may have.
    fn compare(
        &self,
        transaction: &mut dyn Transaction,
        place: Option<Place>,
        (parent, behind): (Option<u64>, u64),
        through: &mut Through<'_>,
    ) -> Result<Difference> {
        let change = &self.verified.receipt().needs;
        let mut merge = Merge::new(change);
        let last = behind.checked_sub(1);
        if let Some(place) = place {
            if let Some(last) = last.filter(|last| parent == Some(*last)) {
                // It builds on the last one: only what it speaks of can change.
                for key in needs::open_keys(transaction, place.lineage, last)? {
                    merge.row(key, true, true).map_err(|why| broken(&why))?;
                }
                let mut said = names(change);
                loop {
                    let some: Vec<FileName> = said.by_ref().take(ASKED_AT_ONCE).collect();
                    if some.is_empty() {
                        break;
                    }
                    for name in needs::open_among(transaction, place, last, &some)? {
                        merge.row(name, true, true).map_err(|why| broken(&why))?;
                    }
                }
            } else {
                let lineage = place.lineage;
                let each = &mut |name, at_parent, at_tip| {
                    through.one_more()?;
                    let merged = merge.row(name, at_parent, at_tip);
                    merged.map_err(|why| broken(&why))
                };
                needs::rows(transaction, lineage, (parent, last), each)?;
            }
        }
        merge.finish().map_err(|why| broken(&why))
    }

    /// Writes the receipt down behind so many others, in one transaction.
    fn commit(&self, behind: u64, difference: Arc<Difference>, cost: Sent) -> Result<Outcome> {
        let now = self.vault.now();
        let work = self.work();
        self.vault.shared.commits.commit(move |transaction| {
            let (repository, place) = match work.look_again(transaction, now, behind)? {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(outcome) => return Ok(outcome),
            };
            work.bind_in(transaction, now)?;
            work.spend(transaction, &repository, now, cost)?;
            needs::apply(transaction, place, behind, &difference)?;
            work.stand(transaction, now, (repository, place.lineage), behind)
        })
    }

    /// Looks again at what was looked at before, in the transaction that writes: where the receipt
    /// goes, when nothing else has come and nothing is on its way.
    pub(super) fn look_again(
        &self,
        transaction: &mut dyn Transaction,
        now: Moment,
        behind: u64,
    ) -> Result<ControlFlow<Outcome, (Repository, Place)>> {
        let repository = current(transaction, &self.repository)?;
        if let Some(known) = receipts::get(transaction, repository.id, self.verified.id())? {
            self.bind_in(transaction, now)?;
            return Ok(ControlFlow::Break(Outcome::Stands(known)));
        }
        let lineage = self.lineage(transaction, &repository)?;
        if coming::get(transaction, lineage.id)?.is_some() {
            return Ok(ControlFlow::Break(Outcome::Waits(lineage.id)));
        }
        if lineage.receipts != behind {
            return Ok(ControlFlow::Break(Outcome::Outdated));
        }
        let place = Place {
            repository: repository.id,
            lineage: lineage.id,
        };
        Ok(ControlFlow::Continue((repository, place)))
    }

    /// Has the receipt stand behind so many others of a lineage, where what it changes is written:
    /// from here on it counts, all of it at once.
    pub(super) fn stand(
        &self,
        transaction: &mut dyn Transaction,
        now: Moment,
        (repository, lineage): (Repository, i64),
        behind: u64,
    ) -> Result<Outcome> {
        let (id, claim) = (self.verified.id(), self.verified.receipt());
        let act = Act::Receipt {
            repository: repository.path,
            snapshot: claim.snapshot,
            receipt: id,
            client: claim.client,
            token: self.principal.name.clone(),
        };
        // It waits from then on to take the place of older ones: so a process that slept must not
        // date it back.
        let leaf = leaves::append_dated(transaction, now, &act)?;
        let receipt = Receipt {
            id,
            lineage,
            position: behind,
            snapshot: claim.snapshot,
            host: claim.host.clone(),
            time: claim.time,
            config: claim.needs.config,
            token: self.principal.token,
            arrived_ms: leaf.moment.vault_ms,
        };
        let new = NewReceipt {
            receipt: &receipt,
            parent: claim.parent,
            put: leaf.number,
            envelope: &self.envelope,
        };
        receipts::insert(transaction, repository.id, &new)?;
        Ok(Outcome::Stands(receipt))
    }

    /// The same, for a transaction that is done elsewhere.
    pub(super) fn work(&self) -> Self {
        Self {
            vault: self.vault.clone(),
            principal: self.principal.clone(),
            repository: self.repository.clone(),
            key: self.key,
            verified: Arc::clone(&self.verified),
            envelope: Arc::clone(&self.envelope),
        }
    }

    /// The lineage that the receipt belongs to, made where it is the first.
    fn lineage(
        &self,
        transaction: &mut dyn Transaction,
        repository: &Repository,
    ) -> Result<Lineage> {
        let claim = self.verified.receipt();
        let (id, client) = (repository.id, claim.client);
        if let Some(known) = receipts::lineage_of(transaction, id, client, &claim.source)? {
            return Ok(known);
        }
        if receipts::count_sources(transaction, id, client)? >= MOST_SOURCES {
            return Err(Error::Full {
                reason: format!("a client may have {MOST_SOURCES} sources in a repository"),
            });
        }
        receipts::insert_lineage(transaction, id, client, &claim.source)?;
        let made = receipts::lineage_of(transaction, id, client, &claim.source)?;
        made.ok_or_else(no_answer)
    }

    /// Counts what the receipt costs its token, and its bytes; fails where there is no room for
    /// them.
    pub(super) fn spend(
        &self,
        transaction: &mut dyn Transaction,
        repository: &Repository,
        now: Moment,
        cost: Sent,
    ) -> Result<()> {
        let token = self.principal.token;
        let sent = day::with(transaction, token, now, cost)?;
        client_keys::set_sent(transaction, token, sent)?;
        let bytes = self.envelope.len() as u64;
        usage::check_quota(repository, 0, bytes)?;
        usage::spend(transaction, token, now.vault_ms, bytes)
    }

    pub(super) fn check_key(&self, bound: Option<PublicKey>) -> Result<()> {
        match bound {
            Some(bound) if bound != self.key => Err(Error::OtherClient {
                token: self.principal.name.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Binds the client's key to the token, where none is yet and the token still counts.
    fn bind(&self) -> Result<()> {
        let token = self.principal.token;
        let read = |transaction: &mut dyn Transaction| client_keys::get(transaction, token);
        if self.vault.read(read)?.is_some() {
            return Ok(());
        }
        let (now, work) = (self.vault.now(), self.work());
        let bind = move |transaction: &mut dyn Transaction| work.bind_in(transaction, now);
        self.vault.shared.commits.commit(bind)
    }

    pub(super) fn bind_in(&self, transaction: &mut dyn Transaction, now: Moment) -> Result<()> {
        let token = self.principal.token;
        let bound = client_keys::get(transaction, token)?;
        self.check_key(bound)?;
        if bound.is_none() {
            // Nobody is newly trusted under the seal.
            if seals::get(transaction)?.is_closed() {
                return Err(Refusal::Sealed.into());
            }
            // What is sent slowly takes a while, and nothing of a known one is counted here.
            usage::allowance(transaction, token, now.vault_ms)?;
            client_keys::bind(transaction, token, &self.key, now.vault_ms)?;
            let act = Act::ClientKey {
                token: self.principal.name.clone(),
                client: Id::of(&self.key),
            };
            leaves::append(transaction, now, &act)?;
        }
        Ok(())
    }

    fn answer(&self, receipt: &Receipt) -> Result<Accepted> {
        let missing = self.vault.read(|transaction| {
            let repository = current(transaction, &self.repository)?;
            wholeness::count_missing(transaction, &repository, receipt)
        })?;
        Ok(Accepted {
            receipt: receipt.id,
            snapshot: receipt.snapshot,
            missing,
        })
    }
}

pub(super) fn current(
    transaction: &mut dyn Transaction,
    path: &RepositoryPath,
) -> Result<Repository> {
    repositories::get(transaction, path)?.ok_or_else(|| unknown_repository(path))
}

fn broken(reason: &str) -> Error {
    Error::Malformed {
        what: "receipt",
        reason: format!("it does not continue its chain: {reason}"),
    }
}
