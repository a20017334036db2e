//! Telling loss from a removal that somebody meant.
//!
//! A stock `restic forget --prune` of one copy removes snapshots, index files and packs there, and
//! leaves no record; but it writes a new index file, which no other copy has. Rot and accidents
//! write nothing. So a copy that lacks what it once had *and* holds an index file of its own is
//! shown to a person and left alone: healing it would bring back what was to go. Where nothing is
//! known of what it had, it is healed: what is brought back too much costs only space.
//!
//! Junk must not look like a prune, else five bytes would stop all healing: an index file counts
//! only where it decrypts.

use std::collections::BTreeSet;

use strongroom_model::{FileName, FileType, Id};

use crate::sync::Decision;
use crate::sync::fetch::{Reading, read_right};
use crate::sync::lane::Lane;
use crate::sync::report::Diverged;
use crate::sync::run::Run;
use crate::verify::content;

impl Run<'_> {
    /// Sets the copies aside that seem to have been pruned by themselves.
    pub(crate) fn find_divergence(&mut self) {
        if self.options.decision == Decision::Heal {
            return;
        }
        let mut found = Vec::new();
        for (number, lane) in self.lanes.iter().enumerate() {
            let lacks = self.lost(number, lane);
            if lacks.is_empty() {
                continue;
            }
            let has_alone = self.gained(number, lane);
            if !has_alone.is_empty() {
                let copy = lane.copy.name.clone();
                found.push((
                    number,
                    Diverged {
                        copy,
                        lacks,
                        has_alone,
                    },
                ));
            }
        }
        for (number, diverged) in found {
            tracing::warn!(%diverged, "A copy is left alone");
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.is_diverged = true;
            }
            self.findings.get_mut().diverged.push(diverged);
        }
    }

    /// What a copy once had, and others still have.
    fn lost(&self, number: usize, lane: &Lane) -> Vec<FileName> {
        let Some(seen) = self.options.seen.get(&lane.copy.name) else {
            return Vec::new();
        };
        let of_kind = |kind, ids: &BTreeSet<Id>| {
            let names: Vec<_> = ids.iter().map(|id| FileName::new(kind, *id)).collect();
            names
        };
        let mut lost = of_kind(FileType::Index, &seen.index);
        lost.extend(of_kind(FileType::Snapshots, &seen.snapshots));
        lost.retain(|name| lane.size_of(*name).is_none() && self.others_have(number, *name));
        lost
    }

    /// Sound index files that only this copy has.
    fn gained(&self, number: usize, lane: &Lane) -> Vec<Id> {
        let alone = lane.listing.index.iter().filter(|entry| {
            let name = FileName::new(FileType::Index, entry.id);
            let Reading::Right(bytes) = (match self.others_have(number, name) {
                true => Reading::NotAsked,
                false => read_right(lane, name, entry.size_bytes),
            }) else {
                return false;
            };
            content::decode(FileType::Index, &bytes, self.repository.key()).is_ok()
        });
        alone.map(|entry| entry.id).collect()
    }

    fn others_have(&self, number: usize, name: FileName) -> bool {
        let mut others = self.lanes.iter().enumerate();
        others.any(|(other, lane)| other != number && lane.size_of(name).is_some())
    }
}
