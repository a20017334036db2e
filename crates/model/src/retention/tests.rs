//! What stays and what goes where nobody is up to anything; [`poison`] is for those who are.

mod poison;

use std::num::NonZeroU32;

use super::*;
use crate::period::Period;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// The first second of day 0, which is a Monday: 2026-01-05.
const MONDAY: i64 = 1_767_571_200;

fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_second(MONDAY + day * DAY + second).unwrap()
}

fn id(name: &str) -> Id {
    Id::of(name.as_bytes())
}

fn group(host: &str) -> Group {
    Group {
        source: "repos".parse().ok(),
        host: host.to_owned(),
        paths: ["/srv/git".to_owned()].into(),
    }
}

/// A snapshot of the source on the host `db`, as an honest host makes it.
fn made(name: &str, arrived: Timestamp) -> Candidate {
    Candidate {
        id: id(name),
        group: group("db"),
        claimed: arrived - SignedDuration::from_secs(90),
        duration: Some(SignedDuration::from_secs(60)),
        tags: ["source=repos".to_owned()].into(),
        arrival: Some(Arrival {
            at: arrived,
            by: SeenBy::Vault,
        }),
        is_held: false,
        is_admitted: false,
    }
}

fn count(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn daily(number: u32) -> Keep {
    Keep {
        daily: count(number),
        ..Keep::default()
    }
}

fn last(number: u32) -> Keep {
    Keep {
        last: count(number),
        ..Keep::default()
    }
}

/// All snapshots there are, and those that went.
#[derive(Clone, Debug)]
struct World {
    keeps: BTreeMap<Name, Keep>,
    there: Vec<Candidate>,
    past: Vec<Past>,
}

impl World {
    fn new(keep: Keep) -> Self {
        Self {
            keeps: [("repos".parse().unwrap(), keep)].into(),
            there: Vec::new(),
            past: Vec::new(),
        }
    }

    /// A snapshot of each of some days, at 02:00, named as the day.
    fn nightly(mut self, days: std::ops::Range<i64>) -> Self {
        for day in days {
            self.there.push(made(&day.to_string(), at(day, 2 * HOUR)));
        }
        self
    }

    /// Three snapshots of each day before one, at 02:00, 10:00 and 18:00: `7/0`, `7/1`, `7/2`.
    fn thrice_a_day(mut self, end: i64) -> Self {
        for day in 0..end {
            for turn in 0..3 {
                let arrived = at(day, (2 + 8 * turn) * HOUR);
                self.there.push(made(&format!("{day}/{turn}"), arrived));
            }
        }
        self
    }

    fn decide(&self, now: Timestamp) -> BTreeMap<Id, Fate> {
        let known = Known {
            snapshots: &self.there,
            past: &self.past,
            keeps: &self.keeps,
        };
        let decisions = decide(&known, now);
        assert_eq!(decisions.len(), self.there.len());
        let decided = decisions.into_iter();
        decided.map(|one| (one.id, one.fate)).collect()
    }

    fn fate(&self, name: &str, now: Timestamp) -> Fate {
        self.decide(now).remove(&id(name)).unwrap()
    }

    /// Removes what may go; returns how many.
    fn forget(&mut self, now: Timestamp) -> usize {
        let fates = self.decide(now);
        let all = std::mem::take(&mut self.there);
        let before = all.len();
        for one in all {
            if !fates[&one.id].goes() {
                self.there.push(one);
                continue;
            }
            self.past.push(Past {
                arrived: one.arrival.unwrap().at,
                group: one.group,
                is_admitted: one.is_admitted,
            });
        }
        self.drop_past(now);
        before - self.there.len()
    }

    /// Drops of the past what is not needed: [`Known::past`].
    fn drop_past(&mut self, now: Timestamp) {
        let known = Known {
            snapshots: &self.there,
            past: &self.past,
            keeps: &self.keeps,
        };
        let mut needed = needed(&known, now).into_iter();
        self.past.retain(|_| needed.next().unwrap());
    }

    fn ids(&self) -> BTreeSet<Id> {
        self.there.iter().map(|one| one.id).collect()
    }

    /// What is left once what may go is gone: exactly these.
    fn assert_left(mut self, now: Timestamp, names: &[&str]) {
        self.forget(now);
        let expected: BTreeSet<Id> = names.iter().map(|name| id(name)).collect();
        assert_eq!(self.ids(), expected, "{names:?}");
    }
}

#[test]
fn of_each_day_the_first_stays_and_the_newest_of_all() {
    let world = World::new(daily(2)).thrice_a_day(40);
    let now = at(40, 0);
    let rules = vec![Rule::Daily];
    assert_eq!(world.fate("38/0", now), Fate::Kept { rules });
    let rules = vec![Rule::Newest];
    assert_eq!(world.fate("39/2", now), Fate::Kept { rules });
    assert_eq!(world.fate("38/2", now), Fate::Goes);
    world.assert_left(now, &["38/0", "39/0", "39/2"]);
}

#[test]
fn each_rule_names_its_own_and_one_is_enough() {
    let now = at(40, 0);
    let left = |keep: Keep, names: &[&str]| {
        World::new(keep).thrice_a_day(40).assert_left(now, names);
    };
    left(last(4), &["38/2", "39/0", "39/1", "39/2"]);
    let none = Keep::default;
    let hourly = Keep {
        hourly: count(3),
        ..none()
    };
    left(hourly, &["39/0", "39/1", "39/2"]);
    // Day 35 is a Monday, and day 27 is the first of February.
    let weekly = Keep {
        weekly: count(2),
        ..none()
    };
    left(weekly, &["28/0", "35/0", "39/2"]);
    let monthly = Keep {
        monthly: count(1),
        ..none()
    };
    left(monthly, &["27/0", "39/2"]);
    let yearly = Keep {
        yearly: count(1),
        ..none()
    };
    left(yearly, &["0/0", "39/2"]);
    let within = Keep {
        within: Some(Period::hours(16)),
        ..none()
    };
    left(within, &["39/0", "39/1", "39/2"]);
    let both = Keep {
        monthly: count(1),
        ..last(2)
    };
    left(both, &["27/0", "39/1", "39/2"]);
}

#[test]
fn all_rules_that_name_a_snapshot_are_told() {
    let keep = Keep {
        last: count(1),
        within: Some(Period::days(2)),
        ..daily(2)
    };
    let world = World::new(keep).nightly(0..40);
    let rules = vec![Rule::Newest, Rule::Last, Rule::Daily, Rule::Within];
    assert_eq!(world.fate("39", at(40, 0)), Fate::Kept { rules });
    let rules = vec![Rule::Daily, Rule::Within];
    assert_eq!(world.fate("38", at(40, 0)), Fate::Kept { rules });
}

#[test]
fn days_without_a_snapshot_take_no_place() {
    let world = World::new(daily(3)).nightly(0..30).nightly(35..36);
    world.assert_left(at(36, 0), &["28", "29", "35"]);
}

#[test]
fn a_source_that_has_stopped_loses_nothing_by_the_time_that_passes() {
    let keep = Keep {
        within: Some(Period::days(3)),
        ..daily(2)
    };
    let mut world = World::new(keep).nightly(0..40);
    assert_eq!(world.forget(at(40, 0)), 36);
    for day in [41, 60, 400, 40_000] {
        assert_eq!(world.forget(at(day, 0)), 0, "{day}");
    }
    world.assert_left(at(40_000, 0), &["36", "37", "38", "39"]);
}

#[test]
fn all_that_came_at_one_moment_came_first() {
    // As where nothing but our own listing tells when snapshots came.
    let mut world = World::new(daily(1));
    for day in 0..40 {
        for turn in 0..3 {
            let name = format!("{day}/{turn}");
            world.there.push(made(&name, at(day, 5 * HOUR)));
        }
    }
    world.assert_left(at(40, 0), &["39/0", "39/1", "39/2"]);
}

#[test]
fn what_came_today_stays_and_takes_no_place_before_the_day_is_over() {
    let world = World::new(last(2)).nightly(0..41);
    let rules = vec![Rule::Today];
    assert_eq!(world.fate("40", at(40, 3 * HOUR)), Fate::Kept { rules });
    world
        .clone()
        .assert_left(at(40, DAY - 1), &["38", "39", "40"]);
    world.assert_left(at(41, 0), &["39", "40"]);
}

#[test]
fn a_group_loses_nothing_until_something_comes_after_its_first_four_weeks() {
    let with_last = |second: i64| {
        let mut world = World::new(last(1)).nightly(0..28);
        world.there.push(made("28", at(28, second)));
        world
    };
    let mut young = with_last(2 * HOUR - 1);
    // Whatever our own clock shows.
    for day in [29, 30, 400] {
        assert_eq!(young.forget(at(day, 0)), 0, "{day}");
        let rules = vec![Rule::New];
        assert_eq!(young.fate("3", at(day, 0)), Fate::Kept { rules });
    }
    with_last(2 * HOUR).assert_left(at(29, 0), &["28"]);
}

#[test]
fn where_no_plan_speaks_of_a_source_everything_stays() {
    let unplanned = Fate::Kept {
        rules: vec![Rule::Unplanned],
    };
    let world = World::new(Keep::default()).nightly(0..40);
    assert_eq!(world.fate("3", at(40, 0)), unplanned);
    let mut world = World::new(last(1)).nightly(0..40);
    let other: Option<Name> = "other".parse().ok();
    for source in [other, None] {
        for one in &mut world.there {
            one.group.source = source.clone();
        }
        assert_eq!(world.fate("3", at(40, 0)), unplanned);
        assert_eq!(world.forget(at(40, 0)), 0);
    }
}

#[test]
fn what_is_held_or_tagged_stays() {
    let keep = Keep {
        tags: ["release".to_owned()].into(),
        ..last(1)
    };
    let mut world = World::new(keep).nightly(0..40);
    world.there[3].is_held = true;
    world.there[4].tags.insert("release".to_owned());
    assert_eq!(world.fate("3", at(40, 0)), Fate::Held);
    let rules = vec![Rule::Tag("release".to_owned())];
    assert_eq!(world.fate("4", at(40, 0)), Fate::Kept { rules });
    world.assert_left(at(40, 0), &["3", "4", "39"]);
}

#[test]
fn a_claim_that_does_not_fit_the_arrival_is_told_and_one_that_fits_is_not() {
    let arrived = at(30, 0);
    let doubts = |claimed: i64, took: Option<i64>| {
        let one = Candidate {
            claimed: arrived + SignedDuration::from_secs(claimed),
            duration: took.map(SignedDuration::from_secs),
            ..made("one", arrived)
        };
        arrival::doubts(&one, at(40, 0))
    };
    let later = Suspicion::ClaimedLater {
        claimed: arrived + SignedDuration::from_secs(601),
        arrived,
    };
    assert_eq!(doubts(601, None), [later]);
    for (claimed, took) in [
        (600, None),
        (-DAY, None),
        (-DAY - HOUR, Some(HOUR)),
        // A backup that took less than no time, and one that took for ever.
        (-DAY, Some(-HOUR)),
        (0, Some(i64::MAX)),
    ] {
        assert!(doubts(claimed, took).is_empty(), "{claimed} {took:?}");
    }
    assert_eq!(doubts(-DAY - 1, None).len(), 1);
    assert_eq!(doubts(-DAY - HOUR - 1, Some(HOUR)).len(), 1);
    let ahead = made("one", at(30, 601));
    let expected = Suspicion::ArrivedAhead {
        arrived: at(30, 601),
    };
    assert!(arrival::doubts(&ahead, at(30, 1)).is_empty());
    assert_eq!(arrival::doubts(&ahead, at(30, 0)), [expected]);
}

#[test]
fn what_is_suspicious_takes_no_place_and_stays() {
    let mut world = World::new(last(2)).nightly(0..40);
    world.there[39].claimed = at(500, 0);
    world.there[38].claimed = at(-500, 0);
    world.there[37].arrival = None;
    let now = at(40, 0);
    let why = vec![Suspicion::NeverSeen];
    assert_eq!(world.fate("37", now), Fate::Suspicious { why });
    world.assert_left(now, &["35", "36", "37", "38", "39"]);
}

#[test]
fn the_first_of_several_arrivals_counts_but_for_what_we_know_better() {
    let told = |second, by| Arrival {
        at: at(0, second),
        by,
    };
    let all = [
        told(9, SeenBy::Us),
        told(5, SeenBy::Bucket),
        told(7, SeenBy::Vault),
    ];
    assert_eq!(Arrival::earliest(all), Some(told(5, SeenBy::Bucket)));
    assert_eq!(Arrival::earliest([]), None);
    let vault = told(7, SeenBy::Vault);
    assert_eq!(vault.not_before(None), vault);
    assert_eq!(vault.not_before(Some(at(0, 7))), vault);
    assert_eq!(vault.not_before(Some(at(0, 8))), told(8, SeenBy::Us));
}

#[test]
fn a_new_schedule_is_crowded_until_it_is_admitted_for_a_week() {
    let mut world = World::new(daily(3)).nightly(0..42);
    for day in 42..63 {
        for turn in 0..2 {
            let arrived = at(day, (2 + 12 * turn) * HOUR);
            world.there.push(made(&format!("{day}/{turn}"), arrived));
        }
    }
    let now = at(63, 0);
    let crowded = |unit, came, usual| Suspicion::Crowded { unit, came, usual };
    let why = vec![crowded(Unit::Day, 2, 1), crowded(Unit::Week, 14, 7)];
    assert_eq!(world.fate("50/1", now), Fate::Suspicious { why });
    // All of these stay, and the places are those of before.
    world.forget(now);
    assert_eq!(world.there.len(), 3 + 42);
    for one in &mut world.there {
        one.is_admitted |= one.arrival.unwrap().at < at(49, 0);
    }
    world.assert_left(now, &["60/0", "61/0", "62/0", "62/1"]);
}

#[test]
fn why_is_told_in_words() {
    let (claimed, arrived) = (at(0, 0), at(3, 0));
    let said = [
        Suspicion::NeverSeen.to_string(),
        Suspicion::ClaimedEarlier { claimed, arrived }.to_string(),
        Suspicion::ClaimedLater {
            claimed: arrived,
            arrived: claimed,
        }
        .to_string(),
        Suspicion::ArrivedAhead { arrived }.to_string(),
        Suspicion::Crowded {
            unit: Unit::Week,
            came: 1_000,
            usual: 7,
        }
        .to_string(),
        Rule::Tag("release".to_owned()).to_string(),
    ];
    assert_eq!(
        said,
        [
            "nobody knows when it came",
            "it claims to be 3 d older than its arrival",
            "it claims to be 3 d younger than its arrival",
            "it came at 2026-01-08T00:00:00Z, which is still to come",
            "1000 came in its week, more than the usual 7",
            "tag release",
        ],
    );
    let why = vec![Suspicion::NeverSeen];
    let decision = Decision {
        id: Id::of(b""),
        fate: Fate::Suspicious { why },
    };
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(json["fate"], "suspicious");
    assert_eq!(json["why"][0]["why"], "never_seen");
    let goes = Decision {
        fate: Fate::Goes,
        ..decision
    };
    let json = serde_json::to_value(&goes).unwrap();
    assert_eq!(json["fate"], "goes");
}

#[test]
fn of_the_past_the_first_weeks_and_those_with_something_left_are_needed() {
    let mut world = World::new(daily(2)).nightly(0..60);
    let now = at(60, 4 * HOUR);
    // Day 59 and day 58 are left, and day 0 to 27 were the first four weeks.
    world.forget(now);
    let left: BTreeSet<Timestamp> = world.past.iter().map(|one| one.arrived).collect();
    let learnt = (0..28).map(|day| at(day, 2 * HOUR));
    // The week of both, and of now, began on day 56.
    let weeks = (56..58).map(|day| at(day, 2 * HOUR));
    assert_eq!(left, learnt.chain(weeks).collect());
    // What was admitted stays known.
    let old = Past {
        group: group("db"),
        arrived: at(40, 0),
        is_admitted: true,
    };
    world.past.push(old.clone());
    world.drop_past(now);
    assert!(world.past.contains(&old));
    world.past.push(Past {
        is_admitted: false,
        ..old
    });
    world.drop_past(now);
    assert_eq!(world.past.iter().filter(|one| !one.is_admitted).count(), 30);
}
