//! What a sync did, what it could not do, and what a person has to decide.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_model::shell::quoted;
use strongroom_model::{FileName, FileType, Id};

use crate::Listing;
use crate::known::Lost;
use crate::session::{CopyFailure, CopyStore};

/// What came of a sync.
#[derive(Debug, Clone, Default)]
pub struct SyncReport {
    /// For each copy, in the order given.
    pub copies: Vec<SyncedCopy>,
    /// What could not be brought or mended.
    pub problems: Vec<SyncProblem>,
    /// Files that lie on some copies and did not travel, because nothing speaks for them.
    pub junk: Vec<Junk>,
    /// Copies from which somebody seems to have removed files on purpose.
    pub diverged: Vec<Diverged>,
    /// What was there once and no copy lists any more.
    pub lost: Lost,
    /// What was lost, and a person has said in this run that it was removed on purpose.
    pub accepted: BTreeSet<FileName>,
    /// Copies that have a place for removal records and did not take one that they lack, by name.
    pub not_on: Vec<(String, CopyFailure)>,
    /// Whether the user interrupted, so that not all was looked at.
    pub was_interrupted: bool,
}

/// What came of one copy.
#[derive(Debug, Clone, Default)]
pub struct SyncedCopy {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// Files that it lacked and now has.
    pub files_brought: u64,
    /// Those of them that the copy cannot have had: no keys, which a vault may hold without listing
    /// them, and nothing that the copy had listed.
    pub news_brought: u64,
    /// Bytes of these files.
    pub bytes_brought: u64,
    /// Files that were wrong and now are right.
    pub healed: Vec<FileName>,
    /// Files that it lists and that are wrong there, gone, or were not given, and stayed so.
    pub unmended: Vec<FileName>,
    /// Files that were in doubt, were read, and are right.
    pub proved: Vec<FileName>,
    /// How many files it lacks that lie whole on another copy, by type.
    pub lacking: BTreeMap<FileType, u64>,
    /// Why it got nothing more.
    pub failure: Option<CopyFailure>,
    /// What lies there now. Its `place` is the one that was listed, as it is told since its `config`
    /// was healed.
    pub listing: Listing,
}

/// Something that could not be brought or mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncProblem {
    /// The file.
    pub name: FileName,
    /// What is wrong.
    pub kind: SyncProblemKind,
}

/// Why a file could not be brought or mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncProblemKind {
    /// It is wrong on every copy that has it and could be read.
    NowhereWhole {
        /// Where it is wrong, was listed and is not, or cannot be read.
        copies: Vec<String>,
        /// Where nobody knows whether it is wrong, also where it is listed and was not found: as long
        /// as there is any, nothing is lost.
        not_given: Vec<NotGiven>,
    },
    /// It is wrong on a copy that does not let it be replaced.
    NotReplaced {
        /// The copy.
        copy: String,
        /// What the copy said.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// It is another config of this repository, which may be the right one.
    OtherConfig {
        /// The copy.
        copy: String,
        /// The next step.
        hint: String,
    },
    /// A copy does not get it, since it lacks what it refers to.
    HeldBack {
        /// The copy.
        copy: String,
        /// What is missing there.
        reason: String,
    },
}

/// A copy that may have a file whole, and did not give it to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGiven {
    /// Its name.
    pub copy: String,
    /// Why, without secrets.
    pub reason: String,
}

/// A file that did not travel, because nothing speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Junk {
    /// The file.
    pub name: FileName,
    /// The copies that have it.
    pub copies: Vec<String>,
    /// What is wrong with it.
    pub reason: String,
    /// What to do: for each copy that has it, where it lies and how to get rid of it.
    pub advice: Vec<String>,
}

/// A copy from which files are gone, while it holds index files that no other copy has: as after a
/// `restic prune` of this copy alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    /// The copy.
    pub copy: String,
    /// Index files and snapshots that it had, and that others still have.
    pub lacks: Vec<FileName>,
    /// Index files that it alone has.
    pub has_alone: Vec<Id>,
}

impl SyncReport {
    /// Whether every copy now has all that any has, whole.
    ///
    /// Junk that stayed where it was does not count: no copy needs it.
    pub fn is_complete(&self) -> bool {
        !self.was_interrupted
            && self.problems.is_empty()
            && self.diverged.is_empty()
            && self.lost.is_empty()
            && self.not_on.is_empty()
            && self.copies.iter().all(SyncedCopy::is_whole)
    }

    /// Files and bytes that were brought to all copies together, healed ones not counted.
    pub fn brought(&self) -> (u64, u64) {
        self.copies.iter().fold((0, 0), |(files, bytes), copy| {
            (files + copy.files_brought, bytes + copy.bytes_brought)
        })
    }
}

impl SyncedCopy {
    /// A copy that could not be used at all.
    pub(crate) fn failed(copy: &CopyStore, failure: CopyFailure) -> Self {
        Self {
            name: copy.name.clone(),
            location: copy.store.location().to_owned(),
            failure: Some(failure),
            ..Self::default()
        }
    }

    /// Whether it has all that any copy has, as far as this sync knows.
    pub fn is_whole(&self) -> bool {
        self.failure.is_none() && self.lacking.is_empty() && self.unmended.is_empty()
    }
}

impl SyncProblem {
    /// The next step for a person.
    pub fn hint(&self) -> String {
        match &self.kind {
            SyncProblemKind::NotReplaced { hint, .. }
            | SyncProblemKind::OtherConfig { hint, .. } => hint.clone(),
            SyncProblemKind::HeldBack { .. } => {
                "it goes there once what is missing does: bring back a copy that has it, then \
                 strongroom sync"
                    .to_owned()
            }
            SyncProblemKind::NowhereWhole { not_given, .. } => match not_given.is_empty() {
                true => lost_hint(self.name.kind()),
                false => readable_hint(not_given),
            },
        }
    }
}

impl Diverged {
    /// The next step for a person.
    pub fn hint(&self) -> String {
        format!(
            "if they were lost: `strongroom sync --heal` brings them back to {}. If they were \
             removed on purpose, they go from every copy by: strongroom sync --heal, then \
             strongroom forget and strongroom prune",
            self.copy
        )
    }
}

impl Junk {
    /// A file that is not what its type says.
    pub(crate) fn undecodable(name: FileName, copies: &[&CopyStore], reason: String) -> Self {
        Self {
            name,
            copies: names(copies),
            reason,
            advice: copies.iter().map(|copy| removal(copy, name)).collect(),
        }
    }

    /// A key that was removed on purpose, on a copy that was away at the time.
    pub(crate) fn removed_key(name: FileName, copies: &[&CopyStore]) -> Self {
        let id = name.id().unwrap_or_default();
        Self {
            name,
            copies: names(copies),
            reason: "it was removed, and its password still opens what lies there".to_owned(),
            advice: vec![format!("strongroom key remove {id}")],
        }
    }

    /// A key that may be somebody's, or not.
    pub(crate) fn unproven_key(name: FileName, copies: &[&CopyStore]) -> Self {
        let id = name.id().unwrap_or_default();
        let mut advice = vec![format!("if it is yours: strongroom sync --admit-key {id}")];
        let removals = copies.iter().map(|copy| removal(copy, name));
        let otherwise = ["otherwise: "].into_iter().chain(std::iter::repeat(""));
        advice.extend(
            otherwise
                .zip(removals)
                .map(|(word, rm)| format!("{word}{rm}")),
        );
        Self {
            name,
            copies: names(copies),
            reason: "this password does not open it, and no receipt names it".to_owned(),
            advice,
        }
    }
}

impl std::fmt::Display for SyncProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name;
        match &self.kind {
            SyncProblemKind::NowhereWhole { copies, .. } => {
                write!(
                    f,
                    "{name} is whole nowhere: damaged, missing or unreadable on {}",
                    copies.join(", ")
                )
            }
            SyncProblemKind::NotReplaced { copy, reason, .. } => {
                write!(
                    f,
                    "{name} is damaged on {copy}, which does not let it be replaced: {reason}"
                )
            }
            SyncProblemKind::OtherConfig { copy, .. } => {
                write!(
                    f,
                    "The {name} on {copy} belongs to this repository and differs from the one that \
                     was opened: it is left alone"
                )
            }
            SyncProblemKind::HeldBack { copy, reason } => {
                write!(f, "{copy} does not get {name}: {reason}")
            }
        }
    }
}

impl std::fmt::Display for Junk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, reason, .. } = self;
        write!(
            f,
            "{name} on {} did not travel: {reason}",
            self.copies.join(", ")
        )
    }
}

impl std::fmt::Display for Diverged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lacks, alone) = (self.lacks.len(), self.has_alone.len());
        write!(
            f,
            "{} has lost {lacks} index files and snapshots and gained {alone} index files that no \
             other copy has: it looks as if it was pruned by itself",
            self.copy
        )
    }
}

/// What to do where copies may have a file whole: nothing that could cost it.
fn readable_hint(not_given: &[NotGiven]) -> String {
    let told = |NotGiven { copy, reason }: &NotGiven| format!("{copy} ({reason})");
    let places: Vec<_> = not_given.iter().map(told).collect();
    format!(
        "make it readable on {}, then: strongroom sync",
        places.join(" and on ")
    )
}

/// What to do where every copy that is at hand and lists a file has other bytes in its stead.
fn lost_hint(kind: FileType) -> String {
    let rest = match kind {
        FileType::Data => {
            "; otherwise what it held is lost, but for what the source still has: that \
             `strongroom backup` stores again"
        }
        FileType::Index => "; otherwise a stock restic can make it anew from the packs",
        FileType::Snapshots => "; otherwise this snapshot is lost",
        FileType::Config | FileType::Keys | FileType::Locks | FileType::Records => "",
    };
    let page = match rest.is_empty() {
        true => "",
        false => "; how to be rid of it: docs/when-something-is-wrong.md, \"No copy has it whole\"",
    };
    format!("if a copy that is away may have it, bring it back, then strongroom sync{rest}{page}")
}

fn names(copies: &[&CopyStore]) -> Vec<String> {
    copies.iter().map(|copy| copy.name.clone()).collect()
}

/// How to get rid of a file on a copy.
pub(crate) fn removal(copy: &CopyStore, name: FileName) -> String {
    let location = copy.store.location();
    let path = path_of(name);
    if location.starts_with('/') {
        let folder = location.trim_end_matches('/');
        return format!("rm {}", quoted(format!("{folder}/{path}")));
    }
    format!("remove {path} in {location}")
}

/// Where a file lies in restic's layout.
fn path_of(name: FileName) -> String {
    let Some(id) = name.id().filter(|_| name.kind() == FileType::Data) else {
        return name.to_string();
    };
    let prefix: String = id.to_string().chars().take(2).collect();
    format!("data/{prefix}/{id}")
}
