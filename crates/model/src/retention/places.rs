//! The places of one group: which of its snapshots a [`Keep`] names.
//!
//! **Security:** where a snapshot is taken out of those that are given here, none of the others
//! loses its place. All that holds against floods rests on it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::keep::Keep;
use crate::retention::{Rule, Unit};

/// Which arrivals have a place, and by which rules.
pub(super) struct Places<'a> {
    keep: &'a Keep,
    newest: Option<Timestamp>,
    /// The oldest that `last` covers.
    last: Option<Timestamp>,
    /// Of each rule of the calendar, the first arrivals of the newest units that have any.
    firsts: Vec<(Rule, Unit, BTreeMap<i64, Timestamp>)>,
}

impl<'a> Places<'a> {
    /// Gives the places to snapshots that arrived so.
    pub(super) fn of(keep: &'a Keep, mut arrived: Vec<Timestamp>) -> Self {
        arrived.sort_unstable_by(|a, b| b.cmp(a));
        let calendar = [
            (Rule::Hourly, Unit::Hour, keep.hourly),
            (Rule::Daily, Unit::Day, keep.daily),
            (Rule::Weekly, Unit::Week, keep.weekly),
            (Rule::Monthly, Unit::Month, keep.monthly),
            (Rule::Yearly, Unit::Year, keep.yearly),
        ];
        let firsts = calendar.into_iter().filter_map(|(rule, unit, most)| {
            let most = number(most?);
            let mut all: BTreeMap<i64, Timestamp> = BTreeMap::new();
            for at in &arrived {
                // The newest come first, so that the last one stays that is the first of its unit.
                all.insert(unit.of(*at), *at);
            }
            let newest: BTreeMap<_, _> = all.into_iter().rev().take(most).collect();
            Some((rule, unit, newest))
        });
        let firsts = firsts.collect();
        let last = keep.last.and_then(|most| {
            let nth = arrived.get(number(most).saturating_sub(1));
            nth.or(arrived.last()).copied()
        });
        Self {
            keep,
            newest: arrived.first().copied(),
            last,
            firsts,
        }
    }

    /// The rules that name what arrived at a moment, of those for which it was given.
    pub(super) fn rules(&self, arrived: Timestamp) -> Vec<Rule> {
        let mut rules = Vec::new();
        if self.newest == Some(arrived) {
            rules.push(Rule::Newest);
        }
        if self.last.is_some_and(|last| last <= arrived) {
            rules.push(Rule::Last);
        }
        for (rule, unit, firsts) in &self.firsts {
            if firsts.get(&unit.of(arrived)) == Some(&arrived) {
                rules.push(rule.clone());
            }
        }
        if let (Some(newest), Some(within)) = (self.newest, self.keep.within)
            && newest.duration_since(arrived) <= within.duration()
        {
            rules.push(Rule::Within);
        }
        rules
    }
}

fn number(count: NonZeroU32) -> usize {
    usize::try_from(count.get()).unwrap_or(usize::MAX)
}
