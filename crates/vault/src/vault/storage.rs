//! Whether the storage is known to be that of the vault.
//!
//! The log lies with the bodies, so whoever has taken up the log knows that the bodies are the
//! vault's too. What can go wrong: a storage that says nothing when a process starts, and turns out
//! to be another one later, as a bucket whose name was mistyped. What is put there meanwhile would be
//! missing everywhere else; what is due would lose its row and keep its bytes; and whatever is not
//! found there would count as rot. So until the log was taken up nothing is read there, put or
//! removed, and all that needs the database alone goes on.

use std::sync::atomic::Ordering;

use strongroom_model::Account;

use crate::vault::Vault;
use crate::{Error, Result};

impl Vault {
    /// Lets the storage alone until [`Self::believe_storage`]; to be called before anything is
    /// served.
    pub fn doubt_storage(&self) {
        let is_doubted = &self.shared.is_storage_doubted;
        is_doubted.store(true, Ordering::Release);
    }

    /// The log of the vault was found with the storage.
    pub fn believe_storage(&self) {
        let is_doubted = &self.shared.is_storage_doubted;
        is_doubted.store(false, Ordering::Release);
    }

    /// Whether it is not known that the storage is that of the vault.
    pub fn is_storage_doubted(&self) -> bool {
        self.shared.is_storage_doubted.load(Ordering::Acquire)
    }

    /// The accounts at providers in which the objects lie, as far as the storage tells; a folder
    /// tells nothing. Asks it, and blocks. None of a storage that may be another vault's.
    pub fn ask_whose_objects(&self) -> Vec<Account> {
        match self.is_storage_doubted() {
            true => Vec::new(),
            false => self.shared.bodies.holder().accounts,
        }
    }

    /// Fails where it is not known that the storage is that of the vault.
    ///
    /// # Errors
    /// [`Error::StorageInDoubt`].
    pub(crate) fn check_storage_is_known(&self) -> Result<()> {
        match self.is_storage_doubted() {
            true => Err(Error::StorageInDoubt),
            false => Ok(()),
        }
    }
}
