//! Which faults happen when: the rules that faulty places share.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType};
#[expect(unused_imports, reason = "the documentation links to them")]
use strongroom_store::{Bodies, Staged, Store};
use strongroom_store::{Error, Result};

use crate::gate::Gate;

/// What can be asked of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// [`Store::holder`]; what fails there tells nothing.
    Holder,
    /// [`Store::identity`].
    Identity,
    /// [`Store::create`].
    Create,
    /// [`Store::list`].
    List,
    /// [`Store::size`].
    Size,
    /// [`Store::open`] and [`Bodies::open`].
    Open,
    /// [`Store::read`].
    Read,
    /// [`Store::read_range`].
    ReadRange,
    /// [`Store::save`].
    Save,
    /// [`Store::replace`].
    Replace,
    /// [`Store::remove`] and [`Bodies::remove`].
    Remove,
    /// [`Bodies::stage`].
    Stage,
    /// [`Staged::write`].
    Write,
    /// [`Staged::publish`] and [`Staged::name`].
    Publish,
    /// [`Bodies::settle`], of each body; it is done all the same.
    Settle,
    /// [`Bodies::free_bytes`].
    FreeBytes,
    /// [`Bodies::sweep`].
    Sweep,
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
    /// The process dies before it is done: from now on the place is away, and what was begun there
    /// stays as it is.
    Crash,
    /// The process dies when it is done, before it hears of it; else as [`Fault::Crash`].
    CrashAfter,
    /// Of what is read, only that many bytes come; then the stream breaks.
    ShortRead(u64),
    /// Of what is read, only that many bytes come; then the connection is lost, for good.
    Lost(u64),
    /// Of what is read, only that many bytes come; then the stream waits at a gate, and goes on.
    Stall(u64, Gate),
    /// All that is read comes; then the stream waits at a gate before it is closed.
    StallAtClose(Gate),
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

/// All that goes wrong at one place, shared by whatever stands for it.
#[derive(Debug)]
pub struct Rules {
    location: String,
    rules: Mutex<Vec<Rule>>,
    unreachable: AtomicBool,
    room_bytes: Mutex<Option<u64>>,
}

impl Rules {
    /// None, for the place that is called `location`.
    pub(super) fn new(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            rules: Mutex::default(),
            unreachable: AtomicBool::new(false),
            room_bytes: Mutex::default(),
        }
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

    /// Whether the place is away.
    pub fn is_away(&self) -> bool {
        self.unreachable.load(Ordering::SeqCst)
    }

    pub(super) fn unreachable(&self) -> Error {
        Error::Unreachable {
            location: self.location.clone(),
            reason: "a test took it away".to_owned(),
        }
    }

    /// Takes room for that many bytes, or tells that the place is full.
    pub(super) fn take_room(&self, size_bytes: u64) -> Result<()> {
        if let Some(room) = &mut *self.room_bytes.lock() {
            *room = room.checked_sub(size_bytes).ok_or_else(|| Error::Full {
                location: self.location.clone(),
            })?;
        }
        Ok(())
    }

    /// The fault for a call that goes on, or the error of one that does not.
    pub(super) fn strike(
        &self,
        op: Op,
        kind: Option<FileType>,
        name: Option<FileName>,
    ) -> Result<Option<Fault>> {
        if self.is_away() {
            return Err(self.unreachable());
        }
        let mut struck = None;
        for rule in self.rules.lock().iter_mut() {
            if rule.matches(op, kind, name) && rule.strikes() && struck.is_none() {
                struck = Some(rule.fault.clone());
            }
        }
        let location = self.location.clone();
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
            Some(Fault::Crash) => Err(self.crash()),
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
                match self.is_away() {
                    true => Err(self.unreachable()),
                    false => Ok(None),
                }
            }
            other => Ok(other),
        }
    }

    /// Does what changes the place, and loses the answer where a rule says so.
    pub(super) fn change<T>(
        &self,
        op: Op,
        name: Option<FileName>,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.strike(op, name.map(|name| name.kind()), name)? {
            Some(Fault::AnswerLost) => act().and_then(|_| Err(self.unreachable())),
            Some(Fault::CrashAfter) => act().and_then(|_| Err(self.crash())),
            _ => act(),
        }
    }

    /// Opens a stream, and spoils what it reads where a rule says so.
    pub(super) fn open<'s>(
        &self,
        name: FileName,
        open: impl FnOnce() -> Result<Box<dyn BufRead + Send + 's>>,
    ) -> Result<Box<dyn BufRead + Send + 's>> {
        match self.strike(Op::Open, Some(name.kind()), Some(name))? {
            Some(Fault::AnswerLost) => Err(self.unreachable()),
            Some(Fault::CrashAfter) => Err(self.crash()),
            Some(Fault::ShortRead(count)) => Ok(Box::new(open()?.take(count).chain(Broken(None)))),
            Some(Fault::Lost(count)) => {
                let location = Some(self.location.clone());
                Ok(Box::new(open()?.take(count).chain(Broken(location))))
            }
            Some(Fault::Stall(left_bytes, gate)) => Ok(Box::new(Stalling {
                inner: open()?,
                left_bytes,
                gate: Some(gate),
            })),
            Some(Fault::StallAtClose(gate)) => {
                let inner = open()?;
                Ok(Box::new(Closing { inner, gate }))
            }
            Some(Fault::FlipBit(at)) => {
                let mut bytes = Vec::new();
                let read = open()?.read_to_end(&mut bytes);
                read.map_err(|source| Error::Io {
                    location: self.location.clone(),
                    action: format!("read {name}"),
                    source,
                })?;
                flip_bit(&mut bytes, at);
                Ok(Box::new(Cursor::new(bytes)))
            }
            _ => open(),
        }
    }

    /// The place is away from now on.
    fn crash(&self) -> Error {
        self.set_unreachable(true);
        self.unreachable()
    }
}

/// Flips the lowest bit of one byte.
pub(super) fn flip_bit(bytes: &mut [u8], at: u64) {
    if let Some(index) = at.checked_rem(bytes.len() as u64) {
        bytes[index as usize] ^= 1;
    }
}

/// A stream that breaks off in the middle; or whose place cannot be reached any more.
struct Broken(Option<String>);

impl Broken {
    fn error(&self) -> io::Error {
        match &self.0 {
            None => io::ErrorKind::UnexpectedEof.into(),
            Some(location) => io::Error::other(Error::Unreachable {
                location: location.clone(),
                reason: "a test has cut the connection".to_owned(),
            }),
        }
    }
}

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.error())
    }
}

impl BufRead for Broken {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Err(self.error())
    }

    fn consume(&mut self, _: usize) {}
}

/// A stream that waits in the middle.
struct Stalling<R> {
    inner: R,
    left_bytes: u64,
    gate: Option<Gate>,
}

impl<R: BufRead> Read for Stalling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Stalling<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left_bytes == 0
            && let Some(gate) = self.gate.take()
        {
            gate.pass();
        }
        let step = self.inner.fill_buf()?;
        let room = match self.gate {
            Some(_) => usize::try_from(self.left_bytes).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        Ok(&step[..room.min(step.len())])
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.left_bytes = self.left_bytes.saturating_sub(count as u64);
    }
}

/// A stream that waits when it is closed.
struct Closing<R> {
    inner: R,
    gate: Gate,
}

impl<R> Drop for Closing<R> {
    fn drop(&mut self) {
        self.gate.pass();
    }
}

impl<R: BufRead> Read for Closing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Closing<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}
