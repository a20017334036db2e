//! What came of an extension of locks.

use std::time::{Duration, SystemTime};

use strongroom_model::{FileName, Id};

use crate::Error;
use crate::locking::{Window, short};
use crate::session::{CopyFailure, CopyStore, chain};
use crate::state::LockDates;

/// How many files of a copy are named whose locks could not be extended; all are counted.
pub(super) const MOST_NAMED: usize = 100;

/// What came of all copies that have locks.
#[derive(Debug, Clone, Default)]
pub struct LockReport {
    /// For each such copy, in the order of the configuration.
    pub copies: Vec<CopyLocks>,
    /// Why no copy could be extended at all.
    pub failure: Option<CopyFailure>,
    /// Why more may be needed than was found, for people to read.
    pub gaps: Vec<String>,
    /// Whether there was no time to read what all snapshots need: every pack stays locked meanwhile.
    pub lacks_time: bool,
    /// What else went wrong, for people to read: nothing of it shortens a lock.
    pub problems: Vec<String>,
    /// Whether the user interrupted; what was done until then stays.
    pub was_interrupted: bool,
}

/// What came of one copy.
#[derive(Debug, Clone, Default)]
pub struct CopyLocks {
    /// Its name.
    pub name: String,
    /// What must always be left.
    pub least: Duration,
    /// How many files were looked at that were in no record.
    pub found: u64,
    /// How many locks were due.
    pub due: u64,
    /// How many of these were made longer.
    pub extended: u64,
    /// How many files wait for the next run, since the time for this one was over.
    pub left: u64,
    /// How many files are needed that were never there: a sync brings them.
    pub missing: u64,
    /// How many files could not be locked for as long as they should be.
    pub failed: u64,
    /// Of how many of these nothing but a listing knows, so that anybody may have put them there.
    pub strangers: u64,
    /// The first of these that failed.
    pub not_extended: Vec<NotExtended>,
    /// Of how many files less is left than must be: an alarm.
    pub short: u64,
    /// How many files are recorded.
    pub recorded: u64,
    /// When the first lock that is recorded ends.
    pub until: Option<SystemTime>,
    /// Why the copy could not be asked, or not to the end.
    pub failure: Option<CopyFailure>,
    pub(super) was_interrupted: bool,
}

/// A file whose lock could not be extended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExtended {
    /// The file.
    pub name: FileName,
    /// Why.
    pub reason: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

impl LockReport {
    /// Whether everything that is needed is known, and locked for as long as it must be.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
            && self.failure.is_none()
            && !self.was_interrupted
            && self.copies.iter().all(CopyLocks::is_complete)
    }

    /// The copies of which less is left than must be.
    pub fn alarms(&self) -> impl Iterator<Item = &CopyLocks> {
        self.copies.iter().filter(|copy| copy.short > 0)
    }
}

impl CopyLocks {
    /// What is recorded of a copy, of which nothing was asked yet.
    pub fn of(name: &str, dates: &LockDates, window: Window) -> Self {
        Self {
            name: name.to_owned(),
            least: window.least,
            short: short(dates, window).unwrap_or_default(),
            recorded: dates.len() as u64,
            until: dates.earliest(),
            ..Self::default()
        }
    }

    /// Whether nothing is wrong with its locks, as far as time has sufficed.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.short == 0 && self.failure.is_none()
    }
}

/// That the state folder did not take what was found out: it is found out anew by the next run.
pub(super) fn not_recorded(copy: &CopyStore, error: &Error) -> String {
    let (name, reason) = (&copy.name, chain(error));
    format!("{name}: until when its files are locked is not recorded: {reason}")
}

/// That the locks of a copy were shown by another place than the one that is there now, or that
/// nothing tells any more whether it is the same one; and what to do about it.
pub(super) fn elsewhere(copy: &CopyStore, now: Option<Id>) -> String {
    let name = &copy.name;
    let (what, mend) = match now {
        Some(_) => (
            "it is another bucket than the one whose locks were recorded, or the first version of \
             its config was removed",
            "what is there now is told by strongroom verify and by strongroom drill attack --copy",
        ),
        None => (
            "nothing tells any more whether it is the bucket whose locks were recorded",
            "let its account list versions (s3:ListBucketVersions), then strongroom drill attack \
             --copy",
        ),
    };
    format!(
        "{name}: {what}: nothing of it counts as locked until it was seen again, and each file is \
         looked at; {mend} {name}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_could_be_extended_it_is_not_complete() {
        assert!(LockReport::default().is_complete());
        let failed = LockReport {
            failure: Some(CopyFailure::other("the state folder is gone".to_owned())),
            ..LockReport::default()
        };
        assert!(!failed.is_complete());
    }
}
