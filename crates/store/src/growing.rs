//! A file that is stored while it comes, so that nobody needs all of it in memory.

use crate::Result;

/// A file that grows at a place, unseen until it is finished; dropping it leaves nothing.
///
/// Whoever writes it hashes it, and finishes it only where it is what its name says.
pub trait Growing: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// As [`Store::save`](crate::Store::save).
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Gives it its name, in place of whatever has it; when this returns it is durable.
    ///
    /// # Errors
    /// As [`Store::replace`](crate::Store::replace).
    fn finish(self: Box<Self>) -> Result<()>;
}
