//! What came of a recovery.
//!
//! Somebody may have put a million names there that nothing is right under: these are all counted,
//! and named up to a limit.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use strongroom_model::{FileName, Id};
use strongroom_repo::key::MAX_KEYS_TRIED;

/// How many files are named that were not recovered.
const NAMED: usize = 10_000;

/// What came of a recovery.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecoverReport {
    /// The copy that was recovered.
    pub copy: String,
    /// The time as of which, where one was asked for.
    pub as_of: Option<Timestamp>,
    /// Whether nothing was written, and nothing read but `config` and key files; then the numbers are
    /// what would be tried.
    pub dry_run: bool,
    /// Why that `config` was chosen; `None` where no version of it is right.
    pub config: Option<ConfigChoice>,
    /// The key file that the password opens, where there are more of them than restic tries: it is
    /// told by `--key-hint`.
    pub key_hint: Option<Id>,
    /// The files that were written out, or brought into sight again.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The files that were right already where they should be.
    pub already_there: u64,
    /// The files that lie behind a marker on the copy.
    pub behind_markers: u64,
    /// The files of which a newer version was wrong.
    pub overwritten: u64,
    /// How many files have no version that is right, or that can be read.
    pub not_recovered_count: u64,
    /// The first of them.
    pub not_recovered: Vec<NotRecovered>,
    /// The types of which there are more names than are looked at.
    pub left_out: Vec<LeftOut>,
    /// The snapshots that need something of it, as far as that was found out.
    pub incomplete: Vec<IncompleteSnapshot>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: u64,
}

/// Why a version of `config`, which has no hash name, counts as the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigChoice {
    /// It is the oldest; there was no password to try it with.
    Oldest,
    /// It is the oldest that the repository's key decrypts.
    OldestThatDecrypts,
}

/// A file that was not recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotRecovered {
    /// Its name, as `data/3f1c…`.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Names of a type that were not looked at, since there are more than any repository has, or than
/// there is memory for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The type, as `data`.
    pub kind: String,
    /// Left out is what came at this time or later, by the clock of the place.
    pub since: Timestamp,
}

/// A snapshot that needs what was not recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncompleteSnapshot {
    /// The snapshot.
    pub snapshot: Id,
    /// The first thing that it lacks.
    pub reason: String,
}

/// What comes of the files while threads work on them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
    already_there: AtomicU64,
    overwritten: AtomicU64,
    not_recovered_count: AtomicU64,
    not_recovered: Mutex<Vec<NotRecovered>>,
}

impl RecoverReport {
    /// Whether everything of which there was a version was recovered.
    pub fn is_complete(&self) -> bool {
        self.not_recovered_count == 0 && self.left_out.is_empty() && self.incomplete.is_empty()
    }

    /// Notes what was left out, and the next step.
    pub(super) fn tell_left_out(&mut self) {
        let told = self.left_out.iter().map(|left_out| {
            format!(
                "There are more names in {} than are looked at: those that came at {} or later were \
                 left out; say --as-of with a time before somebody put them there, or, where they are \
                 yours, let it take more memory: memory in [limits] of strongroom.toml",
                left_out.kind, left_out.since
            )
        });
        self.notes.extend(told);
    }

    /// Notes that there are more key files than anybody tries, and the next step; `key` is the one
    /// that the password opens, where there is a password.
    pub(super) fn tell_keys(&mut self, count: usize, key: Option<Id>) {
        if count <= MAX_KEYS_TRIED {
            return;
        }
        self.key_hint = key;
        let next = match key {
            Some(key) => format!(
                "the password opens keys/{key}: move the others out of keys/ before anything is \
                 opened there, or name it to restic: --key-hint {}",
                key.short()
            ),
            None => "give the password, as STRONGROOM_PASSWORD, to be told which one it opens"
                .to_owned(),
        };
        self.notes.push(format!(
            "There are {count} key files, and of so many only {MAX_KEYS_TRIED} are tried: {next}"
        ));
    }
}

impl Tally {
    /// Counts a file that is where it should be.
    pub(super) fn done(&self, size_bytes: u64, is_new: bool) {
        match is_new {
            true => {
                self.files.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(size_bytes, Ordering::Relaxed);
            }
            false => {
                self.already_there.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts a file of which a newer version was wrong.
    pub(super) fn overwritten(&self) {
        self.overwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// Names a file that cannot be recovered.
    pub(super) fn not_recovered(&self, name: FileName, reason: String) {
        self.not_recovered_count.fetch_add(1, Ordering::Relaxed);
        let mut named = self.not_recovered.lock();
        if named.len() < NAMED {
            let name = name.to_string();
            named.push(NotRecovered { name, reason });
        }
    }

    /// Puts all of it into the report.
    pub(super) fn tell(self, report: &mut RecoverReport) {
        report.files = self.files.into_inner();
        report.bytes = self.bytes.into_inner();
        report.already_there = self.already_there.into_inner();
        report.overwritten = self.overwritten.into_inner();
        report.not_recovered_count = self.not_recovered_count.into_inner();
        report.not_recovered = self.not_recovered.into_inner();
        report
            .not_recovered
            .sort_by(|one, other| one.name.cmp(&other.name));
    }
}
