//! One file on several copies, read a step of each after the other.
//!
//! The first copy's bytes are hashed; those of its siblings are compared with them, byte by byte,
//! which proves as much and costs a tenth. A step lies in the cache when it is compared, and
//! nothing of the file stays in memory.
//!
//! What a hash does not speak for is read again: a sibling that differs by itself, to tell what is
//! wrong with it, and where the first copy was damaged or broke off, all others, the next one in
//! front.

use strongroom_model::FileName;

use crate::Result;
use crate::verify::reading::Reading;
use crate::verify::stream::{Hashed, Hashing, Stream};

/// A file of a copy about to be read.
pub(crate) struct Turn<'r, 'a> {
    reading: &'r Reading<'a>,
    name: FileName,
    /// As it was listed.
    size_bytes: u64,
    /// How much of it the progress has heard of, also from an earlier try.
    told_bytes: u64,
}

/// A copy whose bytes have been those of the first one so far.
type Sibling<'r, 'a> = (Turn<'r, 'a>, Stream<'r>);

impl<'r, 'a> Turn<'r, 'a> {
    /// Nothing is read yet.
    pub(crate) const fn new(reading: &'r Reading<'a>, name: FileName, size_bytes: u64) -> Self {
        Self {
            reading,
            name,
            size_bytes,
            told_bytes: 0,
        }
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
    // What has another size is not worth a comparison.
    let (alike, mut again): (Vec<_>, Vec<_>) =
        row.partition(|turn| turn.size_bytes == first.size_bytes);
    let mut siblings = Vec::new();
    for turn in alike {
        if let Some(stream) = turn.reading.open(turn.name)? {
            siblings.push((turn, stream));
        }
    }
    let mut differing = Vec::new();
    let keep_bytes = first.reading.keep_bytes(first.name.kind());
    let hashed = hash(&mut first, &mut siblings, &mut differing, keep_bytes, kept)?;
    let hashed = hashed.filter(|hashed| first.reading.is_right(first.name, *hashed));
    let same = siblings.into_iter().map(|(turn, _)| turn);
    let Some(hashed) = hashed else {
        again.extend(same.chain(differing));
        return Ok(again);
    };
    first.reading.look_into(first.name, hashed, kept);
    for turn in same {
        if turn.reading.is_right(turn.name, hashed) {
            turn.reading.look_into(turn.name, hashed, kept);
        }
    }
    for mut turn in differing {
        let hashed = hash(
            &mut turn,
            &mut Vec::new(),
            &mut Vec::new(),
            keep_bytes,
            kept,
        )?;
        if let Some(hashed) = hashed.filter(|hashed| turn.reading.is_right(turn.name, *hashed)) {
            turn.reading.note_unsteady(turn.name);
            turn.reading.look_into(turn.name, hashed, kept);
        }
    }
    Ok(again)
}

/// Hashes a file of one copy to its end, and compares others with it: those that differ go from
/// `siblings` to `differing`. `None` where it could not be read to its end.
fn hash<'r, 'a>(
    first: &mut Turn<'r, 'a>,
    siblings: &mut Vec<Sibling<'r, 'a>>,
    differing: &mut Vec<Turn<'r, 'a>>,
    keep_bytes: u64,
    kept: &mut Vec<u8>,
) -> Result<Option<Hashed>> {
    let reading = first.reading;
    let Some(mut stream) = reading.open(first.name)? else {
        return Ok(None);
    };
    let mut hashing = Hashing::new(keep_bytes, kept);
    loop {
        let Some(step) = reading.outcome_of_step(first.name, stream.step())? else {
            return Ok(None);
        };
        let count = step.len();
        let read_bytes = hashing.add(step);
        for (mut turn, mut stream) in std::mem::take(siblings) {
            let same = match count {
                0 => stream.has_ended(),
                _ => stream.goes_on_with(step),
            };
            match turn.reading.outcome_of_step(turn.name, same)? {
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
