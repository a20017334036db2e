//! The line "0 errors": damage, unread files, and what was not verified or rehearsed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::ago::ago;
use crate::byte_size::ByteSize;
use crate::config::Config;
use crate::evidence::{Damage, VaultWord, Verifier};
use crate::scorecard::facts::Facts;
use crate::scorecard::rows::within;
use crate::scorecard::standing::{Finding, Standing};
use crate::scorecard::subject::Subject;
use crate::scorecard::{Line, LineKind, drills};

/// How many damaged files a reason names.
const NAMED: usize = 3;

/// What mends what only decoding finds: every copy has the same bytes.
const WRITTEN_SO: &str = "nothing heals it, for it was written so; strongroom backup stores again \
                          what the sources still have";

/// What mends what no copy has whole.
const WHOLE_NOWHERE: &str = "no copy has that whole: strongroom backup stores again what the \
                             sources still have, and strongroom sync says what else there is to do";

/// Collects what is wrong before what is unproven; the first of either decides the mend.
pub(super) fn line(
    config: &Config,
    facts: &Facts,
    subjects: &[Subject<'_>],
    now: Timestamp,
) -> Line {
    let plan = &config.plan;
    let mut wrong: Vec<(String, String)> = Vec::new();
    let mut open: Vec<(String, String)> = Vec::new();
    for replaced in &facts.replaced {
        wrong.push((replaced.reason.clone(), replaced.mend.clone()));
    }
    if let Some(lost) = &facts.lost {
        let found = (lost.reason.clone(), lost.mend.clone());
        match lost.is_certain {
            true => wrong.push(found),
            false => open.push(found),
        }
    }
    for subject in subjects {
        let name = subject.name();
        let damage = subject.facts.evidence.damage();
        if !damage.is_empty() {
            let files: Vec<&str> = damage.keys().take(NAMED).map(String::as_str).collect();
            let more = match damage.len().saturating_sub(NAMED) {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let text = format!("damaged on {name}: {}{more}", files.join(", "));
            let mut healable = damage.iter().filter(|(_, damage)| !damage.is_as_written());
            let is_everywhere = |file: &str| {
                let mut all = subjects.iter().map(|other| other.facts.evidence.damage());
                all.all(|damage| damage.contains_key(file))
            };
            let mend = if damage.values().all(Damage::is_as_written) {
                WRITTEN_SO
            } else if healable.all(|(file, _)| is_everywhere(file)) {
                WHOLE_NOWHERE
            } else {
                "strongroom sync"
            };
            wrong.push((text, mend.to_owned()));
        }
        if let Some(gone) = subject.facts.gone {
            let (cause, mend) = match gone.is_pruned {
                true => (
                    ", as if it was pruned by itself",
                    "strongroom sync --heal, unless that was meant",
                ),
                false => ("", "strongroom sync"),
            };
            let text = match gone.files {
                1 => format!("{name} has lost an index file or snapshot that others have{cause}"),
                files => format!(
                    "{name} has lost {files} index files and snapshots that others have{cause}"
                ),
            };
            wrong.push((text, mend.to_owned()));
        }
        if let Some(alarm) = &subject.facts.alarm {
            wrong.push((
                format!("alarm about the vault of {name}: {alarm}"),
                format!(
                    "find out what happened to the vault; only then: strongroom vault accept-log \
                     {name}"
                ),
            ));
        }
        let word = subject.facts.evidence.by_vault.as_ref();
        let rotten = word.map_or(0, VaultWord::rotten);
        if rotten > 0 {
            let files = match rotten {
                1 => "a rotten file".to_owned(),
                _ => format!("{rotten} rotten files"),
            };
            let mend = "strongroom verify, then: strongroom sync".to_owned();
            wrong.push((format!("the vault of {name} has found {files}"), mend));
        }
        let full = subject.facts.evidence.every_byte_read();
        let read = full.map(|(read, _)| read);
        let young = read.is_some_and(|read| within(now, read, plan.verify_every));
        // What came since is younger than that, whatever it is.
        let is_told = subject.facts.unread.is_some()
            || subject.facts.unreachable.is_some()
            || is_read_by_vault(subject);
        if young && is_told {
            continue;
        }
        let text = match read {
            Some(_) if young => format!("it is not known what came to {name} since it was read"),
            Some(read) => format!("{name} was last read in full {}", ago(now, read)),
            None => format!("{name} was never read in full"),
        };
        let mend = match &subject.facts.unreachable {
            Some(_) => format!("make {name} reachable, then: strongroom verify"),
            None if subject.facts.snapshots.is_empty() => {
                "strongroom backup, then: strongroom verify".to_owned()
            }
            None => "strongroom verify".to_owned(),
        };
        open.push((text, mend));
    }
    for source in &config.sources {
        let newest = subjects
            .iter()
            .filter_map(|subject| subject.newest(&source.name))
            .max_by_key(|held| (held.time, held.id));
        if let Some(held) = newest
            && held.source_errors > 0
        {
            let (name, count) = (&source.name, held.source_errors);
            let files = match count {
                1 => "1 file".to_owned(),
                _ => format!("{count} files"),
            };
            wrong.push((
                format!("the last backup of {name} could not read {files}"),
                format!("mend what it named, then: strongroom backup {name}"),
            ));
        }
    }
    let rehearsed = drills::rehearsed(config, facts, subjects, now);
    wrong.extend(rehearsed.wrong);
    open.extend(rehearsed.due);
    let met = match (wrong.is_empty(), open.is_empty()) {
        (false, _) => Standing::Missed,
        (true, false) => Standing::Unproven,
        (true, true) => Standing::Met,
    };
    let found: Vec<(String, String)> = wrong.into_iter().chain(open).collect();
    let reasons: Vec<&str> = found.iter().map(|(reason, _)| reason.as_str()).collect();
    let reason = match (rehearsed.spoken, met) {
        (Some(drill), Standing::Met) => format!(
            "every byte read within {}{}{}; {drill}",
            plan.verify_every.spoken(),
            but_for(subjects),
            by_vaults(subjects),
        ),
        _ => reasons.join("; "),
    };
    Line {
        line: LineKind::Errors,
        title: "0 errors".to_owned(),
        mend: found.first().map(|(_, mend)| mend.clone()),
        finding: Finding::new(met, reason),
    }
}

/// Whether the vault that holds it was the last to read every byte of a copy.
fn is_read_by_vault(subject: &Subject<'_>) -> bool {
    let full = subject.facts.evidence.every_byte_read();
    full.is_some_and(|(_, by)| by == Verifier::Vault)
}

/// Which copies were read by their vaults, which do not tell what came since.
fn by_vaults(subjects: &[Subject<'_>]) -> String {
    let read = subjects.iter().filter(|subject| is_read_by_vault(subject));
    let names: Vec<&str> = read.map(|subject| subject.name().as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            " (on {} by the vault itself, and but for what came there since)",
            names.join(", ")
        ),
    }
}

/// What came to the copies after they were read.
fn but_for(subjects: &[Subject<'_>]) -> String {
    let unread: BTreeSet<(u64, u64)> = subjects
        .iter()
        .filter(|subject| !is_read_by_vault(subject))
        .filter_map(|subject| subject.facts.unread)
        .map(|unread| (unread.files, unread.bytes))
        .collect();
    let up_to = if unread.len() > 1 { "up to " } else { "" };
    match unread.last() {
        None | Some((0, _)) => String::new(),
        Some((files, bytes)) => {
            let files = match files {
                1 => "1 file".to_owned(),
                _ => format!("{files} files"),
            };
            let bytes = ByteSize::from_bytes(*bytes).spoken();
            format!(" but for {up_to}{files} ({bytes}) a copy that came since")
        }
    }
}
