//! To which place what was read is bound: a disk says nothing of another that takes its stead.

use crate::evidence::CopyEvidence;
use crate::id::Id;

impl CopyEvidence {
    /// Binds what was read, and what will be, to the place that is now at the address: what was read
    /// of another place is forgotten. Says whether anything was.
    ///
    /// What was read where no place was noted, as by earlier versions, counts for this one. Where
    /// nothing tells which place is there now nothing changes: [`CopyEvidence::lacks_place`].
    pub fn move_to(&mut self, place: Option<Id>) -> bool {
        let Some(now) = place else {
            return false;
        };
        let is_another = self.place.is_some_and(|known| known != now);
        self.place = Some(now);
        is_another && self.forget_readings()
    }

    /// Binds what was read to this place where it was not noted which one it was.
    pub fn adopt(&mut self, place: Option<Id>) {
        self.place = self.place.or(place);
    }

    /// Whether nothing tells which place is there now, as while `config` is missing, although it is
    /// known which one was read: then that vouches for nothing, and is kept for when it is told.
    pub const fn lacks_place(&self, place: Option<Id>) -> bool {
        self.place.is_some() && place.is_none()
    }

    /// Binds what was read `before` to what tells the same place now that we have written its `config`
    /// anew. What was read elsewhere stays bound to where it was.
    pub fn rebind(&mut self, before: Id, now: Id) {
        if self.place == Some(before) {
            self.place = Some(now);
        }
    }
}
