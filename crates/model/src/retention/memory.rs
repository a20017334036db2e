//! What of the past later decisions need.
//!
//! **Security:** what is dropped is dropped for good. With too little of the past a week that was
//! crowded seems not to be, and a flood of a group's first weeks passes for what is usual.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::retention::crowd::LEARNING;
use crate::retention::{Group, Known, Past, Unit};

/// Which of [`Known::past`] later decisions need, in the order in which they are given.
pub fn needed(known: &Known<'_>, now: Timestamp) -> Vec<bool> {
    let there = known.snapshots.iter().filter(|one| !one.is_doubted(now));
    let there = there.filter_map(|one| Some((&one.group, one.arrival?.at)));
    let there: Vec<(&Group, Timestamp)> = there.collect();
    let past = known.past.iter().map(|one| (&one.group, one.arrived));
    let mut began: BTreeMap<&Group, Timestamp> = BTreeMap::new();
    for (group, arrived) in there.iter().copied().chain(past) {
        let first = began.entry(group).or_insert(arrived);
        *first = arrived.min(*first);
    }
    let weeks = there.iter().copied();
    let weeks = weeks.map(|(group, arrived)| (group, Unit::Week.of(arrived)));
    let weeks: BTreeSet<(&Group, i64)> = weeks.collect();
    let is_needed = |one: &Past| {
        let week = Unit::Week.of(one.arrived);
        let began = began.get(&one.group);
        one.is_admitted
            || began.is_none_or(|began| one.arrived.duration_since(*began) < LEARNING)
            || week == Unit::Week.of(now)
            || weeks.contains(&(&one.group, week))
    };
    known.past.iter().map(is_needed).collect()
}
