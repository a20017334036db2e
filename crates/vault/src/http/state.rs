//! What the vault says of itself to Prometheus, and whether it is ready.
//!
//! It is looked at by the vault's own jobs, every few seconds; a scrape or a question for `/readyz`
//! only reads what was seen last, so that anybody may ask as often as he likes. Where the last look
//! is old, the vault is not ready: whatever the jobs wait for, requests wait for too.
//!
//! What can go wrong: a storage that hangs. Much of a vault needs none, so whether it takes bytes and
//! what is free there is asked beside everything else, and a look only reads what came of the last
//! try.

mod series;

use std::time::Duration;

use parking_lot::Mutex;

use crate::chain;
use crate::http::health::{Check, readyz};
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
const CHECKS: usize = 5;

/// How old the last word of the storage may be; it is asked twice as often.
const STORAGE_OLD_AFTER_MS: i64 = 60_000;

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
    /// Which file of the log is not what was written. The vault takes and proves backups all the
    /// same, and every process of it sees the same file: it is told, and takes none of them out.
    log_files: Option<String>,
    /// What came of the last try whether storage takes bytes; `None` where none has ended yet.
    storage: Option<Tried>,
    /// Which checks the log has been told to have failed, by their place.
    told: [bool; CHECKS],
}

/// What came of a try whether storage takes bytes.
#[derive(Debug)]
struct Tried {
    /// When it ended, by the boot clock.
    at_ms: i64,
    /// Why it does not.
    problem: Option<String>,
    /// What was free there, where that could be told.
    free_bytes: Option<u64>,
}

impl Checks {
    /// Why storage counts as failed: it said so, or says nothing.
    fn storage_problem(&self, boot_ms: i64) -> Option<String> {
        let Some(tried) = &self.storage else {
            return Some("The storage has not said yet whether it takes bytes".to_owned());
        };
        match boot_ms.saturating_sub(tried.at_ms) > STORAGE_OLD_AFTER_MS {
            true => Some("The storage has not said for a minute whether it takes bytes".to_owned()),
            false => tried.problem.clone(),
        }
    }

    /// All checks.
    fn all(&self, boot_ms: i64) -> [Check; CHECKS] {
        let age_ms = boot_ms.saturating_sub(self.looked_ms);
        let jobs = (age_ms > OLD_AFTER_MS)
            .then(|| "The vault's jobs have not been done for half a minute".to_owned());
        let check = |name, problem: &Option<String>| Check {
            name,
            problem: problem.clone(),
            is_warning: false,
        };
        let log_files = Check {
            is_warning: true,
            ..check("log_files", &self.log_files)
        };
        [
            check("database", &self.database),
            check("storage", &self.storage_problem(boot_ms)),
            check("log", &self.log),
            log_files,
            check("jobs", &jobs),
        ]
    }

    /// Tells the log what has failed since it was told last, and what has not any more; returns how
    /// many lines that is.
    fn tell(&mut self, boot_ms: i64) -> usize {
        let mut lines = 0;
        for (check, told) in self.all(boot_ms).into_iter().zip(&mut self.told) {
            let is_passed = check.is_passed();
            let Check { name, problem, .. } = check;
            if problem.is_some() == *told {
                continue;
            }
            *told = problem.is_some();
            lines += 1;
            match problem {
                Some(problem) if is_passed => {
                    tracing::warn!(
                        check = name,
                        problem,
                        "Ready, and somebody has to see to it"
                    );
                }
                Some(problem) => tracing::warn!(check = name, problem, "Not ready"),
                None => tracing::info!(check = name, "It is well again"),
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
                log_files: None,
                storage: None,
                told: [false; CHECKS],
            }),
        }
    }

    /// Tries whether storage takes bytes, and keeps what came of it; to be called every half minute,
    /// where nothing waits for it. Blocks, for as long as the storage does.
    pub fn try_storage(&self, vault: &Vault) {
        let outcome = vault.check_storage();
        let tried = Tried {
            at_ms: vault.boot_ms(),
            problem: outcome.err().map(|error| chain(&error)),
            free_bytes: vault.free_bytes().ok().flatten(),
        };
        self.checks.lock().storage = Some(tried);
    }

    /// Looks at the vault, whose log has been behind for `behind_ms`; to be called every few
    /// seconds. Blocks.
    pub fn look(&self, vault: &Vault, metrics: &Metrics, behind_ms: i64) {
        let mut observed = vault.observe_database();
        let mut checks = self.checks.lock();
        if let (Ok(observed), Some(tried)) = (&mut observed, &checks.storage) {
            observed.free_bytes = tried.free_bytes;
        }
        checks.looked_ms = vault.boot_ms();
        checks.log = (behind_ms > LOG_BEHIND_MS).then(|| {
            let behind = Duration::from_millis(behind_ms.unsigned_abs()).as_secs();
            format!("The log has not been published for {behind} s")
        });
        if let Ok(observed) = &observed {
            let wrong = observed.look_back.wrong.first();
            checks.log_files = wrong.map(|wrong| {
                let what = &wrong.what;
                format!("The files of the log are not what was written: {what}")
            });
        }
        checks.database = match &observed {
            Ok(_) => None,
            Err(error) => Some(chain(error)),
        };
        let looked_ms = checks.looked_ms;
        let is_ready = checks.all(looked_ms).iter().all(Check::is_passed);
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

    /// A storage that took bytes at 0.
    fn well() -> Tried {
        Tried {
            at_ms: 0,
            problem: None,
            free_bytes: None,
        }
    }

    #[test]
    fn a_storage_that_says_nothing_for_a_minute_has_failed() {
        let mut checks = Checks {
            looked_ms: 0,
            database: None,
            log: None,
            log_files: None,
            storage: None,
            told: [false; CHECKS],
        };
        assert!(checks.storage_problem(0).is_some(), "nothing is known yet");
        checks.storage = Some(well());
        assert_eq!(checks.storage_problem(STORAGE_OLD_AFTER_MS), None);
        let silent = checks.storage_problem(STORAGE_OLD_AFTER_MS + 1);
        assert!(silent.is_some_and(|problem| problem.contains("for a minute")));
        checks.storage = Some(Tried {
            at_ms: 0,
            problem: Some("full".to_owned()),
            free_bytes: None,
        });
        assert_eq!(checks.storage_problem(1).as_deref(), Some("full"));
    }

    #[test]
    fn what_is_wrong_is_told_once_however_often_it_is_asked() {
        let mut checks = Checks {
            looked_ms: 0,
            database: Some("away".to_owned()),
            log: None,
            log_files: None,
            storage: Some(well()),
            told: [false; CHECKS],
        };
        assert_eq!(checks.tell(0), 1);
        assert_eq!((0..100).map(|_| checks.tell(0)).sum::<usize>(), 0);
        assert_eq!(checks.tell(OLD_AFTER_MS + 1), 1);
        checks.database = None;
        assert_eq!(checks.tell(0), 2);
        assert_eq!(checks.told, [false; CHECKS]);
    }

    #[test]
    fn a_wrong_file_of_the_log_is_told_and_takes_no_process_out() {
        let mut checks = Checks {
            looked_ms: 0,
            database: None,
            log: None,
            log_files: Some("tile/0/000".to_owned()),
            storage: Some(well()),
            told: [false; CHECKS],
        };
        assert!(checks.all(0).iter().all(Check::is_passed));
        assert_eq!(checks.tell(0), 1);
        assert_eq!(readyz(&checks.all(0)).status(), hyper::StatusCode::OK);
        checks.log = Some("behind".to_owned());
        assert!(!checks.all(0).iter().all(Check::is_passed));
        assert_ne!(readyz(&checks.all(0)).status(), hyper::StatusCode::OK);
    }
}
