//! What a start needs the storage for, and how long it waits for it.
//!
//! A process looks at the log's files before it tells of its start, so that one with another storage
//! than the vault's, or with files that are not what was signed, does not serve.
//!
//! What can go wrong: a storage that says nothing: a bucket that takes connections and no more, or a
//! folder on a network mount whose server is away. Each request to a bucket is waited for with
//! patience and tried again, which is minutes in all, and a look into such a folder for ever; and a
//! vault that does not serve meanwhile has neither clock nor lists, locks or deletions. So what needs
//! the storage is done in a thread of its own, and waited for a few seconds. It goes on beside
//! everything else then, and so it does with a bucket that refuses, which is tried again.
//!
//! Until it has answered, the storage may be another one than the vault's: so nothing is read, put or
//! removed there before the log was found with it. Where that is not ours in the end, the process
//! stops as if it had been told to, and says why.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use strongroom_vault::beside::{beside, within};
use strongroom_vault::http::{Stop, Stopper, VaultState};
use strongroom_vault::opening::PATIENCE;
use strongroom_vault::publication::Publisher;
use strongroom_vault::{Error, Result, Vault};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// For how long each missing `config` is looked for before serving begins: there may be very many
/// repositories, and nobody but who reads the storage without us needs it.
const CONFIGS_WITHIN: Duration = Duration::from_secs(2);

/// After how long it is tried again what failed because the storage is away.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What a start needs the storage for, and had no answer to when serving began.
pub(super) struct Late {
    vault: Vault,
    publisher: Arc<Publisher>,
    looked: Receiver<Result<()>>,
    again_after: Duration,
}

impl Late {
    /// Goes on with it until it is done, or until `stop`.
    ///
    /// # Errors
    /// [`Error::Log`] and [`Error::OtherLog`], after which the process is told to stop.
    pub(super) async fn go_on(self, mut stop: Stop, stopper: Arc<Stopper>) -> Result<()> {
        let Self {
            vault,
            publisher,
            mut looked,
            again_after,
        } = self;
        loop {
            let waiting = spawn_blocking(move || looked.recv());
            let Some(outcome) = stop.wait_or(waiting).await else {
                return Ok(());
            };
            // A thread that is gone has not come to its end.
            let outcome = match outcome {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(Error::Unfinished),
            };
            match outcome {
                Ok(()) => {
                    tracing::info!("The storage has answered; the start is over");
                    return Ok(());
                }
                Err(error) if is_of_log(&error) => {
                    stopper.stop();
                    return Err(error);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "The start is not over, and goes on in half a minute");
                }
            }
            if stop.wait_or(sleep(again_after)).await.is_none() {
                return Ok(());
            }
            // Where there is no thread to be had, there may be one in half a minute.
            looked = match begin_to_look(&vault, &publisher) {
                Ok(begun) => begun.looked,
                Err(error) => told(Err(error)),
            };
        }
    }
}

/// A look at the storage that has begun.
struct Begun {
    /// Told when the log was taken up and published.
    published: Receiver<()>,
    /// Told what came of all of it.
    looked: Receiver<Result<()>>,
}

/// Takes up the log, publishes what is left of it, and writes each `config` that is missing, until
/// `until` at the latest; what is not over then, or failed because of the storage, is returned. Until
/// the log was taken up, the vault lets the storage alone.
///
/// # Errors
/// Those of [`Publisher::publish`], but for those of the storage.
pub(super) fn look(
    vault: &Vault,
    publisher: &Arc<Publisher>,
    until: Instant,
) -> Result<Option<Late>> {
    vault.doubt_storage();
    let Begun { published, looked } = begin_to_look(vault, publisher)?;
    let outcome = match published.recv_timeout(left(until)) {
        Ok(()) => looked.recv_timeout(left(until).min(CONFIGS_WITHIN)),
        // It has ended before that, and says how.
        Err(RecvTimeoutError::Disconnected) => {
            let outcome = looked.recv();
            outcome.map_err(|_| RecvTimeoutError::Disconnected)
        }
        Err(RecvTimeoutError::Timeout) => Err(RecvTimeoutError::Timeout),
    };
    let looked = match outcome {
        Ok(Ok(())) => return Ok(None),
        Ok(Err(error @ Error::Storage(_))) => {
            tracing::warn!(
                "The storage has failed; serving begins, and what the start needs it for is tried \
                 again"
            );
            told(Err(error))
        }
        Ok(Err(error)) => return Err(error),
        Err(RecvTimeoutError::Disconnected) => return Err(Error::Unfinished),
        Err(RecvTimeoutError::Timeout) if vault.is_storage_doubted() => {
            let waited_s = PATIENCE.as_secs();
            tracing::warn!(
                waited_s,
                "The storage has not answered; serving begins, and what the start needs it for \
                 goes on"
            );
            looked
        }
        Err(RecvTimeoutError::Timeout) => {
            tracing::info!("Serving begins, and what the start needs the storage for goes on");
            looked
        }
    };
    Ok(Some(Late {
        vault: vault.clone(),
        publisher: Arc::clone(publisher),
        looked,
        again_after: AGAIN_AFTER,
    }))
}

fn begin_to_look(vault: &Vault, publisher: &Arc<Publisher>) -> Result<Begun> {
    let (vault, publisher) = (vault.clone(), Arc::clone(publisher));
    let (tells, published) = mpsc::channel();
    let looked = beside(move || {
        publisher.publish()?;
        // Nobody may wait for it any more.
        let _ = tells.send(());
        vault.mend_configs()
    })?;
    Ok(Begun { published, looked })
}

/// A look of which is told already what came of it.
fn told(outcome: Result<()>) -> Receiver<Result<()>> {
    let (tells, looked) = mpsc::channel();
    // Whoever asks is handed the other end.
    let _ = tells.send(outcome);
    looked
}

/// Publishes until `until` at the latest; what is not over then goes on, and what failed because of
/// the storage is tried again.
///
/// # Errors
/// Those of [`Publisher::publish`] but for those of the storage, where it ends in time.
pub(super) fn publish(publisher: &Arc<Publisher>, until: Instant) -> Result<()> {
    let publisher = Arc::clone(publisher);
    match within(left(until), move || publisher.publish()) {
        // The job that publishes tells it.
        Ok(Some(Err(Error::Storage(_)))) => Ok(()),
        Ok(Some(outcome)) => outcome.map(drop),
        // The job that publishes goes on with it, and tells what goes wrong.
        Ok(None) | Err(Error::Unfinished) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what uploads left behind that were under way: all are dead with whoever took them. Of a
/// bucket that takes a few seconds at most, and what is left goes in its time.
pub(super) fn sweep(vault: &Vault) {
    #[expect(clippy::disallowed_methods, reason = "the edge at which time comes in")]
    let now = SystemTime::now();
    match vault.sweep(now) {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "Uploads that were cut off have been removed"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "Uploads that were cut off stay until they are a day old"
            );
        }
    }
}

/// Tries whether storage takes bytes, until `until` at the latest: one that says nothing counts as
/// failed until it does, and keeps nobody from serving what needs none.
///
/// # Errors
/// [`Error::Local`] where no thread can be started.
pub(super) fn try_storage(state: &Arc<VaultState>, vault: &Vault, until: Instant) -> Result<()> {
    let (state, vault) = (Arc::clone(state), vault.clone());
    match within(left(until), move || state.try_storage(&vault)) {
        // What it has not said counts as failed.
        Ok(_) | Err(Error::Unfinished) => Ok(()),
        Err(error) => Err(error),
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Whether the log is not the one that this process may go on with.
const fn is_of_log(error: &Error) -> bool {
    matches!(error, Error::Log { .. } | Error::OtherLog { .. })
}

#[cfg(test)]
pub(super) mod tests {
    use strongroom_vault::config::VaultConfig;
    use strongroom_vault::opening;
    use tempfile::TempDir;

    use super::*;

    /// A vault in a folder, and what publishes its log.
    pub(in crate::command::serve) fn begun(area: &TempDir) -> (Vault, Arc<Publisher>) {
        let path = area.path().join("vault.toml");
        std::fs::write(&path, "").unwrap();
        let config = VaultConfig::open(&path, &|_| None).unwrap();
        let opened = opening::open_with_storage(&config, &|_| ());
        let (vault, storage) = opened.unwrap();
        vault.tell_start(None).unwrap();
        let keys = area.path().join("keys");
        let publisher = Publisher::open(vault.clone(), storage.log, &keys).unwrap();
        (vault, Arc::new(publisher))
    }

    #[tokio::test]
    async fn a_look_that_failed_or_whose_thread_is_gone_is_begun_again() {
        let gone = mpsc::channel().1;
        for looked in [told(Err(Error::Unfinished)), gone] {
            let area = TempDir::new().unwrap();
            let (vault, publisher) = begun(&area);
            vault.doubt_storage();
            let late = Late {
                vault: vault.clone(),
                publisher,
                looked,
                again_after: Duration::ZERO,
            };
            let (stopper, stop) = Stopper::new();
            late.go_on(stop, Arc::new(stopper)).await.unwrap();
            assert!(!vault.is_storage_doubted());
        }
    }

    #[test]
    fn a_storage_that_answers_in_time_is_not_doubted_when_serving_begins() {
        let area = TempDir::new().unwrap();
        let (vault, publisher) = begun(&area);
        let until = Instant::now() + Duration::from_secs(60);
        let late = look(&vault, &publisher, until).unwrap();
        assert!(late.is_none());
        assert!(!vault.is_storage_doubted());
        publish(&publisher, until).unwrap();
        assert_eq!(publisher.unpublished().unwrap(), 0);
    }
}
