//! Work that fills a disk, and is ended before that is full.
//!
//! What a snapshot says of its size decides whether it is begun, and whoever may put snapshots says
//! it. So it is looked at what is really left, for as long as it is written.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use strongroom_model::ByteSize;

use crate::drill::restore::scratch::free;
use crate::session::Cancel;
use crate::{Error, Result};

/// How often it is looked.
const SLICE: Duration = Duration::from_millis(50);

/// What must stay free where so much is free and so much is to be written: a twentieth, or half of
/// what should be left where that is less.
pub(super) fn least_free(free_bytes: u64, needed_bytes: u64) -> u64 {
    let left = free_bytes.saturating_sub(needed_bytes);
    (free_bytes / 20).min(left / 2)
}

/// Does what fills a folder, and ends it where fewer bytes than these are free, or somebody
/// interrupts; it is given what tells it to end.
///
/// # Errors
/// Those of the work; [`Error::NoRoom`], [`Error::Interrupted`].
pub(super) fn within_room<T>(
    folder: &Path,
    least_free: u64,
    cancel: &Cancel,
    work: impl FnOnce(&Cancel) -> Result<T>,
) -> Result<T> {
    let (inner, is_short) = (Cancel::default(), AtomicBool::new(false));
    let (done, ended) = channel::<()>();
    let outcome = std::thread::scope(|scope| {
        let (inner, is_short) = (&inner, &is_short);
        scope.spawn(move || {
            while ended.recv_timeout(SLICE) == Err(RecvTimeoutError::Timeout) {
                let is_full = free(folder).is_ok_and(|free| free.bytes < least_free);
                if is_full {
                    is_short.store(true, Ordering::SeqCst);
                }
                if is_full || cancel.is_cancelled() {
                    inner.cancel();
                    return;
                }
            }
        });
        let outcome = work(inner);
        drop(done);
        outcome
    });
    cancel.check()?;
    match outcome {
        Err(Error::Interrupted) if is_short.load(Ordering::SeqCst) => Err(Error::NoRoom {
            path: folder.to_owned(),
            reason: format!(
                "less than {} was left, since the snapshot is larger than it says, or others have \
                 written there",
                ByteSize::from_bytes(least_free).spoken()
            ),
        }),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn until_told(cancel: &Cancel) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            cancel.check()?;
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(())
    }

    #[test]
    fn what_fills_the_disk_is_ended_and_so_is_what_somebody_interrupts() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let full = within_room(folder.path(), u64::MAX, &cancel, until_told);
        assert!(matches!(full, Err(Error::NoRoom { .. })), "{full:?}");
        let fine = within_room(folder.path(), 0, &cancel, |_| Ok(7));
        assert_eq!(fine.unwrap(), 7);
        cancel.cancel();
        let interrupted = within_room(folder.path(), 0, &cancel, until_told);
        assert!(matches!(interrupted, Err(Error::Interrupted)));
    }

    #[test]
    fn what_must_stay_free_is_no_more_than_what_should_be_left() {
        assert_eq!(least_free(1000, 100), 50);
        assert_eq!(least_free(1000, 980), 10);
        assert_eq!(least_free(10, 20), 0);
    }
}
