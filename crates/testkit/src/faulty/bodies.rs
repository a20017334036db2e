//! Bodies that fail as they are told.
//!
//! After [`Fault::Crash`](crate::Fault::Crash) nothing that was begun is cleaned up, as after a
//! `kill -9`: whoever comes back finds what such a process leaves behind.

use std::io::{BufReader, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use strongroom_model::FileName;
use strongroom_store::{Bodies, BodyKey, Named, Result, Staged};

use crate::faulty::rules::{Op, Rules};

/// Bodies with faults.
#[derive(Debug)]
pub struct FaultyBodies<B = Arc<dyn Bodies>> {
    inner: B,
    rules: Arc<Rules>,
}

impl<B: Bodies> FaultyBodies<B> {
    /// Bodies without faults, until [`FaultyBodies::rules`] are given some.
    pub fn new(inner: B) -> Self {
        Self {
            rules: Arc::new(Rules::new(inner.location())),
            inner,
        }
    }

    /// What goes wrong.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The bodies behind.
    pub const fn inner(&self) -> &B {
        &self.inner
    }
}

impl<B: Bodies> Bodies for FaultyBodies<B> {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn stage(&self, body: &BodyKey) -> Result<Box<dyn Staged>> {
        let inner = self
            .rules
            .change(Op::Stage, Some(body.name), || self.inner.stage(body))?;
        Ok(Box::new(FaultyStaged {
            inner: Some(inner),
            name: body.name,
            rules: Arc::clone(&self.rules),
        }))
    }

    fn open(
        &self,
        body: &BodyKey,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Box<dyn Read + Send>)> {
        let mut size_bytes = 0;
        let stream = self.rules.open(body.name, || {
            let (size, stream) = self.inner.open(body, range)?;
            size_bytes = size;
            Ok(Box::new(BufReader::new(stream)))
        })?;
        Ok((size_bytes, Box::new(stream)))
    }

    fn remove(&self, body: &BodyKey) -> Result<()> {
        self.rules
            .change(Op::Remove, Some(body.name), || self.inner.remove(body))
    }

    fn settle(&self, bodies: &[Named]) -> Vec<Result<()>> {
        let settled = self.inner.settle(bodies).into_iter();
        let told = |settled| self.rules.change(Op::Settle, None, || settled);
        settled.map(told).collect()
    }

    fn probe(&self) -> Result<()> {
        self.inner.probe()
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.rules
            .change(Op::FreeBytes, None, || self.inner.free_bytes())
    }

    fn sweep(&self, older_than: SystemTime) -> Result<u64> {
        self.rules
            .change(Op::Sweep, None, || self.inner.sweep(older_than))
    }
}

/// A body that is being written, with faults.
#[derive(Debug)]
struct FaultyStaged {
    /// `None` once it is published.
    inner: Option<Box<dyn Staged>>,
    name: FileName,
    rules: Arc<Rules>,
}

impl Staged for FaultyStaged {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let inner = self.inner.as_mut().expect("it is not published yet");
        self.rules.change(Op::Write, Some(self.name), || {
            self.rules.take_room(bytes.len() as u64)?;
            inner.write(bytes)
        })
    }

    fn publish(mut self: Box<Self>) -> Result<()> {
        let (rules, name) = (Arc::clone(&self.rules), self.name);
        rules.change(Op::Publish, Some(name), || {
            let inner = self.inner.take().expect("it is not published yet");
            inner.publish()
        })
    }

    fn name(mut self: Box<Self>) -> Result<Named> {
        let (rules, name) = (Arc::clone(&self.rules), self.name);
        rules.change(Op::Publish, Some(name), || {
            let inner = self.inner.take().expect("it is not published yet");
            inner.name()
        })
    }
}

impl Drop for FaultyStaged {
    fn drop(&mut self) {
        if self.rules.is_away() {
            // Whoever died, or has no way there, cleans nothing up.
            std::mem::forget(self.inner.take());
        }
    }
}
