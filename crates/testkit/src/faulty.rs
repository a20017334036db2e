//! A store that fails as it is told, so that every write path can be tested against every fault.
//!
//! Like a real store it never leaves a torn file: a save happens wholly or not at all, whatever
//! the caller is told about it.

use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType};
use strongroom_store::{Error, Result, Store};

use crate::gate::Gate;

/// What can be asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// [`Store::create`].
    Create,
    /// [`Store::list`].
    List,
    /// [`Store::size`].
    Size,
    /// [`Store::open`].
    Open,
    /// [`Store::read`].
    Read,
    /// [`Store::read_range`].
    ReadRange,
    /// [`Store::save`].
    Save,
    /// [`Store::replace`].
    Replace,
    /// [`Store::remove`].
    Remove,
}

impl Op {
    /// Everything that moves bytes out.
    pub const READS: [Self; 3] = [Self::Open, Self::Read, Self::ReadRange];
    /// Everything that moves bytes in.
    pub const WRITES: [Self; 2] = [Self::Save, Self::Replace];
}

/// What happens where a rule applies.
#[derive(Clone, Debug)]
pub enum Fault {
    /// There is no room; nothing is stored.
    Full,
    /// The place refuses; nothing happens.
    Denied,
    /// The place is away; nothing happens.
    Unreachable,
    /// The system reports an error of this kind; nothing happens.
    Io(io::ErrorKind),
    /// The file is said not to exist.
    NotFound,
    /// It is done, but the answer is lost: the caller is told that the place is away.
    AnswerLost,
    /// Of what is read, only that many bytes come; then the stream breaks.
    ShortRead(u64),
    /// One bit of what is read is wrong: of this byte, modulo the length.
    FlipBit(u64),
    /// It waits at a gate, then goes on as if nothing were.
    Wait(Gate),
}

/// When a fault happens.
#[derive(Clone, Debug)]
pub struct Rule {
    ops: Vec<Op>,
    kind: Option<FileType>,
    name: Option<FileName>,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// A fault for each of these operations.
    pub fn on(ops: &[Op], fault: Fault) -> Self {
        Self {
            ops: ops.to_vec(),
            kind: None,
            name: None,
            skip: 0,
            times: u64::MAX,
            fault,
        }
    }

    /// Only on files of this type.
    pub const fn of(mut self, kind: FileType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only on this file.
    pub const fn named(mut self, name: FileName) -> Self {
        self.name = Some(name);
        self
    }

    /// Only on the `n`th operation that matches, counted from 1.
    pub const fn nth(self, n: u64) -> Self {
        self.after(n - 1).times(1)
    }

    /// Only after that many operations that match.
    pub const fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Only that often.
    pub const fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Whether it is about this call.
    fn matches(&self, op: Op, kind: Option<FileType>, name: Option<FileName>) -> bool {
        self.ops.contains(&op)
            && (self.kind.is_none() || self.kind == kind)
            && (self.name.is_none() || self.name == name)
    }

    /// Counts a call that matches, and tells whether the fault happens on it.
    fn strikes(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let strikes = self.times > 0;
        self.times = self.times.saturating_sub(1);
        strikes
    }
}

/// A store with faults.
#[derive(Debug)]
pub struct FaultyStore<S = Arc<dyn Store>> {
    inner: S,
    rules: Mutex<Vec<Rule>>,
    unreachable: AtomicBool,
    room_bytes: Mutex<Option<u64>>,
}

impl<S: Store> FaultyStore<S> {
    /// A store without faults, until it is given some.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            rules: Mutex::new(Vec::new()),
            unreachable: AtomicBool::new(false),
            room_bytes: Mutex::new(None),
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
        self.rules.lock().push(rule);
    }

    /// Takes all rules away, and makes the place reachable and roomy again.
    pub fn heal(&self) {
        self.rules.lock().clear();
        self.set_room(None);
        self.set_unreachable(false);
    }

    /// Takes the place away, or brings it back.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.unreachable.store(unreachable, Ordering::SeqCst);
    }

    /// Sets how many bytes more it takes.
    pub fn set_room(&self, bytes: Option<u64>) {
        *self.room_bytes.lock() = bytes;
    }

    /// The store behind.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    fn unreachable(&self) -> Error {
        Error::Unreachable {
            location: self.location().to_owned(),
            reason: "a test took it away".to_owned(),
        }
    }

    /// The fault for a call that goes on, or the error of one that does not.
    fn strike(
        &self,
        op: Op,
        kind: Option<FileType>,
        name: Option<FileName>,
    ) -> Result<Option<Fault>> {
        if self.unreachable.load(Ordering::SeqCst) {
            return Err(self.unreachable());
        }
        let mut struck = None;
        for rule in self.rules.lock().iter_mut() {
            if rule.matches(op, kind, name) && rule.strikes() && struck.is_none() {
                struck = Some(rule.fault.clone());
            }
        }
        let location = self.location().to_owned();
        let action = format!(
            "{op:?} {}",
            name.map_or_else(String::new, |name| name.to_string())
        );
        match struck {
            Some(Fault::Full) => Err(Error::Full { location }),
            Some(Fault::Denied) => Err(Error::Denied {
                location,
                action,
                reason: "a test refuses it".to_owned(),
            }),
            Some(Fault::Unreachable) => Err(self.unreachable()),
            Some(Fault::Io(kind)) => Err(Error::Io {
                location,
                action,
                source: kind.into(),
            }),
            Some(Fault::NotFound) => Err(Error::NotFound {
                name: name.unwrap_or(FileName::CONFIG),
                location,
            }),
            Some(Fault::Wait(gate)) => {
                gate.pass();
                // The place may have gone away meanwhile.
                match self.unreachable.load(Ordering::SeqCst) {
                    true => Err(self.unreachable()),
                    false => Ok(None),
                }
            }
            other => Ok(other),
        }
    }

    /// Does what changes the store, and loses the answer where a rule says so.
    fn change(
        &self,
        op: Op,
        name: Option<FileName>,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        match self.strike(op, name.map(|name| name.kind()), name)? {
            Some(Fault::AnswerLost) => act().and_then(|()| Err(self.unreachable())),
            _ => act(),
        }
    }

    /// As [`FaultyStore::change`], as long as there is room.
    fn write(
        &self,
        op: Op,
        name: FileName,
        size: usize,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.change(op, Some(name), || {
            if let Some(room) = &mut *self.room_bytes.lock() {
                match room.checked_sub(size as u64) {
                    Some(left) => *room = left,
                    None => {
                        return Err(Error::Full {
                            location: self.location().to_owned(),
                        });
                    }
                }
            }
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
        let fault = self.strike(op, Some(name.kind()), Some(name))?;
        let mut bytes = read()?;
        match fault {
            Some(Fault::ShortRead(_)) => Err(Error::Io {
                location: self.location().to_owned(),
                action: format!("read {name}"),
                source: io::ErrorKind::UnexpectedEof.into(),
            }),
            Some(Fault::AnswerLost) => Err(self.unreachable()),
            Some(Fault::FlipBit(at)) => {
                flip_bit(&mut bytes, at);
                Ok(bytes)
            }
            _ => Ok(bytes),
        }
    }
}

/// Flips the lowest bit of one byte.
fn flip_bit(bytes: &mut [u8], at: u64) {
    if let Some(index) = at.checked_rem(bytes.len() as u64) {
        bytes[index as usize] ^= 1;
    }
}

/// A stream that breaks off in the middle.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn create(&self) -> Result<()> {
        self.change(Op::Create, None, || self.inner.create())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        match self.strike(Op::List, Some(kind), None)? {
            Some(Fault::AnswerLost) => Err(self.unreachable()),
            _ => self.inner.list(kind),
        }
    }

    fn size(&self, name: FileName) -> Result<u64> {
        match self.strike(Op::Size, Some(name.kind()), Some(name))? {
            Some(Fault::AnswerLost) => Err(self.unreachable()),
            _ => self.inner.size(name),
        }
    }

    fn open(&self, name: FileName, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send + '_>> {
        match self.strike(Op::Open, Some(name.kind()), Some(name))? {
            Some(Fault::AnswerLost) => Err(self.unreachable()),
            Some(Fault::ShortRead(count)) => {
                let stream = self.inner.open(name, range)?;
                Ok(Box::new(stream.take(count).chain(Broken)))
            }
            Some(Fault::FlipBit(at)) => {
                let mut bytes = Vec::new();
                let read = self.inner.open(name, range)?.read_to_end(&mut bytes);
                read.map_err(|source| Error::Io {
                    location: self.location().to_owned(),
                    action: format!("read {name}"),
                    source,
                })?;
                flip_bit(&mut bytes, at);
                Ok(Box::new(Cursor::new(bytes)))
            }
            _ => self.inner.open(name, range),
        }
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

    fn remove(&self, name: FileName) -> Result<()> {
        self.change(Op::Remove, Some(name), || self.inner.remove(name))
    }
}
