//! Auditing a log by its files alone: every entry, every hash, the root and the signature.
//!
//! The walk goes down from the checkpoint and reads each file once, in the order of the leaves;
//! it holds two tiles of each level and one bundle in memory, however long the log is. It does not
//! stop at the first fault, so that one damaged file is told from a rewritten log.
//!
//! Which of two files that disagree is the wrong one? The one that is not what the hash above it
//! says; at the right edge, where no hash is above, the one without which the signed root comes
//! out. Where neither does, both are named.

mod strays;
mod walk;

use std::path::Path;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::key::Verifier;
use crate::note::Note;
use crate::tile::CHECKPOINT;
use crate::{Error, Folder, Result, tree};

/// After so many faults the walk ends: a log that is wrong everywhere is not listed.
pub const FAULTS_LIMIT: usize = 100;

/// What an audit found.
#[derive(Debug, Default)]
pub struct Report {
    /// What the log says of itself, where its checkpoint could be read.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the checkpoint was verified with a key. Without one, whoever wrote the files may
    /// have made the checkpoint to fit.
    pub is_signed: bool,
    /// The size of the earlier checkpoint that the log was compared with, and goes on from.
    pub since: Option<u64>,
    /// How many entries were hashed.
    pub leaves: u64,
    /// How many files were checked.
    pub files: u64,
    /// How many bytes were checked.
    pub bytes: u64,
    /// All that is wrong, each with its file; up to [`FAULTS_LIMIT`].
    pub faults: Vec<Error>,
    /// Whether the walk ended early because of that limit.
    pub is_cut: bool,
    /// Files that the checkpoint does not speak of, up to [`FAULTS_LIMIT`]: with more leaves than
    /// it, or with a name that begins with a dot. They are left by a publisher that was
    /// interrupted, or that goes on at this moment; or they are what is left of a log whose
    /// checkpoint was set back.
    pub leftovers: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong with any file.
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether there is room for another fault.
    fn goes_on(&self) -> bool {
        !self.is_cut
    }

    fn fault(&mut self, fault: Error) {
        let text = fault.to_string();
        if self.faults.iter().any(|known| known.to_string() == text) {
            return;
        }
        if self.faults.len() < FAULTS_LIMIT {
            self.faults.push(fault);
        } else {
            self.is_cut = true;
        }
    }

    fn leftover(&mut self, file: String) {
        if self.leftovers.len() < FAULTS_LIMIT {
            self.leftovers.push(file);
        }
    }

    /// Notes the fault, where there is one.
    fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|fault| self.fault(fault)).ok()
    }
}

/// Audits the log in a folder: with the log's key, and with an earlier checkpoint of it, which the
/// caller has verified.
pub fn audit(path: &Path, key: Option<&Verifier>, since: Option<&Checkpoint>) -> Report {
    audit_entries(path, key, since, &mut |_, _| {})
}

/// As [`audit()`], and hands each entry that could be read to `each`, with its place, in the order of
/// the leaves: as it lies in its file, whether it is what was signed or not. What the report says of the
/// files holds for what was handed over.
pub fn audit_entries(
    path: &Path,
    key: Option<&Verifier>,
    since: Option<&Checkpoint>,
    each: &mut dyn FnMut(u64, &[u8]),
) -> Report {
    let folder = Folder::new(path);
    let mut report = Report::default();
    // First: what is written from now on has leaves that this checkpoint does not have.
    let Some(note) = report.take(folder.checkpoint()) else {
        return report;
    };
    let bad = |source| Error::BadCheckpoint {
        file: CHECKPOINT.to_owned(),
        source: Box::new(source),
    };
    let checkpoint = Note::parse(&note).and_then(|note| note.text().parse::<Checkpoint>());
    let Some(checkpoint) = report.take(checkpoint.map_err(bad)) else {
        return report;
    };
    report.files += 1;
    report.bytes += note.len() as u64;
    if let Some(key) = key {
        let opened = SignedCheckpoint::open(&note, key);
        report.is_signed = report.take(opened.map_err(bad)).is_some();
    }
    walk::walk(&folder, &checkpoint, &mut report, each);
    strays::look(&folder, checkpoint.size(), &mut report);
    if let Some(since) = since {
        compare(&folder, &checkpoint, since, &mut report);
    }
    report.checkpoint = Some(checkpoint);
    report
}

/// Compares with an earlier checkpoint, by tiles that were found sound.
fn compare(folder: &Folder, now: &Checkpoint, since: &Checkpoint, report: &mut Report) {
    let (file, old_size) = (CHECKPOINT.to_owned(), since.size());
    if old_size > now.size() {
        report.fault(Error::Shrunk {
            file,
            old_size,
            new_size: now.size(),
        });
    } else if report.is_sound()
        && let Some(root) = report.take(tree::root(folder, now.size(), old_size))
    {
        match root == since.root() && now.origin() == since.origin() {
            true => report.since = Some(old_size),
            false => report.fault(Error::Rewritten { file, old_size }),
        }
    }
}
