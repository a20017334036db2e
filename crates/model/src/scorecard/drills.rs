//! Which restores were rehearsed, from which copy alone, and which are due.
//!
//! Every copy must restore by itself: so each has drills of its own, and none vouches for another.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ago::{ago, lasting};
use crate::byte_size::ByteSize;
use crate::config::Config;
use crate::evidence::{RestoreDrill, Share};
use crate::name::Name;
use crate::scorecard::facts::Facts;
use crate::scorecard::rows::within;
use crate::scorecard::subject::Subject;

/// The last restores that were rehearsed from a copy alone, as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// When; of several sources the time that is the longest ago.
    pub at: Timestamp,
    /// Whether every source was rehearsed that has a backup.
    pub all_sources: bool,
    /// Whether nothing was found wrong.
    pub passed: bool,
}

impl Rehearsal {
    /// What was rehearsed of a copy; `None` where nothing ever was.
    pub(super) fn of(
        config: &Config,
        subjects: &[Subject<'_>],
        subject: &Subject<'_>,
    ) -> Option<Self> {
        let sources = wanted(config, subjects);
        let of_source = |source: &&Name| subject.facts.evidence.restore(source);
        let drills: Vec<&RestoreDrill> = sources.iter().filter_map(of_source).collect();
        Some(Self {
            at: drills.iter().map(|drill| drill.at).min()?,
            all_sources: drills.len() == sources.len(),
            passed: drills.iter().all(|drill| drill.is_good()),
        })
    }
}

/// What rehearsed restores tell.
pub(super) struct Rehearsed {
    /// What was found wrong, each with what would mend it.
    pub(super) wrong: Vec<(String, String)>,
    /// What is due, each with the next command.
    pub(super) due: Vec<(String, String)>,
    /// The drill that is the longest ago of those that count, in words.
    pub(super) spoken: Option<String>,
}

/// What is due of a copy.
#[derive(Default)]
struct Due<'c> {
    /// The sources that were never rehearsed.
    never: Vec<&'c Name>,
    /// When the one was that is the longest ago of those that do not count any more.
    since: Option<Timestamp>,
}

/// Holds the drills of all copies against the plan.
pub(super) fn rehearsed(
    config: &Config,
    facts: &Facts,
    subjects: &[Subject<'_>],
    now: Timestamp,
) -> Rehearsed {
    let sources = wanted(config, subjects);
    let mut wrong = Vec::new();
    let mut counted: Vec<&RestoreDrill> = Vec::new();
    let mut due: Vec<(&Subject<'_>, Due<'_>)> = Vec::new();
    for subject in subjects {
        let name = subject.name();
        let mut of_copy = Due::default();
        for source in &sources {
            let Some(drill) = subject.facts.evidence.restore(source) else {
                of_copy.never.push(source);
                continue;
            };
            if let Some(fault) = drill.fault() {
                let text = format!("the restore drill of {name} {} {fault}", ago(now, drill.at));
                let again = format!("strongroom drill restore --copy {name}");
                let mend = match drill.matched {
                    true => again,
                    false => format!("strongroom verify, then: strongroom sync, then: {again}"),
                };
                wrong.push((text, mend));
            } else if within(now, drill.at, config.plan.drill_every) {
                counted.push(drill);
            } else {
                let since = of_copy.since.map_or(drill.at, |at| at.min(drill.at));
                of_copy.since = Some(since);
            }
        }
        if !of_copy.never.is_empty() || of_copy.since.is_some() {
            due.push((subject, of_copy));
        }
    }
    if let Some(drill) = facts.restore_drill.as_ref().filter(|drill| !drill.matched)
        && due.iter().any(|(_, due)| !due.never.is_empty())
    {
        // It tells of no copy, so that only a drill of each shows that it was another one.
        let text = format!("the restore drill {} did not match", ago(now, drill.at));
        let mend = "strongroom verify, then: strongroom drill restore";
        wrong.push((text, mend.to_owned()));
    }
    let mend = next_step(&due);
    let texts = told(&due, &sources, due.len() == subjects.len(), now);
    let oldest = counted.into_iter().min_by_key(|drill| drill.at);
    Rehearsed {
        wrong,
        due: texts.into_iter().map(|text| (text, mend.clone())).collect(),
        spoken: oldest.map(|drill| spoken(drill, now)),
    }
}

/// The sources that a copy could give back; all, while none has a snapshot.
fn wanted<'c>(config: &'c Config, subjects: &[Subject<'_>]) -> Vec<&'c Name> {
    let all = || config.sources.iter().map(|source| &source.name);
    let is_saved = |source: &&Name| {
        let mut newest = subjects.iter().map(|subject| subject.newest(source));
        newest.any(|held| held.is_some())
    };
    let saved: Vec<&Name> = all().filter(is_saved).collect();
    match saved.is_empty() {
        true => all().collect(),
        false => saved,
    }
}

/// Says what is due, in one line for each copy that was rehearsed before, and one for the others.
fn told(
    due: &[(&Subject<'_>, Due<'_>)],
    sources: &[&Name],
    is_everywhere: bool,
    now: Timestamp,
) -> Vec<String> {
    let late = due.iter().filter_map(|(subject, due)| {
        let (name, ago) = (subject.name(), ago(now, due.since?));
        Some(format!("last restore drill of {name} {ago}"))
    });
    let mut texts: Vec<String> = late.collect();
    let is_whole = |due: &Due<'_>| due.never.len() == sources.len();
    if is_everywhere && due.iter().all(|(_, due)| is_whole(due)) {
        texts.push("no restore drill yet".to_owned());
        return texts;
    }
    let never = due.iter().filter(|(_, due)| !due.never.is_empty());
    let never: Vec<String> = never
        .map(|(subject, due)| match is_whole(due) {
            true => subject.name().to_string(),
            false => {
                let sources: Vec<&str> = due.never.iter().map(|name| name.as_str()).collect();
                format!("{} ({})", subject.name(), sources.join(", "))
            }
        })
        .collect();
    if !never.is_empty() {
        texts.push(format!("no restore drill of {} yet", never.join(", ")));
    }
    texts
}

/// What to type where drills of these copies are due.
fn next_step(due: &[(&Subject<'_>, Due<'_>)]) -> String {
    let [(only, _)] = due else {
        return "strongroom drill restore".to_owned();
    };
    let name = only.name();
    let drill = format!("strongroom drill restore --copy {name}");
    match only.facts.unreachable.is_some() {
        true => format!("make {name} reachable, then: {drill}"),
        false => drill,
    }
}

fn spoken(drill: &RestoreDrill, now: Timestamp) -> String {
    let seconds = i64::try_from(drill.seconds).unwrap_or(i64::MAX);
    let part = match drill.share {
        Share::All => String::new(),
        Share::Slice { number, of } => format!(", part {number} of {of}"),
        Share::Percent(percent) => format!(", {percent} % of it"),
    };
    format!(
        "restore drill {}: {} in {}{part}",
        ago(now, drill.at),
        ByteSize::from_bytes(drill.bytes).spoken(),
        lasting(SignedDuration::from_secs(seconds)),
    )
}
