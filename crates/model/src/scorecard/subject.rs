//! One copy as the rules see it, and which copies are independent of each other.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::config::{BackupCopy, Config, Medium};
use crate::evidence::VaultWord;
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
                let mut found = found.unwrap_or_else(|| CopyFacts::of(copy));
                if found.alarm.is_some() {
                    // Who rewrote his log, or may have, vouches for nothing.
                    found.evidence.by_vault = None;
                }
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

    /// Whose credentials rule it, and why where that is not as configured: a vault in production's
    /// account, or with its objects there, is production's, whatever it is called.
    pub(super) fn domain(&self, config: &Config) -> (Name, Option<String>) {
        let facts = &self.facts;
        let why = match (&facts.in_production, &facts.objects_in_production) {
            (Some(account), _) => format!("its vault runs in production's own account, {account}"),
            (None, Some(account)) => {
                format!("its objects lie in production's own account, {account}")
            }
            (None, None) => return (self.copy.domain.clone(), None),
        };
        let reason = format!("configured as {}; {why}", self.copy.domain);
        (config.production(), Some(reason))
    }

    /// The newest snapshot of a source that it holds.
    pub(super) fn newest(&self, source: &Name) -> Option<&HeldSnapshot> {
        newest(&self.facts, source)
    }

    /// Whether a state of the source at least as new as `time` can be had from this copy.
    pub(super) fn holds_since(&self, source: &Name, time: Timestamp) -> Standing {
        let word = self.facts.evidence.by_vault.as_ref();
        if !self.facts.evidence.damage().is_empty() || word.is_some_and(|word| word.rotten() > 0) {
            return Standing::Missed;
        }
        let is_refuted = |held: &HeldSnapshot| {
            let said = word.and_then(|word| word.of(source, held.id));
            said.is_some_and(|said| said.whole == Some(false))
        };
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
                Wholeness::Whole if is_refuted(held) => Standing::Missed,
                Wholeness::Whole => Standing::Met,
                Wholeness::Behind { .. } => Standing::Missed,
                Wholeness::Unknown { .. } => Standing::Unproven,
            })
            .max()
            .unwrap_or(Standing::Missed)
    }

    /// Whether it is in memory, and no copy.
    pub(super) const fn is_in_memory(&self) -> bool {
        matches!(
            self.facts.location,
            Location::Folder {
                in_memory: true,
                ..
            }
        )
    }

    /// Whether its medium can be what it is said to be: a folder is no tape, and no object.
    pub(super) const fn is_medium_likely(&self) -> bool {
        let is_folder = matches!(self.facts.location, Location::Folder { .. });
        !(is_folder && matches!(self.copy.medium, Medium::Tape | Medium::Object))
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
        match &self.facts.location {
            Location::Folder { devices, .. } if !devices.is_empty() => 0,
            Location::Server {
                here: Some(false), ..
            } => 1,
            Location::Folder { .. } | Location::Server { here: None, .. } => 2,
            Location::Server {
                here: Some(true), ..
            } => 3,
        }
    }
}

impl<'s, 'a> Tally<'s, 'a> {
    /// Counts the copies that meet a demand and are not in memory, one for each device.
    pub(super) fn of(
        subjects: &'s [Subject<'a>],
        demand: impl Fn(&Subject<'a>) -> Standing,
    ) -> Self {
        let demand = |subject: &Subject<'a>| match subject.is_in_memory() {
            true => Standing::Missed,
            false => demand(subject),
        };
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
        let (shown, possible) = (likely_media(&self.shown), media(&self.possible));
        Standing::of_counts(shown.len(), possible.len(), plan.media)
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

/// The media of those whose medium can be believed.
pub(super) fn likely_media(subjects: &[&Subject<'_>]) -> BTreeSet<Medium> {
    let likely = subjects.iter().filter(|subject| subject.is_medium_likely());
    likely.map(|subject| subject.copy.medium).collect()
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
    let word = found.evidence.by_vault.as_ref();
    match word.map_or(0, VaultWord::rotten) {
        0 => {}
        1 => return Finding::missed("holds a rotten file, as its vault says"),
        count => {
            return Finding::missed(format!("holds {count} rotten files, as its vault says"));
        }
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
        let said = word.and_then(|word| word.of(&source.name, last.id));
        let finding = match held.map(|held| &held.wholeness) {
            Some(Wholeness::Whole) => match said {
                Some(said) if said.whole == Some(false) => Finding::missed(format!(
                    "lacks {} of {}, as its vault says",
                    files(said.missing),
                    source.name
                )),
                _ => continue,
            },
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

fn files(count: u64) -> String {
    match count {
        1 => "a file".to_owned(),
        count => format!("{count} files"),
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
        Location::Folder { devices, .. } => {
            let beside = facts
                .sources
                .iter()
                .find(|(_, source)| !source.devices.is_disjoint(devices));
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
    if let Some(account) = &found.in_production {
        return Finding::missed(format!(
            "is in production's own account, {account}, whatever it is called"
        ));
    }
    if let Some(account) = &found.objects_in_production {
        return Finding::missed(format!(
            "keeps its objects in production's own account, {account}"
        ));
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
