//! Who reads what when: rows of the same pack on several copies.
//!
//! Copies on this machine are read in rows, the same pack on each of them after the other. The
//! first sound one is hashed, and what follows is compared with it, byte by byte, which proves as
//! much and costs a tenth. A copy elsewhere is read by itself, so that nobody waits for its
//! network.
//!
//! A damaged pack ends the comparison: it is hashed to tell what is wrong, and so is the next one
//! in its row. So is whatever is too large to be kept. A folder that hangs is left out when its
//! store gives up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use strongroom_model::{FileEntry, Id};

use crate::Result;
use crate::parallel::{cores, for_each};
use crate::verify::each;
use crate::verify::reading::Reading;
use crate::verify::stream::Buffers;

/// How many requests a copy elsewhere answers at a time.
const REMOTE_READERS: usize = 8;

/// The largest pack that a thread keeps in memory to compare others with; restic makes packs of
/// 16 MiB unless it is told otherwise.
const KEEP_BYTES: u64 = 32 << 20;

/// What all threads together keep.
const ALL_KEEP_BYTES: u64 = 128 << 20;

/// A pack on one of the copies of a group.
type Entry<'r, 'a> = (&'r Reading<'a>, FileEntry);

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
    let small = each(group, |reading| {
        for_each(&reading.small_files(), threads(reading), |name| {
            buffers.with(|buffer| reading.read_small(*name, buffer))
        })
    });
    small.into_iter().collect::<Result<()>>()?;
    let packs: Vec<_> = group.iter().map(|reading| reading.packs()).collect();
    let readers = group.iter().map(|reading| threads(reading)).max();
    let readers = readers.unwrap_or_default().max(group.len());
    let all_keep_bytes = ALL_KEEP_BYTES / (readers.max(1) as u64);
    for_each(&rows(group, &packs), readers, |row| {
        let keep_bytes = match row.len() {
            1 => 0,
            _ => KEEP_BYTES.min(all_keep_bytes),
        };
        buffers.with(|buffer| {
            let mut known = None;
            for (reading, entry) in row {
                known = reading.read_pack(*entry, keep_bytes, known, buffer)?;
            }
            Ok(())
        })
    })?;
    Ok(packs.iter().map(Vec::len).collect())
}

/// The packs of all copies, those of one name together; the largest first, so that no core ends
/// long before another.
fn rows<'r, 'a>(group: &[&'r Reading<'a>], packs: &[Vec<FileEntry>]) -> Vec<Vec<Entry<'r, 'a>>> {
    let mut rows: BTreeMap<Id, Vec<Entry<'r, 'a>>> = BTreeMap::new();
    for (reading, packs) in group.iter().zip(packs) {
        for entry in packs {
            rows.entry(entry.id).or_default().push((reading, *entry));
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    let size = |row: &[Entry<'_, '_>]| {
        let sizes = row.iter().map(|(_, entry)| entry.size_bytes);
        sizes.fold(0, u64::saturating_add)
    };
    rows.sort_by_key(|row| Reverse(size(row)));
    for (turn, row) in rows.iter_mut().enumerate() {
        // Each begins with another copy, so that all their disks are busy at once.
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
