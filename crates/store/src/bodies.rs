//! What a vault keeps its bytes in: bodies, written as a stream and hidden until they have a name.
//!
//! A [`Store`](crate::Store) is what a client sees, whole files under their ids. A vault needs less
//! and more: it must take a body of any size without holding it in memory, look at its hash before
//! it gets a name, and tell an earlier body of the same name from a later one, so that a removal
//! that was delayed can never hit what came after it. What exists is decided elsewhere, by a
//! database: bytes here that no row knows are nothing.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::time::SystemTime;

use strongroom_model::{FileName, RepositoryPath};

use crate::{Holder, Result, local};

/// The name of one body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyKey {
    /// The repository that it belongs to.
    pub repository: RepositoryPath,
    /// The file whose bytes it is.
    pub name: FileName,
    /// Counts from 1: how often the name came to be after its bytes had been purged.
    pub generation: u32,
}

/// A place that keeps bodies.
///
/// All methods block, and may be called from several threads and processes at once.
pub trait Bodies: Send + Sync + fmt::Debug {
    /// The place as people write it, without any secret in it.
    fn location(&self) -> &str;

    /// Begins a body that is not seen under its name yet; dropping it removes what was written.
    ///
    /// The name is needed now because a bucket takes large bodies in parts that belong to a name
    /// from the first one on.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full) where there is no room.
    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>>;

    /// As [`Staged::name`] of a body that is small and all here.
    ///
    /// # Errors
    /// As [`Staged::name`].
    fn name(&self, body: &BodyKey, bytes: &[u8]) -> Result<Named> {
        let mut staged = self.stage(body)?;
        staged.write(bytes)?;
        staged.name()
    }

    /// Opens a body, or a range of its bytes, for reading from front to back; returns its whole
    /// size in bytes too.
    ///
    /// A range that reaches past the end is cut there; one that begins there is empty. A stream
    /// that ends before the range does is an [`std::io::ErrorKind::UnexpectedEof`].
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none.
    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)>;

    /// As [`Bodies::open`] of a whole body, but from where it is kept and not from what this machine
    /// has of it in memory, where the place can tell the two apart: for whoever proves what is stored.
    ///
    /// # Errors
    /// As [`Bodies::open`].
    fn open_stored(&self, body: &BodyKey) -> Result<(u64, Box<dyn Read + Send>)> {
        self.open(body, None)
    }

    /// How many bytes a body has, without reading any of them where the place can tell.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) where there is none.
    fn size_bytes(&self, body: &BodyKey) -> Result<u64> {
        Ok(self.open(body, None)?.0)
    }

    /// Removes a body for ever, a power cut later included; removing what is not there succeeds.
    ///
    /// # Errors
    /// Where the place does not let it, or cannot be reached.
    fn remove(&self, body: &BodyKey) -> Result<()>;

    /// Makes bodies durable that got their names by [`Staged::name`], together where that is faster;
    /// tells of each what became of it, in the same order.
    ///
    /// # Errors
    /// As of [`Staged::publish`]; the body may be there all the same, and may not outlast a power cut.
    fn settle(&self, bodies: &[Named]) -> Vec<Result<()>> {
        local::settle(bodies)
    }

    /// How many bytes there is room for; `None` where the place has no bound that it could tell.
    ///
    /// # Errors
    /// Where the place cannot be asked.
    fn free_bytes(&self) -> Result<Option<u64>>;

    /// Tries whether the place takes bytes, without leaving any: asked every half minute, and before
    /// what cannot be read is taken for rot. A server that says nothing has failed after seconds.
    ///
    /// # Errors
    /// As [`Bodies::stage`].
    fn probe(&self) -> Result<()>;

    /// In whose hand the place is, as far as it tells when it is asked; a folder tells nothing.
    fn holder(&self) -> Holder {
        Holder::default()
    }

    /// Removes what was begun before `older_than` and never got a name; returns how many.
    ///
    /// # Errors
    /// Where the place cannot be read.
    fn sweep(&self, older_than: SystemTime) -> Result<u64>;
}

/// A body that is being written.
pub trait Staged: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full) where there is no room.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes what was written durable under its name, in place of whatever had it: it is seen
    /// whole or not at all, and when this returns it outlasts a power cut.
    ///
    /// # Errors
    /// As [`Staged::write`]; where an answer was lost, it may be there all the same.
    fn publish(self: Box<Self>) -> Result<()>;

    /// As [`Staged::publish`], but may leave it to [`Bodies::settle`] to make it durable, for small
    /// bodies of which many come at a time. What had the name before is never lost by it.
    ///
    /// # Errors
    /// As [`Staged::publish`].
    fn name(self: Box<Self>) -> Result<Named> {
        self.publish()?;
        Ok(Named::durable())
    }
}

/// A body that has its name, and may still have to be made durable.
#[derive(Debug)]
pub struct Named(pub(crate) Option<local::Unsettled>);

impl Named {
    /// One that outlasts a power cut.
    pub const fn durable() -> Self {
        Self(None)
    }

    /// Whether it outlasts a power cut already.
    pub const fn is_durable(&self) -> bool {
        self.0.is_none()
    }
}
