//! What pages show beside what people do: the published log, and what is wrong with the vault.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::Result;
use crate::publication::{Published, Publisher};
use crate::rules::clock::SECOND_MS;
use crate::vault::{Channels, Demands, Finding, Vault};

/// For so long what was found is shown again: to look reads of every repository.
const LOOKED_EVERY_MS: i64 = 30 * SECOND_MS;

/// The published log, and what was found when somebody looked last.
#[derive(Debug)]
pub(super) struct Beside {
    publisher: Arc<Publisher>,
    published: Published,
    verify_every_ms: i64,
    channels: Channels,
    looked: Mutex<Option<(i64, Vec<Finding>)>>,
}

impl Beside {
    pub(super) fn new(publisher: Arc<Publisher>, verify_every_ms: i64, channels: Channels) -> Self {
        Self {
            published: publisher.published(),
            publisher,
            verify_every_ms,
            channels,
            looked: Mutex::default(),
        }
    }

    /// Reads the published log.
    pub(super) const fn published(&self) -> &Published {
        &self.published
    }

    /// Publishes it.
    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// What `doctor` finds, and how long ago that was looked at, in milliseconds.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn findings(&self, vault: &Vault) -> Result<(Vec<Finding>, i64)> {
        let now_ms = vault.boot_ms();
        let mut looked = self.looked.lock();
        if let Some((at_ms, found)) = looked.as_ref()
            && (0..LOOKED_EVERY_MS).contains(&(now_ms - at_ms))
        {
            return Ok((found.clone(), now_ms - at_ms));
        }
        let found = vault.findings(Demands {
            verify_every_ms: self.verify_every_ms,
            behind_ms: Some(self.publisher.behind_ms()),
            channels: Some(self.channels),
        })?;
        *looked = Some((now_ms, found.clone()));
        Ok((found, 0))
    }
}
