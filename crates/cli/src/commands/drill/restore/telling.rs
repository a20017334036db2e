//! What came of restore drills, as people and programs are told.

use serde::Serialize;
use strongroom_engine::drill::restore::{ByRestic, Checked, Live, SourceDrill, Totals};
use strongroom_model::evidence::Share;
use strongroom_model::{FileName, FileType};

use crate::commands::drill::restore::{NotDone, Outcome};
use crate::error::Result;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::words::{count, size};

/// How many errors of a drill are named; all that were kept are with `--json`.
const NAMED: usize = 20;

/// Below this a rate says more of the start than of the copy.
const LEAST_SECONDS: f64 = 5.0;
const LEAST_BYTES: u64 = 64 << 20;

/// Tells of one source of one copy, as soon as it is done.
pub(super) fn source(output: &Output, drill: &SourceDrill) -> Result<()> {
    let of = format!("{}: {}", drill.copy, drill.source);
    for error in drill.errors.iter().take(NAMED) {
        let text = format!("{of}: {}: {}", error.path, error.message);
        output.warn(&visible(&text), None);
    }
    let more = drill.error_count.saturating_sub(NAMED as u64);
    if more > 0 {
        let text = format!("{of}: {} not named here", count(more, "error", "errors"));
        output.warn(&text, None);
    }
    for damage in &drill.damaged {
        let pack = FileName::new(FileType::Data, damage.pack);
        let text = format!("{of}: {pack}: {}", damage.reason);
        let hint = "heal it from the other copies: strongroom sync";
        output.warn(&visible(&text), Some(hint));
    }
    if let ByRestic::Differs { differences, .. } = &drill.restic {
        for difference in differences.iter().take(NAMED) {
            let text = format!("{of}: with restic: {difference}");
            output.warn(&visible(&text), None);
        }
    }
    if let Checked::Failed { reason } = &drill.check {
        output.warn(&visible(&format!("{of}: {reason}")), None);
    }
    for warning in &drill.warnings {
        let files = count(warning.count, "file", "files");
        let text = format!("{of}: {}: {files}", warning.message);
        output.warn(&visible(&text), warning.hint.as_deref());
    }
    for note in &drill.notes {
        output.warn(&visible(&format!("{of}: {note}")), None);
    }
    if let Some(live) = &drill.live {
        tell_live(output, &of, live);
    }
    if let Some(kept) = &drill.kept {
        let text = format!("{of}: stays in {}", kept.display());
        output.say(&visible(&text));
    }
    output.object(&DrillMessage {
        message_type: "drill",
        good: drill.is_good(),
        drill,
    })
}

/// Tells of all of them, and what a full recovery would take.
pub(super) fn tell(output: &Output, outcome: &Outcome) -> Result<()> {
    for (word, all) in [("FAILED", &outcome.failed), ("not done", &outcome.not_done)] {
        for NotDone {
            copy,
            source,
            reason,
        } in all
        {
            let source = source.as_deref().map(|source| format!(": {source}"));
            let text = format!("{copy}{}: {word}: {reason}", source.unwrap_or_default());
            output.warn(&visible(&text), None);
        }
    }
    let recoveries = recoveries(&outcome.drills);
    if !outcome.drills.is_empty() {
        let titles = [
            "copy", "source", "share", "restored", "took", "contents", "restic", "check",
        ];
        let mut table = Table::headed(&titles).right(&[3, 4]);
        for drill in &outcome.drills {
            table.row(row(drill));
        }
        output.result(&table.to_string())?;
        let lines: String = recoveries
            .iter()
            .map(|recovery| format!("{}\n", visible(&recovery.spoken())))
            .collect();
        output.result(&format!("\n{lines}"))?;
    }
    output.object(&Summary {
        message_type: "summary",
        good: outcome.is_good(),
        complete: outcome.not_done.is_empty(),
        failed: &outcome.failed,
        not_done: &outcome.not_done,
        recoveries: &recoveries,
    })
}

fn row(drill: &SourceDrill) -> [Cell; 8] {
    let share = match drill.share {
        Share::All => "all".to_owned(),
        Share::Slice { number, of } => format!("part {number} of {of}"),
        Share::Percent(percent) => format!("{percent} %"),
    };
    let contents = match drill.matched() {
        true => Cell::styled("right", GOOD),
        false => Cell::styled(count(drill.error_count, "error", "errors"), BAD),
    };
    let restic = match &drill.restic {
        ByRestic::Same { version, .. } => Cell::styled(format!("{version}: the same"), GOOD),
        ByRestic::Differs { version, .. } => Cell::styled(format!("{version}: NOT the same"), BAD),
        ByRestic::Untried { reason } => Cell::styled(format!("not tried: {reason}"), DOUBTFUL),
    };
    let check: Cell = match &drill.check {
        Checked::None => "none named".into(),
        Checked::Passed { .. } => Cell::styled("passed", GOOD),
        Checked::Failed { .. } => Cell::styled("FAILED", BAD),
        Checked::Skipped { reason } => Cell::styled(format!("not run: {reason}"), DOUBTFUL),
    };
    [
        drill.copy.clone().into(),
        drill.source.clone().into(),
        share.into(),
        size(drill.restored.bytes).into(),
        took(drill.seconds).into(),
        contents,
        restic,
        check,
    ]
}

fn tell_live(output: &Output, of: &str, live: &Live) {
    let (changed, gone) = (live.changed, live.gone);
    if changed + gone > 0 {
        let text = format!(
            "{of}: the source has changed since, which says nothing of the copy: of {} {} as they \
             were, {changed} changed, {gone} gone",
            count(live.same + changed + gone, "file", "files"),
            live.same,
        );
        output.say(&visible(&text));
    }
    for path in &live.rotten {
        let text = format!(
            "{of}: {path} has the length and time that were saved, and another content: it rotted, \
             or somebody hides a change"
        );
        let hint = "compare the two: strongroom drill restore --keep";
        output.warn(&visible(&text), Some(hint));
    }
}

/// What it would take to have everything back from one copy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Recovery {
    copy: String,
    /// What the newest snapshots of the sources hold that were rehearsed.
    files: u64,
    bytes: u64,
    /// On what the rate was measured.
    measured_bytes: u64,
    measured_seconds: f64,
    /// How long all of it would take at that rate; `null` where too little was measured.
    seconds: Option<f64>,
}

impl Recovery {
    fn spoken(&self) -> String {
        let Self { copy, bytes, .. } = self;
        let (all, measured) = (size(*bytes), size(self.measured_bytes));
        let time = took(self.measured_seconds);
        match self.seconds {
            Some(seconds) => format!(
                "To have all of these sources back from {copy}, {all}, would take about {}: \
                 {measured} took {time} here and now. Another machine, line or day has another \
                 rate",
                took(seconds),
            ),
            None => format!(
                "How long it would take to have all of these sources back from {copy}, {all}, is \
                 not told by {measured} in {time}: that is too little to go by"
            ),
        }
    }
}

/// For each copy, in the order in which they were rehearsed.
fn recoveries(drills: &[SourceDrill]) -> Vec<Recovery> {
    let mut all: Vec<Recovery> = Vec::new();
    for drill in drills {
        let Totals { files, bytes } = drill.whole;
        if all.last().is_none_or(|last| last.copy != drill.copy) {
            all.push(Recovery {
                copy: drill.copy.clone(),
                files: 0,
                bytes: 0,
                measured_bytes: 0,
                measured_seconds: 0.0,
                seconds: None,
            });
        }
        if let Some(last) = all.last_mut() {
            last.files = last.files.saturating_add(files);
            last.bytes = last.bytes.saturating_add(bytes);
            last.measured_bytes = last.measured_bytes.saturating_add(drill.restored.bytes);
            last.measured_seconds += drill.seconds;
        }
    }
    for recovery in &mut all {
        recovery.seconds = extrapolated(recovery);
    }
    all
}

fn extrapolated(recovery: &Recovery) -> Option<f64> {
    let (bytes, seconds) = (recovery.measured_bytes, recovery.measured_seconds);
    let is_enough = bytes >= LEAST_BYTES && seconds >= LEAST_SECONDS;
    is_enough.then(|| seconds * (recovery.bytes as f64 / bytes as f64))
}

/// A time as people say it: "0.4 s", "9 min", "3.5 h".
fn took(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3_600.0)
    } else {
        format!("{:.1} d", seconds / 86_400.0)
    }
}

#[derive(Serialize)]
struct DrillMessage<'a> {
    message_type: &'static str,
    good: bool,
    #[serde(flatten)]
    drill: &'a SourceDrill,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    good: bool,
    complete: bool,
    failed: &'a [NotDone],
    not_done: &'a [NotDone],
    recoveries: &'a [Recovery],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(measured_bytes: u64, measured_seconds: f64) -> Recovery {
        Recovery {
            copy: "vault".to_owned(),
            files: 7,
            bytes: 120_000_000_000,
            measured_bytes,
            measured_seconds,
            seconds: None,
        }
    }

    #[test]
    fn a_recovery_is_told_by_the_rate_that_was_measured_and_by_nothing_less() {
        let mut some = recovery(41_000_000_000, 540.0);
        some.seconds = extrapolated(&some);
        assert_eq!(
            some.spoken(),
            "To have all of these sources back from vault, 120 GB, would take about 26 min: 41 GB \
             took 9 min here and now. Another machine, line or day has another rate"
        );
        for few in [recovery(1 << 20, 100.0), recovery(1 << 40, 0.5)] {
            assert_eq!(extrapolated(&few), None);
            assert!(few.spoken().ends_with("too little to go by"));
        }
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let told = [0.04, 9.94, 59.0, 600.0, 12_600.0, 400_000.0].map(took);
        assert_eq!(told, ["0.0 s", "9.9 s", "59 s", "10 min", "3.5 h", "4.6 d"]);
    }
}
