//! One copy as the rules see it, and which copies are independent of each other.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::config::{BackupCopy, Config, Medium};
use crate::name::Name;
use crate::plan::Plan;
use crate::scorecard::facts::{CopyFacts, Facts, HeldSnapshot, Location, Wholeness};
use crate::scorecard::standing::{Finding, Standing};

/// A copy with its facts and with what follows from them alone.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub(super) copy: &'a BackupCopy,
    pub(super) facts: CopyFacts,
    /// Whether it holds the newest snapshot of every source, undamaged.
    pub(super) whole: Finding,
    /// Whether it is elsewhere and under other credentials.
    pub(super) offsite: Finding,
    /// Whether there are facts of it at all.
    pub(super) seen: bool,
}

/// Copies that count together: those that were shown to, and those that could at best.
pub(super) struct Tally<'s, 'a> {
    pub(super) shown: Vec<&'s Subject<'a>>,
    pub(super) possible: Vec<&'s Subject<'a>>,
}

impl<'a> Subject<'a> {
    /// All copies of the configuration, in its order.
    pub(super) fn all(config: &'a Config, facts: &Facts) -> Vec<Self> {
        config
            .copies
            .iter()
            .map(|copy| {
                let found = facts.copies.get(&copy.name).cloned();
                let seen = found.is_some();
                let found = found.unwrap_or_else(|| CopyFacts::of(copy));
                let whole = whole(&found, seen, config, facts);
                let offsite = offsite(copy, &found, config, facts);
                Self {
                    copy,
                    facts: found,
                    whole,
                    offsite,
                    seen,
                }
            })
            .collect()
    }

    pub(super) fn name(&self) -> &Name {
        &self.copy.name
    }

    /// The newest snapshot of a source that it holds.
    pub(super) fn newest(&self, source: &Name) -> Option<&HeldSnapshot> {
        newest(&self.facts, source)
    }

    /// Whether a state of the source at least as new as `time` can be had from this copy.
    pub(super) fn holds_since(&self, source: &Name, time: Timestamp) -> Standing {
        if !self.facts.evidence.damage().is_empty() {
            return Standing::Missed;
        }
        if !self.seen || self.facts.unreachable.is_some() {
            let last = self.facts.evidence.last_whole.get(source);
            return if last.is_some_and(|last| last.time >= time) {
                Standing::Unproven
            } else {
                Standing::Missed
            };
        }
        let held = self.facts.snapshots.iter();
        held.filter(|held| held.source == *source && held.time >= time)
            .map(|held| match held.wholeness {
                Wholeness::Whole => Standing::Met,
                Wholeness::Behind { .. } => Standing::Missed,
                Wholeness::Unknown { .. } => Standing::Unproven,
            })
            .max()
            .unwrap_or(Standing::Missed)
    }

    /// Whether two copies are independent of each other; `None` where that cannot be told.
    pub(super) fn apart(&self, other: &Self) -> Option<bool> {
        match self.one_place(other) {
            Some(_) => Some(false),
            None => self.facts.location.apart(&other.facts.location),
        }
    }

    /// When two copies were shown to be one place under two addresses.
    pub(super) fn one_place(&self, other: &Self) -> Option<Timestamp> {
        let own = self.facts.one_place.get(other.name());
        own.max(other.facts.one_place.get(self.name())).copied()
    }

    /// How much is known of its place; the best known come first.
    fn rank(&self) -> u8 {
        match self.facts.location {
            Location::Folder { device: Some(_) } => 0,
            Location::Server {
                here: Some(false), ..
            } => 1,
            Location::Folder { device: None } | Location::Server { here: None, .. } => 2,
            Location::Server {
                here: Some(true), ..
            } => 3,
        }
    }
}

impl<'s, 'a> Tally<'s, 'a> {
    /// Counts the copies that meet a demand, one for each device.
    pub(super) fn of(
        subjects: &'s [Subject<'a>],
        demand: impl Fn(&Subject<'a>) -> Standing,
    ) -> Self {
        let met = |subject: &&Subject<'a>| demand(subject) == Standing::Met;
        let open = |subject: &&Subject<'a>| demand(subject) != Standing::Missed;
        Self {
            shown: independent(subjects.iter().filter(met), |apart| apart == Some(true)),
            possible: independent(subjects.iter().filter(open), |apart| apart != Some(false)),
        }
    }

    /// Whether so many copies count.
    pub(super) fn copies(&self, plan: &Plan) -> Standing {
        Standing::of_counts(self.shown.len(), self.possible.len(), plan.copies)
    }

    /// Whether they lie on so many media.
    pub(super) fn media(&self, plan: &Plan) -> Standing {
        let count = |subjects: &[&Subject<'_>]| media(subjects).len();
        Standing::of_counts(count(&self.shown), count(&self.possible), plan.media)
    }

    /// Whether so many of them are offsite.
    pub(super) fn offsite(&self, plan: &Plan) -> Standing {
        self.with(plan.offsite, |subject| subject.offsite.met)
    }

    /// Whether so many of them meet a further demand.
    pub(super) fn with(&self, wanted: u32, demand: impl Fn(&Subject<'a>) -> Standing) -> Standing {
        let met = |subject: &&&Subject<'a>| demand(subject) == Standing::Met;
        let open = |subject: &&&Subject<'a>| demand(subject) != Standing::Missed;
        let shown = self.shown.iter().filter(met).count();
        let possible = self.possible.iter().filter(open).count();
        Standing::of_counts(shown, possible, wanted)
    }
}

/// The media of some copies.
pub(super) fn media(subjects: &[&Subject<'_>]) -> BTreeSet<Medium> {
    subjects.iter().map(|subject| subject.copy.medium).collect()
}

fn newest<'f>(facts: &'f CopyFacts, source: &Name) -> Option<&'f HeldSnapshot> {
    let held = facts.snapshots.iter().filter(|held| held.source == *source);
    held.max_by_key(|held| (held.time, held.id))
}

/// Picks copies of which each is apart from all others, in the order of the configuration.
fn independent<'s, 'a: 's>(
    subjects: impl Iterator<Item = &'s Subject<'a>>,
    accepts: impl Fn(Option<bool>) -> bool,
) -> Vec<&'s Subject<'a>> {
    let mut sorted: Vec<(usize, &Subject<'a>)> = subjects.enumerate().collect();
    sorted.sort_by_key(|(_, subject)| subject.rank());
    let mut chosen: Vec<(usize, &Subject<'a>)> = Vec::new();
    for (place, subject) in sorted {
        let free = |(_, other): &(usize, &Subject<'a>)| accepts(subject.apart(other));
        if chosen.iter().all(free) {
            chosen.push((place, subject));
        }
    }
    chosen.sort_by_key(|(place, _)| *place);
    chosen.into_iter().map(|(_, subject)| subject).collect()
}

fn whole(found: &CopyFacts, seen: bool, config: &Config, facts: &Facts) -> Finding {
    if !seen {
        return Finding::unproven("was not looked at");
    }
    if let Some(reason) = &found.unreachable {
        return Finding::unproven(format!("cannot be reached: {reason}"));
    }
    match found.evidence.damage().len() {
        0 => {}
        1 => return Finding::missed("holds a damaged file"),
        count => return Finding::missed(format!("holds {count} damaged files")),
    }
    let mut any = false;
    let mut worst = Finding::met("is whole");
    for source in &config.sources {
        let everywhere = facts.copies.values();
        let Some(last) = everywhere
            .filter_map(|copy| newest(copy, &source.name))
            .max_by_key(|held| (held.time, held.id))
        else {
            continue;
        };
        any = true;
        let held = found.snapshots.iter().find(|held| held.id == last.id);
        let finding = match held.map(|held| &held.wholeness) {
            Some(Wholeness::Whole) => continue,
            None => Finding::missed(format!("lacks the newest snapshot of {}", source.name)),
            Some(Wholeness::Behind { files: 1 }) => {
                Finding::missed(format!("lacks a file of {}", source.name))
            }
            Some(Wholeness::Behind { files }) => {
                Finding::missed(format!("lacks {files} files of {}", source.name))
            }
            Some(Wholeness::Unknown { reason }) => Finding::unproven(reason.clone()),
        };
        if finding.met < worst.met {
            worst = finding;
        }
    }
    if any {
        worst
    } else {
        Finding::missed("holds no backup yet")
    }
}

fn offsite(copy: &BackupCopy, found: &CopyFacts, config: &Config, facts: &Facts) -> Finding {
    let location = &found.location;
    let is_here = |other: &&Name| {
        let other = facts.copies.get(*other).map(|other| &other.location);
        matches!(
            other,
            Some(
                Location::Folder { .. }
                    | Location::Server {
                        here: Some(true),
                        ..
                    }
            )
        )
    };
    if let Location::Server { .. } = location
        && let Some(other) = found.one_place.keys().find(is_here)
    {
        return Finding::missed(format!(
            "is {other} under another address, and on this machine"
        ));
    }
    match location {
        Location::Folder { device } => {
            let beside = facts
                .sources
                .iter()
                .find(|(_, source)| device.is_some_and(|device| source.devices.contains(&device)));
            return match beside {
                Some((source, _)) => {
                    Finding::missed(format!("is on the device of source {source}"))
                }
                None => Finding::missed("is a folder of this machine"),
            };
        }
        Location::Server {
            here: Some(true), ..
        } => return Finding::missed("is this very machine"),
        Location::Server { .. } => {}
    }
    if config.site.as_ref() == Some(&copy.site) {
        return Finding::missed(format!("is at the sources' own site, {}", copy.site));
    }
    if config.domain.as_ref() == Some(&copy.domain) {
        return Finding::missed(format!("is under the sources' own domain, {}", copy.domain));
    }
    if config.site.is_none() || config.domain.is_none() {
        return Finding::unproven("may be where the sources are, whose place is not configured");
    }
    match location {
        Location::Server {
            here: None,
            link: Some(link),
            ..
        } => Finding::unproven(format!(
            "is reached through the virtual interface {link}, and may be this machine"
        )),
        Location::Server { here: None, .. } => {
            Finding::unproven("has a name that does not resolve, and may be this machine")
        }
        _ => Finding::met(format!("is at {}, under {}", copy.site, copy.domain)),
    }
}
