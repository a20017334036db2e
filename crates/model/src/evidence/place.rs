//! To which place what was shown is bound: a disk or a bucket says nothing of another that takes its
//! stead.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::CopyEvidence;
use crate::id::Id;

/// That we have written the `config` of a place anew, so that it is told otherwise since.
///
/// A verify that began before was told the place as it was, and has read the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebound {
    /// What told it before.
    pub before: Id,
    /// What tells it now.
    pub now: Id,
    /// When it was told otherwise for the first time that we know of.
    pub at: Timestamp,
}

impl Rebound {
    /// What tells the place by now that was told as this when a reading of it began.
    pub fn place_of(&self, told: Option<Id>, began: Timestamp) -> Option<Id> {
        match told == Some(self.before) && began <= self.at {
            true => Some(self.now),
            false => told,
        }
    }
}

impl CopyEvidence {
    /// Binds what was read, and what will be, to the place that is now at the address: what was read
    /// of another place is forgotten, and so is what was shown of its locks and by attacks on it. Says
    /// whether there was any of it.
    ///
    /// What was read where no place was noted, as by earlier versions, counts for this one. Where
    /// nothing tells which place is there now nothing changes: [`CopyEvidence::lacks_place`].
    pub fn move_to(&mut self, place: Option<Id>) -> bool {
        let Some(now) = place else {
            return false;
        };
        let is_another = self.place.is_some_and(|known| known != now);
        self.place = Some(now);
        is_another && self.forget_shown()
    }

    /// Binds what was read to this place where it was not noted which one it was.
    pub fn adopt(&mut self, place: Option<Id>) {
        self.place = self.place.or(place);
    }

    /// Whether this tells the very place that was read.
    pub fn is_at(&self, place: Option<Id>) -> bool {
        self.place.is_some() && self.place == place
    }

    /// Whether what is noted is bound to another place than this, or nobody knows.
    pub fn is_elsewhere(&self, place: Option<Id>) -> bool {
        self.place.is_some() && self.place != place
    }

    /// Whether nothing tells which place is there now, as while `config` is missing, although it is
    /// known which one was read: then that vouches for nothing, and is kept for when it is told.
    pub const fn lacks_place(&self, place: Option<Id>) -> bool {
        self.place.is_some() && place.is_none()
    }

    /// Binds what was read before to what tells the same place now that we have written its `config`
    /// anew, also what a verify reads just now. What was read elsewhere stays bound to where it was.
    pub fn rebind(&mut self, rebound: Rebound) {
        self.place = rebound.place_of(self.place, rebound.at);
        self.rebound = Some(rebound);
    }

    /// What tells the place by now that was told as this when a reading of it began.
    pub fn place_of(&self, told: Option<Id>, began: Timestamp) -> Option<Id> {
        self.rebound
            .map_or(told, |rebound| rebound.place_of(told, began))
    }
}
