//! The rows of the scorecard: one for each source and one for each copy.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ago::ago;
use crate::attack::{AttackDrill, Verdict};
use crate::config::{Config, Medium, Source};
use crate::evidence::{Listing, SeenSnapshot, Verifier};
use crate::name::Name;
use crate::period::Period;
use crate::plan::Plan;
use crate::scorecard::drills::Rehearsal;
use crate::scorecard::facts::Unread;
use crate::scorecard::standing::{Finding, Standing};
use crate::scorecard::subject::{Subject, Tally};

/// How far ahead of this clock another one may be before its times prove nothing.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// A source: how old is what could be restored of it.
#[derive(Clone, Debug, Serialize)]
pub struct SourceRow {
    /// Its name.
    pub name: Name,
    /// The newest snapshot on any copy.
    pub last_backup: Option<Timestamp>,
    /// The time of the newest state that as many copies, media and sites hold as the plan demands.
    pub last_good: Option<Timestamp>,
    /// How old that may be.
    pub max_age: Period,
    /// Whether the last good backup is young enough.
    #[serde(flatten)]
    pub finding: Finding,
    /// The command that would mend it; `None` where it is met.
    pub mend: Option<String>,
}

/// A copy: where it is and what was shown of it.
#[derive(Clone, Debug, Serialize)]
pub struct CopyRow {
    /// Its name.
    pub name: Name,
    /// Its kind of storage, as configured.
    pub medium: Medium,
    /// Its place, as configured.
    pub site: Name,
    /// Whose credentials rule it: as configured, or production's where it runs in its account.
    pub domain: Name,
    /// Why the domain is another than the configured one.
    pub domain_reason: Option<String>,
    /// Its address, without secrets.
    pub store: String,
    /// Why it cannot be reached; `None` where it can.
    pub unreachable: Option<String>,
    /// Whether it holds the newest snapshot of every source, undamaged.
    pub whole: Finding,
    /// Whether it is elsewhere and under other credentials.
    pub offsite: Finding,
    /// The newest snapshot that it holds, of any source.
    pub newest: Option<SeenSnapshot>,
    /// When it was last verified, be it in part.
    pub last_verify: Option<Timestamp>,
    /// Who did that.
    pub verified_by: Option<Verifier>,
    /// The time since which every byte was read.
    pub every_byte_read_since: Option<Timestamp>,
    /// What came since and was not read; `None` where that is not known.
    pub unread: Option<Unread>,
    /// What it held when it was last listed.
    pub listing: Option<Listing>,
    /// Whether it withstands production's credentials.
    pub lock: LockState,
    /// That less is left of its locks than must always be, and what mends it.
    pub lock_alarm: Option<String>,
    /// The last attack that was rehearsed on it.
    pub attack: Option<AttackDrill>,
    /// The last restores that were rehearsed from it alone.
    pub restore_drill: Option<Rehearsal>,
    /// What raised an alarm about the log of its vault, and was not accepted by anybody yet.
    pub alarm: Option<String>,
}

/// Whether a copy withstands the credentials of production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LockState {
    /// Nothing says so.
    None,
    /// It is said so, and files that its snapshots need are not known to be locked.
    Unlocked {
        /// How many.
        files: u64,
    },
    /// The configuration says so, or the place itself.
    Claimed {
        /// For how long what is stored is kept.
        lock: Period,
        /// When the first lock ends, as the place has shown it.
        until: Option<Timestamp>,
        /// Since when it has shown all of it locked.
        since: Option<Timestamp>,
    },
    /// It was tried of late, and did not withstand it, or not so that a lock was shown.
    Refuted {
        /// When.
        at: Timestamp,
        /// What was shown.
        verdict: Verdict,
    },
    /// It was tried, and long ago.
    Stale {
        /// When.
        at: Timestamp,
        /// When the first lock ends, as the place has shown it.
        until: Option<Timestamp>,
    },
    /// It was tried of late.
    Proven {
        /// When.
        at: Timestamp,
        /// When the first lock ends, as the place has shown it.
        until: Option<Timestamp>,
    },
}

impl LockState {
    /// What it counts for.
    pub const fn standing(self) -> Standing {
        match self {
            Self::None | Self::Refuted { .. } => Standing::Missed,
            Self::Unlocked { .. } | Self::Claimed { .. } | Self::Stale { .. } => Standing::Unproven,
            Self::Proven { .. } => Standing::Met,
        }
    }
}

/// Whether a moment lies within a period before now, and not ahead of the clock.
pub(super) fn within(now: Timestamp, then: Timestamp, period: Period) -> bool {
    let passed = now.duration_since(then);
    passed <= period.duration() && !ahead(now, then)
}

/// Tells how a copy's lock stands. A proof is one of a lock, and holds for files that have it.
pub(super) fn lock_state(subject: &Subject<'_>, plan: &Plan, now: Timestamp) -> LockState {
    let tried = subject.facts.evidence.attack.as_ref();
    if let Some(drill) = tried.filter(|drill| within(now, drill.at, plan.drill_every))
        && !drill.verdict.is_proven()
    {
        let (at, verdict) = (drill.at, drill.verdict);
        return LockState::Refuted { at, verdict };
    }
    let locked = subject.facts.locked;
    let unlocked = locked.map_or(0, |locked| locked.unlocked);
    if unlocked > 0 {
        return LockState::Unlocked { files: unlocked };
    }
    let until = locked.map(|locked| locked.until);
    let since = locked.and_then(|locked| locked.since);
    let credential = subject.copy.credential();
    let is_of_another = tried.is_some_and(|drill| drill.is_of_another(credential));
    match (subject.facts.lock_proven, subject.copy.lock) {
        (Some(at), _) if !is_of_another && within(now, at, plan.drill_every) => {
            LockState::Proven { at, until }
        }
        (Some(at), _) => LockState::Stale { at, until },
        (None, Some(lock)) => LockState::Claimed { lock, until, since },
        (None, None) => LockState::None,
    }
}

/// Says that less is left of the locks of a copy than must always be, and what mends it.
pub(super) fn lock_alarm(subject: &Subject<'_>) -> Option<String> {
    let short = subject.facts.locked?.short;
    let lock = subject.copy.lock?.spoken();
    let files = files(short);
    (short > 0).then(|| format!("less than {lock} is left of {files}: strongroom lock extend"))
}

/// "1 file", "3 files".
pub(super) fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        _ => format!("{count} files"),
    }
}

pub(super) fn copy_row(
    subject: &Subject<'_>,
    subjects: &[Subject<'_>],
    config: &Config,
    now: Timestamp,
) -> CopyRow {
    let copy = subject.copy;
    let evidence = &subject.facts.evidence;
    let newest = subject.facts.snapshots.iter().max_by_key(|held| held.time);
    let last_read = evidence.last_read();
    let (domain, domain_reason) = subject.domain(config);
    CopyRow {
        name: copy.name.clone(),
        medium: copy.medium,
        site: copy.site.clone(),
        domain,
        domain_reason,
        store: copy.store.to_string(),
        unreachable: subject.facts.unreachable.clone(),
        whole: subject.whole.clone(),
        offsite: subject.offsite.clone(),
        newest: newest.map(|held| SeenSnapshot {
            id: held.id,
            time: held.time,
        }),
        last_verify: last_read.map(|(at, _)| at),
        verified_by: last_read.map(|(_, by)| by),
        every_byte_read_since: evidence.every_byte_read_since(),
        unread: subject.facts.unread,
        listing: evidence.listing,
        lock: lock_state(subject, &config.plan, now),
        lock_alarm: lock_alarm(subject),
        attack: evidence.attack.clone().map(|drill| AttackDrill {
            // Who reads the scorecard could try passwords on it.
            credential: None,
            ..drill
        }),
        restore_drill: Rehearsal::of(config, subjects, subject),
        alarm: subject.facts.alarm.clone(),
    }
}

/// Judges a source: a moment is well backed up where enough copies hold a state at least as new.
pub(super) fn source_row(
    source: &Source,
    config: &Config,
    subjects: &[Subject<'_>],
    now: Timestamp,
) -> SourceRow {
    let name = &source.name;
    let plan = &config.plan;
    let held = subjects.iter().flat_map(|subject| {
        let held = subject.facts.snapshots.iter();
        let last = subject.facts.evidence.last_whole.get(name);
        held.filter(|held| held.source == *name)
            .map(|held| held.time)
            .chain(last.map(|last| last.time))
    });
    let mut times: Vec<Timestamp> = held.collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.dedup();
    let newest = times.first().copied();
    times.retain(|time| !ahead(now, *time));
    let standing = |time: Timestamp| {
        let tally = Tally::of(subjects, |subject| subject.holds_since(name, time));
        tally
            .copies(plan)
            .and(tally.media(plan))
            .and(tally.offsite(plan))
    };
    let since = |least: Standing| times.iter().copied().find(|time| standing(*time) >= least);
    let last_good = since(Standing::Met);
    let possible = since(Standing::Unproven);
    let young = |time: Option<Timestamp>| time.is_some_and(|time| within(now, time, plan.max_age));
    let age = format!("at most {}", plan.max_age.spoken());
    let (finding, mend) = if let Some(good) = last_good.filter(|good| young(Some(*good))) {
        (
            Finding::met(format!("last good {} ({age})", ago(now, good))),
            None,
        )
    } else {
        let said = match (last_good, times.first(), newest) {
            (Some(good), ..) => format!("last good {} ({age})", ago(now, good)),
            (None, Some(last), _) => {
                format!("never good ({age}); last backup {}", ago(now, *last))
            }
            (None, None, Some(future)) => {
                format!("no backup but one that claims to be {}", ago(now, future))
            }
            (None, None, None) => format!("never backed up ({age})"),
        };
        let met = match young(possible) {
            true => Standing::Unproven,
            false => Standing::Missed,
        };
        let mend = if young(times.first().copied()) {
            format!(
                "what the lines below say: good means {} copies, {} media, {} offsite",
                plan.copies, plan.media, plan.offsite,
            )
        } else {
            format!("strongroom backup {name}")
        };
        (Finding::new(met, said), Some(mend))
    };
    SourceRow {
        name: name.clone(),
        last_backup: newest,
        last_good,
        max_age: plan.max_age,
        finding,
        mend,
    }
}

fn ahead(now: Timestamp, then: Timestamp) -> bool {
    then.duration_since(now) > CLOCK_TOLERANCE
}
