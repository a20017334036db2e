//! Locks on stored files, where a place has any: until a date, nobody can remove the version.
//!
//! They have nothing to do with the files in `locks/`, by which runs keep out of each other's way.

use std::time::{Duration, SystemTime};

use strongroom_model::FileName;

use crate::s3::BucketCheck;
use crate::{Result, VersionId};

/// What a store offers beside [`Store`](crate::Store) that locks what is stored.
///
/// All methods may be called from several threads at once, and wait as those of the store do.
pub trait Locks: Send + Sync {
    /// The least time for which every file is to stay locked.
    fn least(&self) -> Duration;

    /// Until when a file is locked that is stored, or locked anew, at this moment: half as long
    /// again as [`Locks::least`], by the clock of the place.
    ///
    /// Where the clock of the place and ours are more than ten minutes apart the later one counts;
    /// but no date is more than twice as far ahead of the clock of the place as asked for.
    ///
    /// # Errors
    /// Fails where the place cannot be asked what time it is.
    fn date(&self) -> Result<SystemTime>;

    /// What time it is by the clock of the place, by which locks end.
    ///
    /// # Errors
    /// Fails where the place cannot be asked what time it is.
    fn now(&self) -> Result<SystemTime>;

    /// What is seen under a name, and its lock: for a place whose versions may not be listed.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where nothing is seen, or the place names no
    /// version; [`Error::NotLocked`](crate::Error::NotLocked) where a lock would keep nothing that can
    /// be read, as that of a version which a key of the account encrypts, or which an archive holds.
    fn seen(&self, name: FileName) -> Result<SeenVersion>;

    /// Until when a version is locked, as the place shows it; of a file whose version is not named,
    /// the newest.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none, and
    /// [`Error::NotLocked`](crate::Error::NotLocked) as [`Locks::seen`].
    fn lock_of(&self, name: FileName, version: Option<&VersionId>) -> Result<ShownLock>;

    /// Locks a version until a date at least, and tells until when it is locked then; one that is
    /// locked for longer stays so. The date counts in whole seconds, rounded up.
    ///
    /// A version that is named is locked first and looked at then: two requests.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none, and
    /// [`Error::NotLocked`](crate::Error::NotLocked) where the lock is not shown afterwards, or would
    /// keep nothing that can be read.
    fn lock_until(
        &self,
        name: FileName,
        version: Option<&VersionId>,
        until: SystemTime,
    ) -> Result<SystemTime>;

    /// What saves have put, or found there, and the locks that they have seen, since this was asked
    /// last: whoever keeps a record of them need not ask for each. Of very many the last ones are
    /// left out.
    fn take_saved(&self) -> Vec<SavedLock>;

    /// Looks whether the place can keep what is promised of it, without writing anything.
    ///
    /// # Errors
    /// Fails where the place cannot be asked at all.
    fn check(&self) -> Result<BucketCheck>;
}

/// The lock of a version that a save has put, or found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedLock {
    /// The file.
    pub name: FileName,
    /// What the place calls the version.
    pub version: VersionId,
    /// When its lock ends, as the place has shown it.
    pub until: SystemTime,
}

/// What is seen under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenVersion {
    /// What the place calls the version.
    pub version: VersionId,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Its lock.
    pub lock: ShownLock,
}

/// What a place shows of the lock of a version.
///
/// A promise counts only where nobody can take it back: of what may be bypassed it is told, and it
/// is as good as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownLock {
    /// Nobody can remove the version before then.
    Compliance {
        /// When it ends.
        until: SystemTime,
    },
    /// Whoever has the right to bypass it can.
    Governance {
        /// When it ends.
        until: SystemTime,
    },
    /// There is none, or there is no right to see it.
    NotShown,
}

impl ShownLock {
    /// Whether nobody can remove the version before `until`.
    pub fn holds(&self, until: SystemTime) -> bool {
        matches!(self, Self::Compliance { until: shown } if *shown >= until)
    }
}
