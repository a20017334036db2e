//! Stores and bodies that fail as they are told, so that every write path can be tested against
//! every fault.
//!
//! Like a real place they never leave a torn file: a save happens wholly or not at all, whatever
//! the caller is told about it.

mod bodies;
mod rules;

use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Attacks, Error, Holder, Locks, Result, Store, Versions};

pub use crate::faulty::bodies::FaultyBodies;
use crate::faulty::rules::flip_bit;
pub use crate::faulty::rules::{Fault, Op, Rule, Rules};

/// A store with faults.
#[derive(Debug)]
pub struct FaultyStore<S = Arc<dyn Store>> {
    inner: S,
    rules: Rules,
}

impl<S: Store> FaultyStore<S> {
    /// A store without faults, until it is given some.
    pub fn new(inner: S) -> Self {
        Self {
            rules: Rules::new(inner.location()),
            inner,
        }
    }

    /// Adds a rule, for building.
    #[must_use]
    pub fn with(self, rule: Rule) -> Self {
        self.add(rule);
        self
    }

    /// Lets saves succeed until that many bytes are stored; from then on the place is full.
    #[must_use]
    pub fn with_room(self, bytes: u64) -> Self {
        self.set_room(Some(bytes));
        self
    }

    /// Adds a rule. Of several that match a call, the first added strikes.
    pub fn add(&self, rule: Rule) {
        self.rules.add(rule);
    }

    /// Takes all rules away, and makes the place reachable and roomy again.
    pub fn heal(&self) {
        self.rules.heal();
    }

    /// Takes the place away, or brings it back.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.rules.set_unreachable(unreachable);
    }

    /// Sets how many bytes more it takes.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.rules.set_room(bytes);
    }

    /// The store behind.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Changes the store, as long as there is room.
    fn write(
        &self,
        op: Op,
        name: FileName,
        size: usize,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.rules.change(op, Some(name), || {
            self.rules.take_room(size as u64)?;
            act()
        })
    }

    /// Reads into memory, and spoils what was read where a rule says so.
    fn fetch(
        &self,
        op: Op,
        name: FileName,
        read: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let fault = self.rules.strike(op, Some(name.kind()), Some(name))?;
        let mut bytes = read()?;
        match fault {
            Some(Fault::ShortRead(_)) => Err(Error::Io {
                location: self.location().to_owned(),
                action: format!("read {name}"),
                source: io::ErrorKind::UnexpectedEof.into(),
            }),
            Some(Fault::AnswerLost) => Err(self.rules.unreachable()),
            Some(Fault::FlipBit(at)) => {
                flip_bit(&mut bytes, at);
                Ok(bytes)
            }
            _ => Ok(bytes),
        }
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn locks(&self) -> Option<&dyn Locks> {
        self.inner.locks()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions()
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        self.inner.attacks()
    }

    fn holder(&self) -> Holder {
        match self.rules.strike(Op::Holder, None, None) {
            Ok(None) => self.inner.holder(),
            Ok(Some(_)) | Err(_) => Holder::default(),
        }
    }

    fn identity(&self) -> Result<Option<Id>> {
        match self.rules.strike(Op::Identity, None, None)? {
            Some(Fault::AnswerLost) => Err(self.rules.unreachable()),
            _ => self.inner.identity(),
        }
    }

    fn time(&self) -> Option<SystemTime> {
        self.inner.time()
    }

    fn create(&self) -> Result<()> {
        self.rules.change(Op::Create, None, || self.inner.create())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        match self.rules.strike(Op::List, Some(kind), None)? {
            Some(Fault::AnswerLost) => Err(self.rules.unreachable()),
            _ => self.inner.list(kind),
        }
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        match self.rules.strike(Op::List, Some(kind), None)? {
            Some(Fault::AnswerLost) => Err(self.rules.unreachable()),
            _ => self.inner.first_ids(kind),
        }
    }

    fn size(&self, name: FileName) -> Result<u64> {
        match self.rules.strike(Op::Size, Some(name.kind()), Some(name))? {
            Some(Fault::AnswerLost) => Err(self.rules.unreachable()),
            _ => self.inner.size(name),
        }
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        self.rules.open(name, || self.inner.open(name, range))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.fetch(Op::Read, name, || self.inner.read(name))
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.fetch(Op::ReadRange, name, || self.inner.read_range(name, range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.write(Op::Save, name, bytes.len(), || self.inner.save(name, bytes))
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.write(Op::Replace, name, bytes.len(), || {
            self.inner.replace(name, bytes)
        })
    }

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        self.inner.end_old_uploads(older_than)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.rules
            .change(Op::Remove, Some(name), || self.inner.remove(name))
    }
}
