//! The plan held against evidence: what an operator sees at 3 a.m.
//!
//! What counts is what was shown, never what was configured. Where a claim can neither be shown nor
//! refuted, as for a copy that cannot be reached, the answer is *unproven*, which is not a yes.
//! The rules are pure: everything that has to be looked up comes in as [`Facts`], and the time too.

mod drills;
mod errors;
mod exposure;
mod facts;
mod lines;
mod rows;
mod standing;
mod subject;

pub use drills::Rehearsal;
pub use facts::{
    CopyFacts, DeviceId, Facts, Gone, HeldSnapshot, Location, LockedFiles, LostFiles, Replaced,
    SourceFacts, Unread, Wholeness,
};
pub use rows::{CopyRow, LockState, SourceRow};
pub use standing::{Finding, Standing};

use jiff::Timestamp;
use serde::Serialize;

use crate::blast::Blast;
use crate::config::Config;
use subject::Subject;

/// The version of the JSON that a scorecard becomes.
const VERSION: u32 = 1;

/// How far the plan is met.
#[derive(Clone, Debug, Serialize)]
pub struct Scorecard {
    version: u32,
    /// The time for which this holds.
    pub at: Timestamp,
    /// Whether all of it is met.
    pub met: Standing,
    /// One row for each source, in the order of the configuration.
    pub sources: Vec<SourceRow>,
    /// One row for each copy, in the order of the configuration.
    pub copies: Vec<CopyRow>,
    /// The five lines: copies, media, offsite, immutable, errors.
    pub lines: Vec<Line>,
    /// Who destroys what. Where a single domain destroys all, the whole is missed, whatever else is
    /// met.
    pub blast: Blast,
}

/// One line of the scorecard.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which of the five it is.
    pub line: LineKind,
    /// How it is headed: "3 copies".
    pub title: String,
    /// Whether it is met, and why or why not, in one line.
    #[serde(flatten)]
    pub finding: Finding,
    /// The command or configuration that would mend it; `None` where it is met.
    pub mend: Option<String>,
}

/// The five lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// Whole and independent copies.
    Copies,
    /// Kinds of storage among them.
    Media,
    /// Copies elsewhere and under other credentials.
    Offsite,
    /// Copies that were shown to withstand production's credentials.
    Immutable,
    /// Damage, unread files, and what was not verified or rehearsed.
    Errors,
}

impl Scorecard {
    /// Holds the plan against the facts, as of `now`.
    pub fn judge(config: &Config, facts: &Facts, now: Timestamp) -> Self {
        let subjects = Subject::all(config, facts);
        let sources: Vec<SourceRow> = config
            .sources
            .iter()
            .map(|source| rows::source_row(source, config, &subjects, now))
            .collect();
        let lines = lines::five(config, facts, &subjects, now);
        let blast = exposure::blast(config, &subjects, now);
        let standings = sources.iter().map(|row| row.finding.met);
        // What must be mended now is no plan that is met, though nothing is lost yet.
        let alarms = subjects.iter().filter_map(rows::lock_alarm);
        let alarmed = alarms.map(|_| Standing::Unproven);
        let met = standings
            .chain(lines.iter().map(|line| line.finding.met))
            .chain(alarmed)
            .fold(blast.standing(), Standing::and);
        Self {
            version: VERSION,
            at: now,
            met,
            sources,
            copies: subjects
                .iter()
                .map(|subject| rows::copy_row(subject, &subjects, config, now))
                .collect(),
            lines,
            blast,
        }
    }

    /// One of the five lines.
    pub fn line(&self, kind: LineKind) -> Option<&Line> {
        self.lines.iter().find(|line| line.line == kind)
    }
}

#[cfg(test)]
mod tests;
