//! What the vault says of itself to Prometheus, and whether it is ready.
//!
//! It is looked at by the vault's own jobs, every few seconds; a scrape or a question for `/readyz`
//! only reads what was seen last, so that anybody may ask as often as he likes. Where the last look
//! is old, the vault is not ready: whatever the jobs wait for, requests wait for too.

mod series;

use std::time::Duration;

use parking_lot::Mutex;

use crate::chain;
use crate::http::health::readyz;
use crate::http::metrics::Metrics;
use crate::http::service::Response;
use crate::vault::{LOG_BEHIND_MS, Scrubbed, Vault};

use series::Series;

/// How old the last look may be.
const OLD_AFTER_MS: i64 = 30_000;

/// How old the last look may be before the process counts as dead. A look that waits for a database
/// that says nothing, or for a slow storage, is over before that.
const DEAD_AFTER_MS: i64 = 60_000;

/// How many checks there are.
const CHECKS: usize = 4;

/// How often it is tried whether storage takes bytes.
const STORAGE_EVERY_MS: i64 = 30_000;

/// What the vault says of itself.
#[derive(Debug)]
pub struct VaultState {
    series: Series,
    checks: Mutex<Checks>,
}

/// What was wrong at the last look.
#[derive(Debug)]
struct Checks {
    /// When that was, by the boot clock.
    looked_ms: i64,
    database: Option<String>,
    log: Option<String>,
    storage: Option<String>,
    tried_storage_ms: Option<i64>,
    /// Which checks the log has been told to have failed, by their place.
    told: [bool; CHECKS],
}

impl Checks {
    /// Each check, and what is wrong.
    fn all(&self, boot_ms: i64) -> [(&'static str, Option<String>); CHECKS] {
        let age_ms = boot_ms.saturating_sub(self.looked_ms);
        let jobs = (age_ms > OLD_AFTER_MS)
            .then(|| "The vault's jobs have not been done for half a minute".to_owned());
        [
            ("database", self.database.clone()),
            ("storage", self.storage.clone()),
            ("log", self.log.clone()),
            ("jobs", jobs),
        ]
    }

    /// Tells the log what has failed since it was told last, and what has not any more; returns how
    /// many lines that is.
    fn tell(&mut self, boot_ms: i64) -> usize {
        let mut lines = 0;
        for ((check, problem), told) in self.all(boot_ms).into_iter().zip(&mut self.told) {
            if problem.is_some() == *told {
                continue;
            }
            *told = problem.is_some();
            lines += 1;
            match problem {
                Some(problem) => tracing::warn!(check, problem, "Not ready"),
                None => tracing::info!(check, "It is well again"),
            }
        }
        lines
    }
}

impl VaultState {
    /// Registers all series; nothing is seen yet.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            series: Series::new(metrics),
            checks: Mutex::new(Checks {
                looked_ms: i64::MIN,
                database: None,
                log: None,
                storage: None,
                tried_storage_ms: None,
                told: [false; CHECKS],
            }),
        }
    }

    /// Looks at the vault, whose log has been behind for `behind_ms`; to be called every few
    /// seconds. Blocks.
    pub fn look(&self, vault: &Vault, metrics: &Metrics, behind_ms: i64) {
        let boot_ms = vault.boot_ms();
        let observed = vault.observe();
        let is_storage_due = self
            .checks
            .lock()
            .tried_storage_ms
            .is_none_or(|tried_ms| boot_ms.saturating_sub(tried_ms) >= STORAGE_EVERY_MS);
        let storage = is_storage_due.then(|| vault.check_storage());
        let mut checks = self.checks.lock();
        checks.looked_ms = vault.boot_ms();
        checks.log = match &observed {
            _ if behind_ms > LOG_BEHIND_MS => {
                let behind = Duration::from_millis(behind_ms.unsigned_abs());
                let behind = behind.as_secs();
                Some(format!("The log has not been published for {behind} s"))
            }
            Ok(observed) => observed.look_back.wrong.as_ref().map(|wrong| {
                let what = &wrong.what;
                format!("The files of the log are not what was written: {what}")
            }),
            Err(_) => None,
        };
        if let Some(storage) = storage {
            checks.tried_storage_ms = Some(boot_ms);
            checks.storage = storage.err().map(|error| chain(&error));
        }
        checks.database = match &observed {
            Ok(_) => None,
            Err(error) => Some(chain(error)),
        };
        let is_ready =
            checks.database.is_none() && checks.log.is_none() && checks.storage.is_none();
        let looked_ms = checks.looked_ms;
        checks.tell(looked_ms);
        drop(checks);
        metrics.change(|| {
            if let Ok(observed) = &observed {
                self.series.set(observed, vault.refusals());
            }
            self.series.set_beside(behind_ms, is_ready);
        });
    }

    /// Counts what was scrubbed.
    pub fn scrubbed(&self, scrubbed: &Scrubbed) {
        self.series.add_scrubbed(scrubbed);
    }

    /// Whether the vault was looked at a moment ago, whatever was seen. Where it was not, its jobs
    /// stand still, and nothing but a new start helps.
    pub fn is_alive(&self, vault: &Vault) -> bool {
        let looked_ms = self.checks.lock().looked_ms;
        vault.boot_ms().saturating_sub(looked_ms) <= DEAD_AFTER_MS
    }

    /// Answers `/readyz`.
    pub fn readyz(&self, vault: &Vault) -> Response {
        let boot_ms = vault.boot_ms();
        let mut checks = self.checks.lock();
        checks.tell(boot_ms);
        readyz(&checks.all(boot_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_once_however_often_it_is_asked() {
        let mut checks = Checks {
            looked_ms: 0,
            database: Some("away".to_owned()),
            log: None,
            storage: None,
            tried_storage_ms: None,
            told: [false; CHECKS],
        };
        assert_eq!(checks.tell(0), 1);
        assert_eq!((0..100).map(|_| checks.tell(0)).sum::<usize>(), 0);
        assert_eq!(checks.tell(OLD_AFTER_MS + 1), 1);
        checks.database = None;
        assert_eq!(checks.tell(0), 2);
        assert_eq!(checks.told, [false; CHECKS]);
    }
}
