//! How a process ends: by a signal, and within a time that is known.
//!
//! What was committed is in the database, and loses nothing by an end at any moment. What is left is
//! for the convenience of others: the last refusals told, the last leaves published, leases given
//! back. What can go wrong: a storage that hangs, in which a job or the publishing of the log waits
//! for ever. So all that is waited for some seconds, and left then. A leaf stays in the database
//! until it is published, which any other process does, and the next start before all else.

use std::pin::pin;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom_vault::beside::within;
use strongroom_vault::http::Stopper;
use strongroom_vault::publication::Publisher;
use strongroom_vault::{Error, Result, Vault};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// For how long an end is waited for without a word.
const SOON: Duration = Duration::from_secs(2);

/// For how long what is under way then is waited for beyond that.
const PATIENCE: Duration = Duration::from_secs(8);

/// For how long the database is waited for, to give leases back.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// Stops at SIGTERM and SIGINT; where the start is not over, ends the process at once.
///
/// # Errors
/// [`Error::Local`].
pub(super) fn stop_on_signals(stopper: Arc<Stopper>, is_over: Arc<AtomicBool>) -> Result<()> {
    let listen = |kind| signal(kind).map_err(Error::local("listen for signals"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !is_over.load(Ordering::Acquire) {
            // What a start waits for may never answer, and cannot be called back. Nobody was
            // answered yet, and nobody needs more from it than from one that was killed.
            tracing::info!("Stopped before serving began");
            exit(0);
        }
        tracing::info!("Stopping: requests under way are finished");
        stopper.stop();
        // A second one must end the program, as it does everywhere.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        exit(130);
    });
    Ok(())
}

/// Waits until jobs that are under way are finished, what was refused until the end is told, and all
/// is published; for ten seconds at most.
pub(super) async fn end(vault: &Vault, publisher: &Arc<Publisher>, jobs: Vec<JoinHandle<()>>) {
    let (vault, publisher) = (vault.clone(), Arc::clone(publisher));
    // None of it is among the threads for requests, all of which may hang in the storage. What takes
    // the database alone is first.
    let telling = spawn_blocking(move || vault.tell_refusals(true).map(drop));
    let mut ending = pin!(async move {
        note(&telling.await, "The last refusals are not in the log");
        for job in jobs {
            let _ = job.await;
        }
        let publishing = spawn_blocking(move || publisher.publish().map(drop));
        note(&publishing.await, "The last leaves are not published");
    });
    if timeout(SOON, ending.as_mut()).await.is_ok() {
        return;
    }
    tracing::info!(
        waits_s = PATIENCE.as_secs(),
        "Storage or database are slow; jobs and the publishing of the log are waited for so long"
    );
    if timeout(PATIENCE, ending).await.is_err() {
        tracing::warn!("Storage or database do not answer; what waits for them is broken off");
    }
}

/// Tells what went wrong with work of the end.
fn note<E>(done: &Result<Result<()>, E>, what: &str) {
    if let Ok(Err(error)) = done {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "{what}");
    }
}

/// Tells what is not published, and gives all leases back. Blocks, for five seconds at most.
pub(super) fn leave(vault: &Vault, publisher: &Arc<Publisher>) {
    let (vault, publisher) = (vault.clone(), Arc::clone(publisher));
    let left = within(LEAVES_WITHIN, move || {
        (publisher.unpublished(), vault.release_leases())
    });
    let Ok(Some((unpublished, released))) = left else {
        tracing::warn!("The database does not answer; leases end by themselves");
        return;
    };
    if let Ok(leaves @ 1..) = unpublished {
        tracing::warn!(
            leaves,
            "The last leaves of the log are not published; another process publishes them, or the \
             next start"
        );
    }
    if let Err(error) = released {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "Leases end by themselves, in half a minute");
    }
}
