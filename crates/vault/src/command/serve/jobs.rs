//! What a serving process does from time to time: moving the clock, publishing, asking witnesses,
//! telling people, looking back at the log, purging, scrubbing, thinning moments, trying the storage, and looking at
//! itself.
//!
//! Each has a task of its own, so that a long purge never keeps the clock from being moved. None has
//! its work done among that of requests: what clients had begun in a storage that hangs would keep
//! the clock from being moved as well, and the process would count as dead.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::standings::Standings;
use strongroom_vault::http::{Stop, VaultState};
use strongroom_vault::notify::Teller;
use strongroom_vault::people::People;
use strongroom_vault::publication::{Publisher, Witnesses};
use strongroom_vault::vault::Job;
use strongroom_vault::{Error, Result, Vault};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::command::upkeep::Scrubber;

/// How often what was committed is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// After how many times of that the checkpoint's file is looked at.
const PUBLISHED_BETWEEN_MENDING: u64 = 30;

/// How often it is looked whether a witness is to be asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often it is tried whether storage takes bytes.
const TRY_STORAGE_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody is to be told something.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How often a share of the log's files is looked at.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(10);

/// How often the vault's clock is moved on, or looked at.
const TICK_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked for acts that other processes have left.
const GO_ON_EVERY: Duration = Duration::from_secs(5);

/// How often old locks are dropped and a share of what is due is purged.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// After how many times of that what uploads left behind is looked for.
const PURGES_BETWEEN_SWEEPS: u64 = 60;

/// How often moments are let go that nobody needs, for which all objects are read.
const THIN_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// After how long it is done for the first time: a start has enough to do, and a process that never
/// runs for hours shall do it as well.
const THIN_FIRST_AFTER: Duration = Duration::from_secs(10 * 60);

/// How old it must be: no upload of any process takes so long.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// What has to be done from time to time. Each job is done by one process of those that share a
/// database.
#[derive(Clone)]
pub(super) struct Jobs {
    pub(super) vault: Vault,
    /// Whose operations come due.
    pub(super) people: Arc<People>,
    pub(super) publisher: Arc<Publisher>,
    /// Who is asked to cosign the log.
    pub(super) witnesses: Arc<Witnesses>,
    /// Where the newest snapshots are shown.
    pub(super) standings: Standings,
    pub(super) metrics: Arc<Metrics>,
    /// What this process says of itself.
    pub(super) state: Arc<VaultState>,
    /// Within which time everything is scrubbed.
    pub(super) verify_every_ms: i64,
    /// Tells people.
    pub(super) teller: Teller,
}

impl Jobs {
    /// Begins all of them.
    pub(super) fn start(self, stop: &Stop) -> Vec<JoinHandle<()>> {
        let (vault, mut ending) = (self.vault.clone(), stop.clone());
        tokio::spawn(async move {
            ending.wait().await;
            vault.end_jobs();
        });
        vec![
            tokio::spawn(self.clone().keep_ticking(stop.clone())),
            tokio::spawn(self.clone().keep_going_on(stop.clone())),
            tokio::spawn(self.clone().keep_purging(stop.clone())),
            tokio::spawn(self.clone().keep_asking(stop.clone())),
            tokio::spawn(self.clone().keep_trying_storage(stop.clone())),
            tokio::spawn(self.clone().keep_looking_back(stop.clone())),
            tokio::spawn(self.clone().keep_telling(stop.clone())),
            tokio::spawn(self.clone().keep_thinning(THIN_FIRST_AFTER, stop.clone())),
            tokio::spawn(self.keep_publishing(stop.clone())),
        ]
    }

    /// Moves the clock, or looks at it; tells what this process has refused; has the next share
    /// scrubbed; and looks how the vault is; until `stop`.
    async fn keep_ticking(self, mut stop: Stop) {
        let mut tick = interval(TICK_EVERY);
        let scrubber = Scrubber::default();
        while stop.wait_or(tick.tick()).await.is_some() {
            let vault = self.vault.clone();
            self.run("clock", move || vault.tick()).await;
            let vault = self.vault.clone();
            let telling = move || vault.tell_refusals(false).map(drop);
            self.run("refusals", telling).await;
            scrubber.begin(&self.vault, self.verify_every_ms, &self.state);
            let (vault, publisher) = (self.vault.clone(), Arc::clone(&self.publisher));
            let (state, metrics) = (Arc::clone(&self.state), Arc::clone(&self.metrics));
            let look = move || {
                state.look(&vault, &metrics, publisher.behind_ms());
                Ok(())
            };
            self.run("state", look).await;
        }
        scrubber.end().await;
    }

    /// Goes on with acts whose process is gone, does operations that are due, and removes sessions and
    /// challenges that count no more, until `stop`.
    async fn keep_going_on(self, mut stop: Stop) {
        let mut tick = interval(GO_ON_EVERY);
        while stop.wait_or(tick.tick()).await.is_some() {
            let vault = self.vault.clone();
            self.run("under-way", move || vault.go_on().map(drop)).await;
            let people = Arc::clone(&self.people);
            self.run("operations", move || people.perform_due().map(drop))
                .await;
            let people = Arc::clone(&self.people);
            self.run("sessions", move || people.sweep()).await;
        }
    }

    /// Drops old locks, purges, takes back receipts that were not taken in to the end, shows the newest
    /// snapshots, and removes what uploads left behind, until `stop`; what fails keeps none of the
    /// others from being done.
    async fn keep_purging(self, mut stop: Stop) {
        let mut tick = interval(PURGE_EVERY);
        let mut ticks = 0_u64;
        while stop.wait_or(tick.tick()).await.is_some() {
            let vault = self.vault.clone();
            self.run("locks", move || vault.drop_old_locks().map(drop))
                .await;
            let vault = self.vault.clone();
            self.run("purge", move || vault.purge().map(drop)).await;
            let vault = self.vault.clone();
            self.run("receipts", move || vault.take_back_receipts().map(drop))
                .await;
            let (vault, standings) = (self.vault.clone(), self.standings.clone());
            let look = move || {
                standings.set(&vault.newest_snapshots()?);
                Ok(())
            };
            self.run("snapshots", look).await;
            if ticks.is_multiple_of(PURGES_BETWEEN_SWEEPS) {
                #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
                let now = SystemTime::now();
                let older_than = now.checked_sub(ABANDONED).unwrap_or(SystemTime::UNIX_EPOCH);
                let vault = self.vault.clone();
                self.run("sweep", move || vault.sweep(older_than).map(drop))
                    .await;
            }
            ticks += 1;
        }
    }

    /// Asks witnesses to cosign the log, where there are any, until `stop`.
    async fn keep_asking(self, mut stop: Stop) {
        if !self.witnesses.are_there() {
            return;
        }
        let mut tick = interval(ASK_EVERY);
        while stop.wait_or(tick.tick()).await.is_some() {
            let (witnesses, publisher) = (Arc::clone(&self.witnesses), Arc::clone(&self.publisher));
            // Not among the threads for requests, and not waited for at the end: a witness that is
            // away would take the place of one, and hold up a stop.
            let asking = spawn_blocking(move || witnesses.ask(&publisher));
            let Some(asked) = stop.wait_or(asking).await else {
                return;
            };
            if let Ok(Err(error)) = &asked {
                let error = error as &dyn std::error::Error;
                tracing::error!(job = "witness", error, "A job failed");
            }
        }
    }

    /// Tries whether storage takes bytes, until `stop`.
    async fn keep_trying_storage(self, mut stop: Stop) {
        let mut tick = interval(TRY_STORAGE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // It was tried when the vault was opened.
        tick.tick().await;
        while stop.wait_or(tick.tick()).await.is_some() {
            let (state, vault) = (Arc::clone(&self.state), self.vault.clone());
            // Neither among the threads for requests nor waited for at the end: a storage that hangs
            // would take the place of one, and hold up a stop.
            let trying = spawn_blocking(move || state.try_storage(&vault));
            if stop.wait_or(trying).await.is_none() {
                return;
            }
        }
    }

    /// Looks at the files of the log, a share at a time, until `stop`.
    async fn keep_looking_back(self, mut stop: Stop) {
        let mut tick = interval(LOOK_BACK_EVERY);
        while stop.wait_or(tick.tick()).await.is_some() {
            let publisher = Arc::clone(&self.publisher);
            let look = move || publisher.look_back().map(drop);
            self.run("look-back", look).await;
        }
    }

    /// Has people told, until `stop`. What is under way to them then is not waited for: it is sent
    /// anew by whoever serves next.
    async fn keep_telling(self, mut stop: Stop) {
        let mut tick = interval(TELL_EVERY);
        while stop.wait_or(tick.tick()).await.is_some() {
            let teller = self.teller.clone();
            self.run("notices", move || teller.look()).await;
        }
    }

    /// Lets go of moments that nobody needs, until `stop`.
    async fn keep_thinning(self, first_after: Duration, mut stop: Stop) {
        let mut tick = interval_at(Instant::now() + first_after, THIN_EVERY);
        while stop.wait_or(tick.tick()).await.is_some() {
            let vault = self.vault.clone();
            self.run("moments", move || vault.thin_moments().map(drop))
                .await;
        }
    }

    /// Publishes the log, a second behind at most, and once more after `stop`.
    async fn keep_publishing(self, mut stop: Stop) {
        let mut tick = interval(PUBLISH_EVERY);
        let mut ticks = 0_u64;
        let mut goes_on = true;
        while goes_on {
            goes_on = stop.wait_or(tick.tick()).await.is_some();
            let is_mending = ticks.is_multiple_of(PUBLISHED_BETWEEN_MENDING);
            ticks += 1;
            let (vault, publisher) = (self.vault.clone(), Arc::clone(&self.publisher));
            let work = move || {
                if !goes_on {
                    // Whoever publishes as a rule may stop as well.
                    return publisher.publish().map(drop);
                }
                let done = vault.run_job(Job::Log, |_| {
                    publisher.publish()?;
                    match is_mending {
                        true => publisher.mend(),
                        false => Ok(()),
                    }
                });
                done.map(drop)
            };
            self.run("log", work).await;
        }
    }

    /// Does a job, on a thread that no request can take: there is one of each at a time.
    async fn run(&self, job: &'static str, work: impl FnOnce() -> Result<()> + Send + 'static) {
        let done = spawn_blocking(work).await;
        let done = done.unwrap_or(Err(Error::Unfinished));
        if let Err(error) = &done {
            let error = error as &dyn std::error::Error;
            tracing::error!(job, error, "A job failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::Secret;
    use strongroom_vault::http::Stopper;
    use tempfile::TempDir;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::command::serve::beginning::tests::begun;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn moments(vault: &Vault) -> i64 {
        let statement = "SELECT COUNT(*) FROM moment";
        let count = vault
            .database()
            .look(|transaction| transaction.first(statement, &[], |row| row.int(0)));
        count.unwrap().unwrap()
    }

    #[tokio::test]
    async fn moments_are_thinned_without_waiting_for_hours_first() {
        let area = TempDir::new().unwrap();
        let (vault, publisher) = begun(&area);
        while moments(&vault) < 3 {
            vault.tell_start(None).unwrap();
        }
        let metrics = Arc::new(Metrics::new());
        let jobs = Jobs {
            vault: vault.clone(),
            people: Arc::new(People::new(vault.clone(), None, Secret::new("a key"))),
            publisher,
            witnesses: Arc::new(Witnesses::new(&[]).unwrap()),
            standings: Standings::new(&metrics),
            state: Arc::new(VaultState::new(&metrics)),
            metrics,
            verify_every_ms: 1,
            teller: Teller::new(vault.clone(), Vec::new(), String::new()),
        };
        let (stopper, stop) = Stopper::new();
        let thinning = tokio::spawn(jobs.keep_thinning(Duration::ZERO, stop));
        let thinned = async {
            while moments(&vault) > 1 {
                yield_now().await;
            }
        };
        timeout(PATIENCE, thinned).await.unwrap();
        stopper.stop();
        thinning.await.unwrap();
    }
}
