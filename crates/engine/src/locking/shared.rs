//! What a look at the locks of one copy has done so far, shared by all who ask at the same time.
//!
//! **Security:** a place that refuses a hundred files would refuse all, and is not asked for more. But
//! whoever may write puts names there that are refused, and so what nothing vouches for has a limit of
//! its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use strongroom_model::FileName;
use strongroom_store::{Error as StoreError, SavedLock};

use crate::Result;
use crate::locking::needed::Needed;
use crate::locking::report::{CopyLocks, MOST_NAMED, NotExtended};
use crate::session::chain;

/// After how many files that the place refused it is not asked for more: it would refuse all.
const MOST_FAILED: u64 = 100;

/// The same of files that come later than these, each of which somebody may have put there so that it
/// is refused.
const MOST_LATER_FAILED: u64 = 10_000;

/// What was done so far.
#[derive(Default)]
pub(super) struct Done {
    pub(super) told: CopyLocks,
    pub(super) seen: Vec<SavedLock>,
    /// Files whose recorded versions are not there.
    pub(super) gone: BTreeSet<FileName>,
}

/// Counters and the wish to stop, shared by all who ask.
pub(super) struct Shared<'a> {
    needed: &'a Needed,
    pub(super) done: Mutex<Done>,
    /// How many files the place refused, and how many of those that come later.
    refused: AtomicU64,
    later_refused: AtomicU64,
    /// Whether nothing more may be asked.
    pub(super) is_over: AtomicBool,
}

impl<'a> Shared<'a> {
    pub(super) fn of(needed: &'a Needed) -> Self {
        Self {
            needed,
            done: Mutex::default(),
            refused: AtomicU64::new(0),
            later_refused: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Those of some files whose recorded versions are not there.
    pub(super) fn gone_of(&self, names: impl Iterator<Item = FileName>) -> BTreeSet<FileName> {
        let done = self.done.lock();
        names.filter(|name| done.gone.contains(name)).collect()
    }

    /// Takes note of a file whose lock could not be extended.
    ///
    /// # Errors
    /// Where it is no fault of the file: then nothing more is asked.
    pub(super) fn failed(&self, name: FileName, error: StoreError) -> Result<()> {
        if let StoreError::Unreachable { .. } | StoreError::Cancelled { .. } = error {
            self.is_over.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        self.not_extended(NotExtended {
            name,
            reason: chain(&error),
            hint: error.hint(),
        });
        // Files without a right version are no refusals: whoever may write makes any number of them.
        let (refused, most) = match self.needed.comes_later(name) {
            true => (&self.later_refused, MOST_LATER_FAILED),
            false => (&self.refused, MOST_FAILED),
        };
        if refused.fetch_add(1, Ordering::Relaxed) + 1 >= most {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes note of a file of whose versions none is right, of those that were tried.
    pub(super) fn wrong(&self, name: FileName, count: u64, tried: u64) {
        let reason = match count {
            1 => "its only version does not have its name".to_owned(),
            _ if tried < count => {
                format!("{tried} of its {count} versions were tried: none has its name")
            }
            _ => format!("none of its {count} versions has its name"),
        };
        let hint = Some("heal it from the other copies: strongroom sync".to_owned());
        self.not_extended(NotExtended { name, reason, hint });
    }

    fn not_extended(&self, file: NotExtended) {
        let mut done = self.done.lock();
        done.told.failed += 1;
        done.told.strangers += u64::from(self.needed.is_stranger(file.name));
        if done.told.not_extended.len() < MOST_NAMED {
            done.told.not_extended.push(file);
        }
    }
}
