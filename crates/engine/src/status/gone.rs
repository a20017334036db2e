//! What a copy has lost of what others still have.
//!
//! What it is whole for may not need it, so that nothing else tells of it. What can go wrong: whoever
//! may write to one copy puts junk there, or what was removed from all of them on purpose, and the
//! sound copies look as if they had lost something, or an attack like a prune. So no cause is named
//! that a sync would not see (`sync/divergence.rs`), and what was accepted as removed is missed by
//! nobody. Damage that nobody has read yet is not known here.

use strongroom_model::scorecard::Gone;
use strongroom_model::{FileName, FileType};

use crate::session::Session;
use crate::state::{FileNames, RepositoryState};
use crate::status::look::{Look, ReadyLook, Seen};
use crate::status::readers::Readers;
use crate::status::snapshots::KnownSnapshots;
use crate::verify::content;

/// How many index files that one copy alone lists are read, until one is sound: a sync reads all.
const TRIED: usize = 16;

/// What tells of losses.
pub(super) struct Losses<'a> {
    looks: &'a [Look<'a>],
    known: &'a KnownSnapshots,
    session: Option<&'a Session>,
    memory: Option<&'a RepositoryState>,
    accepted: FileNames,
}

impl<'a> Losses<'a> {
    /// Of these copies.
    pub(super) fn new(
        looks: &'a [Look<'a>],
        known: &'a KnownSnapshots,
        session: Option<&'a Session>,
        memory: Option<&'a RepositoryState>,
    ) -> Self {
        let accepted = memory.map(|memory| memory.gone().accepted);
        Self {
            looks,
            known,
            session,
            memory,
            accepted: accepted.unwrap_or_default(),
        }
    }

    /// The index files and snapshots that a copy was seen to hold and others still have.
    pub(super) fn of(&self, look: &Look<'_>) -> Option<Gone> {
        let (Seen::Ready(ready), Some(store)) = (&look.seen, look.store) else {
            return None;
        };
        let seen = self.memory?.seen(store);
        let index = seen.index.iter();
        let index = index.map(|id| FileName::new(FileType::Index, *id));
        let snapshots = seen.snapshots.iter();
        let snapshots = snapshots.map(|id| FileName::new(FileType::Snapshots, *id));
        let gone = index.chain(snapshots).filter(|name| {
            let is_missed = !ready.listing.holds(*name) && !self.accepted.contains(*name);
            is_missed && self.others(look).any(|other| self.has(other, *name))
        });
        let files = gone.count() as u64;
        (files > 0).then(|| Gone {
            files,
            is_pruned: self.is_pruned(look, ready),
        })
    }

    fn others<'s>(&'s self, look: &Look<'_>) -> impl Iterator<Item = &'s Look<'a>> {
        let name = look.name.clone();
        let looks = self.looks.iter();
        looks.filter(move |other| other.name != name)
    }

    /// Whether a copy lists a file, and nothing is known against it.
    fn has(&self, look: &Look<'_>, name: FileName) -> bool {
        let damage = look.evidence.damage().get(&name.to_string());
        let is_damaged = damage.is_some_and(|damage| !damage.is_as_written());
        let is_junk = name.kind() == FileType::Snapshots
            && name
                .id()
                .is_some_and(|id| self.known.is_damaged(&look.name, id));
        lists(look, name) && !is_damaged && !is_junk
    }

    /// Whether a copy has a sound index file that no other lists, as after a prune of this copy alone.
    /// Without the key nobody can tell.
    fn is_pruned(&self, look: &Look<'_>, ready: &ReadyLook) -> bool {
        let Some(session) = self.session else {
            return false;
        };
        let names = ready.listing.index.iter();
        let names = names.map(|entry| FileName::new(FileType::Index, entry.id));
        let alone = names.filter(|name| !self.others(look).any(|other| lists(other, *name)));
        let copy = Readers::only(look);
        alone.take(TRIED).any(|name| {
            let read = copy.read(
                name,
                |reader| {
                    let bytes = reader.file(name)?;
                    content::decode(FileType::Index, &bytes, session.repository.key())
                        .map_err(|reason| reader.damaged(name, reason))
                },
                |_, _| {},
            );
            read.is_ok()
        })
    }
}

/// Whether a copy that could be listed lists a file.
fn lists(look: &Look<'_>, name: FileName) -> bool {
    match &look.seen {
        Seen::Ready(ready) => ready.listing.holds(name),
        Seen::Empty | Seen::Failed(_) => false,
    }
}
