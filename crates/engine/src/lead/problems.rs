//! What a backup finds wrong on its lead while it reads there.
//!
//! Nothing of it stops the backup, which stores again what it cannot trust. But the file stays wrong
//! until it is healed, and stock restic may refuse the whole copy for it: whoever runs the backup
//! has to heal or tell it.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::Mutex;
use strongroom_model::FileName;

/// A file of the lead with something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadProblem {
    /// The file.
    pub file: FileName,
    /// What is wrong, for people to read; names the file.
    pub text: String,
    /// What that means.
    pub state: ProblemState,
}

/// What a problem on the lead means for the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemState {
    /// It is worth telling: a file that is missing or unreadable, or junk.
    Told,
    /// Its bytes are not what they were. Until it is healed, no backup is complete.
    Damaged,
    /// It was damaged, and was healed from another copy.
    Healed,
}

impl fmt::Display for LeadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All problems that were found, one for each file.
#[derive(Debug, Default)]
pub struct LeadProblems(Mutex<BTreeMap<FileName, LeadProblem>>);

impl LeadProblems {
    /// Notes a file that is missing, unreadable or junk.
    pub(crate) fn note(&self, file: FileName, text: String) {
        self.add(file, text, ProblemState::Told);
    }

    /// Notes a file whose bytes are not what they were.
    pub(crate) fn note_damage(&self, file: FileName, text: String) {
        self.add(file, text, ProblemState::Damaged);
    }

    /// The problems so far, in the order of the files.
    pub fn list(&self) -> Vec<LeadProblem> {
        self.0.lock().values().cloned().collect()
    }

    fn add(&self, file: FileName, text: String, state: ProblemState) {
        tracing::debug!(problem = text, "Something is wrong on the lead");
        self.0
            .lock()
            .entry(file)
            .or_insert(LeadProblem { file, text, state });
    }
}
