//! Until when the files of a copy are locked, as far as was recorded.
//!
//! Nobody is asked: a record proves nothing, and what it does not know is not known to be locked. A
//! snapshot is as well locked as the file among those that it needs whose lock ends first. Where there
//! is no record, not one of its files is known to be locked.

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
    let is_locked = |name: FileName| {
        let until = dates.until(name);
        until.is_some_and(|until| until > window.now && window.is_believed(until))
    };
    let unlocked = unlocked(held, judge, is_locked);
    let (Some(until), Some(short)) = (dates.earliest(), short(&dates, window)) else {
        let claimed = evidence.lock.map(|claimed| claimed.until);
        if claimed.is_none() && unlocked == 0 {
            return None;
        }
        let until = claimed.unwrap_or(now);
        let is_short = SystemTime::try_from(until).is_ok_and(|until| window.is_short(until));
        return Some(LockedFiles {
            until,
            since,
            short: u64::from(claimed.is_some() && is_short),
            unlocked,
        });
    };
    Some(LockedFiles {
        until: Timestamp::try_from(until.min(window.furthest())).ok()?,
        since,
        short,
        unlocked,
    })
}

/// How many files that whole snapshots need are not known to be locked; one for each of which it is
/// not known what it needs.
fn unlocked(held: &[HeldSnapshot], judge: &Judge<'_>, is_locked: impl Fn(FileName) -> bool) -> u64 {
    let mut needed = BTreeSet::new();
    let mut unknown = 0;
    let whole = held
        .iter()
        .filter(|held| held.wholeness == Wholeness::Whole);
    for held in whole {
        match judge.needs(held.id, &is_locked) {
            Some(needs) => needed.extend(needs),
            None => unknown += 1,
        }
    }
    let unlocked = needed.into_iter().filter(|name| !is_locked(*name));
    unlocked.count() as u64 + unknown
}
