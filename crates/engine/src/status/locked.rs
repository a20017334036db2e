//! Until when the files of a copy are locked, as far as was recorded.
//!
//! Nobody is asked: a record proves nothing, and what it does not know is not known to be locked. A
//! snapshot is as well locked as the file among those that it needs whose lock ends first.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use strongroom_model::scorecard::{HeldSnapshot, LockedFiles, Wholeness};
use strongroom_model::{BackupCopy, CopyEvidence, FileName};

use crate::locking::{Window, short};
use crate::state::RepositoryState;
use crate::status::held::Judge;
use crate::status::look::{Look, Seen};

/// What is known of the locks of a copy; `None` where it has none, or nothing is known.
pub(super) fn locked(
    copy: &BackupCopy,
    look: &Look<'_>,
    held: &[HeldSnapshot],
    judge: &Judge<'_>,
    evidence: &CopyEvidence,
    memory: Option<&RepositoryState>,
    now: Timestamp,
) -> Option<LockedFiles> {
    let least = Duration::from_secs(copy.lock?.seconds());
    let store = look.store?;
    let locks = store.store.locks()?;
    // Of two clocks the later one: of an alarm nobody is told too early by that.
    let ours = SystemTime::try_from(now).ok()?;
    let theirs = match &look.seen {
        Seen::Ready(_) => locks.now().ok(),
        Seen::Empty | Seen::Failed(_) => None,
    };
    let window = Window {
        now: theirs.map_or(ours, |theirs| theirs.max(ours)),
        least,
    };
    let since = evidence.lock.map(|claimed| claimed.since);
    let mut dates = memory?.lock_dates(store);
    if let Seen::Ready(ready) = &look.seen {
        dates.move_to(ready.listing.place);
    }
    let (Some(until), Some(short)) = (dates.earliest(), short(&dates, window)) else {
        let claimed = evidence.lock?;
        let until = SystemTime::try_from(claimed.until).ok()?;
        return Some(LockedFiles {
            until: claimed.until,
            since,
            short: u64::from(window.is_short(until)),
            unlocked: 0,
        });
    };
    let is_locked = |name: FileName| dates.until(name).is_some_and(|until| until > window.now);
    let whole = held
        .iter()
        .filter(|held| held.wholeness == Wholeness::Whole);
    let needs = whole.filter_map(|held| judge.needs(held.id, is_locked));
    let needed: BTreeSet<FileName> = needs.flatten().collect();
    let unlocked = needed.into_iter().filter(|name| !is_locked(*name)).count() as u64;
    Some(LockedFiles {
        until: Timestamp::try_from(until).ok()?,
        since,
        short,
        unlocked,
    })
}
