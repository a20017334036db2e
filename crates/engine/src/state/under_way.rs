//! Verifies that are under way, and what was written anew beside them.
//!
//! A verify reads for hours and notes in the end what it has read. What can go wrong: a sync writes
//! one of these files anew meanwhile, and the old reading vouches for the new bytes. So a verify
//! leaves a mark when it begins, and as long as there is one, whoever writes a file anew says so
//! here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_model::Id;

/// The verifies of one copy that are under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// When they began; some may have died.
    #[serde(default)]
    began: BTreeSet<Timestamp>,
    /// What was written anew since the first of them, and when that was over.
    #[serde(default)]
    written: BTreeMap<Id, Timestamp>,
}

impl UnderWay {
    /// Marks a verify that begins.
    pub fn begin(&mut self, began: Timestamp) {
        self.began.insert(began);
    }

    /// Notes files that were written anew, for the verifies that are under way.
    pub fn note_written(&mut self, files: &BTreeSet<Id>, now: Timestamp) {
        if !self.began.is_empty() {
            self.written.extend(files.iter().map(|id| (*id, now)));
        }
    }

    /// Takes the mark of a verify away, and those of earlier ones, which are dead or hardly more than
    /// that. Returns what was written anew since it began.
    pub fn end(&mut self, began: Timestamp) -> BTreeSet<Id> {
        let since = self.written.iter().filter(|(_, at)| **at >= began);
        let since = since.map(|(id, _)| *id).collect();
        self.began.retain(|other| *other > began);
        if self.began.is_empty() {
            self.written.clear();
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verify_hears_of_what_was_written_since_it_began_and_nothing_stays() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ids = |text: &str| BTreeSet::from([Id::of(text.as_bytes())]);
        let mut under_way = UnderWay::default();
        under_way.note_written(&ids("before"), at(1));
        assert_eq!(under_way, UnderWay::default());
        // The first is killed.
        under_way.begin(at(2));
        under_way.note_written(&ids("between"), at(3));
        under_way.begin(at(4));
        under_way.note_written(&ids("since"), at(5));
        let json = serde_json::to_vec(&under_way).unwrap();
        under_way = serde_json::from_slice(&json).unwrap();
        assert_eq!(under_way.end(at(4)), ids("since"));
        assert_eq!(under_way, UnderWay::default());
        assert_eq!(under_way.end(at(4)), BTreeSet::new());
    }
}
