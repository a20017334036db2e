//! One writer, several copies: every file goes to each of them as the same bytes.
//!
//! Each copy has a short queue and a few threads of its own. Whoever brings a pack waits until one
//! copy has room, and then a moment more for those that had room lately: threads of one machine
//! are not served evenly. A copy whose queue is still full is left behind: it does not get the
//! pack, is not waited for again until its queue is empty, and the sync that ends the backup
//! brings it what it lacks from a sibling. Where some copies are in doubt and others are not, the
//! pace is that of those that are not. A copy on which a write fails gets nothing more.
//!
//! When the user interrupts, what no copy has begun to take is dropped by all of them; what one has
//! begun goes on to the others too, as long as they begin with it within a moment: a pack that lies
//! on one copy alone would be written a second time by the next run, which reads the index of another.
//!
//! Barriers: an upload may name files that must be on the copy before it. It waits until what was
//! queued before it is settled, and if one of these files is not there, it is left out on that
//! copy. That is how no copy ever gets an index of a pack that it lacks, or such a snapshot.
//!
//! | at once | allowed | why |
//! |---|---|---|
//! | pack with pack, one copy | yes | packs refer to nothing |
//! | pack with index or snapshot, one copy | no | a barrier waits for all before it |
//! | anything with anything, two copies | yes | copies know nothing of each other |

mod lane;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use strongroom_model::{FileName, FileType};
use strongroom_store::{SharedBytes, Store};

use crate::fanout::lane::{Lane, Sending, State};
use crate::session::{Cancel, CopyFailure, CopyStore};
use crate::{Listing, Result};

/// A file on its way to every copy.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Its name.
    pub(crate) name: FileName,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// For a pack, the permit to be in memory.
    pub(crate) permit: Option<Permit>,
    /// What must be on a copy before it: names with sizes, 0 where the size does not matter.
    pub(crate) after: Vec<(FileName, u64)>,
}

/// A permit for one pack to be in memory, from its first blob until every copy has it or has failed.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Shared>);

/// A copy to write to, and what lay there when the run began.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) copy: CopyStore,
    pub(crate) listing: Listing,
    /// What is in doubt there, and counts as missing. A copy with doubts gets everything, but the
    /// others are not left behind for being slower than it: it may be fast because it keeps nothing.
    pub(crate) doubts: BTreeSet<FileName>,
}

/// What came of writing to one copy.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) copy: CopyStore,
    /// What was written, on top of the first listing.
    pub(crate) listing: Listing,
    /// Why it got nothing more, where something failed.
    pub(crate) failure: Option<CopyFailure>,
}

/// The queues to all copies.
#[derive(Debug)]
pub(crate) struct Fanout {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    cancel: Cancel,
    queue_limit: usize,
    pack_limit: usize,
    /// Packs that are in memory, but for what calls keep that were left behind in copies which hang.
    /// Not in the state: permits are dropped while that is locked.
    packs: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// How many buffers of packs that were sent are kept for those to come: one is usually on its way
/// while another one grows.
const SPARE_BUFFERS: usize = 1;

/// How often in a row nothing may move before a copy whose queue is full is left behind.
const PATIENCE_POLLS: u32 = 3;

/// How long a thread waits before it looks whether the user has interrupted.
const CANCEL_POLL: Duration = Duration::from_millis(100);

impl Fanout {
    /// Starts the threads: `uploads_per_copy` for each destination.
    ///
    /// `queue_limit` bounds the packs that wait for one copy or are on their way to it, `pack_limit`
    /// all that are in memory; it must exceed the number of packs that are open at once.
    pub(crate) fn start(
        destinations: Vec<Destination>,
        uploads_per_copy: usize,
        queue_limit: usize,
        pack_limit: usize,
        cancel: Cancel,
    ) -> Self {
        let count = destinations.len();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(destinations)),
            changed: Condvar::new(),
            cancel,
            queue_limit: queue_limit.max(1),
            pack_limit,
            packs: AtomicUsize::new(0),
            spare: Mutex::default(),
        });
        let threads = (0..count)
            .flat_map(|lane| std::iter::repeat_n(lane, uploads_per_copy.max(1)))
            .map(|lane| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.run(lane))
            })
            .collect();
        Self { shared, threads }
    }

    /// Waits until one more pack may be in memory.
    ///
    /// # Errors
    /// [`crate::Error::NoCopy`] where all have failed, [`crate::Error::Interrupted`].
    pub(crate) fn permit(&self) -> Result<Permit> {
        let mut state = self.shared.state.lock();
        loop {
            self.shared.cancel.check()?;
            state.check_alive()?;
            let packs = self.shared.packs.fetch_add(1, Ordering::AcqRel);
            let permit = Permit(Arc::clone(&self.shared));
            if packs < self.shared.pack_limit {
                return Ok(permit);
            }
            drop(permit);
            self.shared.changed.wait_for(&mut state, CANCEL_POLL);
        }
    }

    /// Queues a pack for every copy that has room, and waits until one has.
    ///
    /// # Errors
    /// [`crate::Error::NoCopy`] where all have failed, [`crate::Error::Interrupted`].
    pub(crate) fn push(&self, upload: Upload) -> Result<()> {
        let upload = Arc::new(Sending::from(upload));
        let limit = self.shared.queue_limit;
        let mut patience = PATIENCE_POLLS;
        let mut state = self.shared.state.lock();
        loop {
            self.shared.cancel.check()?;
            state.check_alive()?;
            let lanes = || state.lanes.iter().filter(|lane| lane.failure.is_none());
            let is_sound = |lane: &&Lane| lane.destination.doubts.is_empty();
            let room_somewhere = match lanes().any(|lane| is_sound(&lane)) {
                true => lanes().filter(is_sound).any(|lane| lane.has_room(limit)),
                false => state.lanes.is_empty() || lanes().any(|lane| lane.has_room(limit)),
            };
            let all_kept_up = lanes().all(|lane| lane.is_lagging || lane.has_room(limit));
            if room_somewhere && (all_kept_up || patience == 0) {
                state.queue_where_room(&upload, limit);
                self.shared.changed.notify_all();
                return Ok(());
            }
            let waited = self.shared.changed.wait_for(&mut state, CANCEL_POLL);
            if room_somewhere && waited.timed_out() {
                patience -= 1;
            }
        }
    }

    /// Queues an index file or snapshot for every copy that has not failed, room or not.
    ///
    /// # Errors
    /// [`crate::Error::NoCopy`] where all have failed.
    pub(crate) fn push_barrier(&self, upload: Upload) -> Result<()> {
        let upload = Arc::new(Sending::from(upload));
        let mut state = self.shared.state.lock();
        state.check_alive()?;
        for lane in state.lanes.iter_mut().filter(|lane| lane.failure.is_none()) {
            lane.queue.push_back(Arc::clone(&upload));
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    /// A buffer that an earlier pack has left, so that memory is faulted in once.
    pub(crate) fn spare_buffer(&self) -> Option<Vec<u8>> {
        self.shared.spare.lock().pop()
    }

    /// Waits until everything queued is settled, and says what came of it.
    pub(crate) fn finish(mut self) -> Vec<Outcome> {
        self.close();
        let mut state = self.shared.state.lock();
        state.lanes.drain(..).map(Lane::into_outcome).collect()
    }

    fn close(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("An upload thread died");
            }
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        // Whoever drops it without `finish` gives up: what waits is not sent any more. An interrupted
        // run does so as well, and leaves the copies even.
        let mut state = self.shared.state.lock();
        match self.shared.cancel.is_cancelled() {
            true => state.drop_what_is_not_begun(),
            false => state.lanes.iter_mut().for_each(|lane| lane.queue.clear()),
        }
        drop(state);
        self.close();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.packs.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// Sends the files of one copy, one after the other; several threads do so for each copy.
    fn run(&self, number: usize) {
        while let Some((store, upload)) = self.next(number) {
            let began = Instant::now();
            let bytes = Arc::clone(&upload.bytes) as SharedBytes;
            let saved = store.save_shared(upload.name, bytes);
            let took = began.elapsed();
            let mut state = self.state.lock();
            if let Some(lane) = state.lanes.get_mut(number) {
                lane.note(&upload, took, saved);
            }
            self.changed.notify_all();
            drop(state);
            self.recycle(upload);
        }
    }

    fn next(&self, number: usize) -> Option<(Arc<dyn Store>, Arc<Sending>)> {
        let mut state = self.state.lock();
        loop {
            if self.cancel.is_cancelled() {
                state.drop_what_is_not_begun();
            }
            let closed = state.closed;
            let lane = state.lanes.get_mut(number)?;
            match lane.queue.front() {
                None if closed => return None,
                None => {}
                Some(front) if !front.after.is_empty() && !lane.in_flight.is_empty() => {}
                Some(front) => {
                    let ready = front
                        .after
                        .iter()
                        .all(|(name, size)| lane.has(*name, *size));
                    let upload = lane.queue.pop_front()?;
                    if ready {
                        lane.in_flight.push(upload.name);
                        return Some((Arc::clone(&lane.destination.copy.store), upload));
                    }
                    self.changed.notify_all();
                    continue;
                }
            }
            self.changed.wait_for(&mut state, CANCEL_POLL);
        }
    }

    fn recycle(&self, upload: Arc<Sending>) {
        if let Some(Sending { name, bytes, .. }) = Arc::into_inner(upload)
            && name.kind() == FileType::Data
            && let Some(bytes) = Arc::into_inner(bytes)
        {
            let mut spare = self.spare.lock();
            if spare.len() < SPARE_BUFFERS {
                spare.push(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
