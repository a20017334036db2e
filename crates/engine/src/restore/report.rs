//! What came of a restore.
//!
//! A million files may fail for one reason: errors are counted all and named up to a limit, and
//! warnings are counted by what they say.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use strongroom_model::Id;

use crate::filesystem::{FsError, RestoreProblem, Severity, told};
use crate::read_set::{Damage, ReadSet};
use crate::session::chain;

/// How many errors are kept with their paths.
const NAMED_ERRORS: usize = 10_000;

/// What came of a restore.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: Id,
    /// The copy that was read first.
    pub lead: String,
    /// What was restored.
    pub restored: Counts,
    /// What was read back and found right; `None` where nobody asked for it.
    pub verified: Option<Counts>,
    /// How many files, folders and names could not be restored whole.
    pub error_count: u64,
    /// The first of them.
    pub errors: Vec<RestoreError>,
    /// What this user or this filesystem cannot do, such as another's ownership without root.
    pub warnings: Vec<RestoreWarning>,
    /// Sockets, which nobody restores.
    pub sockets_skipped: u64,
    /// Packs that are not whole on one copy; another one had them, unless errors say otherwise.
    pub damaged: Vec<Damage>,
    /// What else is worth knowing: copies without a lock, index files that could not be read.
    pub notes: Vec<String>,
}

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Regular files, further names of one file not counted.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Symbolic links, devices and fifos.
    pub others: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Something that could not be restored whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreError {
    /// Its path in the snapshot.
    pub path: String,
    /// What happened.
    pub message: String,
}

/// Something that could not be set as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreWarning {
    /// What could not be done.
    pub message: String,
    /// For how many files.
    pub count: u64,
    /// The first of them.
    pub first_path: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl RestoreReport {
    /// Whether all that was wanted is there, and is what it was as far as this user and this
    /// filesystem can have it so.
    pub fn is_complete(&self) -> bool {
        self.error_count == 0
    }
}

/// Counters and findings, shared by the threads.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: AtomicU64,
    pub(super) folders: AtomicU64,
    pub(super) hard_links: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) bytes: AtomicU64,
    sockets: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    error_count: u64,
    errors: Vec<RestoreError>,
    /// Digests of paths, since there may be many and long ones.
    failed: HashSet<Id>,
    warnings: BTreeMap<String, RestoreWarning>,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes what could not be restored.
    pub(super) fn error(&self, path: &[u8], message: String) {
        let mut found = self.found.lock();
        found.error_count += 1;
        if found.errors.len() < NAMED_ERRORS {
            let path = shown(path);
            found.errors.push(RestoreError { path, message });
        }
        found.failed.insert(Id::of(path));
    }

    /// Whether a path was noted already.
    pub(super) fn has_failed(&self, path: &[u8]) -> bool {
        let failed = &self.found.lock().failed;
        !failed.is_empty() && failed.contains(&Id::of(path))
    }

    /// Notes what could not be set; `path` is in the snapshot.
    pub(super) fn problem(&self, path: &[u8], problem: &RestoreProblem) {
        let RestoreProblem { severity, error } = problem;
        match error {
            FsError::Unrestorable { kind, .. } if kind == "socket" => {
                Self::add(&self.sockets, 1);
            }
            // What was not made at all is missing, whoever may be to blame.
            FsError::Io { action, .. } if *severity == Severity::Warning && *action != "create" => {
                self.warning(path, error);
            }
            _ => self.error(path, chain(error)),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Counts {
            files: count(&self.files),
            folders: count(&self.folders),
            hard_links: count(&self.hard_links),
            others: count(&self.others),
            bytes: count(&self.bytes),
        }
    }

    /// The report; the counters hold what was verified.
    pub(super) fn into_report(
        self,
        snapshot: Id,
        restored: Counts,
        set: &ReadSet<'_>,
        verified: bool,
    ) -> RestoreReport {
        let verified = verified.then(|| self.counts());
        let found = self.found.into_inner();
        let mut errors = found.errors;
        errors.sort_by(|left, right| left.path.cmp(&right.path));
        RestoreReport {
            snapshot,
            lead: set.lead().to_owned(),
            restored,
            verified,
            error_count: found.error_count,
            errors,
            warnings: found.warnings.into_values().collect(),
            sockets_skipped: self.sockets.into_inner(),
            damaged: set.damage(),
            notes: set.problems(),
        }
    }

    fn warning(&self, path: &[u8], error: &FsError) {
        let message = match error {
            FsError::Io { action, source, .. } => format!("Cannot {action} files: {source}"),
            other => other.to_string(),
        };
        let mut found = self.found.lock();
        let entry = found.warnings.entry(message.clone());
        let warning = entry.or_insert_with(|| RestoreWarning {
            message,
            count: 0,
            first_path: shown(path),
            hint: error.hint(),
        });
        warning.count += 1;
    }
}

/// A path of a snapshot for people: absolute, what is not text replaced.
fn shown(path: &[u8]) -> String {
    format!("/{}", told(path.to_vec()).display())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::io::Errno;

    use super::*;

    fn problem(severity: Severity, action: &'static str, errno: Errno) -> RestoreProblem {
        let error = FsError::io(action, Path::new("/target/a"), errno);
        RestoreProblem { severity, error }
    }

    #[test]
    fn what_a_user_may_not_do_is_one_line_however_often() {
        let tally = Tally::default();
        for number in 0..1000 {
            let path = format!("srv/{number}").into_bytes();
            let owner = problem(Severity::Warning, "set the owner of", Errno::PERM);
            tally.problem(&path, &owner);
        }
        let found = tally.found.into_inner();
        assert_eq!((found.error_count, found.warnings.len()), (0, 1));
        let warning = found.warnings.values().next().unwrap();
        assert_eq!(warning.count, 1000);
        assert_eq!(warning.first_path, "/srv/0");
        assert!(
            warning
                .message
                .starts_with("Cannot set the owner of files: ")
        );
    }

    #[test]
    fn what_was_not_made_is_an_error_whoever_is_to_blame() {
        let tally = Tally::default();
        tally.problem(
            b"dev/null",
            &problem(Severity::Warning, "create", Errno::PERM),
        );
        tally.problem(
            b"a",
            &problem(Severity::Error, "set the times of", Errno::IO),
        );
        let found = tally.found.into_inner();
        assert_eq!((found.error_count, found.warnings.len()), (2, 0));
        assert_eq!(found.errors[0].path, "/dev/null");
    }

    #[test]
    fn errors_are_all_counted_and_named_up_to_a_limit() {
        let tally = Tally::default();
        for number in 0..NAMED_ERRORS + 5 {
            tally.error(format!("{number}").as_bytes(), String::new());
        }
        let found = tally.found.into_inner();
        assert_eq!(found.error_count, NAMED_ERRORS as u64 + 5);
        assert_eq!(found.errors.len(), NAMED_ERRORS);
    }
}
