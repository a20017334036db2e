//! Receipts anew, once a prune has written what snapshots need into other packs, and before it removes
//! anything.
//!
//! An old receipt names packs and index files that go. A vault goes by receipts: it would miss
//! these, and keep on its disk what it still has of them for as long as the snapshots are there. So
//! every snapshot from the first on of which anything has moved gets a new receipt, those of a source
//! and host in a chain that begins anew, the newest last; the old ones go.
//!
//! What can go wrong: it dies in the midst. Then a snapshot has two receipts, or an old one alone; all
//! that both name is there, and the next prune sees to it. Where another machine has pruned, there are
//! old ones alone that name what is gone, and nobody here knows where it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_model::receipt::{Chain, NeedsChange, Outcome};
use strongroom_model::{FileName, FileType, Id, Name, Needs, Receipt, SignedReceipt};

use crate::Result;
use crate::prune::Moved;
use crate::receipts::folder::Folder;
use crate::receipts::{CHAIN_LIMIT, Receipts, trusted_keys};
use crate::session::{CopyState, Session};
use crate::state::record::Head;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewal {
    /// How many receipts were signed.
    pub issued: usize,
    /// Snapshots that are there and have receipts, of which nobody knows what they need by now: an
    /// earlier prune has moved it.
    pub unknown: BTreeSet<Id>,
}

/// Where a receipt stands among the others, without what it names.
#[derive(Debug)]
struct Place {
    parent: Option<Id>,
    source: Name,
    host: String,
    time: Timestamp,
}

/// The new receipts of a source and host.
#[derive(Debug, Default)]
struct Series {
    /// The last of them, and how many there are in its chain.
    last: Option<Id>,
    links: usize,
    /// Of which snapshot it is, and what that needs.
    snapshot: Option<Id>,
    needs: Needs,
}

impl Receipts<'_> {
    /// Signs a new receipt for each listed snapshot of which it is known what it needs, where that has
    /// `moved`.
    ///
    /// # Errors
    /// Where the state folder cannot be written; what was signed by then stays.
    pub fn renew(&self, session: &Session, moved: &Moved) -> Result<Renewal> {
        let folder = Folder::read(self.state)?;
        let listings = session.ready().map(|(_, ready)| &ready.listing.snapshots);
        let listed: BTreeSet<Id> = listings
            .flat_map(|files| files.iter())
            .map(|entry| entry.id)
            .collect();
        // A key that was removed since is missed by whoever goes by what names it.
        let keys = trusted_keys(session);
        let places = self.places(&folder);
        let mut all: BTreeMap<(Name, String), Series> = BTreeMap::new();
        let mut known = BTreeSet::new();
        let mut new = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for tip in tips(&places) {
            let mut sum = Chain::default();
            for id in path(&places, tip) {
                let Some(receipt) = self.read(&folder, id) else {
                    break;
                };
                if sum.push(&receipt).is_err() {
                    break;
                }
                let receipt = receipt.receipt();
                if !listed.contains(&receipt.snapshot) || known.contains(&receipt.snapshot) {
                    continue;
                }
                let Some(now) = moved.needs_now(sum.needs()) else {
                    unknown.insert(receipt.snapshot);
                    continue;
                };
                let now = Needs {
                    keys: keys.clone(),
                    ..now
                };
                known.insert(receipt.snapshot);
                let of = (receipt.source.clone(), receipt.host.clone());
                let series = all.entry(of).or_default();
                if series.snapshot.is_none() && now == *sum.needs() {
                    continue;
                }
                let signed = self.sign_anew(receipt, series, &now, session)?;
                folder.write(&self.state.lock()?, receipt.snapshot, &signed)?;
                new.insert(receipt.snapshot, signed.id());
                *series = Series {
                    last: Some(signed.id()),
                    links: series.links % CHAIN_LIMIT + 1,
                    snapshot: Some(receipt.snapshot),
                    needs: now,
                };
            }
        }
        self.settle(session, &all, &new)?;
        unknown.retain(|snapshot| !known.contains(snapshot));
        Ok(Renewal {
            issued: new.len(),
            unknown,
        })
    }

    /// A receipt as it was, but for what the snapshot needs and where that is.
    fn sign_anew(
        &self,
        old: &Receipt,
        series: &Series,
        needs: &Needs,
        session: &Session,
    ) -> Result<SignedReceipt> {
        let none = Needs::default();
        let (parent, before) = match series.links {
            CHAIN_LIMIT => (None, &none),
            _ => (series.last, &series.needs),
        };
        let receipt = Receipt {
            version: old.version,
            snapshot: old.snapshot,
            tree: old.tree,
            source: old.source.clone(),
            host: old.host.clone(),
            client: old.client,
            parent,
            time: old.time,
            needs: NeedsChange::between(before, needs),
            copies: outcomes(session, old.snapshot, needs)?,
            work: old.work,
        };
        let signed = SignedReceipt::new(&receipt, |message| self.client.sign(message))?;
        Ok(signed)
    }

    /// Has later backups build on the new receipts, and lets go of those in whose stead they are, and of
    /// those of snapshots that were removed on purpose.
    fn settle(
        &self,
        session: &Session,
        all: &BTreeMap<(Name, String), Series>,
        new: &BTreeMap<Id, Id>,
    ) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let lock = self.state.lock()?;
        let folder = Folder::read(self.state)?;
        // What another machine removed may be taken back.
        let removals = &session.removals;
        let are_all_due = removals.are_all_due();
        let is_removed = |snapshot: Id| {
            let name = FileName::new(FileType::Snapshots, snapshot);
            are_all_due && removals.names(name)
        };
        for ((source, host), series) in all {
            let path = self.state.of_source("heads", source.as_str(), host);
            let head = self.state.read_record(&path);
            let of_head = head.and_then(|Head { receipt }| folder.snapshot_of(receipt));
            let is_newest = of_head == series.snapshot || of_head.is_some_and(is_removed);
            // Where the newest snapshot has none, or another one was made meanwhile, the head stays.
            if let Some(receipt) = series.last.filter(|_| is_newest) {
                self.state.write_record(&lock, &path, &Head { receipt })?;
            }
        }
        let heads = folder.heads(self.state)?;
        folder.remove_unless(&lock, |receipt, snapshot| {
            let counts = match new.get(&snapshot) {
                Some(new) => *new == receipt,
                None => !is_removed(snapshot),
            };
            counts || heads.contains(&receipt)
        })?;
        Ok(())
    }

    /// Where each receipt stands whose signature holds.
    fn places(&self, folder: &Folder) -> BTreeMap<Id, Place> {
        let read = |(id, _): (Id, Id)| {
            let receipt = self.read(folder, id)?;
            let receipt = receipt.receipt();
            let place = Place {
                parent: receipt.parent,
                source: receipt.source.clone(),
                host: receipt.host.clone(),
                time: receipt.time,
            };
            Some((id, place))
        };
        folder.receipts().filter_map(read).collect()
    }
}

/// The last receipts of all chains: of each source and host in the order of their times.
fn tips(places: &BTreeMap<Id, Place>) -> Vec<Id> {
    let parents: BTreeSet<Id> = places.values().filter_map(|place| place.parent).collect();
    let tips = places.iter().filter(|(id, _)| !parents.contains(*id));
    let mut tips: Vec<(&Id, &Place)> = tips.collect();
    tips.sort_by_cached_key(|(_, place)| (place.source.clone(), place.host.clone(), place.time));
    tips.into_iter().map(|(id, _)| *id).collect()
}

/// The chain that ends with a receipt, from its beginning on; empty where a link of it is missing.
fn path(places: &BTreeMap<Id, Place>, tip: Id) -> Vec<Id> {
    let mut path = Vec::new();
    let mut next = Some(tip);
    while let Some(id) = next {
        let Some(place) = places.get(&id) else {
            return Vec::new();
        };
        if path.len() == CHAIN_LIMIT {
            return Vec::new();
        }
        path.push(id);
        next = place.parent;
    }
    path.reverse();
    path
}

/// What each copy has of a snapshot and what it needs.
fn outcomes(session: &Session, snapshot: Id, needs: &Needs) -> Result<BTreeMap<Name, Outcome>> {
    let mut outcomes = BTreeMap::new();
    for copy in &session.copies {
        let outcome = match &copy.state {
            CopyState::Failed(failure) => Outcome::Failed {
                reason: failure.reason.clone(),
            },
            CopyState::Ready(ready) => {
                let snapshot = FileName::new(FileType::Snapshots, snapshot);
                let named = needs.files().filter(|name| name.id().is_some());
                let all = named.chain([snapshot]);
                match all.filter(|name| !ready.listing.holds(*name)).count() {
                    0 => Outcome::Whole,
                    files => Outcome::Behind {
                        files: files as u64,
                    },
                }
            }
        };
        outcomes.insert(copy.copy.name.parse()?, outcome);
    }
    Ok(outcomes)
}
