//! Who reads what when: rows of the same pack on several copies.
//!
//! Copies on this machine are read in rows, the same pack on each of them in
//! [lockstep](crate::verify::lockstep). A copy elsewhere is read by itself, so that nobody waits for
//! its network. A folder that hangs is left out when its store gives up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use strongroom_model::{FileEntry, FileName, FileType, Id};

use crate::Result;
use crate::parallel::{cores, for_each};
use crate::verify::each;
use crate::verify::lockstep::{self, Turn};
use crate::verify::reading::Reading;
use crate::verify::stream::Buffers;

/// How many requests a copy elsewhere answers at a time.
const REMOTE_READERS: usize = 8;

/// Reads everything of all copies; tells for each how many packs that were.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn read(readings: &[&Reading<'_>]) -> Result<Vec<usize>> {
    let (local, remote): (Vec<_>, Vec<_>) = readings
        .iter()
        .copied()
        .enumerate()
        .partition(|(_, reading)| reading.is_local());
    let mut groups: Vec<_> = remote.into_iter().map(|copy| vec![copy]).collect();
    groups.push(local);
    let read = each(&groups, |group| {
        let readings: Vec<_> = group.iter().map(|(_, reading)| *reading).collect();
        read_group(&readings)
    });
    let mut counts = vec![0; readings.len()];
    for (group, read) in groups.iter().zip(read) {
        for ((number, _), count) in group.iter().zip(read?) {
            if let Some(slot) = counts.get_mut(*number) {
                *slot = count;
            }
        }
    }
    Ok(counts)
}

/// Reads copies that are compared with each other.
fn read_group(group: &[&Reading<'_>]) -> Result<Vec<usize>> {
    let buffers = Buffers::default();
    let readers = group.iter().map(|reading| threads(reading)).max();
    let readers = readers.unwrap_or_default().max(group.len());
    let small_of = |reading| Reading::small_files(reading).into_iter().map(move |name| (reading, name));
    let small: Vec<_> = group.iter().copied().flat_map(small_of).collect();
    for_each(&small, readers, |(reading, name)| {
        buffers.with(|kept| reading.read_small(*name, kept))
    })?;
    let packs: Vec<_> = group.iter().map(|reading| reading.packs()).collect();
    for_each(&rows(group, &packs), readers, |row| {
        let row = row.iter().map(|(reading, entry)| {
            let name = FileName::new(FileType::Data, entry.id);
            Turn::new(reading, name, entry.size_bytes)
        });
        let row = row.collect();
        buffers.with(|kept| lockstep::read_packs(row, kept))
    })?;
    Ok(packs.iter().map(Vec::len).collect())
}

/// The packs of all copies, those of one name together; the largest first, so that no core ends
/// long before another.
fn rows<'r, 'a>(
    group: &[&'r Reading<'a>],
    packs: &[Vec<FileEntry>],
) -> Vec<Vec<(&'r Reading<'a>, FileEntry)>> {
    let mut rows: BTreeMap<Id, Vec<_>> = BTreeMap::new();
    for (reading, packs) in group.iter().zip(packs) {
        for entry in packs {
            rows.entry(entry.id).or_default().push((*reading, *entry));
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by_cached_key(|row| {
        let sizes = row.iter().map(|(_, entry)| entry.size_bytes);
        Reverse(sizes.fold(0, u64::saturating_add))
    });
    for (turn, row) in rows.iter_mut().enumerate() {
        // Each begins with another copy, so that all of them are hashed in turn.
        let first = turn % row.len().max(1);
        row.rotate_left(first);
    }
    rows
}

/// How many threads read a copy at once.
fn threads(reading: &Reading<'_>) -> usize {
    match reading.is_local() {
        true => cores(),
        false => cores().max(REMOTE_READERS),
    }
}
