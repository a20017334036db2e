//! Bodies of which a test is asked before they do something.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use strongroom_store::{Bodies, BodyKey, Result, Staged};

use super::scene::local_bodies;

/// Asked before a body is removed.
type BeforeRemoval = Box<dyn Fn(&BodyKey) -> Result<()> + Send + Sync>;

/// A folder's own bodies, and what is asked before them; where nothing is said, nothing.
pub(super) struct AskedBodies {
    pub(super) inner: Arc<dyn Bodies>,
    /// Before one is removed.
    pub(super) before_removal: BeforeRemoval,
    /// Before they say whether they take bytes.
    pub(super) before_probe: Box<dyn Fn() + Send + Sync>,
    /// Before they say what is free.
    pub(super) before_free: Box<dyn Fn() + Send + Sync>,
    /// Before one is read from where it is kept.
    pub(super) before_proof: Box<dyn Fn(&BodyKey) + Send + Sync>,
}

impl AskedBodies {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            inner: local_bodies(folder),
            before_removal: Box::new(|_| Ok(())),
            before_probe: Box::new(|| ()),
            before_free: Box::new(|| ()),
            before_proof: Box::new(|_| ()),
        }
    }
}

impl fmt::Debug for AskedBodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskedBodies")
    }
}

impl Bodies for AskedBodies {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>> {
        self.inner.stage(body)
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)> {
        self.inner.open(body, range)
    }

    fn open_stored(&self, body: &BodyKey) -> Result<(u64, Box<dyn Read + Send>)> {
        (self.before_proof)(body);
        self.inner.open_stored(body)
    }

    fn remove(&self, body: &BodyKey) -> Result<()> {
        (self.before_removal)(body)?;
        self.inner.remove(body)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        (self.before_free)();
        self.inner.free_bytes()
    }

    fn probe(&self) -> Result<()> {
        (self.before_probe)();
        self.inner.probe()
    }

    fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        self.inner.sweep(older_than)
    }
}
