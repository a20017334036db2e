//! Snapshots that records tell of and that no copy shows now.
//!
//! A copy that withholds its newest snapshot, while the others are out of reach, makes an old state
//! pass for `latest`. A restore of that looks right and is not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use strongroom_model::receipt::Outcome;
use strongroom_model::{FileName, FileType, Id};

use crate::known::Records;
use crate::snapshots::Snapshots;

/// A snapshot that was made, and is shown by no copy that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenSnapshot {
    /// Its file.
    pub id: Id,
    /// Of which source.
    pub source: String,
    /// When it was made, by the clock of the host that made it.
    pub time: Timestamp,
    /// The copies that are known to have had it.
    pub copies: BTreeSet<String>,
    /// The record of another machine that hides it, where one does that is not due.
    pub hidden_by: Option<Id>,
}

impl Records<'_> {
    /// The snapshots that receipts, or earlier looks at whole copies, tell of and that are not
    /// among those found; the newest last. What was removed on purpose is left out.
    pub fn unseen_snapshots(&self, found: &Snapshots) -> Vec<UnseenSnapshot> {
        let is_found = |id: Id| found.all.iter().any(|one| one.id == id);
        let mut unseen: BTreeMap<Id, UnseenSnapshot> = BTreeMap::new();
        let unlisted = self.unlisted_receipts(is_found);
        if let Some(receipts) = self.receipts.filter(|_| !unlisted.is_empty()) {
            for told in receipts.of(&unlisted) {
                let receipt = told.receipt();
                let copies = receipt.copies.iter();
                let whole = copies.filter(|(_, outcome)| **outcome == Outcome::Whole);
                let snapshot = UnseenSnapshot {
                    id: receipt.snapshot,
                    source: receipt.source.to_string(),
                    time: receipt.time,
                    copies: whole.map(|(name, _)| name.to_string()).collect(),
                    hidden_by: None,
                };
                unseen.insert(receipt.snapshot, snapshot);
            }
        }
        for copy in self.copies {
            for (source, seen) in &self.memory.evidence(copy).last_whole {
                if is_found(seen.id) {
                    continue;
                }
                let snapshot = unseen.entry(seen.id).or_insert_with(|| UnseenSnapshot {
                    id: seen.id,
                    source: source.to_string(),
                    time: seen.time,
                    copies: BTreeSet::new(),
                    hidden_by: None,
                });
                snapshot.copies.insert(copy.name.clone());
            }
            let seen = self.memory.seen(copy);
            for snapshot in unseen.values_mut() {
                if seen.snapshots.contains(&snapshot.id) {
                    snapshot.copies.insert(copy.name.clone());
                }
            }
        }
        let gone = self.memory.gone();
        let accepted = |id| {
            let name = FileName::new(FileType::Snapshots, id);
            gone.accepted.contains(name)
        };
        let unseen = unseen.into_values();
        let mut unseen: Vec<_> = unseen.filter(|one| !accepted(one.id)).collect();
        unseen.sort_by_key(|one| (one.time, one.id));
        unseen
    }
}

impl Snapshots {
    /// The snapshot that `latest` or `latest:SOURCE` would mean if every copy were there, where
    /// that is not the one that it means now.
    pub fn withheld<'u>(
        &self,
        wanted: &str,
        unseen: &'u [UnseenSnapshot],
    ) -> Option<&'u UnseenSnapshot> {
        let source = match wanted.strip_prefix("latest:") {
            Some(source) => Some(source),
            None if wanted == "latest" => None,
            None => return None,
        };
        let here = self.latest(source).map(|found| found.time());
        let mut newest_first = unseen.iter().rev();
        newest_first
            .find(|one| source.is_none_or(|source| one.source == source))
            .filter(|one| here.is_none_or(|here| one.time > here))
    }

    /// For each source what `latest:SOURCE` would mean if every copy were there, where that is not
    /// what it means now.
    pub fn all_withheld<'u>(&self, unseen: &'u [UnseenSnapshot]) -> Vec<&'u UnseenSnapshot> {
        let sources: BTreeSet<&str> = unseen.iter().map(|one| one.source.as_str()).collect();
        let latest = |source: &str| self.withheld(&format!("latest:{source}"), unseen);
        sources.into_iter().filter_map(latest).collect()
    }
}

impl UnseenSnapshot {
    /// The next step for a person who wants this snapshot.
    pub fn hint(&self) -> String {
        if let Some(record) = self.hidden_by {
            let record = record.short();
            return format!("if it was none of you: strongroom forget --annul {record}");
        }
        let copies: Vec<&str> = self.copies.iter().map(String::as_str).collect();
        match copies.as_slice() {
            [] => "make every copy reachable".to_owned(),
            copies => format!(
                "make {} reachable, and see: strongroom verify",
                copies.join(", ")
            ),
        }
    }
}

impl std::fmt::Display for UnseenSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, time, .. } = self;
        let id = self.id.short();
        if let Some(record) = self.hidden_by {
            return write!(
                f,
                "The newest snapshot of {source}, {id} of {time:.0}, is hidden by the removal \
                 record {record}, which this machine did not write"
            );
        }
        write!(
            f,
            "The newest snapshot of {source}, {id} of {time:.0}, is shown by no copy"
        )?;
        let copies: Vec<&str> = self.copies.iter().map(String::as_str).collect();
        match copies.as_slice() {
            [] => Ok(()),
            copies => write!(f, "; it was on {}", copies.join(", ")),
        }
    }
}
