//! A store that may hang, and those who use it may not.
//!
//! A call into a dead network mount or a stalled disk never returns, and no thread can be taken
//! out of it. So each call runs on a thread of the store's own, which is left behind when nothing
//! has moved for the limit: the caller gets [`Error::Unreachable`], and so does at once whoever
//! calls later. A thread that was left behind ends with its call, or with the process.
//!
//! Moving means: any call into the place has ended, or a step of one was counted by its [`Pulse`].
//! So a place that is slow, or busy with many calls, is waited for as long as it takes.
//!
//! What a call that was left behind still does when the place comes back is what any writer may do
//! at any time: a file appears whole under its name, or a lock stays, which our next run removes.
//!
//! Threads are kept for the next call: handing one over costs some microseconds, against a file or
//! a run of blobs at a time. A stream has one of them to itself, which reads ahead.

mod stream;

use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_model::{FileEntry, FileName, FileType};

use crate::patient::stream::{Ahead, Spare};
use crate::pulse::Pulse;
use crate::store::{SharedBytes, Store};
use crate::{Error, Result};

/// How long nothing may move before a place counts as hung.
///
/// The kernel calls a task hung after as long in one system call. The longest step of ours is an
/// fsync, of one pack: 16 MiB take two minutes at 140 kB/s. Who gives up wrongly loses little: the
/// next run, or a sync, brings the copy what it lacks.
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
    /// Set when the place has hung; nothing is asked of it from then on.
    has_hung: AtomicBool,
    idle: Mutex<Vec<Worker>>,
    /// Memory that streams have read into and do not need any more.
    spare: Spare,
}

/// A thread that does one call after the other, and ends when this is dropped.
#[derive(Debug)]
struct Worker(Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl PatientStore {
    /// Waits for `inner` as long as `pulse` moves, and `limit` longer.
    pub fn new(inner: Arc<dyn Store>, pulse: Pulse, limit: Duration) -> Self {
        Self {
            inner,
            pulse,
            limit,
            has_hung: AtomicBool::new(false),
            idle: Mutex::default(),
            spare: Spare::default(),
        }
    }

    /// Lets a thread that can be left behind do `work`.
    fn call<T: Send + 'static>(
        &self,
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
        self.pulse.beat();
        self.idle.lock().push(worker);
        result
    }

    /// A thread that has nothing to do, unless the place has hung.
    fn worker(&self) -> Result<Worker> {
        if self.has_hung.load(Ordering::Acquire) {
            return Err(self.hung());
        }
        let idle = self.idle.lock().pop();
        match idle {
            Some(worker) => Ok(worker),
            None => Worker::start().map_err(|source| Error::Io {
                location: self.location().to_owned(),
                action: "start a thread that works".to_owned(),
                source,
            }),
        }
    }

    /// Waits until the answer is there or nothing has moved for the limit.
    fn wait<T>(&self, answer: &Receiver<T>) -> Result<T> {
        let mut count = self.pulse.count();
        let mut still = 0;
        while still < STEPS {
            match answer.recv_timeout(self.limit / STEPS) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.unreachable("the thread that worked there died".to_owned()));
                }
                // Another call has waited long enough for all.
                Err(RecvTimeoutError::Timeout) if self.has_hung.load(Ordering::Acquire) => {
                    return Err(self.hung());
                }
                Err(RecvTimeoutError::Timeout) if self.pulse.count() == count => still += 1,
                Err(RecvTimeoutError::Timeout) => {
                    count = self.pulse.count();
                    still = 0;
                }
            }
        }
        self.has_hung.store(true, Ordering::Release);
        Err(self.hung())
    }

    fn hung(&self) -> Error {
        self.unreachable(format!("it has not answered for {}", in_words(self.limit)))
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable {
            location: self.location().to_owned(),
            reason,
        }
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

    fn create(&self) -> Result<()> {
        self.call(|store| store.create())
    }

    fn list(&self, kind: FileType) -> Result<Vec<FileEntry>> {
        self.call(move |store| store.list(kind))
    }

    fn size(&self, name: FileName) -> Result<u64> {
        self.call(move |store| store.size(name))
    }

    fn open(
        &self,
        name: FileName,
        range: Option<Range<u64>>,
    ) -> Result<Box<dyn BufRead + Send + '_>> {
        Ok(Box::new(Ahead::open(self, name, range)?))
    }

    fn read(&self, name: FileName) -> Result<Vec<u8>> {
        self.call(move |store| store.read(name))
    }

    fn read_range(&self, name: FileName, range: Range<u64>) -> Result<Vec<u8>> {
        self.call(move |store| store.read_range(name, range))
    }

    fn save(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.save_shared(name, Arc::new(bytes.to_vec()))
    }

    fn save_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.call(move |store| store.save_shared(name, bytes))
    }

    fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        self.replace_shared(name, Arc::new(bytes.to_vec()))
    }

    fn replace_shared(&self, name: FileName, bytes: SharedBytes) -> Result<()> {
        self.call(move |store| store.replace_shared(name, bytes))
    }

    fn remove(&self, name: FileName) -> Result<()> {
        self.call(move |store| store.remove(name))
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
