//! The table `[limits]`: what the work may take of the machine.

use crate::byte_size::ByteSize;
use crate::config::reader::Reader;
use crate::config::section::Section;

/// What a backup may take of the machine, whatever the size of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory for packs and chunks under way.
    pub memory: ByteSize,
    /// Threads that hash, compress and encrypt; 0 means one per core.
    pub workers: u32,
    /// Files on their way to one copy at a time.
    pub uploads_per_copy: u32,
    /// The size at which a pack is finished.
    pub pack_size: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            workers: 0,
            uploads_per_copy: 4,
            pack_size: ByteSize::mib(16),
        }
    }
}

const KEYS: [&str; 4] = ["memory", "workers", "uploads_per_copy", "pack_size"];

/// The bounds that restic sets to packs.
const LEAST_PACK: ByteSize = ByteSize::mib(4);
const MOST_PACK: ByteSize = ByteSize::mib(128);

/// Below this, one pack in each state of its life does not fit.
const LEAST_PACKS_IN_MEMORY: u64 = 4;
const LEAST_MEMORY: ByteSize = ByteSize::mib(64);

/// Reads the limits, or takes the default ones where there are none.
pub(super) fn read(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Limits> {
    let default = Limits::default();
    if !top.has("limits") {
        return Some(default);
    }
    let section = top.section(reader, "limits", &KEYS)?;
    let mut pack_size = default.pack_size;
    if let Some((line, size)) = section.size(reader, "pack_size") {
        if (LEAST_PACK..=MOST_PACK).contains(&size) {
            pack_size = size;
        } else {
            reader.problem(
                line,
                format!("pack_size = \"{size}\" is out of bounds"),
                format!("write a size from \"{LEAST_PACK}\" to \"{MOST_PACK}\""),
            );
        }
    }
    let mut memory = default.memory;
    let least = ByteSize::from_bytes(
        LEAST_MEMORY
            .bytes()
            .max(pack_size.bytes().saturating_mul(LEAST_PACKS_IN_MEMORY)),
    );
    let given = section.size(reader, "memory");
    if let Some((_, size)) = given {
        memory = size;
    }
    if memory < least {
        let line = given.map_or(section.line(), |(line, _)| line);
        reader.problem(
            line,
            format!("memory = \"{memory}\" is too little for packs of {pack_size}"),
            format!("write memory = \"{least}\" or more"),
        );
    }
    Some(Limits {
        memory,
        workers: section
            .number(reader, "workers", 0..=1024)
            .unwrap_or(default.workers),
        uploads_per_copy: section
            .number(reader, "uploads_per_copy", 1..=64)
            .unwrap_or(default.uploads_per_copy),
        pack_size,
    })
}
