//! Receipts one after the other, added up to what the last snapshot needs.

use crate::error::{Error, Result};
use crate::id::Id;
use crate::name::Name;
use crate::receipt::{Needs, VerifiedReceipt};

/// The receipts of one client and one source, from the first on.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    needs: Needs,
    last: Option<Link>,
}

#[derive(Clone, Debug)]
struct Link {
    id: Id,
    client: Id,
    source: Name,
}

impl Chain {
    /// Adds up receipts in their order.
    ///
    /// # Errors
    /// [`Error::BrokenChain`] at the first that does not continue the one before it.
    pub fn of<'a>(receipts: impl IntoIterator<Item = &'a VerifiedReceipt>) -> Result<Self> {
        let mut chain = Self::default();
        for receipt in receipts {
            chain.push(receipt)?;
        }
        Ok(chain)
    }

    /// Adds the next receipt.
    ///
    /// # Errors
    /// [`Error::BrokenChain`] where it has another parent, client or source, or a difference that
    /// does not belong to what the chain needs; the chain is then unchanged.
    pub fn push(&mut self, verified: &VerifiedReceipt) -> Result<()> {
        let receipt = verified.receipt();
        let broken = |reason: String| Error::BrokenChain {
            receipt: verified.id(),
            reason,
        };
        let told = |id: Option<Id>| id.map_or("none".to_owned(), |id| id.short());
        let last = self.last.as_ref();
        let parent = last.map(|last| last.id);
        if receipt.parent != parent {
            return Err(broken(format!(
                "its parent is {} and should be {}",
                told(receipt.parent),
                told(parent),
            )));
        }
        if last.is_some_and(|last| last.client != receipt.client) {
            return Err(broken("another client signed it".to_owned()));
        }
        if last.is_some_and(|last| last.source != receipt.source) {
            return Err(broken(format!("it is of source {}", receipt.source)));
        }
        self.needs.apply(&receipt.needs).map_err(broken)?;
        self.last = Some(Link {
            id: verified.id(),
            client: receipt.client,
            source: receipt.source.clone(),
        });
        Ok(())
    }

    /// What the last snapshot needs.
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The id of the last receipt, which the next one names as its parent.
    pub fn last(&self) -> Option<Id> {
        self.last.as_ref().map(|last| last.id)
    }
}
