//! One file on several copies, read a step of each after the other.
//!
//! The first copy's bytes are hashed; those of its siblings are compared with them, byte by byte,
//! which proves as much and costs a tenth. A step lies in the cache when it is compared, and
//! nothing of the file stays in memory.
//!
//! What a hash does not speak for is read again: a sibling that differs by itself, to tell what is
//! wrong with it; and where the first copy was damaged or broke off, all others, the next one in
//! front. A first copy that was damaged is read again by itself as well, where others have the
//! file: whoever is told damaged was read wrong twice.

use strongroom_model::FileName;

use crate::Result;
use crate::verify::reading::{Asked, Reading};
use crate::verify::stream::{Hashed, Hashing, Stream};

/// A file of a copy about to be read.
pub(crate) struct Turn<'r, 'a> {
    reading: &'r Reading<'a>,
    name: FileName,
    /// As it was listed.
    size_bytes: u64,
    /// How much of it the progress has heard of, also from an earlier try.
    told_bytes: u64,
    asked: Asked,
}

/// A copy whose bytes have been those of the first one so far.
type Sibling<'r, 'a> = (Turn<'r, 'a>, Stream<'r>);

impl<'r, 'a> Turn<'r, 'a> {
    /// Nothing is read yet.
    pub(crate) fn new(reading: &'r Reading<'a>, name: FileName, size_bytes: u64) -> Self {
        Self {
            reading,
            name,
            size_bytes,
            told_bytes: 0,
            asked: Asked::default(),
        }
    }

    /// See [`Reading::open`].
    fn open(&mut self) -> Result<Option<Stream<'r>>> {
        let reading = self.reading;
        self.asked = reading.asked();
        reading.open(self.name)
    }

    /// See [`Reading::keep_bytes`].
    fn keep_bytes(&self) -> u64 {
        self.reading.keep_bytes(self.name, self.size_bytes)
    }

    /// Tells the progress that the file was read so far.
    fn tell(&mut self, read_bytes: u64) {
        let new = read_bytes.saturating_sub(self.told_bytes);
        self.reading.tell_bytes(new);
        self.told_bytes += new;
    }
}

/// Reads a file on all copies of a row.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn read_row(mut row: Vec<Turn<'_, '_>>, kept: &mut Vec<u8>) -> Result<()> {
    while !row.is_empty() {
        row = read_first(row, kept)?;
    }
    Ok(())
}

/// Reads a file of the first copy and, as far as they are the same, of the others; returns what has
/// to be read again.
fn read_first<'r, 'a>(row: Vec<Turn<'r, 'a>>, kept: &mut Vec<u8>) -> Result<Vec<Turn<'r, 'a>>> {
    let mut row = row.into_iter();
    let Some(mut first) = row.next() else {
        return Ok(Vec::new());
    };
    // Before its siblings: where its copy has failed, they would be opened for nothing.
    let Some(stream) = first.open()? else {
        return Ok(row.collect());
    };
    // What has another size is not worth a comparison.
    let (alike, mut again): (Vec<_>, Vec<_>) =
        row.partition(|turn| turn.size_bytes == first.size_bytes);
    let mut siblings = Vec::new();
    for mut turn in alike {
        if let Some(stream) = turn.open()? {
            siblings.push((turn, stream));
        }
    }
    let keep_bytes = siblings
        .iter()
        .map(|(turn, _)| turn.keep_bytes())
        .fold(first.keep_bytes(), u64::max);
    let mut differing = Vec::new();
    let hashed = hash(
        &mut first,
        stream,
        &mut siblings,
        &mut differing,
        keep_bytes,
        kept,
    )?;
    let same = siblings.into_iter().map(|(turn, _)| turn);
    let Some(hashed) = hashed else {
        again.extend(same.chain(differing));
        return Ok(again);
    };
    if !hashed.is_of(first.name) {
        again.extend(same.chain(differing));
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
    let reading = turn.reading;
    let Some(stream) = turn.open()? else {
        return Ok(());
    };
    let (mut alone, mut none) = (Vec::new(), Vec::new());
    let hashed = hash(turn, stream, &mut alone, &mut none, keep_bytes, kept)?;
    match hashed {
        None => {}
        Some(hashed) if hashed.is_of(turn.name) => {
            reading.note_unsteady(turn.name, hashed, turn.asked);
            reading.look_into(turn.name, hashed, kept);
        }
        Some(hashed) => reading.note_wrong(turn.name, hashed, turn.asked),
    }
    Ok(())
}

/// Hashes a file of one copy to its end, and compares others with it: those that differ go from
/// `siblings` to `differing`. `None` where it could not be read to its end.
fn hash<'r, 'a>(
    first: &mut Turn<'r, 'a>,
    mut stream: Stream<'_>,
    siblings: &mut Vec<Sibling<'r, 'a>>,
    differing: &mut Vec<Turn<'r, 'a>>,
    keep_bytes: u64,
    kept: &mut Vec<u8>,
) -> Result<Option<Hashed>> {
    let reading = first.reading;
    let mut hashing = Hashing::new(keep_bytes, kept);
    loop {
        let Some(step) = reading.outcome(first.name, stream.step())? else {
            return Ok(None);
        };
        let count = step.len();
        let read_bytes = hashing.add(step);
        for (mut turn, mut stream) in std::mem::take(siblings) {
            let same = match count {
                0 => stream.has_ended(),
                _ => stream.goes_on_with(step),
            };
            match turn.reading.outcome(turn.name, same)? {
                None => {}
                Some(false) => differing.push(turn),
                Some(true) => {
                    turn.tell(read_bytes);
                    siblings.push((turn, stream));
                }
            }
        }
        if count == 0 {
            return Ok(Some(hashing.finish()));
        }
        first.tell(read_bytes);
        stream.consume(count);
        reading.go_on()?;
    }
}
