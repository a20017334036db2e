//! Work that reads from several places by turns, on one thread that may be left behind.
//!
//! Handing a block over to another thread costs ten microseconds, and the block has left the cache
//! of the core that read it. So whoever compares a file of several places lets one thread do all
//! of that, and has only what came of it handed over.
//!
//! What can go wrong: a place hangs (whoever waits learns which one; what was found of the others
//! is lost with the thread, and the places behind it have to be read again without it), another
//! thread gives up a place meanwhile (so is this work, as soon as it is that place's turn), the work
//! panics (the place whose turn it was counts as unreachable).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use super::{PatientStore, STEPS, Silence};
use crate::store::Store;
use crate::{Error, Result};

/// The places that such work reads from, by number.
#[derive(Debug)]
pub struct Places {
    first: Arc<dyn Store>,
    others: Vec<Arc<dyn Store>>,
    seen: Arc<Seen>,
}

/// A place that has hung, or whose thread could not be started.
#[derive(Debug)]
pub struct GivenUp {
    /// Its number.
    pub place: usize,
    /// Why.
    pub error: Error,
}

/// What can be seen of such work from outside.
#[derive(Debug, Default)]
struct Seen {
    /// Whose turn it is.
    place: AtomicUsize,
    /// How many turns there were.
    turns: AtomicU64,
}

impl Places {
    /// The first place, which has the number 0.
    ///
    /// Whatever is read from a place without a turn of its own may be booked on another one.
    pub fn first(&self) -> &dyn Store {
        self.first.as_ref()
    }

    /// The others with their numbers, in the order in which they were given.
    pub fn others(&self) -> impl Iterator<Item = (usize, &dyn Store)> {
        (1..).zip(self.others.iter().map(AsRef::as_ref))
    }

    /// Says that it is this place's turn: what does not come from now on is its fault.
    pub fn turn(&self, place: usize) {
        self.seen.place.store(place, Ordering::Relaxed);
        self.seen.turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets `work` read from several places by turns, and waits for each as long as a [`PatientStore`]
/// does; on this very thread where not all of them are such, for the others have time limits of their
/// own. All of them should have the same limit: whose turn it is, is looked at in its steps.
///
/// # Errors
/// Where a place hangs, or was given up before.
pub fn together<T: Send + 'static>(
    first: &Arc<dyn Store>,
    others: &[Arc<dyn Store>],
    work: impl FnOnce(&Places) -> T + Send + 'static,
) -> Result<T, GivenUp> {
    let seen = Arc::new(Seen::default());
    let all = || std::iter::once(first).chain(others);
    let patient: Option<Vec<_>> = all().map(|store| store.patient()).collect();
    let patient = patient.unwrap_or_default();
    let Some(leading) = patient.first() else {
        return Ok(work(&Places {
            first: Arc::clone(first),
            others: others.to_vec(),
            seen,
        }));
    };
    for (place, store) in patient.iter().enumerate() {
        if store.has_hung() {
            let error = store.hung();
            return Err(GivenUp { place, error });
        }
    }
    let worker = leading
        .worker()
        .map_err(|error| GivenUp { place: 0, error })?;
    let inner = patient.iter().skip(1).map(|store| Arc::clone(&store.inner));
    let places = Places {
        first: Arc::clone(&leading.inner),
        others: inner.collect(),
        seen: Arc::clone(&seen),
    };
    let (reply, answer) = sync_channel(1);
    worker.run(Box::new(move || {
        let result = work(&places);
        drop(places);
        // Where nobody waits any more, nobody wants to know.
        let _ = reply.send(result);
    }));
    let result = wait(leading, &patient, &seen, &answer)?;
    leading.idle.lock().push(worker);
    Ok(result)
}

/// Waits for what comes of it.
fn wait<T>(
    first: &PatientStore,
    patient: &[&PatientStore],
    seen: &Seen,
    answer: &Receiver<T>,
) -> Result<T, GivenUp> {
    let turn = || {
        let place = seen.place.load(Ordering::Relaxed);
        let store = patient.get(place);
        store.map_or((0, first), |store| (place, *store))
    };
    // A place that was read to its end has answered, whatever its pulse says.
    let moved = |store: &PatientStore| {
        let turns = seen.turns.load(Ordering::Relaxed);
        store.pulse.count().wrapping_add(turns)
    };
    let (mut place, mut store) = turn();
    let mut silence = Silence::since(moved(store));
    loop {
        match answer.recv_timeout(store.limit / STEPS) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => {
                let (place, store) = turn();
                let error = store.died();
                return Err(GivenUp { place, error });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = turn();
        if now.0 != place {
            (place, store) = now;
            silence = Silence::since(moved(store));
            continue;
        }
        let limits = store.writing.limits();
        if silence.lasts(moved(store), limits) || store.has_hung() {
            let given_up = store.give_up(answer, limits);
            return given_up.map_err(|error| GivenUp { place, error });
        }
    }
}
