//! Who reads what when: rows of the same file on several copies.
//!
//! Copies in folders are read in rows, the same file on each of them in
//! [lockstep](crate::verify::lockstep). A copy behind a server is read by itself, so that nobody
//! waits for its network, or for a server on this machine that likes to be waited for. A folder that
//! hangs is left out when its store gives up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use strongroom_model::{FileEntry, FileName, FileType};

use crate::Result;
use crate::parallel::{cores, for_each, readers};
use crate::verify::each;
use crate::verify::lockstep::{self, Hands, Turn};
use crate::verify::reading::Reading;
use crate::verify::stream::Buffers;

/// A smaller file is read and hashed before a second thread would be of use.
const LEAST_ALONE_BYTES: u64 = 1 << 20;

/// A file as several copies list it, each with its size.
type Row<'r, 'a> = Vec<(&'r Reading<'a>, FileName, u64)>;

/// Reads everything of all copies; tells for each how many packs that were.
///
/// # Errors
/// Where the user interrupts.
pub(crate) fn read(readings: &[&Reading<'_>]) -> Result<Vec<usize>> {
    let (folders, servers): (Vec<_>, Vec<_>) = readings
        .iter()
        .copied()
        .enumerate()
        .partition(|(_, reading)| reading.is_folder());
    let mut groups: Vec<_> = servers.into_iter().map(|copy| vec![copy]).collect();
    groups.push(folders);
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
    // A row has one of its copies' disks busy at a time, so as many rows as there are disks.
    let threads = group.iter().map(|reading| readers(reading.is_folder()));
    let threads = threads.max().unwrap_or_default().max(group.len());
    let read = |rows: &[Row<'_, '_>]| {
        let sizes_bytes: Vec<_> = rows.iter().map(first_bytes).collect();
        let rows: Vec<_> = rows.iter().zip(hands(&sizes_bytes, cores())).collect();
        for_each(&rows, threads, |(row, hands)| {
            let turns = row
                .iter()
                .map(|(reading, name, size_bytes)| Turn::new(reading, *name, *size_bytes));
            let turns = turns.collect();
            buffers.with(|kept| lockstep::read_row(turns, *hands, kept))
        })
    };
    let mut rows = in_rows(group, each(group, |reading| reading.small_files()));
    // With the key, index files tell which packs are to be read besides.
    if group.iter().any(|reading| reading.has_key()) {
        read(&rows)?;
        rows.clear();
    }
    let packs: Vec<_> = group.iter().map(|reading| reading.packs()).collect();
    let named = |packs: &Vec<FileEntry>| {
        let name = |entry: &FileEntry| FileName::new(FileType::Data, entry.id);
        let files = packs.iter().map(|entry| (name(entry), entry.size_bytes));
        files.collect()
    };
    rows.extend(in_rows(group, packs.iter().map(named).collect()));
    // The largest first, so that no core ends long before another.
    rows.sort_by_cached_key(|row| {
        let sizes = row.iter().map(|(_, _, size_bytes)| *size_bytes);
        Reverse(sizes.fold(0, u64::saturating_add))
    });
    read(&rows)?;
    Ok(packs.iter().map(Vec::len).collect())
}

/// On how many threads each file is read, of those that are begun in this order: two where it is more
/// than a core's share of what is left by then, so that no core ends long before another.
fn hands(sizes_bytes: &[u64], cores: usize) -> Vec<Hands> {
    let mut left_bytes = sizes_bytes.iter().copied().fold(0, u64::saturating_add);
    let hands = |size_bytes: &u64| {
        let share_bytes = left_bytes / cores.max(1) as u64;
        left_bytes = left_bytes.saturating_sub(*size_bytes);
        match *size_bytes > share_bytes.max(LEAST_ALONE_BYTES) {
            true => Hands::Two,
            false => Hands::One,
        }
    };
    sizes_bytes.iter().map(hands).collect()
}

/// What is hashed of a row, as it is listed.
fn first_bytes(row: &Row<'_, '_>) -> u64 {
    row.first().map_or(0, |(_, _, size_bytes)| *size_bytes)
}

/// The files of all copies, those of one name together.
fn in_rows<'r, 'a>(
    group: &[&'r Reading<'a>],
    files: Vec<Vec<(FileName, u64)>>,
) -> Vec<Row<'r, 'a>> {
    let mut rows: BTreeMap<FileName, Row<'_, '_>> = BTreeMap::new();
    for (reading, files) in group.iter().copied().zip(files) {
        for (name, size_bytes) in files {
            let row = rows.entry(name).or_default();
            row.push((reading, name, size_bytes));
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    for (turn, row) in rows.iter_mut().enumerate() {
        // Each begins with another copy, so that all of them are hashed in turn.
        let first = turn % row.len().max(1);
        row.rotate_left(first);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn of_files_that_leave_a_core_alone_the_last_ones_take_a_second_thread() {
        use Hands::{One, Two};
        let of = |sizes: &[u64]| hands(&sizes.iter().map(|size| size * MIB).collect::<Vec<_>>(), 2);
        assert_eq!(of(&[20, 20, 20]), [One, One, Two]);
        assert_eq!(of(&[20, 20, 20, 3]), [One, One, Two, Two]);
        assert_eq!(of(&[60, 3, 3]), [Two, One, Two]);
        // Small ones are read before a thread would be started.
        assert_eq!(of(&[60, 1, 1]), [Two, One, One]);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn where_there_is_one_core_each_file_is_read_on_one_thread() {
        assert_eq!(hands(&[9 * MIB, 9 * MIB], 1), [Hands::One, Hands::One]);
    }
}
