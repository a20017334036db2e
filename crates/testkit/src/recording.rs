//! A store that writes down what is asked of it, so that tests can assert I/O.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};
use strongroom_store::{Attacks, Holder, Locks, Result, Store, Versions};

use crate::faulty::Op;

/// One call, with the bytes that it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was asked for.
    pub op: Op,
    /// The type of file; `None` for [`Op::Create`].
    pub kind: Option<FileType>,
    /// The file; `None` where the call is not about one.
    pub name: Option<FileName>,
    /// The bytes read or written; for a list, the number of its entries.
    pub bytes: u64,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// How many calls there were, and how many bytes they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All calls, failed ones too.
    pub calls: u64,
    /// The bytes of those that succeeded.
    pub bytes: u64,
}

/// A store that passes everything on and writes it down, but for who it is.
#[derive(Debug)]
pub struct RecordingStore<S = Arc<dyn Store>> {
    inner: S,
    records: Mutex<Vec<(Record, Arc<AtomicU64>)>>,
}

impl<S: Store> RecordingStore<S> {
    /// Records what is asked of `inner`.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            records: Mutex::new(Vec::new()),
        }
    }

    /// The store behind.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// All calls so far, in the order in which they ended.
    pub fn records(&self) -> Vec<Record> {
        let with_bytes = |(record, bytes): &(Record, Arc<AtomicU64>)| Record {
            bytes: bytes.load(Ordering::Relaxed),
            ..*record
        };
        self.records.lock().iter().map(with_bytes).collect()
    }

    /// Sums up the calls of these kinds on files of a type.
    pub fn tally(&self, ops: &[Op], kind: FileType) -> Tally {
        let mut tally = Tally::default();
        for record in self.records() {
            if ops.contains(&record.op) && record.kind == Some(kind) {
                tally.calls += 1;
                tally.bytes += if record.succeeded { record.bytes } else { 0 };
            }
        }
        tally
    }

    /// The names that were written, in order.
    pub fn written(&self) -> Vec<FileName> {
        let mut records = self.records();
        records.retain(|record| record.succeeded && Op::WRITES.contains(&record.op));
        records
            .into_iter()
            .filter_map(|record| record.name)
            .collect()
    }

    /// Forgets the calls so far.
    pub fn clear(&self) {
        self.records.lock().clear();
    }

    /// Writes one call down and returns the counter of its bytes.
    fn note<T>(
        &self,
        op: Op,
        kind: Option<FileType>,
        name: Option<FileName>,
        result: &Result<T>,
        bytes: u64,
    ) -> Arc<AtomicU64> {
        let counter = Arc::new(AtomicU64::new(bytes));
        let record = Record {
            op,
            kind,
            name,
            bytes,
            succeeded: result.is_ok(),
        };
        self.records.lock().push((record, Arc::clone(&counter)));
        counter
    }

    fn note_file<T>(&self, op: Op, name: FileName, result: Result<T>, bytes: u64) -> Result<T> {
        self.note(op, Some(name.kind()), Some(name), &result, bytes);
        result
    }
}

/// A stream whose bytes are counted as they are read.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn length(read: &Result<Vec<u8>>) -> u64 {
    read.as_ref().map_or(0, |bytes| bytes.len() as u64)
}

impl<S: Store> Store for RecordingStore<S> {
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
        self.inner.holder()
    }

    /// Not written down: it moves nothing, and belongs to each listing.
    fn identity(&self) -> Result<Option<Id>> {
        self.inner.identity()
    }

    fn time(&self) -> Option<SystemTime> {
        self.inner.time()
    }

    fn create(&self) -> Result<()> {
        let result = self.inner.create();
        self.note(Op::Create, None, None, &result, 0);
        result
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        let result = self.inner.list(kind);
        let count = result.as_ref().map_or(0, |entries| entries.len() as u64);
        self.note(Op::List, Some(kind), None, &result, count);
        result
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        let result = self.inner.first_ids(kind);
        let count = result.as_ref().map_or(0, |ids| ids.len() as u64);
        self.note(Op::List, Some(kind), None, &result, count);
        result
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.note_file(Op::Size, name, self.inner.size(name), 0)
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        let result = self.inner.open(name, range);
        let bytes = self.note(Op::Open, Some(name.kind()), Some(name), &result, 0);
        Ok(Box::new(Counted {
            inner: result?,
            bytes,
        }))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        let result = self.inner.read(name);
        let bytes = length(&result);
        self.note_file(Op::Read, name, result, bytes)
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        let result = self.inner.read_range(name, range);
        let bytes = length(&result);
        self.note_file(Op::ReadRange, name, result, bytes)
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let result = self.inner.save(name, bytes);
        self.note_file(Op::Save, name, result, bytes.len() as u64)
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        let result = self.inner.replace(name, bytes);
        self.note_file(Op::Replace, name, result, bytes.len() as u64)
    }

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        self.inner.end_old_uploads(older_than)
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.note_file(Op::Remove, name, self.inner.remove(name), 0)
    }
}
