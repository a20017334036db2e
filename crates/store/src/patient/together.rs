//! Work that reads from several places by turns, on one thread that may be left behind.
//!
//! Handing a block over to another thread costs ten microseconds, and the block has left the cache
//! of the core that read it. So whoever compares a file of several places lets one thread do all
//! of that, and has only what came of it handed over.
//!
//! What can go wrong: a place hangs (whoever waits learns which one; what was found of the others
//! is lost with the thread, which reads nothing more when the place comes back, and the others have
//! to be read again without it), another thread gives up a place meanwhile (so is this work, as soon
//! as it is that place's turn), the work panics (the place whose turn it was counts as unreachable).

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

use strongroom_model::FileName;

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

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    store: &'p dyn Store,
    number: usize,
    seen: &'p Seen,
}

/// A file of such a place. It is that place's turn whenever the file is read on, and when it is
/// closed, which takes a network mount as long as any other call.
pub struct ByTurns<'p> {
    inner: Box<dyn BufRead + Send + 'p>,
    place: Place<'p>,
}

/// A place that has hung, or whose thread could not be started.
#[derive(Debug)]
pub struct GivenUp {
    /// Its number: 0 for the first place, from 1 on for the others.
    pub place: usize,
    /// Why.
    pub error: Error,
}

/// What can be seen of such work from outside, and said to it.
#[derive(Debug, Default)]
struct Seen {
    /// Whose turn it is.
    place: AtomicUsize,
    /// How many turns there were.
    turns: AtomicU64,
    /// Whether nobody waits for what comes of it any more.
    is_left_behind: AtomicBool,
}

impl Places {
    /// The first place.
    pub fn first(&self) -> Place<'_> {
        self.place(0, &self.first)
    }

    /// The others, in the order in which they were given.
    pub fn others(&self) -> impl Iterator<Item = Place<'_>> {
        let numbered = (1..).zip(&self.others);
        numbered.map(|(number, store)| self.place(number, store))
    }

    fn place<'p>(&'p self, number: usize, store: &'p Arc<dyn Store>) -> Place<'p> {
        Place {
            store: store.as_ref(),
            number,
            seen: &self.seen,
        }
    }
}

impl<'p> Place<'p> {
    /// As [`Store::location`].
    pub fn location(&self) -> &'p str {
        self.store.location()
    }

    /// Opens a whole file, as [`Store::open`] does.
    ///
    /// # Errors
    /// As [`Store::open`]; and where a place was given up meanwhile, so that nobody waits any more.
    pub fn open(&self, name: FileName) -> Result<ByTurns<'p>> {
        self.turn()?;
        let inner = self.store.open(name, None)?;
        let place = *self;
        Ok(ByTurns { inner, place })
    }

    /// Says that it is its turn: what does not come from now on is its fault.
    ///
    /// # Errors
    /// Where nobody waits any more, so that nothing more may be asked of any place.
    fn turn(&self) -> Result<()> {
        self.seen.place.store(self.number, Ordering::Relaxed);
        self.seen.turns.fetch_add(1, Ordering::Relaxed);
        match self.seen.is_left_behind.load(Ordering::Relaxed) {
            true => Err(Error::Unreachable {
                location: self.location().to_owned(),
                reason: "nobody waits for what is read any more".to_owned(),
            }),
            false => Ok(()),
        }
    }
}

impl Read for ByTurns<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.place.turn().map_err(io::Error::other)?;
        self.inner.read(buffer)
    }
}

impl BufRead for ByTurns<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.place.turn().map_err(io::Error::other)?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

impl Drop for ByTurns<'_> {
    fn drop(&mut self) {
        // What it holds is closed behind this; also where nobody waits any more. Where the work dies,
        // files of all places are closed, and none of them is at fault but the one whose turn it was.
        if !thread::panicking() {
            let _ = self.place.turn();
        }
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
    let waited = wait(leading, &patient, &seen, &answer);
    let result = waited.inspect_err(|_| seen.is_left_behind.store(true, Ordering::Relaxed))?;
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
