//! One file on several copies, read a step of each after the other.
//!
//! The first copy's bytes are hashed; those of its siblings are compared with them, byte by byte,
//! which proves as much and costs a tenth. A step lies in the cache when it is compared, and
//! nothing of the file stays in memory. One thread does all of that, which is
//! [left behind](together) where a copy hangs: then the others are read again without it.
//!
//! A file that is more than a core's share of what is left to read is hashed on a thread of its own,
//! beside the reading: otherwise the other cores would wait for its end.
//!
//! What a hash does not speak for is read again: a sibling that differs by itself, to tell what is
//! wrong with it; and where the first copy was damaged or broke off, all others, the next one in
//! front. A first copy that was damaged is read again by itself as well, where others have the
//! file: whoever is told damaged was read wrong twice.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use strongroom_model::FileName;
use strongroom_store::Error;
use strongroom_store::patient::{GivenUp, Places, together};

use crate::Result;
use crate::progress::Progress;
use crate::session::Cancel;
use crate::verify::reading::{Asked, Reading};
use crate::verify::stream::{Hashed, Hashing, Stream};

/// How many bytes are handed to a thread that hashes at a time: handing over costs ten microseconds,
/// hashing them two hundred.
const BLOCK_BYTES: usize = 256 << 10;

/// How many such blocks may wait for it.
const BLOCKS: usize = 4;

/// On how many threads a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// One does all.
    One,
    /// A second one hashes.
    Two,
}

/// A file of a copy about to be read.
pub(crate) struct Turn<'r, 'a> {
    reading: &'r Reading<'a>,
    name: FileName,
    /// As it was listed.
    size_bytes: u64,
    told: Told,
    asked: Asked,
}

/// How much of a file the progress has heard of, also from an earlier try; clones are the same.
#[derive(Clone)]
struct Told {
    progress: Progress,
    bytes: Arc<AtomicU64>,
}

/// A file that is read on a thread which may be left behind, and so has all that it needs.
struct File {
    name: FileName,
    /// Of the first copy.
    told: Told,
    cancel: Cancel,
    hands: Hands,
}

/// What came of reading a file of several copies.
struct Read {
    /// Of the first copy.
    hashed: strongroom_store::Result<Hashed>,
    /// Of the others, in their order.
    siblings: Vec<Compared>,
}

/// What came of a copy that was compared with the first one.
enum Compared {
    /// As far as the first one was read, its bytes are the same.
    Same,
    /// They are not.
    Differs,
    /// It could not be read on.
    Failed(Error),
}

/// A copy that is being compared.
struct Sibling<'p> {
    told: Told,
    state: State<'p>,
}

/// As [`Compared`], on its way.
enum State<'p> {
    Same(Stream<'p>),
    Differs,
    Failed(Error),
}

impl<'r, 'a> Turn<'r, 'a> {
    /// Nothing is read yet.
    pub(crate) fn new(reading: &'r Reading<'a>, name: FileName, size_bytes: u64) -> Self {
        Self {
            reading,
            name,
            size_bytes,
            told: Told {
                progress: reading.progress().clone(),
                bytes: Arc::default(),
            },
            asked: Asked::default(),
        }
    }

    /// Whether it is to be read: not where its copy has failed. From now on it is asked for.
    ///
    /// # Errors
    /// Where the user interrupts.
    fn begin(&mut self) -> Result<bool> {
        self.asked = self.reading.asked();
        self.reading.begin()
    }

    /// See [`Reading::keep_bytes`].
    fn keep_bytes(&self) -> u64 {
        self.reading.keep_bytes(self.name, self.size_bytes)
    }

    /// Notes why it was not read.
    ///
    /// # Errors
    /// Where the user interrupts.
    fn note_failed(&self, error: &Error) -> Result<()> {
        self.reading.note_failed(self.name, error)
    }
}

impl Told {
    /// Tells the progress that the file was read so far.
    fn tell(&self, read_bytes: u64) {
        let before = self.bytes.fetch_max(read_bytes, Ordering::Relaxed);
        self.progress.add_bytes(read_bytes.saturating_sub(before));
    }
}

impl Sibling<'_> {
    /// Compares it with the next bytes of the first copy, of which so many were read by now; none
    /// are its end.
    fn compare(&mut self, step: &[u8], read_bytes: u64) {
        let State::Same(stream) = &mut self.state else {
            return;
        };
        let same = match step.is_empty() {
            true => stream.has_ended(),
            false => stream.goes_on_with(step),
        };
        match same {
            Ok(true) => self.told.tell(read_bytes),
            Ok(false) => self.state = State::Differs,
            Err(error) => self.state = State::Failed(error),
        }
    }

    fn finish(self) -> Compared {
        match self.state {
            State::Same(_) => Compared::Same,
            State::Differs => Compared::Differs,
            State::Failed(error) => Compared::Failed(error),
        }
    }
}

/// Reads a file on all copies of a row.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn read_row(mut row: Vec<Turn<'_, '_>>, hands: Hands, kept: &mut Vec<u8>) -> Result<()> {
    while !row.is_empty() {
        row = read_first(row, hands, kept)?;
    }
    Ok(())
}

/// Reads a file of the first copy and, as far as they are the same, of the others; returns what has
/// to be read again.
fn read_first<'r, 'a>(
    row: Vec<Turn<'r, 'a>>,
    hands: Hands,
    kept: &mut Vec<u8>,
) -> Result<Vec<Turn<'r, 'a>>> {
    let mut row = row.into_iter();
    let Some(mut first) = row.next() else {
        return Ok(Vec::new());
    };
    // Before its siblings: where its copy has failed, they would be opened for nothing.
    if !first.begin()? {
        return Ok(row.collect());
    }
    // What has another size is not worth a comparison.
    let (alike, mut again): (Vec<_>, Vec<_>) =
        row.partition(|turn| turn.size_bytes == first.size_bytes);
    let mut siblings = Vec::new();
    for mut turn in alike {
        if turn.begin()? {
            siblings.push(turn);
        }
    }
    let keep_bytes = siblings
        .iter()
        .map(Turn::keep_bytes)
        .fold(first.keep_bytes(), u64::max);
    let read = match read(&first, &siblings, hands, keep_bytes, kept) {
        Ok(read) => read,
        Err(GivenUp { place, error }) => {
            siblings.insert(0, first);
            if place < siblings.len() {
                siblings.remove(place).note_failed(&error)?;
            }
            siblings.extend(again);
            return Ok(siblings);
        }
    };
    let (mut same, mut differing) = (Vec::new(), Vec::new());
    for (turn, compared) in siblings.into_iter().zip(read.siblings) {
        match compared {
            Compared::Same => same.push(turn),
            Compared::Differs => differing.push(turn),
            Compared::Failed(error) => turn.note_failed(&error)?,
        }
    }
    let hashed = match read.hashed {
        Ok(hashed) => hashed,
        Err(error) => {
            first.note_failed(&error)?;
            again.extend(same.into_iter().chain(differing));
            return Ok(again);
        }
    };
    if !hashed.is_of(first.name) {
        again.extend(same.into_iter().chain(differing));
        match again.is_empty() {
            true => first.reading.note_wrong(first.name, hashed, first.asked),
            false => read_again(&mut first, keep_bytes, kept)?,
        }
        return Ok(again);
    }
    for turn in std::iter::once(first).chain(same) {
        turn.reading.note_sound(turn.name, hashed, turn.asked);
        turn.reading.look_into(turn.name, hashed, kept);
    }
    for mut turn in differing {
        read_again(&mut turn, keep_bytes, kept)?;
    }
    Ok(again)
}

/// Reads a file of one copy by itself, whose bytes were not right or not those of another copy:
/// whether it is wrong, or was read wrong.
fn read_again(turn: &mut Turn<'_, '_>, keep_bytes: u64, kept: &mut Vec<u8>) -> Result<()> {
    if !turn.begin()? {
        return Ok(());
    }
    let reading = turn.reading;
    let read = read(turn, &[], Hands::One, keep_bytes, kept);
    match read.map_or_else(|given_up| Err(given_up.error), |read| read.hashed) {
        Err(error) => turn.note_failed(&error)?,
        Ok(hashed) if hashed.is_of(turn.name) => {
            reading.note_unsteady(turn.name, hashed, turn.asked);
            reading.look_into(turn.name, hashed, kept);
        }
        Ok(hashed) => reading.note_wrong(turn.name, hashed, turn.asked),
    }
    Ok(())
}

/// Hashes a file of the first copy to its end, and compares others with it.
///
/// # Errors
/// Where a copy hangs. What was found of the others is lost then.
fn read(
    first: &Turn<'_, '_>,
    siblings: &[Turn<'_, '_>],
    hands: Hands,
    keep_bytes: u64,
    kept: &mut Vec<u8>,
) -> std::result::Result<Read, GivenUp> {
    let others = siblings.iter().map(|turn| turn.reading.store());
    let others: Vec<_> = others.map(Arc::clone).collect();
    let told = siblings.iter().map(|turn| turn.told.clone()).collect();
    let file = File {
        name: first.name,
        told: first.told.clone(),
        cancel: first.reading.cancel().clone(),
        hands,
    };
    // Where its thread is left behind, so is this.
    let mut memory = mem::take(kept);
    let (read, memory) = together(first.reading.store(), &others, move |places| {
        let read = file.read(places, told, Hashing::new(keep_bytes, &mut memory));
        (read, memory)
    })?;
    *kept = memory;
    Ok(read)
}

impl File {
    /// Reads it in the first of the places, and in the others what is the same.
    fn read(self, places: &Places, told: Vec<Told>, hashing: Hashing<'_>) -> Read {
        let open = |place| Stream::by_turns(place, self.name);
        let first = match open(places.first()) {
            Ok(first) => first,
            Err(error) => {
                return Read {
                    hashed: Err(error),
                    siblings: told.iter().map(|_| Compared::Same).collect(),
                };
            }
        };
        let siblings = places.others().zip(told).map(|(place, told)| Sibling {
            told,
            state: open(place).map_or_else(State::Failed, State::Same),
        });
        let mut siblings: Vec<_> = siblings.collect();
        let hashed = match self.hands {
            Hands::One => self.hash(first, &mut siblings, hashing),
            Hands::Two => self.hash_beside(first, &mut siblings, hashing),
        };
        Read {
            hashed,
            siblings: siblings.into_iter().map(Sibling::finish).collect(),
        }
    }

    /// Hashes it to its end in the first place.
    fn hash(
        &self,
        first: Stream<'_>,
        siblings: &mut [Sibling<'_>],
        mut hashing: Hashing<'_>,
    ) -> strongroom_store::Result<Hashed> {
        self.read_on(first, siblings, |step| {
            hashing.add(step);
        })?;
        Ok(hashing.finish())
    }

    /// The same, on two threads.
    fn hash_beside(
        &self,
        first: Stream<'_>,
        siblings: &mut [Sibling<'_>],
        hashing: Hashing<'_>,
    ) -> strongroom_store::Result<Hashed> {
        let location = first.location().to_owned();
        let (full, blocks) = sync_channel::<Vec<u8>>(BLOCKS);
        let (empty, spare) = channel();
        // It comes by a channel, so that it is still here where no thread can be started.
        let (give, take) = sync_channel::<Hashing<'_>>(1);
        thread::scope(|scope| {
            let hasher = thread::Builder::new().spawn_scoped(scope, move || {
                let mut hashing = take.recv().ok()?;
                for block in blocks {
                    hashing.add(&block);
                    // Nobody needs it any more behind the last one.
                    let _ = empty.send(block);
                }
                Some(hashing.finish())
            });
            let Ok(hasher) = hasher else {
                return self.hash(first, siblings, hashing);
            };
            // It waits for this, and for each block until `full` is dropped.
            let _ = give.send(hashing);
            let room = || Vec::with_capacity(BLOCK_BYTES);
            let mut block = room();
            let read = self.read_on(first, siblings, |step| {
                if block.len() + step.len() > BLOCK_BYTES {
                    let mut next = spare.try_recv().unwrap_or_else(|_| room());
                    next.clear();
                    let _ = full.send(mem::replace(&mut block, next));
                }
                block.extend_from_slice(step);
            });
            let _ = full.send(block);
            drop(full);
            let hashed = hasher
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read?;
            hashed.ok_or_else(|| Error::Unreachable {
                location,
                reason: "the thread that hashes died".to_owned(),
            })
        })
    }

    /// Reads it to its end in the first place, hands each step to `add`, and compares the others with
    /// it.
    fn read_on(
        &self,
        mut first: Stream<'_>,
        siblings: &mut [Sibling<'_>],
        mut add: impl FnMut(&[u8]),
    ) -> strongroom_store::Result<()> {
        let mut read_bytes = 0;
        loop {
            if self.cancel.is_cancelled() {
                let location = first.location().to_owned();
                return Err(Error::Cancelled { location });
            }
            let step = first.step()?;
            let count = step.len();
            read_bytes += count as u64;
            add(step);
            for sibling in siblings.iter_mut() {
                sibling.compare(step, read_bytes);
            }
            if count == 0 {
                return Ok(());
            }
            self.told.tell(read_bytes);
            first.consume(count);
        }
    }
}
