//! A receipt that waits until another one of its source stands, or was taken back.
//!
//! What can go wrong: those that wait keep others from their turn, which have nothing to wait for.
//! So a receipt that has to wait gives up all that it had for its turn: what was read of it, which is
//! read again, and its thread. What was sent stays where it waited before.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::Result;
use crate::vault::receipt::ReceiptUpload;

/// How long a receipt waits for others of its source, in all, where nothing else is said.
pub const RECEIPT_WAIT: Duration = Duration::from_secs(5);

/// A receipt that waits for another one of its source. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct WaitingReceipt {
    upload: ReceiptUpload,
    /// Into which lineage the other one is on its way.
    lineage: i64,
    until: Instant,
}

impl WaitingReceipt {
    /// After how long it is to be looked again.
    pub const PAUSE: Duration = Duration::from_millis(100);

    pub(super) fn new(mut upload: ReceiptUpload, lineage: i64) -> Self {
        let wait = upload.vault.shared.settings.receipt_wait;
        let until = upload.until.unwrap_or_else(|| Instant::now() + wait);
        upload.until = Some(until);
        Self {
            upload,
            lineage,
            until,
        }
    }

    /// Looks whether it can be tried again, and gives it back then; else it goes on waiting. One that
    /// was left by its process is taken back first.
    ///
    /// # Errors
    /// [`Error::Contended`](crate::Error::Contended) where it has waited as long as it may, in all;
    /// those of the database.
    pub fn look(self: Box<Self>) -> Result<ControlFlow<ReceiptUpload, Box<Self>>> {
        let vault = &self.upload.vault;
        match vault.is_lineage_free(self.lineage, self.until)? {
            true => Ok(ControlFlow::Break(self.upload)),
            false => Ok(ControlFlow::Continue(self)),
        }
    }
}
