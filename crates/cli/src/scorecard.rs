//! The scorecard as an operator reads it: the face of the product.
//!
//! Every answer is a word; colour is only added to it.

use jiff::Timestamp;
use strongroom_model::Config;
use strongroom_model::ago::ago;
use strongroom_model::evidence::Verifier;
use strongroom_model::scorecard::{CopyRow, LockState, Rehearsal, Scorecard, SourceRow, Standing};

use crate::output::{BAD, DOUBTFUL, GOOD, visible};
use crate::table::{Cell, Table};
use crate::words::{count, size};

/// What never was.
const NEVER: &str = "never";

/// Draws all of it: sources, where copies are, what was shown of each, the five lines, who destroys
/// what, and what would mend it.
pub(crate) fn render(card: &Scorecard, config: &Config) -> String {
    let mut sources = Table::new();
    for row in &card.sources {
        sources.row(source(row));
    }
    let titles = ["copy", "medium", "site", "domain", "newest", "bytes"];
    let mut places = Table::headed(&titles).right(&[5]);
    let titles = [
        "copy",
        "whole",
        "verified",
        "lock",
        "attack drill",
        "restore drill",
    ];
    let mut shown = Table::headed(&titles);
    for row in &card.copies {
        places.row(place(row, card.at));
        shown.row(evidence(row, config, card.at));
    }
    let mut lines = Table::new();
    for line in &card.lines {
        let met = line.finding.met;
        lines.row([
            line.title.clone().into(),
            Cell::styled(met.word(), style(met)),
            line.finding.reason.clone().into(),
        ]);
    }
    let mut text = format!("{sources}\n{places}");
    for row in &card.copies {
        if let Some(reason) = &row.domain_reason {
            let (name, domain) = (&row.name, &row.domain);
            text.push_str(&format!("{name} counts as {domain}: {reason}\n"));
        }
    }
    text.push_str(&format!("\n{shown}"));
    for row in &card.copies {
        if let Some(alarm) = &row.alarm {
            let alarm = visible(alarm);
            text.push_str(&format!("{BAD}ALARM{BAD:#} {}: {alarm}\n", row.name));
        }
        if let Some(alarm) = &row.lock_alarm {
            text.push_str(&format!("{BAD}ALARM{BAD:#} {}: {alarm}\n", row.name));
        }
    }
    text.push_str(&format!("\n{lines}{}\n", card.blast.spoken()));
    let mends = mends(card);
    if !mends.is_empty() {
        text.push_str("\nWhat would mend it\n");
        let mut table = Table::new();
        for (what, mend) in mends {
            table.row([what.into(), mend.into()]);
        }
        text.push_str(&table.to_string());
    }
    text
}

fn source(row: &SourceRow) -> [Cell; 3] {
    let word = match row.finding.met {
        Standing::Met => "ok",
        other => other.word(),
    };
    [
        row.name.to_string().into(),
        row.finding.reason.clone().into(),
        Cell::styled(word, style(row.finding.met)),
    ]
}

/// Where a copy is, and what lies there.
fn place(row: &CopyRow, now: Timestamp) -> [Cell; 6] {
    let newest = row.newest.map(|seen| ago(now, seen.time));
    let bytes = row.listing.map(|listing| size(listing.bytes));
    [
        row.name.to_string().into(),
        row.medium.word().into(),
        row.site.to_string().into(),
        row.domain.to_string().into(),
        newest.unwrap_or_else(|| "-".to_owned()).into(),
        bytes.unwrap_or_else(|| "-".to_owned()).into(),
    ]
}

/// What was shown of a copy, and when.
fn evidence(row: &CopyRow, config: &Config, now: Timestamp) -> [Cell; 6] {
    let whole = match row.whole.met {
        Standing::Met => "yes",
        Standing::Missed => "no",
        Standing::Unproven => "unknown",
    };
    let verified = match (row.last_verify, row.verified_by) {
        (Some(at), Some(Verifier::Vault)) => format!("{}, by vault", ago(now, at)),
        (Some(at), _) => format!("{}, by us", ago(now, at)),
        (None, _) => NEVER.to_owned(),
    };
    let attacked = row.attack.as_ref().map(|drill| ago(now, drill.at));
    let restored = row.restore_drill.map(|drill| restored(drill, now));
    [
        row.name.to_string().into(),
        Cell::styled(whole, style(row.whole.met)),
        verified.into(),
        lock(row, config).into(),
        attacked.unwrap_or_else(|| NEVER.to_owned()).into(),
        restored.unwrap_or_else(|| NEVER.to_owned()).into(),
    ]
}

/// How a lock stands, with the day on which it ends; when it was tried stands beside it.
fn lock(row: &CopyRow, config: &Config) -> String {
    let configured = config.copies.iter().find(|copy| copy.name == row.name);
    let lock = configured.and_then(|copy| copy.lock);
    let how_long = |until: Option<Timestamp>| match (until, lock) {
        (Some(until), _) => format!("to {}, ", until.strftime("%Y-%m-%d")),
        (None, Some(lock)) => format!("{}, ", lock.spoken()),
        (None, None) => String::new(),
    };
    match row.lock {
        LockState::None => "none".to_owned(),
        LockState::Unlocked { files } => format!("not on {}", count(files, "file", "files")),
        LockState::Claimed { until, .. } => format!("{}claimed", how_long(until)),
        LockState::Refuted { verdict, .. } => format!("{}{}", how_long(None), verdict.spoken()),
        LockState::Stale { until, .. } => format!("{}last proven", how_long(until)),
        LockState::Proven { until, .. } => format!("{}proven", how_long(until)),
    }
}

fn restored(drill: Rehearsal, now: Timestamp) -> String {
    let at = ago(now, drill.at);
    match (drill.passed, drill.all_sources) {
        (false, _) => format!("{at}, FAILED"),
        (true, false) => format!("{at}, not all"),
        (true, true) => at,
    }
}

const fn style(met: Standing) -> anstyle::Style {
    match met {
        Standing::Met => GOOD,
        Standing::Unproven => DOUBTFUL,
        Standing::Missed => BAD,
    }
}

/// What would mend what is not met, each step once.
fn mends(card: &Scorecard) -> Vec<(String, &str)> {
    let mut mends: Vec<(String, &str)> = Vec::new();
    let sources = card
        .sources
        .iter()
        .map(|row| (row.name.to_string(), row.mend.as_deref()));
    let lines = card
        .lines
        .iter()
        .map(|line| (line.title.clone(), line.mend.as_deref()));
    let domains = [("who destroys what".to_owned(), card.blast.mend())];
    for (what, mend) in sources.chain(lines).chain(domains) {
        let Some(mend) = mend else { continue };
        match mends.iter_mut().find(|(_, known)| *known == mend) {
            Some((whats, _)) => whats.push_str(&format!(", {what}")),
            None => mends.push((what, mend)),
        }
    }
    mends
}

#[cfg(test)]
mod tests;
