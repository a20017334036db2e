//! Somebody holds the repository's key and production's credentials, and tries to have real
//! snapshots forgotten.

use std::ops::Range;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Some ten years.
const AGES: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// A day, and a second of it.
type Moment = (i64, i64);

/// What a fake pretends to be.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// One like all others.
    Mimic,
    /// One that the plan keeps for its tag.
    Tagged,
    /// One that is as old as the hills, and took as long.
    Long,
    /// One of another host.
    Stranger,
    /// One of the future.
    Future,
    /// One of the past.
    Past,
}

/// Fakes that come one second after the other.
#[derive(Clone, Debug)]
struct Flood {
    begins: Moment,
    many: i64,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Event {
    Real(Candidate),
    Fake(Candidate),
    Forget,
}

fn fake(name: &str, arrived: Timestamp, shape: Shape) -> Candidate {
    let mut fake = made(name, arrived);
    match shape {
        Shape::Mimic => {}
        Shape::Tagged => {
            fake.tags.insert("release".to_owned());
        }
        Shape::Long => {
            fake.claimed = arrived - AGES;
            fake.duration = Some(AGES);
        }
        Shape::Stranger => fake.group = group("invented"),
        Shape::Future => fake.claimed = arrived + AGES,
        Shape::Past => fake.claimed = arrived - AGES,
    }
    fake
}

fn keep() -> impl Strategy<Value = Keep> {
    let count = || option::of(1u32..=6).prop_map(|number| number.and_then(NonZeroU32::new));
    let within = option::of((1u32..=20).prop_map(Period::days));
    let counts = (count(), count(), count(), count(), count(), count());
    (counts, within).prop_map(
        |((last, hourly, daily, weekly, monthly, yearly), within)| Keep {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            tags: ["release".to_owned()].into(),
        },
    )
}

fn moment(days: Range<i64>) -> impl Strategy<Value = Moment> {
    (days, 0..DAY)
}

fn floods(days: Range<i64>) -> impl Strategy<Value = Vec<Flood>> {
    let shape = prop_oneof![
        4 => Just(Shape::Mimic),
        1 => Just(Shape::Tagged),
        1 => Just(Shape::Long),
        1 => Just(Shape::Stranger),
        1 => Just(Shape::Future),
        1 => Just(Shape::Past),
    ];
    let many = prop_oneof![3 => Just(1i64), 1 => 2i64..20];
    let flood = (moment(days), many, shape).prop_map(|(begins, many, shape)| Flood {
        begins,
        many,
        shape,
    });
    vec(flood, 0..12)
}

/// All that happens, in the order of time.
fn story(real: &[Moment], floods: &[Flood], forgets: &[Moment]) -> Vec<(Timestamp, Event)> {
    let mut story = Vec::new();
    for (number, (day, second)) in real.iter().enumerate() {
        let arrived = at(*day, *second);
        let one = made(&format!("real {number}"), arrived);
        story.push((arrived, Event::Real(one)));
    }
    for (number, flood) in floods.iter().enumerate() {
        let (day, second) = flood.begins;
        for turn in 0..flood.many {
            let arrived = at(day, second + turn);
            let one = fake(&format!("fake {number} {turn}"), arrived, flood.shape);
            story.push((arrived, Event::Fake(one)));
        }
    }
    for (day, second) in forgets {
        story.push((at(*day, *second), Event::Forget));
    }
    // Stable: what comes at the moment of a forget is there by then.
    story.sort_by_key(|(at, _)| *at);
    story
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// So many real ones come each day; once the first four weeks are over anything comes besides.
    #[test]
    fn what_stays_without_poison_stays_with_it(
        keep in keep(),
        a_day in 1i64..=3,
        jitter in vec(0i64..20_000, 1..9),
        floods in floods(30..70),
        forgets in vec(moment(27..72), 1..12),
    ) {
        let turns = (0..73).flat_map(|day| (0..a_day).map(move |turn| (day, turn)));
        let real: Vec<Moment> = turns
            .zip(jitter.iter().cycle())
            .map(|((day, turn), jitter)| (day, turn * DAY / a_day + jitter))
            .collect();
        let mut clean = World::new(keep.clone());
        let mut poisoned = World::new(keep);
        for (now, event) in story(&real, &floods, &forgets) {
            match event {
                Event::Real(one) => {
                    clean.there.push(one.clone());
                    poisoned.there.push(one);
                }
                Event::Fake(one) => poisoned.there.push(one),
                Event::Forget => {
                    clean.forget(now);
                    poisoned.forget(now);
                    let (kept, there) = (clean.ids(), poisoned.ids());
                    prop_assert!(kept.is_subset(&there), "{now}: {:?}", kept.difference(&there));
                    // What is decided twice is decided once.
                    prop_assert_eq!(poisoned.forget(now), 0);
                }
            }
        }
    }

    /// Real ones come as they like, and anything besides them, from the first day on.
    #[test]
    fn what_came_first_stays_for_the_plans_time_whatever_comes(
        keep in keep(),
        real in vec(moment(0..60), 1..60),
        floods in floods(0..60),
        forgets in vec(moment(28..64), 1..8),
    ) {
        let plan = [
            (Unit::Hour, keep.hourly),
            (Unit::Day, keep.daily),
            (Unit::Week, keep.weekly),
            (Unit::Month, keep.monthly),
            (Unit::Year, keep.yearly),
        ];
        let within = keep.within;
        let mut firsts = plan.map(|_| BTreeMap::new());
        let mut came: Vec<(Id, Timestamp)> = Vec::new();
        let mut world = World::new(keep);
        for (now, event) in story(&real, &floods, &forgets) {
            let is_real = matches!(event, Event::Real(_));
            if let Event::Real(one) | Event::Fake(one) = event {
                if one.group == group("db") && arrival::doubts(&one, now).is_empty() {
                    for ((unit, _), firsts) in plan.iter().zip(&mut firsts) {
                        // What comes first is told first.
                        firsts.entry(unit.of(now)).or_insert(now);
                    }
                }
                if is_real {
                    came.push((one.id, now));
                }
                world.there.push(one);
                continue;
            }
            world.forget(now);
            let there = world.ids();
            for (id, arrived) in &came {
                let has_place = plan.iter().zip(&firsts).any(|((unit, most), firsts)| {
                    let number = unit.of(*arrived);
                    let age = unit.of(now) - number;
                    let covers = most.is_some_and(|most| age < i64::from(most.get()));
                    covers && firsts.get(&number) == Some(arrived)
                });
                let age = now.duration_since(*arrived);
                let is_young = within.is_some_and(|within| age <= within.duration());
                if has_place || is_young {
                    prop_assert!(there.contains(id), "{now}: {arrived}");
                }
            }
        }
    }
}

#[test]
fn a_thousand_fakes_in_an_hour_push_nothing_out() {
    let plan = Keep {
        daily: count(5),
        within: Some(Period::days(2)),
        ..last(7)
    };
    let mut clean = World::new(plan).nightly(0..50);
    let mut poisoned = clean.clone();
    for number in 0..1_000 {
        let arrived = at(49, 12 * HOUR + number * 3);
        let one = fake(&format!("fake {number}"), arrived, Shape::Mimic);
        poisoned.there.push(one);
    }
    // They are named at once, and so is the real one among them.
    for name in ["fake 0", "fake 999", "49"] {
        let Fate::Suspicious { why } = poisoned.fate(name, at(49, 20 * HOUR)) else {
            panic!("{name}");
        };
        let day = Suspicion::Crowded {
            unit: Unit::Day,
            came: 1_001,
            usual: 1,
        };
        assert!(why.contains(&day), "{why:?}");
    }
    for day in 50..80 {
        for world in [&mut clean, &mut poisoned] {
            let one = made(&day.to_string(), at(day, 2 * HOUR));
            world.there.push(one);
            world.forget(at(day, 4 * HOUR));
        }
        let (kept, there) = (clean.ids(), poisoned.ids());
        assert!(kept.is_subset(&there), "{day}");
        assert!(there.contains(&id("fake 999")), "{day}");
    }
    // It was the plan that let go of the others.
    assert_eq!(clean.there.len(), 8);
    // What came before the week of the flood had its places until others came after it.
    assert_eq!(poisoned.there.len(), 8 + 1_000 + 7);
}

#[test]
fn invented_hosts_sources_and_paths_change_nothing_of_others() {
    let mut clean = World::new(last(7)).nightly(0..50);
    let mut poisoned = clean.clone();
    for day in 0..50 {
        for number in 0..9 {
            let arrived = at(day, number * HOUR);
            let mut one = made(&format!("fake {day} {number}"), arrived);
            match number {
                0..3 => one.group.host = format!("db{number}"),
                3..6 => one.group.source = format!("repos{number}").parse().ok(),
                _ => one.group.paths = [format!("/srv/git/{number}")].into(),
            }
            poisoned.there.push(one);
        }
    }
    let now = at(50, 0);
    clean.forget(now);
    poisoned.forget(now);
    poisoned.there.retain(|one| one.group == group("db"));
    assert_eq!(poisoned.ids(), clean.ids());
    assert_eq!(clean.there.len(), 7);
}

#[test]
fn who_stops_the_real_ones_and_sends_as_many_needs_the_plans_time() {
    let mut world = World::new(last(7)).nightly(0..40);
    for day in 40..50 {
        let name = format!("fake {day}");
        let one = fake(&name, at(day, 3 * HOUR), Shape::Mimic);
        world.there.push(one);
    }
    let has = |day: i64, name: &str| {
        let mut world = world.clone();
        let there = &mut world.there;
        there.retain(|one| one.arrival.unwrap().at < at(day, 0));
        world.forget(at(day, 0));
        world.ids().contains(&id(name))
    };
    for real in 34..40 {
        let name = real.to_string();
        assert!(has(real + 7, &name), "{real}");
        assert!(!has(real + 8, &name), "{real}");
    }
}

#[test]
fn backups_on_working_days_leave_no_room_at_the_weekend() {
    let is_working = |day: i64| day % 7 < 5;
    let mut clean = World::new(last(2));
    for day in (0..28).filter(|day| is_working(*day)) {
        clean.there.push(made(&day.to_string(), at(day, 2 * HOUR)));
    }
    let mut poisoned = clean.clone();
    for day in 28..60 {
        let arrived = at(day, 2 * HOUR);
        if is_working(day) {
            let one = made(&day.to_string(), arrived);
            clean.there.push(one.clone());
            poisoned.there.push(one);
        } else {
            let one = fake(&format!("fake {day}"), arrived, Shape::Mimic);
            poisoned.there.push(one);
        }
        // Most of the week has gone by its end, and still counts after it.
        clean.forget(at(day, 4 * HOUR));
        poisoned.forget(at(day, 4 * HOUR));
        assert!(clean.ids().is_subset(&poisoned.ids()), "{day}");
    }
    assert_eq!(clean.there.len(), 3);
}
