//! The real files at whose locks a drill looks: a canary that is locked says nothing of what was put
//! before there was a lock, nor of what nobody has extended.
//!
//! **Security:** whoever knows which they are, or can choose them by names that he puts there, lets the
//! locks of all others run out, and is not seen. So each drill draws others. And he puts names without
//! number, among which a drawing from a listing meets none that is needed: so as many are drawn of those
//! that backups of this machine have noted as needed by a snapshot which is there. Of these no less may be
//! left than must be: the record by which locks are extended lies where he may have written, and a lock
//! that was not extended tells of that before it is over.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::{FileEntry, FileName, FileType};
use strongroom_store::{Error, Result, ShownLock, Store};

use crate::state::RecordedNeeds;

/// How many files of each type are drawn.
pub(super) const FILES_OF_A_TYPE: usize = 16;

/// Random numbers, one for each of them.
pub(super) type Draws = [u64; FILES_OF_A_TYPE];

/// Files that were drawn.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// All of them.
    pub(super) files: Vec<FileName>,
    /// Those among them that are needed.
    pub(super) needed: Vec<FileName>,
}

impl Sample {
    /// Draws some files of a repository, of each type, and of those that are noted as needed; of a
    /// place that locks nothing none.
    pub(super) fn draw(store: &dyn Store, notes: &[RecordedNeeds], draws: &Draws) -> Result<Self> {
        if store.locks().is_none() {
            return Ok(Self::default());
        }
        let mut files = vec![FileName::CONFIG];
        let mut noted = BTreeSet::new();
        for kind in FileType::STORED {
            let entries = store.list(kind)?.into_iter();
            let name_of = |entry: FileEntry| FileName::new(kind, entry.id);
            let mut names: Vec<FileName> = entries.map(name_of).collect();
            if kind == FileType::Snapshots {
                let is_there = |note: &RecordedNeeds| {
                    let mut names = names.iter();
                    names.any(|name| name.id() == Some(note.snapshot))
                };
                // Of what one needs that is gone nothing need be left.
                for note in notes.iter().filter(|note| is_there(note)) {
                    noted.extend(note.files());
                }
            }
            files.extend(some_of(&mut names, draws));
        }
        let mut needed = Vec::new();
        for kind in [FileType::Data, FileType::Index] {
            let of_kind = noted.iter().filter(|name| name.kind() == kind);
            let mut of_kind: Vec<FileName> = of_kind.copied().collect();
            needed.extend(some_of(&mut of_kind, draws));
        }
        files.extend(&needed);
        Ok(Self { files, needed })
    }

    /// Tells of a file that is needed and of whose lock less is left than must be; `None` where there is
    /// none.
    pub(super) fn short(&self, store: &dyn Store) -> Result<Option<String>> {
        let Some(locks) = store.locks().filter(|_| !self.needed.is_empty()) else {
            return Ok(None);
        };
        let now = locks.now()?;
        let least = now.checked_add(locks.least()).unwrap_or(now);
        for name in &self.needed {
            match locks.lock_of(*name, None) {
                Ok(ShownLock::Compliance { until }) if until < least => {
                    let until = Timestamp::try_from(until).unwrap_or(Timestamp::MAX);
                    return Ok(Some(format!(
                        "{name}: COMPLIANCE until {until:.0}, and more must be left: strongroom lock \
                         extend"
                    )));
                }
                Err(error @ Error::Cancelled { .. }) => return Err(error),
                // What shows no lock was seen by the attack.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// Random numbers; `None` where the system gives none.
pub(super) fn draws() -> Option<Draws> {
    let mut draws = [0; FILES_OF_A_TYPE];
    for draw in &mut draws {
        *draw = getrandom::u64().ok()?;
    }
    Some(draws)
}

/// Some of these, by lot.
fn some_of<'n>(names: &'n mut [FileName], draws: &Draws) -> &'n [FileName] {
    let count = names.len();
    for (place, draw) in (0..count).zip(draws) {
        let left = (count - place) as u64;
        let other = usize::try_from(draw % left).unwrap_or_default();
        names.swap(place, place + other);
    }
    names.get(..count.min(FILES_OF_A_TYPE)).unwrap_or_default()
}
