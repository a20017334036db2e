//! What goes to which copy: a lane for each, and what an interruption leaves of their queues.
//!
//! What can go wrong: the user interrupts while a pack is on one copy alone. Then the others get it
//! too, but only what they begin at once and are likely to end at once: nobody who has pressed Ctrl-C
//! waits for a slow copy to take one more pack.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_model::{FileEntry, FileName, FileType};
use strongroom_store::Error as StoreError;

use crate::fanout::{Destination, Outcome, Permit, Upload};
use crate::session::CopyFailure;
use crate::{Error, Result};

/// For how long after an interruption copies begin to take what another of them has or is taking.
pub(super) const TIME_TO_EVEN_OUT: Duration = Duration::from_secs(5);

/// A file as it waits for copies or goes to them.
///
/// A call that was left behind in a copy that hangs keeps the bytes; the permit is given back all
/// the same, so that copies which hang keep nobody from making packs for the others.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) name: FileName,
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) after: Vec<(FileName, u64)>,
    #[expect(dead_code, reason = "it is given back when this is dropped")]
    permit: Option<Permit>,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) lanes: Vec<Lane>,
    pub(super) closed: bool,
    /// When a thread first saw that the user had interrupted.
    pub(super) interrupted: Option<Instant>,
}

/// The way to one copy.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) destination: Destination,
    pub(super) queue: VecDeque<Arc<Sending>>,
    pub(super) in_flight: Vec<FileName>,
    pub(super) landed: HashMap<FileName, u64>,
    pub(super) failure: Option<CopyFailure>,
    /// Whether it missed a pack and has not caught up with its queue since.
    pub(super) is_lagging: bool,
    /// How long the copy took for what it was given last.
    pub(super) last_took: Option<Duration>,
}

impl From<Upload> for Sending {
    fn from(upload: Upload) -> Self {
        Self {
            name: upload.name,
            bytes: Arc::new(upload.bytes),
            after: upload.after,
            permit: upload.permit,
        }
    }
}

impl State {
    /// Empty lanes to these copies.
    pub(super) fn new(destinations: Vec<Destination>) -> Self {
        Self {
            lanes: destinations.into_iter().map(Lane::new).collect(),
            closed: false,
            interrupted: None,
        }
    }

    pub(super) fn queue_where_room(&mut self, upload: &Arc<Sending>, limit: usize) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.failure.is_none()) {
            if lane.has_room(limit) {
                lane.queue.push_back(Arc::clone(upload));
            } else {
                lane.is_lagging = true;
            }
        }
    }

    /// What is left to do for an interrupted run: what another copy has begun to take, where there is
    /// time for it.
    pub(super) fn drop_what_is_not_begun(&mut self) {
        let since = *self.interrupted.get_or_insert_with(Instant::now);
        let left = TIME_TO_EVEN_OUT.saturating_sub(since.elapsed());
        let waiting = self.lanes.iter().flat_map(|lane| &lane.queue);
        let names = waiting.map(|upload| upload.name);
        let begun: HashSet<_> = names.filter(|name| self.is_begun(name)).collect();
        for lane in &mut self.lanes {
            let in_time = lane.last_took.unwrap_or_default() < left;
            lane.queue
                .retain(|upload| in_time && begun.contains(&upload.name));
        }
    }

    fn is_begun(&self, name: &FileName) -> bool {
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| lane.landed.contains_key(name) || lane.in_flight.contains(name))
    }

    /// Fails where all copies have.
    pub(super) fn check_alive(&self) -> Result<()> {
        let reasons: Vec<_> = self
            .lanes
            .iter()
            .filter_map(|lane| {
                let failure = lane.failure.as_ref()?;
                Some(format!(
                    "{}: {}",
                    lane.destination.copy.name, failure.reason
                ))
            })
            .collect();
        if !reasons.is_empty() && reasons.len() == self.lanes.len() {
            return Err(Error::NoCopy { reasons });
        }
        Ok(())
    }
}

impl Lane {
    fn new(destination: Destination) -> Self {
        Self {
            destination,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            landed: HashMap::new(),
            failure: None,
            is_lagging: false,
            last_took: None,
        }
    }

    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.queue.len() + self.in_flight.len() < limit
    }

    pub(super) fn has(&self, name: FileName, size_bytes: u64) -> bool {
        let listed = || {
            if self.destination.doubts.contains(&name) {
                return None;
            }
            let files = self.destination.listing.of(name.kind())?;
            files.size_bytes(name.id()?)
        };
        let there = self.landed.get(&name).copied().or_else(listed);
        there.is_some_and(|found| size_bytes == 0 || found == size_bytes)
    }

    /// Notes what came of a file, and how long that took.
    pub(super) fn note(
        &mut self,
        upload: &Sending,
        took: Duration,
        saved: strongroom_store::Result<()>,
    ) {
        self.in_flight.retain(|name| *name != upload.name);
        self.is_lagging &= !self.in_flight.is_empty() || !self.queue.is_empty();
        self.last_took = Some(took);
        match saved {
            Ok(()) => {
                self.landed.insert(upload.name, upload.bytes.len() as u64);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &StoreError) {
        let failure = CopyFailure::of_store(error);
        let copy = &self.destination.copy.name;
        let reason = &failure.reason;
        match error {
            // That the user has interrupted says nothing of the copy.
            StoreError::Cancelled { .. } => tracing::debug!(copy, reason, "An upload was given up"),
            _ => tracing::warn!(copy, reason, "A copy failed"),
        }
        self.queue.clear();
        self.failure.get_or_insert(failure);
    }

    pub(super) fn into_outcome(self) -> Outcome {
        let mut listing = self.destination.listing;
        for kind in FileType::SYNCED {
            if let Some(files) = listing.of_mut(kind) {
                files.add(self.landed.iter().filter_map(|(name, &size_bytes)| {
                    let id = name.id().filter(|_| name.kind() == kind)?;
                    Some(FileEntry { id, size_bytes })
                }));
            }
        }
        Outcome {
            copy: self.destination.copy,
            listing,
            failure: self.failure,
        }
    }
}
