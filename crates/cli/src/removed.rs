//! What became of removed files that still lay on some copy, told to people and to programs: at the
//! end of a sync, a forget and a prune; and which copies lack the record of what was decided.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strongroom_engine::CopyFailure;
use strongroom_engine::removals::FinishedCopy;

use crate::context::Opened;
use crate::error::Result;
use crate::output::{Output, visible};
use crate::table::Cell;
use crate::words::{count, local_time, moment, size};

/// Tells what was finished, what waits, and what could not be.
pub(crate) fn tell(output: &Output, finished: &[FinishedCopy]) -> Result<()> {
    for copy in finished {
        output.result(&format!("{}\n", line(copy)))?;
        warn(output, copy);
    }
    Ok(())
}

/// Warns of the copies that did not take a record: of a removal, an annulment or a hold.
pub(crate) fn warn_without_record(output: &Output, not_on: &[(String, CopyFailure)]) {
    for (copy, failure) in not_on {
        let text = format!("{copy} lacks a record in strongroom/: {}", failure.reason);
        output.warn(&visible(&text), failure.hint.as_deref());
    }
}

/// Warns where something could not be finished, or waits for somebody who is at work there.
pub(crate) fn warn(output: &Output, copy: &FinishedCopy) {
    for failure in copy.in_use.iter().chain(&copy.failure) {
        let text = visible(&format!("{}: {}", copy.name, failure.reason));
        output.warn(&text, failure.hint.as_deref());
    }
}

/// The titles of what [`cells`] says.
pub(crate) const TITLES: [&str; 5] = ["removed", "size", "waiting", "size", "until"];

/// What went and what waits, in a row of a table.
pub(crate) fn cells(copy: &FinishedCopy) -> Vec<Cell> {
    let files = |number: u64| Cell::from(count(number, "file", "files"));
    let bytes = copy.freed_bytes.saturating_add(copy.kept_bytes);
    let mut cells = vec![files(copy.removed), size(bytes).into()];
    if copy.waiting > 0 {
        let until = waits_until(copy).map(local_time);
        cells.push(files(copy.waiting));
        cells.push(size(copy.waiting_bytes).into());
        cells.push(until.unwrap_or_default().into());
    }
    cells
}

/// Tells of each copy that keeps what was removed how much that is, and until when.
pub(crate) fn tell_kept<'a>(
    output: &Output,
    finished: impl IntoIterator<Item = &'a FinishedCopy>,
) -> Result<()> {
    for copy in finished.into_iter().filter(|copy| copy.kept_bytes > 0) {
        let until = copy.kept_until.and_then(moment);
        let space = space(copy.freed_bytes, copy.kept_bytes, until);
        output.result(&format!("{}: {space}\n", copy.name))?;
    }
    Ok(())
}

/// What became of the space of removed files: "41 MB freed", "41 MB kept as tombstones, until 2026-12-29
/// 10:00:00 at least".
fn space(freed_bytes: u64, kept_bytes: u64, kept_until: Option<Timestamp>) -> String {
    let freed = format!("{} freed", size(freed_bytes));
    if kept_bytes == 0 {
        return freed;
    }
    let kept = size(kept_bytes);
    let kept = match kept_until {
        Some(until) => {
            let until = local_time(until);
            format!("{kept} kept as tombstones, until {until} at least")
        }
        None => format!("{kept} only hidden, and freed by nothing but a rule of that place"),
    };
    match freed_bytes {
        0 => kept,
        _ => format!("{freed}, {kept}"),
    }
}

/// Takes note that vaults keep what they were asked to delete.
pub(crate) fn note_tombstones<'a>(
    opened: &Opened,
    finished: impl IntoIterator<Item = &'a mut FinishedCopy>,
) {
    for copy in finished {
        if let Some(until) = tombstones_until(opened, &copy.name) {
            copy.kept_bytes += std::mem::take(&mut copy.freed_bytes);
            copy.kept_until = until;
        }
    }
}

/// Until when the vault of a copy keeps at least what it is asked to delete now, as far as it says so;
/// nothing where the copy is on no vault.
fn tombstones_until(opened: &Opened, copy: &str) -> Option<Option<SystemTime>> {
    let info = opened.vaults.of(copy)?.repository();
    let grace = info.and_then(|info| i64::try_from(info.grace_s).ok());
    let now = (opened.environment.clock)();
    let until = grace.and_then(|grace| now.checked_add(SignedDuration::from_secs(grace)).ok());
    Some(until.and_then(|until| SystemTime::try_from(until).ok()))
}

/// "offsite: 12 removed files are gone, 41 MB freed; 3 stay for now, until 2026-12-29 10:00:00".
fn line(copy: &FinishedCopy) -> String {
    let gone = count(copy.removed, "removed file is", "removed files are");
    let kept_until = copy.kept_until.and_then(moment);
    let space = space(copy.freed_bytes, copy.kept_bytes, kept_until);
    let mut line = format!("{}: {gone} gone, {space}", copy.name);
    if copy.waiting > 0 {
        let stay = count(copy.waiting, "stays", "stay");
        line.push_str(&format!("; {stay} for now ({})", size(copy.waiting_bytes)));
        if let Some(until) = waits_until(copy) {
            line.push_str(&format!(", until {}", local_time(until)));
        }
    }
    line
}

/// Until when something waits at the longest, where that is known.
fn waits_until(copy: &FinishedCopy) -> Option<Timestamp> {
    moment(copy.waits_until?)
}

/// The same, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    name: String,
    removed: u64,
    freed_bytes: u64,
    kept_bytes: u64,
    kept_until: Option<Timestamp>,
    waiting: u64,
    waiting_bytes: u64,
    waits_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_use: Option<String>,
    reason: Option<String>,
    hint: Option<String>,
}

impl Summary {
    pub(crate) fn of(copy: &FinishedCopy) -> Self {
        let failure = copy.failure.as_ref();
        let in_use = copy.in_use.as_ref();
        Self {
            name: copy.name.clone(),
            removed: copy.removed,
            freed_bytes: copy.freed_bytes,
            kept_bytes: copy.kept_bytes,
            kept_until: copy.kept_until.and_then(moment),
            waiting: copy.waiting,
            waiting_bytes: copy.waiting_bytes,
            waits_until: waits_until(copy),
            in_use: in_use.map(|told| told.reason.clone()),
            reason: failure.map(|failure| failure.reason.clone()),
            hint: failure.or(in_use).and_then(|told| told.hint.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_waits_is_told_beside_what_is_gone() {
        let mut copy = FinishedCopy {
            name: "offsite".to_owned(),
            removed: 1,
            freed_bytes: 2_000_000,
            ..FinishedCopy::default()
        };
        assert_eq!(line(&copy), "offsite: 1 removed file is gone, 2 MB freed");
        copy.waiting = 1234;
        copy.waits_until = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
        let told = line(&copy);
        assert!(told.contains("1,234 stay for now"), "{told}");
        assert!(told.contains(", until 2004-01-"), "{told}");
        let summary = serde_json::to_value(Summary::of(&copy)).unwrap();
        assert_eq!(summary["waits_until"], "2004-01-10T13:37:04Z");
        assert_eq!(summary["reason"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_kept_is_not_called_free() {
        assert_eq!(space(2_000_000, 0, None), "2 MB freed");
        let until = Timestamp::from_second(1 << 30).unwrap();
        let told = space(0, 2_000_000, Some(until));
        assert!(
            told.starts_with("2 MB kept as tombstones, until 2004-01-"),
            "{told}"
        );
        let hidden = space(3_000_000, 2_000_000, None);
        assert!(
            hidden.starts_with("3 MB freed, 2 MB only hidden, "),
            "{hidden}"
        );
    }
}
