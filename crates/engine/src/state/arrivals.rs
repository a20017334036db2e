//! When each snapshot came that was decided upon, also of those that are gone.
//!
//! The first arrival that was known stays known, whatever becomes of the copy that told it. Of what
//! is gone only so much is kept as [`needed`](strongroom_model::retention::needed) says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_model::retention::{Arrival, Candidate, Group, Past};
use strongroom_model::{Holds, Id};

/// What came, by whose place it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    #[serde(default, serialize_with = "as_list", deserialize_with = "from_list")]
    groups: BTreeMap<Group, BTreeMap<Id, Came>>,
}

/// That a snapshot came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Came {
    #[serde(flatten)]
    arrival: Arrival,
    /// Whether something was wrong with it by itself when it was looked at last: once it is gone, it
    /// counts nowhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
}

/// A group with what came of it, as it is written.
#[derive(Serialize, Deserialize)]
struct OfGroup {
    group: Group,
    came: BTreeMap<Id, Came>,
}

/// The same, as it is at hand.
#[derive(Serialize)]
struct ToWrite<'a> {
    group: &'a Group,
    came: &'a BTreeMap<Id, Came>,
}

impl Arrivals {
    /// When each of them came.
    pub fn by_id(&self) -> BTreeMap<Id, Arrival> {
        let all = self.groups.values().flatten();
        all.map(|(id, came)| (*id, came.arrival)).collect()
    }

    /// Takes note of what is there. An arrival that was known before gives way to an earlier one
    /// alone.
    pub fn note(&mut self, there: &[Candidate], now: Timestamp) {
        for one in there {
            let Some(arrival) = one.arrival else {
                continue;
            };
            let doubted = one.is_doubted(now);
            let of_group = self.groups.entry(one.group.clone()).or_default();
            let came = of_group.entry(one.id).or_insert(Came { arrival, doubted });
            came.doubted = doubted;
            if arrival.at < came.arrival.at {
                came.arrival = arrival;
            }
        }
    }

    /// What came once and is not there any more, but for what was doubted when it was.
    pub fn past(&self, there: &BTreeSet<Id>, holds: &Holds) -> Vec<(Id, Past)> {
        let all = self.groups.iter().flat_map(|(group, came)| {
            let gone = came.iter();
            let gone = gone.filter(move |(id, came)| !came.doubted && !there.contains(*id));
            gone.map(move |(id, came)| {
                let past = Past {
                    group: group.clone(),
                    arrived: came.arrival.at,
                    is_admitted: holds.is_admitted(*id),
                };
                (*id, past)
            })
        });
        all.collect()
    }

    /// Forgets all but these.
    pub fn keep(&mut self, ids: &BTreeSet<Id>) {
        for came in self.groups.values_mut() {
            came.retain(|id, _| ids.contains(id));
        }
        self.groups.retain(|_, came| !came.is_empty());
    }
}

/// Writes a list: JSON has no maps whose keys are groups.
fn as_list<S: Serializer>(
    groups: &BTreeMap<Group, BTreeMap<Id, Came>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.iter().map(|(group, came)| ToWrite { group, came }))
}

fn from_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Group, BTreeMap<Id, Came>>, D::Error> {
    let list: Vec<OfGroup> = Vec::deserialize(deserializer)?;
    let mut groups: BTreeMap<Group, BTreeMap<Id, Came>> = BTreeMap::new();
    for one in list {
        groups.entry(one.group).or_default().extend(one.came);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use strongroom_model::retention::SeenBy;

    use super::*;
    use crate::state::record;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn id(text: &str) -> Id {
        Id::of(text.as_bytes())
    }

    fn candidate(text: &str, arrived: i64, by: SeenBy) -> Candidate {
        Candidate {
            id: id(text),
            group: Group {
                source: "repos".parse().ok(),
                host: "db".to_owned(),
                paths: ["/srv".to_owned()].into(),
            },
            claimed: at(arrived),
            duration: Some(SignedDuration::from_secs(1)),
            tags: BTreeSet::new(),
            arrival: Some(Arrival {
                at: at(arrived),
                by,
            }),
            is_held: false,
            is_admitted: false,
        }
    }

    #[test]
    fn the_first_arrival_stays_and_comes_back_from_its_record() {
        let mut arrivals = Arrivals::default();
        arrivals.note(&[candidate("a", 50, SeenBy::Us)], at(100));
        arrivals.note(&[candidate("a", 70, SeenBy::Vault)], at(100));
        let first = |arrivals: &Arrivals| arrivals.by_id().get(&id("a")).copied();
        let us = Arrival {
            at: at(50),
            by: SeenBy::Us,
        };
        assert_eq!(first(&arrivals), Some(us));
        arrivals.note(&[candidate("a", 30, SeenBy::Vault)], at(100));
        let vault = Arrival {
            at: at(30),
            by: SeenBy::Vault,
        };
        assert_eq!(first(&arrivals), Some(vault));
        let bytes = record::encode(&arrivals).unwrap();
        let read: Arrivals = record::decode(&bytes).unwrap();
        assert_eq!(read, arrivals);
    }

    #[test]
    fn what_is_gone_is_past_unless_it_was_doubted() {
        let mut arrivals = Arrivals::default();
        let mut fake = candidate("fake", 60, SeenBy::Us);
        fake.claimed = at(1_000_000);
        let gone = candidate("gone", 50, SeenBy::Us);
        let there = candidate("there", 70, SeenBy::Us);
        arrivals.note(&[fake, gone.clone(), there], at(100));
        let mut holds = Holds::default();
        holds.admit(id("gone"), at(99));
        let past = arrivals.past(&[id("there")].into(), &holds);
        let expected = Past {
            group: gone.group,
            arrived: at(50),
            is_admitted: true,
        };
        assert_eq!(past, [(id("gone"), expected)]);
        arrivals.keep(&[id("there")].into());
        assert_eq!(arrivals.past(&BTreeSet::new(), &holds).len(), 1);
        assert!(!arrivals.by_id().contains_key(&id("gone")));
        arrivals.keep(&BTreeSet::new());
        assert_eq!(arrivals, Arrivals::default());
    }
}
