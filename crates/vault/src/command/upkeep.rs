//! Scrubbing while serving: it takes long, and must not hold up anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use strongroom_vault::http::VaultState;
use strongroom_vault::{Result, Vault};
use tokio::sync::Notify;

/// After how many bytes scrubbing pauses, for as long as it took to read them.
const PAUSE_EVERY_BYTES: u64 = 4 << 20;

/// By how much scrubbing is to be put behind requests.
const NICENESS: i32 = 10;

/// Scrubs in a thread of its own, one share at a time.
#[derive(Debug, Default)]
pub(super) struct Scrubber(Arc<Turn>);

#[derive(Debug, Default)]
struct Turn {
    is_busy: AtomicBool,
    is_free: Notify,
    is_ended: Mutex<bool>,
    ends: Condvar,
}

impl Scrubber {
    /// Begins the next share, where the last one is done.
    pub(super) fn begin(&self, vault: &Vault, verify_every_ms: i64, state: &Arc<VaultState>) {
        if self.0.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let (turn, vault, state) = (Arc::clone(&self.0), vault.clone(), Arc::clone(state));
        let scrub = move || {
            let scrubbed = turn.scrub(&vault, verify_every_ms);
            match scrubbed {
                Ok(scrubbed) => state.scrubbed(&scrubbed),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "Not all could be scrubbed that was due"
                ),
            }
            turn.is_busy.store(false, Ordering::Release);
            turn.is_free.notify_waiters();
        };
        let spawned = thread::Builder::new().name("scrub".to_owned()).spawn(scrub);
        if let Err(error) = spawned {
            self.0.is_busy.store(false, Ordering::Release);
            tracing::error!(%error, "There is no thread for scrubbing");
        }
    }

    /// Ends the share that is under way, and waits until it has written down what it has read.
    pub(super) async fn end(&self) {
        *self.0.is_ended.lock() = true;
        self.0.ends.notify_all();
        loop {
            let freed = self.0.is_free.notified();
            if !self.0.is_busy.load(Ordering::Acquire) {
                return;
            }
            freed.await;
        }
    }
}

impl Turn {
    /// Reads a share, and rests as long as it reads.
    fn scrub(
        &self,
        vault: &Vault,
        verify_every_ms: i64,
    ) -> Result<strongroom_vault::vault::Scrubbed> {
        // Of this thread alone; where the system does not let it, it is as important as others.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "Scrubbing is not put behind requests");
        }
        let (mut read_bytes, mut since) = (0_u64, Instant::now());
        vault.scrub(verify_every_ms, &mut |bytes| {
            read_bytes += bytes;
            if read_bytes < PAUSE_EVERY_BYTES {
                return !*self.is_ended.lock();
            }
            let took = since.elapsed();
            let mut is_ended = self.is_ended.lock();
            if !*is_ended {
                self.ends.wait_for(&mut is_ended, took);
            }
            (read_bytes, since) = (0, Instant::now());
            !*is_ended
        })
    }
}
