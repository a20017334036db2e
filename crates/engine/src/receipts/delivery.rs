//! Receipts on their way to a vault, which can then tell without any password whether a snapshot is
//! whole there.
//!
//! What is to be sent is what the state folder holds and the vault is not known to have; there is no
//! other journal of it. The newest of each source comes first, and is sent again each time, since
//! the vault may have lost or gained something since: its answer is what the scorecard shows.
//!
//! What can go wrong: the vault does not know a receipt's parent (then the chain is sent from there
//! on), asks in circles (then it is left), or refuses. None of it fails a backup.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strongroom_model::vault::ReceiptAnswer;
use strongroom_model::{Id, Name, SignedReceipt};
use strongroom_store::{Error as StoreError, Sent};

use crate::Result;
use crate::receipts::folder::Folder;
use crate::receipts::{CHAIN_LIMIT, Receipts};
use crate::session::{Cancel, CopyFailure, CopyStore, chain};

/// How many receipts are sent at one contact; the rest comes with the next.
const MOST_AT_ONCE: usize = 512;

/// The receipts that a vault is known to have, or to refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredReceipts {
    /// Those that it took.
    #[serde(default)]
    pub taken: BTreeSet<Id>,
    /// Those that it will never take, and why.
    #[serde(default)]
    pub refused: BTreeMap<Id, String>,
}

/// What came of sending receipts to a vault.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// For the newest receipt of each source, what the vault says of its snapshot.
    pub newest: Vec<(Name, ReceiptAnswer)>,
    /// How many receipts were taken that the vault did not have before.
    pub new: usize,
    /// How many are still to be sent.
    pub left: usize,
    /// Receipts that the vault refuses for good, and why.
    pub refused: Vec<(Id, String)>,
    /// What ended it before all was sent.
    pub failure: Option<CopyFailure>,
}

/// What came of one receipt.
enum Step {
    /// The vault has it, or has said what is wrong with it.
    Done,
    /// This one has to come first.
    Needs(Id),
    /// It is not here, or this client's present key did not sign it: no vault would believe it.
    NotOurs,
}

impl Receipts<'_> {
    /// Whether a copy's vault lacks receipts, as far as is known here.
    pub fn are_to_be_delivered(&self, copy: &CopyStore) -> bool {
        let delivered = self.state.delivered(copy);
        let folder = Folder::read(self.state).ok();
        let mut all = folder.iter().flat_map(Folder::receipts);
        all.any(|(receipt, _)| !delivered.has(receipt))
    }

    /// Sends the newest receipts, and all that the vault of a copy is not known to have.
    ///
    /// # Errors
    /// Where the state folder cannot be read. What the vault says is part of the report.
    pub fn deliver(
        &self,
        copy: &CopyStore,
        send: impl Fn(&SignedReceipt) -> strongroom_store::Result<Sent>,
        cancel: &Cancel,
    ) -> Result<Delivery> {
        let folder = Folder::read(self.state)?;
        let heads = folder.heads(self.state)?;
        let mut courier = Courier {
            receipts: self,
            folder: &folder,
            heads: &heads,
            send,
            delivered: self.state.delivered(copy),
            delivery: Delivery::default(),
            sent: 0,
        };
        let is_refused = |receipt: &Id| courier.delivered.refused.contains_key(receipt);
        let newest = heads.iter().copied();
        let mut queue: Vec<Id> = newest.filter(|receipt| !is_refused(receipt)).collect();
        let others = folder.receipts().map(|(receipt, _)| receipt);
        queue.extend(
            others.filter(|receipt| !heads.contains(receipt) && !courier.delivered.has(*receipt)),
        );
        for receipt in queue {
            if cancel.is_cancelled() || courier.sent >= MOST_AT_ONCE {
                break;
            }
            // It may have come with the chain of a newer one.
            if !heads.contains(&receipt) && courier.delivered.has(receipt) {
                continue;
            }
            if let Err(error) = courier.deliver_chain(receipt) {
                courier.delivery.failure = Some(CopyFailure::of_store(&error));
                break;
            }
        }
        let Courier {
            delivered,
            mut delivery,
            ..
        } = courier;
        let held: BTreeSet<Id> = folder.receipts().map(|(receipt, _)| receipt).collect();
        delivery.left = held
            .iter()
            .filter(|receipt| !delivered.has(**receipt))
            .count();
        let noted = self.state.update_delivered(copy, |known| {
            known.taken.extend(&delivered.taken);
            known.refused.extend(delivered.refused);
            known.taken.retain(|receipt| held.contains(receipt));
            known.refused.retain(|receipt, _| held.contains(receipt));
        });
        if let Err(error) = noted {
            // They are sent once more next time, which does no harm.
            tracing::warn!(error = chain(&error), "What a vault took is not remembered");
        }
        Ok(delivery)
    }
}

impl DeliveredReceipts {
    fn has(&self, receipt: Id) -> bool {
        self.taken.contains(&receipt) || self.refused.contains_key(&receipt)
    }
}

/// One delivery under way.
struct Courier<'a, F> {
    receipts: &'a Receipts<'a>,
    folder: &'a Folder,
    heads: &'a BTreeSet<Id>,
    send: F,
    delivered: DeliveredReceipts,
    delivery: Delivery,
    sent: usize,
}

impl<F> Courier<'_, F>
where
    F: Fn(&SignedReceipt) -> strongroom_store::Result<Sent>,
{
    /// Sends a receipt, and before it whatever the vault lacks of its chain.
    fn deliver_chain(&mut self, last: Id) -> strongroom_store::Result<()> {
        let mut chain = vec![last];
        while let Some(receipt) = chain.last().copied() {
            match self.deliver_one(receipt)? {
                Step::Done => {
                    chain.pop();
                }
                Step::Needs(needed) if chain.contains(&needed) || chain.len() >= CHAIN_LIMIT => {
                    tracing::warn!(%receipt, %needed, "A vault asks for receipts in circles");
                    return Ok(());
                }
                Step::Needs(needed) => chain.push(needed),
                Step::NotOurs => {
                    for receipt in chain {
                        let reason = "its chain is not whole on this machine".to_owned();
                        self.delivered.refused.entry(receipt).or_insert(reason);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn deliver_one(&mut self, id: Id) -> strongroom_store::Result<Step> {
        let verified = self.receipts.read(self.folder, id);
        let Some((verified, signed)) = verified.zip(self.folder.open(id)) else {
            return Ok(Step::NotOurs);
        };
        self.sent += 1;
        match (self.send)(&signed) {
            Ok(Sent::Needs(needed)) => Ok(Step::Needs(needed)),
            Ok(Sent::Taken(answer)) if answer.receipt != id => {
                tracing::warn!(receipt = %id, "A vault answers about another receipt");
                Ok(Step::Done)
            }
            Ok(Sent::Taken(answer)) => {
                self.delivery.new += usize::from(self.delivered.taken.insert(id));
                if self.heads.contains(&id) {
                    let source = verified.receipt().source.clone();
                    self.delivery.newest.push((source, answer));
                }
                Ok(Step::Done)
            }
            // The receipt itself is not to the vault's liking, and will not be.
            Err(StoreError::Vault {
                status: 400 | 413 | 422,
                reason,
                ..
            }) => {
                self.delivered.refused.insert(id, reason.clone());
                self.delivery.refused.push((id, reason));
                Ok(Step::Done)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
