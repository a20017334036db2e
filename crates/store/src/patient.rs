//! A store that may hang, and those who use it may not.
//!
//! A call into a dead network mount or a stalled disk never returns, and no thread can be taken
//! out of it. So each call runs on a thread of the store's own, which is left behind when nothing
//! has moved for the limit: the caller gets [`Error::Unreachable`], and so does at once whoever
//! calls later. A thread that was left behind ends with its call, or with the process.
//!
//! Moving means: any call into the place has ended as it should, or a step of one was counted by its
//! [`Pulse`]. So a place that is slow, or busy with many calls, is waited for as long as it takes.
//! Errors are no movement, and neither is what becomes of a lock: a file system that has turned
//! read-only answers at once, and a lock is tried every minute, while a file is never written to its
//! end. How long silence may last grows with what is being written at a time.
//!
//! What a call that was left behind still does when the place comes back is what any writer may do
//! at any time: a file appears whole under its name, or a lock stays, which our next run removes.
//!
//! Threads are kept for the next call: handing one over costs some microseconds, against a file or
//! a run of blobs at a time. A stream has one of them to itself, which reads ahead; who reads from
//! several places at once has one for [all of them](together).

mod growing;
mod stream;
mod together;
mod writing;

use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType, Id};

pub use together::{ByTurns, GivenUp, Place, Places, together};

use crate::patient::growing::Grown;
use crate::patient::stream::{Ahead, Spare};
use crate::patient::writing::Writing;
use crate::pulse::Pulse;
use crate::store::{SharedBytes, Store};
use crate::{Attacked, Attacks, Error, Growing, Holder, Remnants, Result};

/// How long nothing may move before a place counts as hung that is not given much to write.
///
/// The kernel calls a task hung after as long in one system call. The longest step of ours is an
/// fsync: less than 16 MiB take two minutes at 140 kB/s. With every 16 MiB that are being written at
/// a time the same time is allowed once more, up to ten minutes. Who gives up wrongly loses little:
/// the next run, or a sync, brings the copy what it lacks.
pub const HANG_LIMIT: Duration = Duration::from_secs(120);

/// In how many steps the limit is waited for, so that a process that was stopped and goes on does
/// not take its own sleep for the place's.
const STEPS: u32 = 4;

/// A store in front of one that may hang.
#[derive(Debug)]
pub struct PatientStore {
    inner: Arc<dyn Store>,
    pulse: Pulse,
    limit: Duration,
    /// What is being written there.
    writing: Writing,
    /// How many limits nothing had moved for when the place was given up, so that nothing is asked of
    /// it from then on; 0 where it was not.
    hung_for: AtomicU32,
    idle: Mutex<Vec<Worker>>,
    /// Memory that streams have read into and do not need any more.
    spare: Spare,
}

/// A thread that does one call after the other, and ends when this is dropped.
#[derive(Debug)]
struct Worker(Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

/// How long nothing has moved.
#[derive(Debug)]
struct Silence {
    /// The steps that were counted last.
    count: u64,
    /// At how many looks since then there were no more.
    still: u32,
}

impl PatientStore {
    /// Waits for `inner` as long as `pulse` moves, and `limit` longer.
    pub fn new(inner: Arc<dyn Store>, pulse: Pulse, limit: Duration) -> Self {
        Self {
            inner,
            pulse,
            limit,
            writing: Writing::default(),
            hung_for: AtomicU32::new(0),
            idle: Mutex::default(),
            spare: Spare::default(),
        }
    }

    /// Lets a thread that can be left behind do `work`, on files of this type where it is about any.
    fn call<T: Send + 'static>(
        &self,
        kind: Option<FileType>,
        work: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let worker = self.worker()?;
        let (reply, answer) = sync_channel(1);
        let store = Arc::clone(&self.inner);
        worker.run(Box::new(move || {
            let result = work(store.as_ref());
            drop(store);
            // Where nobody waits any more, nobody wants to know.
            let _ = reply.send(result);
        }));
        let result = self.wait(&answer)?;
        self.note_answer(kind, &result);
        self.idle.lock().push(worker);
        result
    }

    /// Lets `work` ask the place for several things, and waits for them as for one call: handing each
    /// over to a thread of its own turn costs more than many a folder does.
    ///
    /// # Errors
    /// Those of `work`, and where the place hangs.
    pub fn at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(None, work)
    }

    /// As [`PatientStore::call`], for bytes that the place has to write.
    fn write(
        &self,
        name: FileName,
        bytes: SharedBytes,
        work: impl FnOnce(&dyn Store, SharedBytes) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let size_bytes = (*bytes).as_ref().len() as u64;
        let written = self.writing.begin(size_bytes);
        self.call(Some(name.kind()), move |store| {
            let result = work(store, bytes);
            drop(written);
            result
        })
    }

    /// Counts an answer as a step, where it shows that the place does its work.
    fn note_answer<T>(&self, kind: Option<FileType>, answer: &Result<T>) {
        let is_work = matches!(
            answer,
            Ok(_) | Err(Error::NotFound { .. } | Error::Exists { .. })
        );
        if is_work && kind != Some(FileType::Locks) {
            self.pulse.beat();
        }
    }

    /// A thread that has nothing to do, unless the place has hung.
    fn worker(&self) -> Result<Worker> {
        if self.has_hung() {
            return Err(self.hung());
        }
        let idle = self.idle.lock().pop();
        match idle {
            Some(worker) => Ok(worker),
            None => Worker::start().map_err(|source| self.no_thread(&source)),
        }
    }

    /// Waits until the answer is there or nothing has moved for as long as may be.
    fn wait<T>(&self, answer: &Receiver<T>) -> Result<T> {
        let mut silence = Silence::since(self.pulse.count());
        loop {
            match answer.recv_timeout(self.limit / STEPS) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => return Err(self.died()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let limits = self.writing.limits();
            // Where the place was given up, another call has waited long enough for all.
            if silence.lasts(self.pulse.count(), limits) || self.has_hung() {
                return self.give_up(answer, limits);
            }
        }
    }

    /// Asks nothing of the place any more from now on; unless the answer has come all the same, along
    /// with the end of the time.
    fn give_up<T>(&self, answer: &Receiver<T>, limits: u32) -> Result<T> {
        if let Ok(result) = answer.try_recv() {
            return Ok(result);
        }
        // Whoever was the first tells how long that was.
        let hung_for = &self.hung_for;
        let _ = hung_for.compare_exchange(0, limits, Ordering::AcqRel, Ordering::Acquire);
        Err(self.hung())
    }

    fn has_hung(&self) -> bool {
        self.hung_for.load(Ordering::Acquire) > 0
    }

    fn hung(&self) -> Error {
        let limits = self.hung_for.load(Ordering::Acquire);
        let waited = in_words(self.limit.saturating_mul(limits));
        self.unreachable(format!("it has not answered for {waited}"))
    }

    fn died(&self) -> Error {
        self.unreachable("the thread that worked there died".to_owned())
    }

    /// That this machine has no thread for it says nothing of any file there.
    fn no_thread(&self, source: &std::io::Error) -> Error {
        self.unreachable(format!(
            "no thread can be started here (ulimit -u, TasksMax): {source}"
        ))
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable {
            location: self.location().to_owned(),
            reason,
        }
    }
}

impl Silence {
    /// It begins when so many steps were counted.
    const fn since(count: u64) -> Self {
        Self { count, still: 0 }
    }

    /// Whether it has lasted for so many limits, [`STEPS`] looks of which are one, after a look
    /// that saw so many steps.
    const fn lasts(&mut self, count: u64, limits: u32) -> bool {
        self.still = match count == self.count {
            true => self.still + 1,
            false => 0,
        };
        self.count = count;
        self.still >= STEPS * limits
    }
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        std::thread::Builder::new().spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self(jobs))
    }

    fn run(&self, job: Job) {
        // Where the thread has died, so does the job, and with it the sender of its answer.
        let _ = self.0.send(job);
    }
}

impl Store for PatientStore {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn patient(&self) -> Option<&PatientStore> {
        Some(self)
    }

    fn attacks(&self) -> Option<&dyn Attacks> {
        self.inner.attacks().map(|_| self as &dyn Attacks)
    }

    /// A place that hangs tells nothing.
    fn holder(&self) -> Holder {
        let told = self.call(None, |store| Ok(store.holder()));
        told.unwrap_or_default()
    }

    fn identity(&self) -> Result<Option<Id>> {
        self.call(None, |store| store.identity())
    }

    fn time(&self) -> Option<SystemTime> {
        self.inner.time()
    }

    fn create(&self) -> Result<()> {
        self.call(None, |store| store.create())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        self.call(Some(kind), move |store| store.list(kind))
    }

    fn first_ids(&self, kind: FileType) -> Result<Vec<Id>> {
        self.call(Some(kind), move |store| store.first_ids(kind))
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.call(Some(name.kind()), move |store| store.size(name))
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        Ok(Box::new(Ahead::open(self, name, range)?))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.call(Some(name.kind()), move |store| store.read(name))
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.call(Some(name.kind()), move |store| {
            store.read_range(name, range)
        })
    }

    fn read_range_into(
        &self,
        name: FileName,
        range: Range<u64>,
        memory: Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.call(Some(name.kind()), move |store| {
            store.read_range_into(name, range, memory)
        })
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.save_shared(name, Arc::new(bytes.to_vec()))
    }

    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.write(name, bytes, move |store, bytes| {
            store.save_shared(name, bytes)
        })
    }

    fn begin(&self, name: FileName) -> Result<Option<Box<dyn Growing + '_>>> {
        let file = Grown::begin(self, name)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Growing + '_>))
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.replace_shared(name, Arc::new(bytes.to_vec()))
    }

    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.write(name, bytes, move |store, bytes| {
            store.replace_shared(name, bytes)
        })
    }

    fn end_old_uploads(&self, older_than: SystemTime) -> Result<u64> {
        self.call(None, move |store| store.end_old_uploads(older_than))
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.call(Some(name.kind()), move |store| store.remove(name))
    }
}

impl Attacks for PatientStore {
    fn attack(&self, files: &[FileName], remnants: &Remnants) -> Result<Attacked> {
        let (files, remnants) = (files.to_vec(), remnants.clone());
        let location = self.location().to_owned();
        self.call(None, move |store| match store.attacks() {
            Some(attacks) => attacks.attack(&files, &remnants),
            None => Err(Error::BadAnswer {
                location,
                action: "be attacked".to_owned(),
                reason: "its kind cannot be".to_owned(),
            }),
        })
    }
}

/// What `work` returns, or nothing where that takes longer than `limit`: for a look at a path that
/// may lie on a dead mount. The thread is then left behind.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (reply, answer) = sync_channel(1);
    let work = move || drop(reply.send(work()));
    std::thread::Builder::new().spawn(work).ok()?;
    answer.recv_timeout(limit).ok()
}

/// A limit on time as it is told: in the largest unit that it is whole in.
pub fn in_words(limit: Duration) -> String {
    match limit.as_secs() {
        0 => format!("{} ms", limit.as_millis()),
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalStore;

    fn store() -> PatientStore {
        let inner = LocalStore::new("/nowhere");
        let pulse = inner.pulse();
        PatientStore::new(Arc::new(inner), pulse, HANG_LIMIT)
    }

    #[test]
    fn an_answer_that_comes_along_with_the_end_of_the_time_is_taken() {
        let store = store();
        let (reply, answer) = sync_channel(1);
        reply.send(7).unwrap();
        assert_eq!(store.give_up(&answer, 1).unwrap(), 7);
        assert!(!store.has_hung());
        let error = store.give_up(&answer, 5).unwrap_err();
        assert!(error.to_string().ends_with("for 10 min"), "{error}");
        assert!(store.has_hung());
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_no_fault_of_a_file() {
        let error = store().no_thread(&std::io::Error::from_raw_os_error(11));
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("TasksMax"), "{error}");
    }
}
