//! The four lines that count copies, and the order of all five.

use jiff::Timestamp;

use crate::ago::ago;
use crate::config::Config;
use crate::plan::Plan;
use crate::scorecard::facts::Facts;
use crate::scorecard::rows::{LockState, files, lock_state};
use crate::scorecard::standing::{Finding, Standing};
use crate::scorecard::subject::{Subject, Tally, likely_media, media};
use crate::scorecard::{Line, LineKind, errors};

/// Judges all five lines, in their order.
pub(super) fn five(
    config: &Config,
    facts: &Facts,
    subjects: &[Subject<'_>],
    now: Timestamp,
) -> Vec<Line> {
    let plan = &config.plan;
    let tally = Tally::of(subjects, |subject| subject.whole.met);
    // What the configuration could come to, were every copy whole.
    let best = Tally::of(subjects, |_| Standing::Unproven);
    vec![
        copies(plan, subjects, &tally, &best, now),
        media_line(plan, subjects, &tally, &best),
        offsite(config, subjects, &tally, &best),
        immutable(plan, subjects, &tally, &best, now),
        errors::line(config, facts, subjects, now),
    ]
}

fn copies(
    plan: &Plan,
    subjects: &[Subject<'_>],
    tally: &Tally<'_, '_>,
    best: &Tally<'_, '_>,
    now: Timestamp,
) -> Line {
    let met = tally.copies(plan);
    let count = tally.shown.len();
    let reason = match met {
        Standing::Met => format!("{count} whole and independent: {}", names(&tally.shown)),
        _ => {
            let mut parts = vec![match count {
                0 => format!("none of {} is whole and independent", plan.copies),
                _ => format!(
                    "{count} of {} whole and independent: {}",
                    plan.copies,
                    names(&tally.shown),
                ),
            }];
            parts.extend(uncounted(subjects, tally, now));
            if let Some(more) = missing(subjects.len(), plan.copies) {
                parts.push(more);
            }
            parts.join("; ")
        }
    };
    let too_few = Standing::of_counts(0, best.possible.len(), plan.copies) == Standing::Missed;
    let structure = too_few
        .then(|| "add a [[copy]] on a device or server of its own to strongroom.toml".to_owned());
    Line {
        line: LineKind::Copies,
        title: titled(plan.copies, "copy", "copies"),
        mend: mend(met, structure, subjects),
        finding: Finding::new(met, reason),
    }
}

fn media_line(
    plan: &Plan,
    subjects: &[Subject<'_>],
    tally: &Tally<'_, '_>,
    best: &Tally<'_, '_>,
) -> Line {
    let met = tally.media(plan);
    let shown: Vec<String> = likely_media(&tally.shown)
        .iter()
        .map(ToString::to_string)
        .collect();
    let doubtful = with(&tally.shown, |subject| !subject.is_medium_likely());
    let mut reason = match (met, shown.as_slice()) {
        (Standing::Met, _) => shown.join(", "),
        (_, []) if doubtful.is_empty() => "no copy is whole".to_owned(),
        (_, []) => "no medium is shown".to_owned(),
        (_, [only]) => format!("all whole and independent copies are on {only}"),
        _ => format!("only {}", shown.join(", ")),
    };
    if met != Standing::Met {
        for subject in &doubtful {
            let (name, medium) = (subject.name(), subject.copy.medium);
            reason.push_str(&format!("; {name} is a folder, which is hardly {medium}"));
        }
    }
    let possible = media(&best.possible);
    let too_few = Standing::of_counts(0, possible.len(), plan.media) == Standing::Missed;
    let mut structure = too_few.then(|| {
        let have: Vec<String> = possible
            .iter()
            .map(|medium| format!("\"{medium}\""))
            .collect();
        format!(
            "add a [[copy]] with another medium than {} to strongroom.toml",
            have.join(", "),
        )
    });
    if let (None, Some(subject)) = (&structure, doubtful.first()) {
        structure = Some(format!(
            "write the medium that {} is on (\"disk\" or \"removable\"), or add a [[copy]] on \
             another",
            subject.name()
        ));
    }
    Line {
        line: LineKind::Media,
        title: titled(plan.media, "medium", "media"),
        mend: mend(met, structure, subjects),
        finding: Finding::new(met, reason),
    }
}

fn offsite(
    config: &Config,
    subjects: &[Subject<'_>],
    tally: &Tally<'_, '_>,
    best: &Tally<'_, '_>,
) -> Line {
    let plan = &config.plan;
    let met = tally.offsite(plan);
    let counted = with(&tally.shown, |subject| subject.offsite.met == Standing::Met);
    let reason = match met {
        Standing::Met => names(&counted),
        _ => {
            let others = subjects.iter().filter(|subject| !holds(&counted, subject));
            let reasons = others.map(|subject| {
                let finding = match subject.offsite.met {
                    Standing::Met => &subject.whole,
                    _ => &subject.offsite,
                };
                let reason = match finding.met {
                    Standing::Met => "is not shown to be independent",
                    _ => &finding.reason,
                };
                format!("{} {reason}", subject.name())
            });
            reasons.collect::<Vec<_>>().join("; ")
        }
    };
    let unplaced = config.site.is_none() || config.domain.is_none();
    let too_few = best.offsite(plan) == Standing::Missed;
    let structure = if too_few {
        Some(
            "add a [[copy]] on a server at another site and under another domain to \
             strongroom.toml"
                .to_owned(),
        )
    } else if unplaced {
        Some(
            "write site = \"…\" and domain = \"…\" of the sources at the top of strongroom.toml"
                .to_owned(),
        )
    } else {
        None
    };
    Line {
        line: LineKind::Offsite,
        title: titled(plan.offsite, "offsite", "offsite"),
        mend: mend(met, structure, subjects),
        finding: Finding::new(met, reason),
    }
}

fn immutable(
    plan: &Plan,
    subjects: &[Subject<'_>],
    tally: &Tally<'_, '_>,
    best: &Tally<'_, '_>,
    now: Timestamp,
) -> Line {
    let lock = |subject: &Subject<'_>| lock_state(subject, plan, now);
    let standing = |subject: &Subject<'_>| lock(subject).standing();
    let met = tally.with(plan.immutable, standing);
    let counted = with(&tally.shown, |subject| standing(subject) == Standing::Met);
    let reason = match met {
        Standing::Met => {
            let late = subjects.iter().filter_map(|subject| match lock(subject) {
                LockState::Stale { at, .. } => {
                    let (name, ago) = (subject.name(), ago(now, at));
                    let next = format!("strongroom drill attack --copy {name}");
                    Some(format!("; {name} was last tried {ago}: {next}"))
                }
                _ => None,
            });
            let late: String = late.collect();
            format!(
                "{} withstood production's credentials{late}",
                names(&counted)
            )
        }
        _ => {
            let reasons = subjects.iter().filter_map(|subject| {
                let name = subject.name();
                match lock(subject) {
                    LockState::None => None,
                    LockState::Unlocked { files: count } => Some(format!(
                        "{name} has no lock that is known on {} that its snapshots need",
                        files(count)
                    )),
                    LockState::Claimed { lock, .. } => Some(format!(
                        "{name} claims a lock of {}, never tried",
                        lock.spoken()
                    )),
                    LockState::Refuted { at, verdict } => Some(format!(
                        "{name} was tried {}: {}",
                        ago(now, at),
                        verdict.spoken()
                    )),
                    LockState::Stale { at, .. } => {
                        Some(format!("{name} was last tried {}", ago(now, at)))
                    }
                    LockState::Proven { .. } if holds(&counted, subject) => {
                        Some(format!("{name} withstood production's credentials"))
                    }
                    LockState::Proven { .. } if subject.whole.met == Standing::Met => {
                        Some(format!("{name} is not shown to be independent"))
                    }
                    LockState::Proven { .. } => Some(format!("{name} {}", subject.whole.reason)),
                }
            });
            let reasons: Vec<String> = reasons.collect();
            match reasons.is_empty() {
                true => "no copy withstands production's credentials".to_owned(),
                false => reasons.join("; "),
            }
        }
    };
    let is_unlocked = |subject: &Subject<'_>| matches!(lock(subject), LockState::Unlocked { .. });
    let structure = match best.with(plan.immutable, standing) {
        _ if subjects.iter().any(is_unlocked) => Some("strongroom lock extend".to_owned()),
        Standing::Missed => Some(
            "keep a copy where production's credentials cannot delete, and write its lock = \
             \"30d\" in strongroom.toml"
                .to_owned(),
        ),
        _ if subjects
            .iter()
            .any(|subject| standing(subject) == Standing::Met) =>
        {
            None
        }
        _ => Some("strongroom drill attack".to_owned()),
    };
    Line {
        line: LineKind::Immutable,
        title: titled(plan.immutable, "immutable", "immutable"),
        mend: mend(met, structure, subjects),
        finding: Finding::new(met, reason),
    }
}

/// Says why each copy that does not count does not.
fn uncounted(subjects: &[Subject<'_>], tally: &Tally<'_, '_>, now: Timestamp) -> Vec<String> {
    let others = subjects
        .iter()
        .filter(|subject| !holds(&tally.shown, subject));
    others
        .map(|subject| {
            let name = subject.name();
            if subject.is_in_memory() {
                return format!("{name} is in memory and gone with the power");
            }
            if subject.whole.met != Standing::Met {
                return format!("{name} {}", subject.whole.reason);
            }
            let twin = tally
                .shown
                .iter()
                .find_map(|other| match subject.apart(other) {
                    Some(true) => None,
                    known => Some((other, known)),
                });
            if let Some((twin, _)) = twin
                && let Some(at) = subject.one_place(twin)
            {
                let (twin, ago) = (twin.name(), ago(now, at));
                return format!("{name} is {twin} under another address (seen {ago})");
            }
            match twin.map(|(twin, known)| (twin.name(), known)) {
                Some((twin, Some(_))) => format!("{name} is on the device of {twin}"),
                Some((twin, None)) => format!("{name} may be on the device of {twin}"),
                None => format!("{name} is not shown to be independent"),
            }
        })
        .collect()
}

/// The step that would mend a line about copies: first what no command can, then a command.
fn mend(met: Standing, structure: Option<String>, subjects: &[Subject<'_>]) -> Option<String> {
    if met == Standing::Met {
        return None;
    }
    if structure.is_some() {
        return structure;
    }
    let held = subjects
        .iter()
        .any(|subject| !subject.facts.snapshots.is_empty());
    let reached = |subject: &&Subject<'_>| subject.facts.unreachable.is_none();
    if !held && subjects.iter().any(|subject| reached(&subject)) {
        return Some("strongroom backup".to_owned());
    }
    let missed = |subject: &Subject<'_>| subject.whole.met == Standing::Missed;
    if subjects.iter().any(missed) {
        return Some("strongroom sync".to_owned());
    }
    let away = subjects.iter().find(|subject| !reached(subject));
    Some(match away {
        Some(subject) => format!("make {} reachable, then: strongroom sync", subject.name()),
        // All are whole, and yet too few are known to be independent.
        None => "give each copy a device or server of its own in strongroom.toml".to_owned(),
    })
}

fn missing(configured: usize, wanted: u32) -> Option<String> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    match wanted.saturating_sub(configured) {
        0 => None,
        1 => Some("one more is not configured".to_owned()),
        count => Some(format!("{count} more are not configured")),
    }
}

fn with<'s, 'a>(
    subjects: &[&'s Subject<'a>],
    demand: impl Fn(&Subject<'a>) -> bool,
) -> Vec<&'s Subject<'a>> {
    subjects
        .iter()
        .copied()
        .filter(|subject| demand(subject))
        .collect()
}

fn holds(counted: &[&Subject<'_>], subject: &Subject<'_>) -> bool {
    counted.iter().any(|other| other.name() == subject.name())
}

fn names(subjects: &[&Subject<'_>]) -> String {
    let names: Vec<&str> = subjects
        .iter()
        .map(|subject| subject.name().as_str())
        .collect();
    names.join(", ")
}

fn titled(count: u32, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}
